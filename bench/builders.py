"""Build tools that start each command in a sandbox: Make, CMake with Ninja, pytest-xdist; against bare.

Run by: bench/main.py (`make bench`). What is written here is what docs/fast.md tells people to write.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from measure import BIN, HARDBOX, LAUNCH, MissingError, System, alternate, compiled, row, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from measure import Row

ROWS = ("make", "ninja", "xdist")
FILES: Final = 20
_SOURCE: Final = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int f{0}(int x) {{ char b[64]; snprintf(b, sizeof b, "%d", x * {0}); return (int)strlen(b) + atoi(b); }}
"""
_MAKEFILE: Final = """OBJECTS := $(patsubst %.c,%.o,$(wildcard f*.c))
libf.a: $(OBJECTS)
\tar rcs $@ $^
%.o: %.c
\tgcc -O2 -c -o $@ $<
clean:
\trm -f libf.a $(OBJECTS)
"""
_CMAKE: Final = """cmake_minimum_required(VERSION 3.20)
project(f C)
if(RULE)
  set_property(GLOBAL PROPERTY RULE_LAUNCH_COMPILE "${RULE}")
endif()
file(GLOB SOURCES f*.c)
add_library(f STATIC ${SOURCES})
"""
_TEST: Final = """import os
import pytest

@pytest.mark.parametrize("n", range(20))
def test_it(n):
    assert sum(range(10000 * n)) >= 0
    assert os.getuid() == {0}
"""
_BARE, _EACH, _WHOLE = "bare", "each command in a sandbox, by a sealed plan", "all of it in one sandbox"


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure seconds; `folder` is ours."""
    tree = os.path.join(folder, "project")
    os.mkdir(tree)
    for number in range(FILES):
        _put(tree, f"f{number}.c", _SOURCE.format(number))
    times = max(3, rounds // 20)
    return [_make(folder, tree, times), _ninja(folder, tree, times), _xdist(folder, times)]


def _put(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def _shown(tree: str) -> tuple[str, ...]:
    return ("--profile", "build", "--write", tree, "--workdir", tree)


def _timed(clean: tuple[str, ...], argv: tuple[str, ...], **more: Any) -> Callable[[], float]:  # noqa: ANN401 (subprocess's)
    def launch() -> float:
        if clean:
            said(clean, **more)
        began = time.perf_counter()
        said(argv, **more)
        return time.perf_counter() - began

    return launch


def _make(folder: str, tree: str, rounds: int) -> Row:
    plan = compiled(folder, "make", *_shown(tree), "--", "true")
    _put(tree, "Makefile", _MAKEFILE)
    shell = f"SHELL := {LAUNCH}\n.SHELLFLAGS := {plan} -- /bin/sh -ec\ninclude Makefile\n"
    _put(tree, "sandbox.mk", shell)
    decided = (
        f"SHELL := {HARDBOX}\n.SHELLFLAGS := run {' '.join(_shown(tree))} -- /bin/sh -ec\ninclude Makefile\n"
    )
    _put(tree, "run.mk", decided)
    clean, make = ("make", "-s", "clean"), ("make", "-s", "-j2")
    figures = alternate(
        [
            System(_BARE, _timed(clean, make, cwd=tree), "s"),
            System(_EACH, _timed(clean, (*make, "-f", "sandbox.mk"), cwd=tree)),
            System(_WHOLE, _timed(clean, (HARDBOX, "run", *_shown(tree), "--", *make), cwd=tree)),
            System("each command by `hardbox run`", _timed(clean, (*make, "-f", "run.mk"), cwd=tree)),
        ],
        rounds,
        warm_up=1,
        what="make:",
    )
    about = f"`make -j2` of {FILES} C files, each recipe line in a sandbox of its own, against bare"
    return row("make", about, None, figures, _EACH, _BARE)


def _ninja(folder: str, tree: str, rounds: int) -> Row:
    cmake, ninja = os.path.join(BIN, "cmake"), os.path.join(BIN, "ninja")
    systems = []
    for name, way in ((_BARE, ""), (_EACH, "CMAKE_C_COMPILER_LAUNCHER"), ("RULE_LAUNCH_COMPILE", "RULE")):
        built = os.path.join(tree, f"build{way}")
        os.mkdir(built)
        _put(tree, "CMakeLists.txt", _CMAKE)
        # CMake's compilers are started in the build directory, with relative names.
        words = ("--profile", "build", "--write", tree, "--workdir", built)
        plan = compiled(folder, f"ninja{way}", *words, "--", "true")
        launcher = f"{LAUNCH};{plan};--"
        option = (f"-D{way}={launcher if way != 'RULE' else launcher.replace(';', ' ')}",) if way else ()
        configure = (cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", "-S", tree, "-B", built, *option)
        systems.append(
            System(
                name,
                _configured(
                    configure, _timed((ninja, "-C", built, "-t", "clean"), (ninja, "-C", built, "-j2"))
                ),
                "s",
            )
        )
    figures = alternate(systems, rounds, warm_up=1, what="ninja:")
    about = f"CMake and `ninja -j2` of {FILES} C files, each compiler in a sandbox of its own, against bare"
    return row("ninja", about, None, figures, _EACH, _BARE)


def _configured(configure: tuple[str, ...], build: Callable[[], float]) -> Callable[[], float]:
    """Configure at the first launch, which does not count: what is missing is then named with its reason."""
    done: list[str] = []

    def launch() -> float:
        if not os.path.exists(configure[0]):
            message = "cmake and ninja are not installed (make .venv/bin/.bench)"
            raise MissingError(message)
        if not done:
            done.append(said(configure))
        return build()

    return launch


def _xdist(folder: str, rounds: int) -> Row:
    tests = {name: os.path.join(folder, name) for name in ("tests-bare", "tests-inside")}
    for name, place in tests.items():
        os.mkdir(place)
        for number in range(10):
            _put(place, f"test_{number}.py", _TEST.format(os.getuid() if name == "tests-bare" else 1000))
    inside = tests["tests-inside"]
    shown = (*_shown(inside), "--read", sys.prefix, "--env", "PYTHONDONTWRITEBYTECODE=1")
    plan = compiled(folder, "tests", *shown, "--", "true")
    python = os.path.join(BIN, "python3")
    pytest = (
        python,
        "-B",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        ".",
        "--dist",
        "load",
    )
    workers = f"2*popen//python={LAUNCH} {plan} -- {python}"
    figures = alternate(
        [
            System(_BARE, _timed((), (*pytest, "-n", "2"), cwd=tests["tests-bare"]), "s"),
            System("each worker in a sandbox", _timed((), (*pytest, "--tx", workers), cwd=inside)),
            System(_WHOLE, _timed((), (HARDBOX, "run", *shown, "--", *pytest, "-n", "2"), cwd=inside)),
        ],
        rounds,
        warm_up=1,
        what="xdist:",
    )
    about = "pytest-xdist, 200 small tests, each of two workers in a sandbox, against bare"
    return row("xdist", about, None, figures, "each worker in a sandbox", _BARE)
