"""Launches of plans with a network that somebody keeps: the test is the keeper, and the front.

Run by: tests/faults/trace.py. A thread takes the sockets, says that it serves them, and waits for the end;
what the launcher tells by status records is put into the words that the front makes of them.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from support import faults, launched

from hardbox import ends
from hardbox.engines.failures import set_up_failed
from hardbox.net.wire import GO, HELLO, MESSAGE, message
from hardbox.report import failure, parse_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.callers import Caller
    from support.installed import Installed

    from hardbox.plan import LaunchPlan

_KILLED: Final = 137
# enum hb_record_type and hb_cause of hardbox/launch/wire.h; what the record begins with.
_ENDED_RECORD, _LOST = 5, 3
_ENDED: Final = struct.Struct("<iI")


def run(
    caller: Caller, program: Installed, plan: LaunchPlan, before: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    """Launch a plan.

    before: words before the launcher's own, such as a tracer.
    Raises AssertionError if somebody holds the keeper's socket when all processes have ended.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heard, status = os.pipe()
    memory = os.memfd_create("plan")
    os.write(memory, plan.encode())
    os.lseek(memory, 0, os.SEEK_SET)
    given = (memory, status, theirs.fileno())
    keeper = threading.Thread(target=_keep, args=(ours,))
    keeper.start()
    try:
        words = (*before, program.launch, *launched.called(*given))
        done = called(caller, words, given, caller.environment())
    finally:
        theirs.close()
        os.close(status)
        os.close(memory)
        keeper.join(faults.PATIENCE)
        with os.fdopen(heard, "rb") as file:
            records = file.read()
    assert not keeper.is_alive(), "the keeper's socket is held"
    return subprocess.CompletedProcess(
        done.args,
        done.returncode,
        done.stdout.decode("utf-8", "backslashreplace"),
        done.stderr.decode("utf-8", "backslashreplace") + said(plan, records, done.returncode),
    )


def called(
    caller: Caller, words: Sequence[str], given: tuple[int, ...], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a caller, with descriptors."""
    return subprocess.run(
        [*caller.prefix, *words],
        input=b"",
        capture_output=True,
        env=environment,
        cwd=caller.home,
        timeout=faults.PATIENCE * 3,
        check=False,
        pass_fds=given,
    )


def _keep(ours: socket.socket) -> None:
    """Do what a keeper does, until nobody holds the other end."""
    held: list[int] = []
    # Closed whatever happens here: no launcher waits for a keeper that has failed.
    with ours:
        while True:
            try:
                data, found, _, _ = socket.recv_fds(ours, MESSAGE.size, 4)
            except ConnectionResetError:
                break
            held += found
            if not data:
                break
            if MESSAGE.unpack(data)[0] == HELLO:
                try:
                    ours.send(message(GO))
                except BrokenPipeError:
                    break
    for one in held:
        os.close(one)


def said(plan: LaunchPlan, data: bytes, status: int) -> str:
    """Give what the front would say of a launch that failed or was lost; "" if the launcher has not told."""
    if status == 0:
        return ""
    records = parse_records(data, whole=status != _KILLED)
    found = failure(records)
    if found is not None:
        return set_up_failed(plan, found).render()
    causes = [_ENDED.unpack_from(record.payload)[1] for record in records if record.kind == _ENDED_RECORD]
    return f"hardbox: {ends.LOST}\n" if causes == [_LOST] else ""
