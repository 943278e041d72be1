"""The launcher, init, or both are killed at every system call of a launch.

Run by: pytest. Every step of the plan makes at least one call, so this is every step too.
Whatever is killed, no job runs that was not let go before, and nothing is left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from faults import trace
from faults.trace import KILLED

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.trace import Ground, Trace

KILLS: Final = 6  # of each pair below in the short pass


def verdict(ground: Ground, who: str, whom: str, seen: Trace) -> str:  # noqa: PLR0911 (a list of what may be wrong)
    """Say what is wrong with a launch in which processes were killed; "" if nothing is."""
    ran = ground.canary()
    left = list(ground.left())
    if left:
        return f"left: {left}"
    if not seen.done:
        return "" if seen.returncode == 0 and ran else f"no kill, and {seen.returncode}: {seen.stderr}"
    if (ran or seen.stdout) and not seen.exec:
        return "a job ran without its exec being seen"
    if whom != "init" and seen.late and seen.sends(who) < ground.go:
        return "the job became the command without having been let go"
    if ran and seen.returncode == 125:
        return '"nothing was run", but it was'
    if whom == "init":
        if seen.returncode == 125 and not trace.formed(seen.stderr):
            return f"125, but {seen.stderr!r}"
        return (
            ""
            if seen.returncode in (125, KILLED) or (seen.returncode == 0 and ran)
            else f"status {seen.returncode}"
        )
    return "" if seen.returncode == KILLED else f"status {seen.returncode} of a killed launcher"


@trace.MODES
@pytest.mark.parametrize("whom", ["launcher", "init", "both"])
@pytest.mark.parametrize("who", ["launcher", "init", "hand", "job", "helper"])
def test_a_kill_at_every_call(ground: Ground, who: str, whom: str, count: Callable[[str], None]) -> None:
    """`who` is at its N-th call when `whom` is killed."""
    numbers = list(range(1, sum(1 for role, _ in ground.calls if role == who) + 1))
    if who == "helper":  # holds root's id map of a tree until it is killed, which may come first
        numbers = [1, 2, 3] if ground.caller.uid == 0 else []
    wrong, kills, ran = [], 0, 0
    for number in trace.sample(numbers, KILLS):
        seen = ground.trace("kill", who, str(number), whom)
        kills += seen.done
        ran += seen.done and seen.exec
        problem = verdict(ground, who, whom, seen)
        if problem:
            wrong.append(f"{who} {number}: {problem}")
    count(f"{kills} kills of {whom} at {who}'s calls, {kills - ran} before the job's exec")
    assert not wrong, "\n".join(wrong)
    assert kills or who in ("helper", "hand")  # not with a caller who reads namespaces back


def test_the_verdict_sees_a_job_that_was_not_let_go(ground: Ground) -> None:
    """The control: a run without a fault, taken for one in which the launcher died early."""
    seen = ground.trace("kill", "launcher", "1000000", "both")
    assert not seen.done
    assert verdict(ground, "launcher", "both", seen) == ""
    ground.trace("look")
    assert verdict(ground, "launcher", "both", replace(seen, done=True, late=True, before=1)) != ""
    seen = ground.trace("look")
    assert "nothing was run" in verdict(ground, "init", "init", replace(seen, done=True, returncode=125))
