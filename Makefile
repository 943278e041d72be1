# What people type. `make` alone lists it.
#   run    installs what is missing, builds, runs a first job and a short tour
#   test   installs what is missing, builds, passes the tests
# Both work on a bare Debian 12 with python3, make and gcc, as root; as an ordinary user once the
# Debian packages are there (they are named if not).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python3 -m pip --disable-pip-version-check --quiet
SOURCES := $(shell find hardbox profiles seccomp -type f -not -path '*/__pycache__/*') meson.build pyproject.toml
C_SOURCES := $(wildcard hardbox/launch/*.c hardbox/front/*.c hardbox/runtime/*.c)
WORKERS ?= $(shell nproc)
FUZZ_SECONDS ?= 1800
VM_CACHE ?= build/vm

.PHONY: help run build test check attack attack-selftest fuzz faults compare vm-test bench dist clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(BIN)/.installed ## install what is missing, build, run a first job and a tour
	@tools/tour $(BIN)/hardbox

build: $(BIN)/.installed ## .venv/bin/hardbox and .venv/bin/hardbox-launch

$(BIN)/.venv: tools/find-python tools/needs
	@tools/needs run
	python=$$(tools/find-python)
	echo "Making $(VENV) with $$python"
	"$$python" -m venv --clear $(VENV)
	touch $@

# Installed as users install it: tests run against the installed package, not the checkout.
$(BIN)/.installed: $(BIN)/.venv $(SOURCES)
	@echo "Building and installing hardbox"
	[ ! -e $(BIN)/hardbox ] || $(PIP) uninstall --yes hardbox
	$(PIP) install '.[doctor]'
	touch $@

$(BIN)/.tests: $(BIN)/.installed pyproject.toml
	@tools/needs test
	$(PIP) install $$($(BIN)/python3 tools/group tests)
	touch $@

$(BIN)/.check: $(BIN)/.tests pyproject.toml
	@$(PIP) install $$($(BIN)/python3 tools/group check)
	touch $@

test: $(BIN)/.tests ## install what is missing, pass all tests
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal tests

attack: $(BIN)/.tests ## the attack suite alone, with its table
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal tests/attack

check: $(BIN)/.check ## ruff, mypy, C warnings as errors, import direction, spelling
	@$(BIN)/ruff format --check hardbox tests bench tools
	$(BIN)/ruff check hardbox tests bench tools
	$(BIN)/mypy
	objects=$$(mktemp -d)
	trap 'rm -rf "$$objects"' EXIT
	strict="-std=c17 -D_GNU_SOURCE -DHB_VERSION=\"check\" -O2 -Wall -Wextra -Werror -Wconversion -Wsign-conversion"
	strict+=" -Wshadow -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wwrite-strings"
	for source in $(C_SOURCES); do
		gcc $$strict -Wlogical-op -Wduplicated-cond -Wduplicated-branches -fanalyzer -c -o "$$objects/object.o" "$$source"
		! command -v clang >"$$objects/clang" || clang $$strict -Wunreachable-code -c -o "$$objects/object.o" "$$source"
	done
	$(BIN)/codespell -L passt hardbox profiles seccomp tests bench docs tools *.md Makefile
	$(BIN)/pytest -q tests/unit/test_imports.py

attack-selftest: $(BIN)/.tests ## the attacks against no sandbox, and against broken ones: all must be noticed
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal tests/attack/test_selftest.py

fuzz: $(BIN)/.tests ## fuzz plan decoder, profile loader and system calls, FUZZ_SECONDS each (default 1800)
	@HARDBOX_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest -q tests/fuzz

faults: $(BIN)/.tests ## kill and fail a launch at every system call, as root and as a user (minutes)
	@HARDBOX_FAULTS=all $(BIN)/pytest -q -n $(WORKERS) --dist worksteal tests/faults

compare: $(BIN)/.tests ## the attacks under other launchers too; writes docs/comparison.md (as root)
	@tools/needs compare
	PYTHONPATH=tests $(BIN)/python3 -P -m compare.main docs/comparison.md

vm-test: $(BIN)/.tests ## system and attack tests on a second kernel (QEMU), beside this one's
	@tools/needs vm
	PYTHONPATH=tests $(BIN)/python3 -P -m vm $(BIN)/pytest $(VM_CACHE)

bench: $(BIN)/.tests ## measure side by side with peers
	@tools/needs bench
	$(BIN)/python3 bench/launch.py
	$(BIN)/python3 bench/denials.py
	$(BIN)/python3 bench/network.py

dist: $(BIN)/.check ## a wheel and an sdist in dist/
	@$(PIP) install build
	$(BIN)/python3 -m build --outdir dist .

clean: ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
