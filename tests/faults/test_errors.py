"""Every system call of set-up fails: nothing weaker than asked for ever runs.

Run by: pytest. tests/system/test_bad_faults.py does the same with strace(1), call by kind;
here each process's calls are counted in order, so that every step of the plan is seen to fail.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Final

import pytest

from faults import trace
from faults.trace import KILLED, SENDTO

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.trace import Ground, Trace

FAULTS: Final = 20  # of each process and error in the short pass
ERRORS: Final = ("ENOMEM", "EPERM", "EIO")
# Cannot fail, belong to the C library's start, or end the process. A failed close has closed all
# the same, and a failed wait4 means only that there is no child: to fake either proves nothing.
LEFT_OUT: Final = frozenset(
    (
        *(3, 61, 62),  # close, wait4, kill (of an own child, which cannot fail)
        *(
            10,
            12,
            158,
            218,
            273,
            318,
            334,
        ),  # mprotect, brk, arch_prctl, set_tid_address, robust list, getrandom, rseq
        *(39, 89, 95, 102, 104, 107, 108, 110),  # getpid, readlink of the C library, umask, get*id, getppid
        *(15, 219, 231),  # rt_sigreturn, restart_syscall, exit_group
    )
)
WRITE, POLL, RECVMSG = 1, 7, 47
BLAMED: Final = re.compile(r"step (\d+) of (\d+), ([a-z-]+)")
# Steps that make no call of their own: data for others, or carried out with the next one; and
# without a terminal `terminal`, for which tests/system/test_terminal.py does this.
SILENT: Final = frozenset(
    ("arg", "env", "pass-env", "policy", "search", "exec", "wall", "map-helpers", "terminal")
)


def verdict(ground: Ground, who: str, call: int, seen: Trace) -> str:  # noqa: PLR0911 (a list of what may be wrong)
    """Say what is wrong with a launch in which a call failed; "" if nothing is."""
    ran = ground.canary()
    left = list(ground.left())
    if left:
        return f"left: {left}"
    if ran and not seen.exec:
        return "a job ran without its exec being seen"
    if seen.returncode == 125:
        if ran:
            return '"nothing was run", but it was'
        if call == WRITE and who == "launcher" and not seen.stderr:
            return ""  # it was the message itself that could not be written
        return "" if trace.formed(seen.stderr) else f"125, but {seen.stderr!r}"
    if who == "job" and seen.returncode == 126:
        return "a job ran" if ran else ""  # "cannot execute", with the reason
    # Blind after the job was let go, as init is if it cannot wait: it ends everything, and calls it lost.
    # Looking at the tree takes a number of calls that depends on who is there, so this may be the poll that
    # stands beside.
    lost = call == POLL or "the sandbox was killed from outside" in seen.stderr
    blind = who == "launcher" or (who == "init" and call == POLL)
    if seen.returncode == KILLED and blind and lost and seen.sends(who) == ground.go:
        return ""
    # 137: init's word of the end was lost; the job had run, and that is not called a success.
    if seen.returncode == 0 or (seen.returncode == KILLED and call in (RECVMSG, SENDTO) and ran):
        said = trace.walls(seen.stdout + seen.stderr)
        missing = [line for line in ground.look.splitlines() if line not in said.splitlines()]
        more = [line for line in said.splitlines() if line not in ground.look.splitlines()]
        same = said == ground.look if seen.returncode == 0 else not missing  # plus the word of the loss
        return "" if same and ran else f"ran with other walls: {missing[:5]} {more[:5]}"
    return f"status {seen.returncode}: {seen.stderr[:300]!r}"


@trace.MODES
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("who", ["launcher", "init", "hand", "job"])
def test_every_call_fails_once(ground: Ground, who: str, error: str, count: Callable[[str], None]) -> None:
    mine = [call for role, call in ground.calls if role == who]
    numbers = [number for number, call in enumerate(mine, 1) if call not in LEFT_OUT]
    wrong, refused, total = [], 0, 0
    blamed: set[tuple[int, str]] = set()
    steps = 0
    for number in trace.sample(numbers, FAULTS):
        seen = ground.trace("error", who, str(number), str(getattr(errno, error)))
        total += 1
        refused += seen.returncode == 125
        found = BLAMED.search(seen.stderr)
        if found and seen.returncode == 125:
            blamed.add((int(found[1]), found[3]))
            steps = int(found[2])
        problem = verdict(ground, who, mine[number - 1], seen)
        if problem:
            wrong.append(f"{who} {number} (call {mine[number - 1]}): {problem}")
    tried = f"{total} calls of {who} failed with {error}"
    count(f"{tried}: {refused} refused, {len(blamed)} of {steps} steps blamed")
    assert not wrong, "\n".join(wrong)
    # Read-back and status records are told as missing, and refuse nothing; with a keeper most are such. A
    # network that the hand cannot make init makes.
    assert who == "hand" or refused > total // (3 if ground.mode == "none" else 12)
    if trace.ALL and who == "init" and ground.plan is not None:
        kinds = {step.kind for step in ground.plan.steps if step.number >= 40} - SILENT
        assert kinds <= {kind for _, kind in blamed}, "each kind of step inside was seen to fail"
