"""The words for an end are the same with Python and without.  Run by: pytest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardbox import ends

SOURCE = (Path(__file__).parents[2] / "hardbox" / "launch" / "outcome.c").read_text(encoding="utf-8")
# Adjacent literals are one.
TEXTS = [
    "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', run))
    for run in re.findall(r'(?:"(?:[^"\\]|\\.)*"\s*)+', SOURCE)
]


@pytest.mark.parametrize("words", [*ends.LIMITS.values(), ends.SIGSYS, ends.LOST])
def test_the_launcher_says_the_same(words: str) -> None:
    form = words.replace("{seconds:.1f}", "%.1f").replace("{size}", "%llu%.1s").replace("{means}", "%s%s%s")
    assert f"hardbox: {form}\\n" in TEXTS


def test_the_launcher_says_nothing_else_of_an_end() -> None:
    said = [text for text in TEXTS if text.startswith("hardbox: ended by ")]
    assert len(said) == len(ends.LIMITS) + 1
