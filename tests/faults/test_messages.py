"""The launcher loses a message: none of them makes a launch wait for ever.

Run by: pytest. A message may bring a descriptor: the filter's listener, without which every call that it
tells of would wait, and the terminal's other side. Each receiving call of the launcher fails once, which the
short pass of test_errors.py would see only by chance.
"""

from __future__ import annotations

import errno
import os
import pty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from support import faults, launched

from faults.test_errors import RECVMSG
from faults.trace import KILLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults.trace import Ground, Trace

PLAN: Final = """
import sys
from hardbox import api, grants
policy = api.load_profile("strict", [grants.grant("filesystem.write", sys.argv[1] + ":/w", "--write")])
plan = api.prepare(policy, ["true"], elsewhere=True, explain=True).plan
open(sys.argv[2], "wb").write(plan.encode())
"""
LOOK: Final = "echo ran >/w/canary; cat /etc/shadow; unshare -U true; (exit 3); exit 0"


@contextmanager
def terminal(ground: Ground) -> Iterator[int]:
    """Give a terminal of the caller's, for descriptor 0."""
    master, slave = pty.openpty()
    try:
        os.fchown(slave, ground.caller.uid, ground.caller.gid)
        yield slave
    finally:
        os.close(master)
        os.close(slave)


def wrong(ground: Ground, seen: Trace) -> str:
    """Say what is wrong with a launch that did end; "" if nothing is."""
    ran = ground.canary()
    left = set(ground.left())
    if left:
        return f"left: {left}"
    if seen.returncode == 125:
        return '"nothing was run", but it was' if ran else ""
    # 137: the word of the end was lost, or the launch was ended, and that is not called a success.
    return "" if seen.returncode in (0, KILLED) else f"status {seen.returncode}: {seen.stderr[:300]!r}"


@pytest.mark.parametrize("error", ["EIO", "EMFILE"])
@pytest.mark.parametrize("how", ["plain", "explain", "terminal"])
def test_every_message_is_lost_once(
    ground: Ground, how: str, error: str, count: Callable[[str], None]
) -> None:
    path = f"{ground.place}/p.plan"
    if how == "explain":
        faults.ran(ground.caller.run(ground.program.python, "-c", PLAN, ground.work, path))
    command = (ground.program.launch, path, "--", "sh", "-c", LOOK)

    def trace(*fault: str) -> Trace:
        if how != "terminal":
            return ground.trace(*fault, command=command)
        with terminal(ground) as slave:
            return ground.trace(*fault, command=command, stdin=slave)

    seen = trace("look")
    assert seen.returncode == 0, seen.stderr
    assert ground.canary()
    mine = [call for role, call in seen.calls if role == "launcher"]
    places = [number for number, call in enumerate(mine, 1) if call == RECVMSG]
    # The listener, the hello, the end of the job's socket, the job's end; the terminal.
    assert len(places) >= 4 + (how == "terminal")
    problems, done = _lose_each(ground, trace, len(places), error)
    count(f"{done} calls of launcher lost a message ({how}, {error})")
    assert not problems, "\n".join(problems)
    assert done >= len(places) - 1


@pytest.mark.parametrize("ground", ["allow", "bridge"], indirect=True)
@pytest.mark.parametrize("error", ["EIO", "EMFILE"])
def test_every_message_of_a_network_is_lost_once(
    ground: Ground, error: str, count: Callable[[str], None]
) -> None:
    """The sockets too, and the keeper's word that it serves them."""
    places = [call for role, call in ground.calls if role == "launcher" and call == RECVMSG]
    sockets = launched.sockets(ground.plan) if ground.plan else 0
    # Those, and the hello, the keeper's word, the end of the job's socket, the job's end.
    assert len(places) >= sockets + 4
    problems, done = _lose_each(ground, ground.trace, len(places), error)
    count(f"{done} calls of launcher lost a message (network, {error})")
    assert not problems, "\n".join(problems)
    assert done >= len(places) - 1


def _lose_each(ground: Ground, trace: Callable[..., Trace], places: int, error: str) -> tuple[list[str], int]:
    """Let each receiving call fail once; gives what was wrong, and how many did fail."""
    problems, done = [], 0
    for at in range(1, places + 1):
        # Counted anew: how many calls stand before it differs with the order in which things are heard.
        seen = trace("receive", str(at), str(getattr(errno, error)))
        done += seen.done
        problem = wrong(ground, seen)
        if problem:
            problems.append(f"message {at}: {problem}")
    return problems, done
