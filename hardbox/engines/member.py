"""One member of a pool: a launch that waits for its job, and takes one.

Run by: pool/, in the owner's process. The launcher's side is launch/hold.h: while its owner's end of
the socket is open the member waits, and when it closes the member and its job end.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

from hardbox.engines.memory import memory_file
from hardbox.engines.namespaces import FORWARDED, Launch, cannot_start, launcher_path
from hardbox.plan.steps import Chdir
from hardbox.report import FAILED, Record, failure

if TYPE_CHECKING:
    from hardbox.engines.namespaces import Streams, Watch
    from hardbox.errors import HardboxError
    from hardbox.plan import LaunchPlan

# wire.h: type, value, step; HELLO is what a member that is ready says, GO is a job.
_MESSAGE: Final = struct.Struct("<IiI")
_GO, _HELLO = 1, 3
_SAMPLES: Final = 1
_ROOM: Final = 65536


class Member(Launch):
    """A sandbox without a job yet. `close` must be called, once it is not wanted or its job has ended."""

    def __init__(self, plan: LaunchPlan, at: int) -> None:
        """Start it. Raises SetupFailed.

        plan: of which the arguments, variables and working directory do not matter.
        at:   how many steps are carried out before the job comes; 0: all.
        """
        self.keeper = None
        self.sampled = False
        self._reaped = False
        self._unseen = b""
        self._early = ()
        self._plan = plan
        self._theirs = plan
        self._at = at
        self._end = threading.Lock()
        launcher = launcher_path()
        own: list[int] = []
        try:
            own.append(memory_file("hardbox-plan", plan.encode()))
            own += reversed(os.pipe())
            self._status = own.pop()
            self._hold, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            own.append(theirs.detach())
            self.pid = _spawn(launcher, own, at)
        except OSError as error:
            self._give_up()
            raise cannot_start(launcher, error) from error
        finally:
            for descriptor in own:
                os.close(descriptor)

    def _give_up(self) -> None:
        if hasattr(self, "_status"):
            os.close(self._status)
        if hasattr(self, "_hold"):
            self._hold.close()

    def ready(self, seconds: float) -> bool:
        """Wait until it is at its hold point; says whether it came there."""
        if not select.select([self._hold], [], [], seconds)[0]:
            self.cancel()
            return False
        try:
            said = self._hold.recv(_MESSAGE.size)
        except OSError:
            return False
        if len(said) != _MESSAGE.size or _MESSAGE.unpack(said)[0] != _HELLO:
            return False
        # What was read back so far, out of the way of what tells of the job.
        if select.select([self._status], [], [], 0)[0]:
            self._early = (os.read(self._status, _ROOM),)
        return True

    def alive(self) -> bool:
        """Say whether it still waits for a job."""
        return not select.select([self._hold], [], [], 0)[0]

    def hand(
        self, plan: LaunchPlan, theirs: LaunchPlan | None, content: bytes, streams: Streams, *, samples: bool
    ) -> bool:
        """Give it its job; False if it has died, and nothing was run.

        plan:    as the job's report tells of it.
        theirs:  what the launcher carries out, if that is another one than the member was started with.
        content: what the launcher is told of it (launch/hold.h).
        """
        self._plan, self._theirs, self.sampled = plan, theirs or self._theirs, samples
        try:
            file = memory_file("hardbox-job", content)
        except OSError as error:
            raise cannot_start(launcher_path(), error) from error
        try:
            socket.send_fds(
                self._hold,
                [_MESSAGE.pack(_GO, _SAMPLES if samples else 0, 0)],
                [file, streams.stdin, streams.stdout, streams.stderr],
            )
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            os.close(file)
        return True

    def cancel(self) -> None:
        """End the job, from any thread; `wait` then tells that it was lost."""
        with self._end:
            if self._hold.fileno() >= 0:
                self._hold.shutdown(socket.SHUT_RDWR)

    def wait(self, watch: Watch | None = None) -> tuple[int, tuple[Record, ...]]:
        """As `Launch.wait`; steps are counted as in the plan of the report."""
        status, records = super().wait(watch)
        return status, tuple(self._renumbered(record) for record in records)

    def close(self) -> int:
        """As `Launch.close`."""
        with self._end:
            self._hold.close()
        if self.on_start is not None:
            self.on_start()
            self.on_start = None
        return super().close()

    def forget(self) -> None:
        """Close what is ours of it, in a child process that is not its owner."""
        os.close(self._status)
        os.close(self._hold.detach())
        self._status, self._reaped = -1, True

    def trouble(self) -> HardboxError | None:
        """Wait for the end of one that never became ready; says why, None if it has not said."""
        from hardbox.engines.failures import set_up_failed  # noqa: PLC0415 (only on this path)

        found = failure(self.wait()[1])
        return None if found is None else set_up_failed(self._plan, found)

    def _renumbered(self, record: Record) -> Record:
        if record.kind != FAILED:
            return record
        number, problem = struct.unpack_from("<Ii", record.payload)
        if 1 <= number <= len(self._theirs.steps):
            step = self._theirs.steps[number - 1]
            own = enumerate(self._plan.steps, 1)
            same = (i for i, own in own if own == step or (own.kind == step.kind == Chdir.kind))
            number = next(same, 0)
        return Record(record.kind, struct.pack("<Ii", number, problem))


def _spawn(launcher: str, own: list[int], at: int) -> int:
    """Start the launcher of a member; `own`: plan, status and hold, in this order."""
    numbers = [max(own) + number for number in (1, 2, 3)]
    words = zip(("--plan-fd", "--status-fd", "--hold-fd"), map(str, numbers), strict=True)
    return os.posix_spawn(
        launcher,
        ["hardbox-launch", *(word for pair in words for word in pair), "--hold-at", str(at)],
        {},
        file_actions=[
            *((os.POSIX_SPAWN_DUP2, source, target) for source, target in zip(own, numbers, strict=True)),
            *((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)),
        ],
        # As in engines/namespaces.py.
        setpgroup=0,
        setsigmask=FORWARDED,
    )
