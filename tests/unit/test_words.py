"""The nearest known word.  Run by: pytest."""

from __future__ import annotations

from pathlib import Path

from hardbox.words import did_you_mean, hint, nearest

KNOWN = ("strict", "baseline", "build")


def test_a_slip_of_the_pen_is_understood() -> None:
    assert nearest("strcit", KNOWN) == "strict"
    assert did_you_mean("biuld", KNOWN) == 'did you mean "build"?'
    assert hint("biuld", KNOWN) == 'did you mean "build"?'


def test_what_is_far_from_all_gets_the_list_or_nothing() -> None:
    assert nearest("zzz", KNOWN) == did_you_mean("zzz", KNOWN) == ""
    assert hint("zzz", KNOWN) == "one of: baseline, build, strict"


def test_a_long_word_is_compared_by_its_beginning() -> None:
    assert nearest("strict" + "x" * 10_000_000, KNOWN) == ""


def test_how_near_is_near_can_be_said() -> None:
    assert nearest("--rm", ("--read",), 0.75) == ""
    assert nearest("--raed", ("--read",), 0.75) == "--read"


def test_only_one_file_looks_for_near_words() -> None:
    package = Path(__file__).parents[2] / "hardbox"
    users = {path.name for path in package.rglob("*.py") if "get_close_matches" in path.read_text("utf-8")}
    assert users == {"words.py"}
