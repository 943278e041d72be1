"""Launches of members of a pool: the test is the owner, who hands over a job once.

Run by: tests/faults/trace.py. A thread waits until the member is ready, gives it the plan's own command,
and waits for the end. Status records are put into the front's words, as in kept.py.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from support import faults

from faults import kept
from hardbox.net.wire import GO, HELLO, MESSAGE, message
from hardbox.plan import LaunchPlan, steps
from hardbox.pool import decision

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

LAST: Final = 0
# What a job may bring to a member whose walls all stand (launch/hold.h).
_BROUGHT: Final = (steps.Env, steps.Search, steps.Arg, steps.Chdir)


def open_point(plan: LaunchPlan) -> int:
    """Give where a member waits for jobs that bring trees."""
    scratch = [step.dest for step in plan.steps if isinstance(step, steps.Tmpfs)]
    return decision.hold_point(plan, ["/w", *scratch])


def run(
    caller: Caller, program: Installed, plan: LaunchPlan, at: int, before: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    """Launch a member, and let it run the plan's command.

    at:     where it waits, see hardbox.engines.member.
    before: words before the launcher's own, such as a tracer.
    Raises AssertionError if somebody holds the owner's socket when all processes have ended.
    """
    # All that may be passed on is: the steps of both plans have the same numbers.
    theirs_plan = decision.spoken_out(plan, caller.environment(TERM="dumb"))
    words = tuple(step for step in theirs_plan.steps if isinstance(step, _BROUGHT))
    brought = LaunchPlan(words, plan.policy_name, plan.policy_digest)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heard, status = os.pipe()
    out, output = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    memory, job = _file(plan.encode()), _file((theirs_plan if at else brought).encode())
    given = (memory, status, theirs.fileno())
    names = ("--plan-fd", "--status-fd", "--hold-fd")
    options = [word for pair in zip(names, map(str, given), strict=True) for word in pair]
    owner = threading.Thread(target=_own, args=(ours, (job, nothing, output, output)))
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(_all(out)))
    owner.start()
    reader.start()
    try:
        done = kept.called(caller, (*before, program.launch, *options, "--hold-at", str(at)), given, {})
    finally:
        theirs.close()
        os.close(status)
        # What it may still be about to send is open until then.
        owner.join(faults.PATIENCE)
        for end in (memory, nothing, job, output):
            os.close(end)
        reader.join(faults.PATIENCE)
        with os.fdopen(heard, "rb") as file:
            records = file.read()
    assert not owner.is_alive(), "the owner's socket is held"
    assert not reader.is_alive(), "the job's output is held"
    words_of_the_front = kept.said(plan, records, done.returncode)
    return subprocess.CompletedProcess(
        done.args,
        done.returncode,
        said[0].decode("utf-8", "backslashreplace"),
        done.stderr.decode("utf-8", "backslashreplace") + words_of_the_front,
    )


def _file(data: bytes) -> int:
    memory = os.memfd_create("hardbox-test")
    os.write(memory, data)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def _all(end: int) -> bytes:
    with os.fdopen(end, "rb") as file:
        return file.read()


def _own(ours: socket.socket, job: tuple[int, int, int, int]) -> None:
    """Do what an owner does, until nobody holds the other end."""
    # Closed whatever happens here: no member waits for an owner that has failed.
    with ours:
        try:
            while data := ours.recv(MESSAGE.size):
                if MESSAGE.unpack(data)[0] == HELLO:
                    socket.send_fds(ours, [message(GO)], job)
        except (ConnectionResetError, BrokenPipeError):
            return
