"""The namespaces engine: hands a plan to hardbox-launch and collects what it says.

Run by: the Python front, on the host. The launcher is found beside this interpreter's
`hardbox`, never through PATH.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.engines.memory import memory_file
from hardbox.errors import SetupFailed
from hardbox.plan.steps import PassEnv
from hardbox.report import Record, parse_records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hardbox.engines.keeper import Keeper
    from hardbox.plan import LaunchPlan

    Watch = Callable[[tuple[Record, ...]], None]

_PIPE_ROOM: Final = 65536
# Of a status record: type and length.
_HEAD: Final = 8
# A job that ends so soon is heard at its end only, in milliseconds.
_SHORT: Final = 50
# The head of the record that says that the command has begun (wire.h).
_STARTED: Final = b"\x03\0\0\0\x08\0\0\0"
# How often somebody who watches is called, in seconds.
_MOMENT: Final = 0.5
# Signals that the launcher forwards to the job.
FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


@dataclass(frozen=True, slots=True)
class Streams:
    """Descriptors for the job's 0, 1 and 2; by default the caller's own."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


def launcher_path() -> str:
    """Find hardbox-launch of this installation. Raises SetupFailed HB610."""
    candidate = os.path.join(os.path.dirname(sys.executable), "hardbox-launch")
    if os.access(candidate, os.X_OK):
        return candidate
    import sysconfig  # noqa: PLC0415 (only where the interpreter is not the environment's)

    candidate = os.path.join(sysconfig.get_path("scripts"), "hardbox-launch")
    if os.access(candidate, os.X_OK):
        return candidate
    raise SetupFailed(
        "HB610",
        "hardbox-launch is not installed beside hardbox",
        value=candidate,
        why="this installation is incomplete",
        instead="install hardbox again: make build, or pip install --force-reinstall hardbox",
    )


def programs() -> tuple[str, ...]:
    """Give the native programs of this installation."""
    launcher = launcher_path()
    return launcher, os.path.join(os.path.dirname(launcher), "hardbox")


