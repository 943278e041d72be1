"""The two tables of `make vm-test` hide nothing.  Run by: pytest."""

from __future__ import annotations

from pathlib import Path

import pytest
from vm import bundle, selection, tables

PASSES = '<testcase classname="tests.system.test_a" name="test_{0}"/>'
FAILS = (
    '<testcase classname="tests.system.test_a" name="test_{0}"><failure message="no&#10;more"/></testcase>'
)
SKIPS = '<testcase classname="tests.system.test_a" name="test_{0}"><skipped message="no root"/></testcase>'
BREAKS_AFTERWARDS = PASSES + (
    '<testcase classname="tests.system.test_a" name="test_{0}"><error message="left a process"/></testcase>'
)
ATTACK = (
    '<testcase classname="tests.attack.test_corpus" name="test_attack[{0}]"><properties>'
    "<property name=\"attack\" value=\"('{0}', '{1}', '{2}', 'because')\"/></properties></testcase>"
)


def run_of(folder: Path, kernel: str, *cases: str) -> tables.Run:
    path = folder / f"{kernel}.xml"
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8")
    return tables.read([str(path)], kernel)


def told(first: tables.Run, second: tables.Run) -> list[str]:
    return list(tables.lines((first, second), selection.LEFT_OUT))


def test_counts_stand_side_by_side(tmp_path: Path) -> None:
    here = run_of(tmp_path, "6.18", PASSES.format("x"), PASSES.format("y"), SKIPS.format("z"))
    there = run_of(tmp_path, "6.1", PASSES.format("x"), FAILS.format("y"), SKIPS.format("z"))
    lines = told(here, there)
    row = next(line for line in lines if line.startswith("system/test_a"))
    assert row.split()[1:] == ["2", "-", "1", "1", "1", "1"]
    assert [line.split()[1:] for line in lines if line.startswith("all ")] == [row.split()[1:]]


def test_a_run_without_fault_is_not_wrong(tmp_path: Path) -> None:
    cases = (
        PASSES.format("x"),
        ATTACK.format("A1-x", "user", "held"),
        ATTACK.format("A2-y", "user", "vacuous"),
    )
    here, there = (run_of(tmp_path, kernel, *cases) for kernel in ("6.18", "6.1"))
    assert tables.wrong((here, there)) == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (FAILS.format("x"), "FAILED on 6.1: tests.system.test_a::test_x: no"),
        (BREAKS_AFTERWARDS.format("x"), "FAILED on 6.1: tests.system.test_a::test_x: left a process"),
        (ATTACK.format("A1-x", "user", "escaped"), "FAILED on 6.1: escaped: A1-x (user): because"),
        ("", "NOT RUN on 6.1: tests.system.test_a::test_x"),
    ],
)
def test_what_is_wrong_on_one_kernel_is_wrong(tmp_path: Path, case: str, words: str) -> None:
    here = run_of(tmp_path, "6.18", PASSES.format("x"))
    there = run_of(tmp_path, "6.1", case)
    assert words in tables.wrong((here, there))
    assert words in told(here, there)


def test_what_is_vacuous_or_skipped_is_named_with_its_reason(tmp_path: Path) -> None:
    here = run_of(tmp_path, "6.18", ATTACK.format("A1-x", "user", "held"), SKIPS.format("z"))
    there = run_of(
        tmp_path,
        "6.1",
        ATTACK.format("A1-x", "user", "vacuous"),
        ATTACK.format("A1-x", "root", "vacuous"),
        SKIPS.format("z"),
    )
    lines = told(here, there)
    assert "vacuous on 6.1 alone: A1-x (root, user): because" in lines
    assert "skipped on 6.1: tests.system.test_a::test_z: no root" in lines


def test_what_is_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    here, there = (run_of(tmp_path, kernel, PASSES.format("x")) for kernel in ("6.18", "6.1"))
    lines = told(here, there)
    repository = Path(bundle.REPOSITORY)
    assert selection.LEFT_OUT
    for path, why in selection.LEFT_OUT.items():
        assert f"left out: {path}: {why}" in lines
        assert (repository / path.partition("::")[0]).exists()
        file = path.partition("::")[0]
        assert path == file or f"--deselect={path}" in selection.words(file)
    runs, _ = selection.runs([], bundle.sources())
    assert {words[0] for words in runs.values()}.isdisjoint(selection.LEFT_OUT)
    assert {"attack-test_corpus", "system-test_roots"} <= set(runs)
