"""Imports run one way, and the public names are what they say."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

import hardbox

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "hardbox"
# From the ground up; docs/architecture.md says the same. A package counts as one.
LAYERS: Final = (
    ("destinations", "errors", "mountinfo"),
    (
        "cache",
        "cgroups",
        "data",
        "ends",
        "lockfiles",
        "network_limits",
        "network_report",
        "places",
        "policy",
        "rules",
        "toml_text",
        "words",
    ),
    ("codes", "files", "habits", "host"),
    ("filters", "probe", "profile", "refusals"),
    ("denials", "grants", "plan"),
    ("enforced", "limit_report", "record_file", "rested"),
    ("report",),
    ("audit", "engines", "net", "recall", "seals", "view"),
    ("runs",),
    ("api",),
    ("pool",),
    ("verify",),
    ("cli",),
)
RANK: Final = {name: number for number, layer in enumerate(LAYERS) for name in layer}
MODULES: Final = sorted(
    path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"
)


def imported(path: Path) -> set[str]:
    """Give the parts of hardbox that a file imports when it runs, for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hardbox":
            rest = (node.module or "").split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hardbox.")}
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
    return found - {"__version__"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module: str) -> None:
    own = module.split("/", maxsplit=1)[0].removesuffix(".py")
    assert not {name for name in imported(PACKAGE / module) - {own} if RANK[name] >= RANK[own]}


def test_every_file_has_a_layer() -> None:
    parts = {module.split("/")[0].removesuffix(".py") for module in MODULES}
    assert parts == set(RANK)


def test_architecture_page_states_the_same_layers() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    stated = [
        tuple(sorted(row.split(", "))) for row in re.findall(r"^\d+\. `([a-z_, ]+)`", page, re.MULTILINE)
    ]
    assert stated == list(LAYERS)


def test_only_one_file_imports_the_libseccomp_binding() -> None:
    users = {module for module in MODULES if '"pyseccomp"' in (PACKAGE / module).read_text(encoding="utf-8")}
    assert users == {"filters/__init__.py"}


def test_public_names_are_sorted_and_exist() -> None:
    assert hardbox.__all__ == sorted(hardbox.__all__)
    for name in hardbox.__all__:
        assert getattr(hardbox, name) is not None


def test_versions_agree() -> None:
    build = (ROOT / "meson.build").read_text(encoding="utf-8")
    assert f"version: '{hardbox.__version__}'" in build
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]


def test_tests_run_against_the_installed_package() -> None:
    assert not os.path.commonpath([hardbox.__file__, PACKAGE]).startswith(str(PACKAGE))


def test_files_stay_small() -> None:
    most = 400
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.c"), *PACKAGE.rglob("*.h")]
    long = {path.name: lines for path in files if (lines := len(path.read_bytes().splitlines())) > most}
    assert not long