class Launch:
    """One running sandbox. Not a context manager: wait() must be called exactly once."""

    # What was heard before its job came (member.py).
    _early: Sequence[bytes] = ()
    # Called when the job has begun, at the latest when it has ended; a pool fills up then.
    on_start: Callable[[], None] | None = None

    def __init__(
        self,
        plan: LaunchPlan,
        environment: Mapping[str, str],
        streams: Streams,
        *,
        samples: bool = False,
        keeper: Keeper | None = None,
    ) -> None:
        """Start the launcher. Raises SetupFailed if it cannot even be started.

        environment: the caller's, of which the launcher gets only what the plan passes on.
        samples:     take samples of what the job uses.
        keeper:      of the job's network; it may still be starting: the launcher lets the job wait for it.
        """
        self.keeper = keeper
        launcher = launcher_path()
        self._reaped = False
        self.sampled = samples
        self._unseen = b""
        data = plan.encode()
        plan_read = -1
        try:
            plan_read = memory_file("hardbox-plan", data)
            self._status, status_write = os.pipe()
        except OSError as error:
            if plan_read >= 0:
                os.close(plan_read)
            raise cannot_start(launcher, error) from error
        passed = {step.name for step in plan.steps if isinstance(step, PassEnv)}
        network = () if keeper is None else (keeper.socket,)
        own = (plan_read, status_write, streams.stdin, streams.stdout, streams.stderr, *network)
        # Numbers that collide with none of ours. Nothing is made inheritable in this process:
        # another thread's child would keep the pipe open, and wait() would hang on it.
        plan_fd, status_fd, network_fd = (max(own) + number for number in (1, 2, 3))
        targets = (
            *((plan_read, plan_fd), (status_write, status_fd), *((end, network_fd) for end in network)),
            *zip(own[2:5], range(3), strict=True),
        )
        try:
            self.pid = os.posix_spawn(
                launcher,
                [
                    *("hardbox-launch", "--plan-fd", str(plan_fd), "--status-fd", str(status_fd)),
                    *(("--network-fd", str(network_fd)) if network else ()),
                    *(("--samples",) if samples else ()),
                ],
                {name: environment[name] for name in passed if name in environment},
                file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for source, target in targets],
                # A group of its own: what the terminal sends reaches the caller alone, who
                # forwards it once. To read a terminal it has to be in the caller's, which may be
                # the foreground group; it then leaves to the caller what that is sent too.
                setpgroup=os.getpgrp() if os.isatty(streams.stdin) else 0,
                # Held back until the launcher listens, so that none ends it without a word.
                setsigmask=FORWARDED,
            )
        except OSError as error:
            os.close(self._status)
            raise cannot_start(launcher, error) from error
        finally:
            os.close(plan_read)
            os.close(status_write)
            if keeper is not None:
                keeper.handed_over()

    def signal(self, number: int) -> None:
        """Send the launcher a signal, which it forwards to the job."""
        if not self._reaped:
            os.kill(self.pid, number)

    def wait(self, watch: Watch | None = None) -> tuple[int, tuple[Record, ...]]:
        """Wait for the end; give the launcher's exit status and its records.

        watch: is called with the records that have come since, at
               least every half second.
        An exception meanwhile, such as KeyboardInterrupt, ends the job. Raises SetupFailed HB612.
        """
        chunks: list[bytes] = [*self._early]
        try:
            if not watch:
                self._rest()
            while chunk := self._heard(watch) if watch else os.read(self._status, _PIPE_ROOM):
                chunks.append(chunk)
                if self.on_start is not None and _STARTED in chunk:
                    self.on_start()
        finally:
            # After an exception the launcher sees that nobody listens any more, and ends everything.
            status = self.close()
        try:
            records = parse_records(b"".join(chunks), whole=not os.WIFSIGNALED(status))
        except ValueError as error:
            raise SetupFailed("HB612", f"hardbox-launch spoke nonsense: {error}") from error
        return os.waitstatus_to_exitcode(status), records

    def cancel(self) -> None:
        """End the job at once, from any thread; `wait` then tells that it was lost."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)

    def close(self) -> int:
        """Hear the launcher no more, which ends the job, and wait for its end; gives its wait status.

        Once this was done, again is nothing.
        """
        if self._status < 0:
            return 0
        os.close(self._status)
        self._status = -1
        try:
            # Not reaped before the flag says so: a signal must never reach a reused pid.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self._reaped = True
            return os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            # A caller that ignores SIGCHLD has no children to wait for; the records tell.
            self._reaped = True
            return 0

    def _rest(self) -> None:
        """Sleep until the launcher is through, but not long: of a short job nothing has to be read before.

        Otherwise each of some twenty records would wake this process, beside a launch that wants the CPU.
        """
        poll = select.poll()
        poll.register(self._status, 0)  # which leaves the end of file, POLLHUP
        poll.poll(_SHORT)

    def _heard(self, watch: Watch) -> bytes:
        """Give the next bytes of the launcher; meanwhile, let somebody watch."""
        while True:
            ready, _, _ = select.select([self._status], [], [], _MOMENT)
            chunk = os.read(self._status, _PIPE_ROOM) if ready else b""
            self._unseen += chunk
            # A record that is still being written is seen the next time; bad ones are found at the end.
            try:
                records = parse_records(self._unseen, whole=False)
            except ValueError:
                records = ()
            self._unseen = self._unseen[sum(_HEAD + len(record.payload) for record in records) :]
            watch(records)
            if ready:
                return chunk


def cannot_start(launcher: str, error: OSError) -> SetupFailed:
    """Give the error for a launcher that could not even be started."""
    import errno  # noqa: PLC0415 (only on this path)

    limits = {
        errno.EAGAIN: "end some of this user's processes, or raise the limit on them (ulimit -u)",
        errno.EMFILE: "raise the limit on open files (ulimit -n)",
        errno.ENFILE: "too many files are open on this host: end what holds them",
        errno.ENOMEM: "memory has run out: end something, or raise the limit (ulimit -v)",
    }
    other = "check that the file system it is on is not mounted noexec; hardbox doctor"
    return SetupFailed(
        "HB611",
        f"hardbox-launch cannot be started: {error.strerror}",
        value=launcher,
        instead=limits.get(error.errno or 0, other),
    )
