"""The comparison's own judgement: what is left out, and how the page counts.  Run by: pytest."""

from __future__ import annotations

from typing import Any

import pytest

from compare import corpus, page
from compare.systems import SYSTEMS
from hardbox.verify.check import ROOT, Facts, Outcome


def result(name: str = "bwrap", error: str = "", **rows: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "caller": "user",
        "program": name,
        "version": "1",
        "shown": f"{name} PROBE",
        "rows": rows,
        "changed": [],
        "error": error,
    }


def test_rows_with_numbers_of_a_profile_are_left_out() -> None:
    left = corpus.ids_left_out(corpus.CHECKS, ("tasks_more", "memory_more"))
    used = {c.id for c in corpus.CHECKS if any("{tasks_more}" in word for word in c.attempt)}
    assert used
    assert used <= left
    assert set(corpus.OWN_WAYS) <= left
    assert len(left) < len(corpus.CHECKS) // 10, "nearly all of the corpus is asked of everybody"


def test_own_ways_are_rows_of_the_corpus() -> None:
    assert set(corpus.OWN_WAYS) <= {check.id for check in corpus.CHECKS}
    assert {row for rows in corpus.ALLOWED.values() for row in rows} <= {check.id for check in corpus.CHECKS}


def test_an_unanswered_row_is_never_called_held(tmp_path: object) -> None:
    world = corpus.World(str(tmp_path))
    first = next(check for check in corpus.wanted(world) if ROOT in check.control)
    world.controls = {ROOT: {first.id: Outcome("worked", "")}}
    found = corpus.verdicts(world, Facts(), {})
    assert found[first.id][1] == corpus.SILENT
    assert {word for _, word, _ in found.values()} == {corpus.SILENT, corpus.VACUOUS}


def test_words_of_a_peer_are_no_answers() -> None:
    said = 'warning: x\n{"id": "a", "errno": 1, "signal": 0, "text": ""}\n'
    said += '{"id": "b", "errno": 255, "signal": 0, "text": ""}\n'
    assert corpus.answers(said) == {"a": Outcome("EPERM", "")}


def test_the_page_counts_each_class() -> None:
    text = page.render(
        [
            result(a=("fs", "held", ""), b=("fs", "open", ""), c=("proc", "vacuous", "")),
            result("runc", error="exit status 1: no such thing", a=("fs", "silent", "")),
        ]
    )
    assert "| fs: files | 1 / 1 / 0 | did not run |" in text
    assert "| **all** | **1 / 1 / 1** |" in text
    assert "runc (user) did not run here: `exit status 1: no such thing`" in text


@pytest.mark.parametrize(
    "name", ["bwrap", "firejail", "runc", "nspawn", "runsc", "hardbox build", "hardbox strict"]
)
def test_every_system_has_its_intent_told(name: str) -> None:
    assert page.INTENT[name]
    assert name in {system.name for system in SYSTEMS}
