"""Every attack of the corpus, by every caller: it must be held, and its control live.

Run by: pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attack.check import Check, Verdict, live_control
from attack.corpus import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from attack.conftest import Arena, Controls

each_check = pytest.mark.parametrize("check", CHECKS, ids=[check.id for check in CHECKS])


def test_ids_are_unique() -> None:
    ids = [check.id for check in CHECKS]
    assert sorted(set(ids)) == sorted(ids)


@each_check
def test_control(check: Check, controls: Controls) -> None:
    """Without a sandbox the same attempt must be judged an escape, or say why it cannot be."""
    live = live_control(check, controls.of(check), controls.facts)
    seen = {where: (outcome.word, outcome.text[:200]) for where, outcome in controls.of(check).items()}
    assert live or check.vacuous, f"{check.what}: no control is live: {seen}"


def test_damage_is_seen(controls: Controls) -> None:
    """The controls have harmed their own canaries, so the watch is awake."""
    assert {"files in tmp", "files in shm", "files in var", "files in home"} <= controls.changed
    assert "canary process" in controls.changed


@each_check
def test_attack(check: Check, arena: Arena, enter: Callable[[str, Verdict], Verdict]) -> None:
    verdict = enter(check.id, arena.verdict(check))
    assert verdict.word != "escaped", f"{check.what}: {verdict.reason}"
    assert verdict.word == "held" or check.vacuous, f"{check.what}: {verdict.reason}"


def test_host_is_unchanged(arena: Arena) -> None:
    changed = {
        name: (arena.before[name], arena.after[name])
        for name in arena.before
        if arena.before[name] != arena.after[name]
    }
    assert changed == {}
