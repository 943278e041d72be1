"""hardbox-launch as the front calls it, with the test in the place of the network's keeper.

Run by: tests/system/test_launch_*.py, tests/faults. The plan is a real one, of the caller's; the test holds
the other end of --network-fd, and says and hears what it likes.
"""

from __future__ import annotations

import array
import contextlib
import os
import pickle
import select
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from hardbox.net.wire import HELLO, MESSAGE, SOCKET, message
from hardbox.plan import LaunchPlan, steps
from hardbox.report import failure, parse_records
from support import faults, patience

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence

    from hardbox.report import Failure, Record
    from support.callers import Caller
    from support.installed import Installed

_SOURCES: Final = Path(__file__).parents[2] / "hardbox" / "launch"
ALLOW: Final = ("a.example.org:443", "10.0.3.7:5432", "127.0.0.1:8080")
BRIDGE: Final = ("10.0.0.0/8:443",)
# With a writable tree, into which a job that ran puts its canary.
_PLAN: Final = """
import pickle, sys
from hardbox import api, grants
from hardbox.profile import Setting
mode, work, *allow = sys.argv[1:]
settings = [grants.grant("filesystem.write", work + ":/w", "--write")]
settings += [Setting("network.mode", mode, "--network")] if mode == "bridge" else []
settings += [Setting("network.allow", [rule], "--allow", append=True) for rule in allow]
reasons = {"network.mode": "the test of it"} if mode == "bridge" else {}
profile = "strict" if mode == "none" else "net-client"
plan = api.prepare(api.load_profile(profile, settings, reasons), ["true"]).plan
sys.stdout.buffer.write(pickle.dumps(plan))
"""


def compile_launcher(binary: str, *flags: str) -> str:
    """Compile the launcher with flags of the test's own; gives its path."""
    sources = [str(path) for path in sorted(_SOURCES.glob("*.c"))]
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O1", *flags, *sources, "-o", binary], check=True)
    return binary


def make_plan(caller: Caller, program: Installed, work: str, mode: str = "allow") -> LaunchPlan:
    """Make a plan as the caller; its command is `true`."""
    words = (*caller.prefix, program.python, "-P", "-c", _PLAN, mode, work)
    allow = {"allow": ALLOW, "bridge": BRIDGE}.get(mode, ())
    done = subprocess.run(
        [*words, *allow], capture_output=True, check=True, env=caller.environment(), cwd=caller.home
    )
    plan = pickle.loads(done.stdout)  # noqa: S301 (what our own child wrote a moment ago)
    assert isinstance(plan, LaunchPlan)
    return plan


def commanded(plan: LaunchPlan, *argv: str) -> LaunchPlan:
    """Give the plan with another command."""
    at = next(number for number, step in enumerate(plan.steps) if isinstance(step, steps.Arg))
    rest = tuple(step for step in plan.steps if not isinstance(step, steps.Arg))
    return _with(plan, (*rest[:at], *map(steps.Arg, argv), *rest[at:]))


def swapped(plan: LaunchPlan, old: steps.Step, *new: steps.Step) -> LaunchPlan:
    """Give the plan with other steps in the place of one."""
    assert old in plan.steps
    return _with(plan, tuple(x for y in plan.steps for x in ((y,) if y != old else new)))


def _with(plan: LaunchPlan, changed: tuple[steps.Step, ...]) -> LaunchPlan:
    return LaunchPlan(changed, plan.policy_name, plan.policy_digest)


class Launched:
    """One launch. The keeper's end is `keeper`, as long as the test has not closed it."""

    def __init__(
        self,
        caller: Caller,
        program: Installed,
        plan: LaunchPlan,
        words: Callable[[int, int, int], Sequence[str]] | None = None,
        more: tuple[int, ...] = (),
        binary: str = "",
    ) -> None:
        """Start it.

        words: makes the arguments from the descriptors of plan, status and network.
        more:  other descriptors that it gets.
        binary: another launcher than the installed one.
        """
        self.keeper, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._status, status = os.pipe()
        memory = os.memfd_create("plan")
        os.write(memory, plan.encode())
        os.lseek(memory, 0, os.SEEK_SET)
        given = (memory, status, theirs.fileno())
        self.sockets: list[socket.socket] = []
        self.child = subprocess.Popen(
            ["env", "--default-signal", *caller.prefix, binary or program.launch, *(words or called)(*given)],
            pass_fds=(*given, *more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=caller.environment(),
            cwd=caller.home,
        )
        theirs.close()
        os.close(memory)
        os.close(status)
        self.keeper.settimeout(patience.seconds(60))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.keeper.close()
        for one in self.sockets:
            one.close()
        if self._status >= 0:
            os.close(self._status)
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdout, self.child.stderr):
            assert pipe is not None
            pipe.close()

    def say(self, kind: int) -> None:
        """Send a message; a launcher that has gone hears nothing."""
        with contextlib.suppress(BrokenPipeError):
            self.keeper.send(message(kind))

    def hear(self) -> int:
        """Give the type of the next message, keeping the socket that it brings; 0: the launcher has gone."""
        size = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        try:
            data, control, flags, _ = self.keeper.recvmsg(MESSAGE.size + 1, size, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return 0
        if not data:
            return 0
        kind, value, step = MESSAGE.unpack(data)
        assert (value, step) == (0, 0)
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        numbers = array.array("i")
        for _level, _kind, content in control:
            numbers.frombytes(content)
        self.sockets += [socket.socket(fileno=number) for number in numbers]
        assert len(numbers) == (kind == SOCKET)
        return int(kind)

    def hear_all(self) -> None:
        """Take all sockets, up to the launcher's hello."""
        kind = SOCKET
        while kind == SOCKET:
            kind = self.hear()
        assert kind == HELLO

    def line(self) -> str:
        """Give one line of the job's output."""
        return faults.read_line(self.child)

    def signal(self, number: signal.Signals) -> None:
        """Send the launcher a signal."""
        self.child.send_signal(number)

    def hang_up(self) -> None:
        """Hear the launcher no more, as a caller that has died."""
        os.close(self._status)
        self._status = -1

    def end(self) -> tuple[int, str, str, tuple[Record, ...]]:
        """Wait for the end; gives status, stdout, stderr and records."""
        chunks = []
        while True:
            ready, _, _ = select.select([self._status], [], [], patience.seconds(60))
            assert ready, "the launcher hangs"
            chunk = os.read(self._status, 65536)
            if not chunk:
                break
            chunks.append(chunk)
        done = faults.finish(self.child)
        return done.returncode, done.stdout, done.stderr, parse_records(b"".join(chunks))

    def failed(self) -> Failure:
        """Wait for the end of a launch that ran nothing; gives the step that failed."""
        status, stdout, stderr, records = self.end()
        assert (status, stdout) == (125, ""), (status, stdout, stderr)
        found = failure(records)
        assert found is not None, records
        return found


def called(plan: int, status: int, network: int) -> tuple[str, ...]:
    """Give the words with which the front calls the launcher."""
    return ("--plan-fd", str(plan), "--status-fd", str(status), "--network-fd", str(network))


def listening(plan: LaunchPlan) -> int:
    """Give the number of the first step that makes a socket, counted as the launcher does."""
    return next(number for number, step in enumerate(plan.steps, 1) if isinstance(step, steps.Listen))


def sockets(plan: LaunchPlan) -> int:
    """Give how many sockets a plan makes."""
    return sum(isinstance(step, steps.Listen) for step in plan.steps)
