"""The corpus against no sandbox, and against sandboxes with one protection broken at a time.

Run by: pytest, `make attack-selftest`. A check that would pass in an empty sandbox shows nothing;
a protection whose loss no check notices is not attacked.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attack import breakages
from attack.breakages import BREAKAGES, NOTICED_BY_LAUNCHER

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed


def _run(caller: Caller, program: Installed, base: str, what: str) -> dict[str, Any]:
    """Run tests/attack/breakages.py as the caller, with the installed hardbox."""
    script = os.path.join(base, "breakages.py")
    if not os.path.exists(script):
        Path(script).write_bytes(Path(breakages.__file__).read_bytes())
    done = caller.run(program.python, "-I", script, what, timeout=240)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_breakage_is_noticed(breakage: str, caller: Caller, program: Installed, base: str) -> None:
    """By the corpus, or by the launcher's own floor, which refuses the plan."""
    seen = _run(caller, program, base, breakage)
    refused, escaped = seen["refused"], seen["escaped"]
    assert refused or escaped, f"nobody noticed: {BREAKAGES[breakage][0]}"
    # Which of the two it is, is part of what the floor promises.
    assert bool(refused) == (breakage in NOTICED_BY_LAUNCHER), f"{refused or escaped}"
    assert not refused or "exit 125" in refused or "HB60" in refused


def test_enough_breakages() -> None:
    corpus = set(BREAKAGES) - NOTICED_BY_LAUNCHER
    assert len(corpus) >= 12
    assert NOTICED_BY_LAUNCHER


def test_unbroken_is_quiet(caller: Caller, program: Installed, base: str) -> None:
    """The same machinery without a breakage finds nothing: it is the breakage that is noticed."""
    assert _run(caller, program, base, "nothing") == {"refused": "", "escaped": []}


def test_no_sandbox_at_all(caller: Caller, program: Installed, base: str) -> None:
    """Against "none", every check whose control is live says escaped."""
    seen = _run(caller, program, base, "none")
    assert seen["live"] > 500
    assert seen["quiet"] == []
