"""The process that keeps a job's network, as its caller sees it: started before the launcher, heard after it.

Run by: the Python front, on the host, for network modes "allow" and "bridge". The process itself is
`python3 -m hardbox.net`. It gets the sockets from the launcher, over a socket pair of which this file
makes both ends, and says what happened over a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from hardbox import network_report
from hardbox.engines.memory import memory_file
from hardbox.errors import SetupFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.network_report import NetworkUse
    from hardbox.policy import Policy

# An interpreter starts, name servers or tools are looked at: far more than that takes.
_READY_SECONDS: Final = 30.0
# After the sandbox has ended: connections are closed, rules and links are taken away.
_END_SECONDS: Final = 15.0
# A bridge's keeper may wait for another one that does not go on, and then says so (leases.PATIENCE, 20 s).
_BRIDGE_END_SECONDS: Final = 30.0
# And in all, while it says that it waits for other sandboxes' keepers, one after another.
_QUEUE_SECONDS: Final = 600.0
_ROOM: Final = 65536
# Of what it says in all: 512 rows of at most a few hundred bytes.
_MOST_SAID: Final = 4 << 20
# Of the caller's environment; the last two lead to the cache of compiled filters.
_PASSED: Final = ("LANG", "LC_ALL", "HOME", "XDG_CACHE_HOME")
_COMMON: Final = ("mode", "allow")
_KEYS: Final = {
    "allow": ("sni", "log", "connections", "rate", "bytes", "idle"),
    "bridge": ("bridge", "subnet", "dns", "join", "publish"),
}
_HINT: Final = "hardbox doctor; --network none runs the job without any network"


class _Patience:
    """How long events are waited for: so many seconds in all, anew whenever other keepers have their turn."""

    def __init__(self, mode: str, seconds: float) -> None:
        self._queues = mode == "bridge"
        self._seconds = seconds
        self._end = time.monotonic() + _QUEUE_SECONDS
        self.deadline = time.monotonic() + seconds
        self.queued = False

    def renew(self) -> None:
        """Take note that it has to wait for others; in mode "allow" there are none."""
        if self._queues:
            self.queued = True
            self.deadline = min(time.monotonic() + self._seconds, self._end)


class Keeper:
    """The process that keeps one job's network."""

    def __init__(self, policy: Policy) -> None:
        """Start it; `wait_ready` says whether it can do what is asked for. Raises SetupFailed HB660."""
        self._mode = policy.network.mode
        self._origin = policy.origin("network.mode")
        # What it has said: whole lines that nobody has read, the beginning of the next one, bytes in all.
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._heard = 0
        self._reaped = False
        ends: list[int] = []
        try:
            settings = memory_file("hardbox-network", _settings(policy))
            ends.append(settings)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            # Where the launcher sends the sockets; closed here once it has it (`handed_over`).
            self.socket, sockets = ours.detach(), theirs.detach()
            ends += [self.socket, sockets]
            self._events, events = os.pipe()
            ends += [self._events, events]
            self.pid = _start(settings, sockets, events)
        except OSError as error:
            for end in ends:
                os.close(end)
            raise SetupFailed(
                "HB660",
                f"the process that keeps the job's network cannot be started: {error.strerror}",
                value=f'network.mode = "{self._mode}"',
                origin=self._origin,
                instead="end what holds processes, memory or files: ulimit -a; or --network none",
            ) from error
        for end in (settings, sockets, events):
            os.close(end)

    def wait_ready(self) -> None:
        """Wait until it has everything that it needs. Raises SetupFailed HB660 or HB661; it is then gone."""
        event = self._event("ready", "error", patience := _Patience(self._mode, _READY_SECONDS))
        if event is not None and event.get("event") == "ready":
            return
        self.close()
        if event is None:
            raise SetupFailed(
                "HB660",
                "the process that keeps the job's network has not said that it is ready",
                value=f'network.mode = "{self._mode}"',
                origin=self._origin,
                why=f"other sandboxes of its bridge had their turn for {_QUEUE_SECONDS:.0f} seconds"
                if patience.queued
                else "it was killed, hangs, or cannot find its own files; what it said stands above",
                instead="fewer sandboxes of one bridge at a time" if patience.queued else _HINT,
            )
        raise self._trouble(event)

    def handed_over(self) -> None:
        """Close our end of what the launcher sends the sockets over, so that its end is the only one."""
        if self.socket >= 0:
            os.close(self.socket)
            self.socket = -1

    def failed(self) -> SetupFailed | None:
        """Give what it said went wrong while the sandbox was set up, if it said so."""
        patience = _Patience(self._mode, self._end_seconds())
        while (event := self._event("error", "end", patience)) is not None:
            if event.get("event") == "error":
                return self._trouble(event)
        return None

    def _trouble(self, event: Mapping[str, object]) -> SetupFailed:
        from hardbox.codes import CODES  # noqa: PLC0415 (only on this path)

        code = event.get("code")
        return SetupFailed(
            code if isinstance(code, str) and code in CODES else "HB661",
            f"the job's network cannot be kept: {event.get('message', '')}",
            value=f'network.mode = "{self._mode}"',
            origin=self._origin,
            why=str(event.get("why", "")),
            instead=str(event.get("instead", "")) or _HINT,
        )

    def told(self) -> NetworkUse:
        """Wait for its last word, after the launcher has ended; and for its end."""
        self.handed_over()
        last: Mapping[str, object] | None = None
        problem, patience = "", _Patience(self._mode, self._end_seconds())
        # In either order: the end of all it counted, and what went wrong.
        while (event := self._event("end", "error", patience)) is not None:
            if event.get("event") == "end":
                last = event
            else:
                problem = _problem(event)
        self.close()
        try:
            return network_report.read(self._mode, last, problem)
        except ValueError:
            # What it says is not to be relied on: it counts as not having spoken.
            return network_report.read(self._mode, None, problem)

    def close(self) -> None:
        """End it, if it has not ended. Once this was done, again is nothing."""
        self.handed_over()
        if self._events >= 0:
            os.close(self._events)
            self._events = -1
        if self._reaped:
            return
        self._reaped = True
        # A caller that ignores SIGCHLD has no children to wait for.
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            self._end(time.monotonic() + self._end_seconds())

    def _end_seconds(self) -> float:
        return _BRIDGE_END_SECONDS if self._mode == "bridge" else _END_SECONDS

    def _end(self, deadline: float) -> None:
        """Wait for its end, which follows the end of the sandbox at once; or make it end. Raises OSError."""
        descriptor = os.pidfd_open(self.pid)
        try:
            # Of a caller that ignores SIGCHLD the number may be somebody else's by now: this tells.
            os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if not _readable(descriptor, deadline):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
        os.waitpid(self.pid, 0)

    def _event(self, first: str, second: str, patience: _Patience) -> Mapping[str, object] | None:
        """Give the next event of one of two kinds; None if it ends, or takes too long, without one."""
        while True:
            while self._lines:
                event = _object(self._lines.popleft())
                if event is None:
                    # Whatever says this is not what was started, or not any more: it is heard no further.
                    self._lines.clear()
                    self._heard = _MOST_SAID + 1
                    return None
                if event.get("event") in (first, second):
                    return event
                if event.get("event") == "queued":
                    patience.renew()
            ready = self._heard <= _MOST_SAID and _readable(self._events, patience.deadline)
            chunk = os.read(self._events, _ROOM) if ready else b""
            if not chunk:
                return None
            self._heard += len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines += lines


def _problem(event: Mapping[str, object]) -> str:
    """Give in one line what went wrong."""
    words = (event.get("message"), event.get("why"))
    return ": ".join(word for word in words if isinstance(word, str) and word) or "it did not say what"


def _readable(descriptor: int, deadline: float) -> bool:
    """Wait until a descriptor can be read; False at the deadline, and for one that is closed (-1).

    Not select(2): a caller may have more descriptors than that takes.
    """
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _object(line: bytes) -> Mapping[str, object] | None:
    """Read one line; None if it is no JSON object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _settings(policy: Policy) -> bytes:
    network = policy.network
    keys = (*_COMMON, *_KEYS[network.mode])
    table = {"profile": policy.name, **{name: getattr(network, name) for name in keys}}
    if network.mode == "bridge":
        table |= {"uid": os.geteuid(), "engine": "veth" if os.geteuid() == 0 else "pasta"}
    return json.dumps(table).encode()


def _start(settings: int, sockets: int, events: int) -> int:
    """Start the process; gives its id."""
    given = (settings, sockets, events)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # Numbers that collide with none of ours, as in engines/namespaces.py; what is below 3 is replaced last.
    numbers = tuple(max(*given, null, 2) + 1 + place for place in range(len(given)))
    moves = [*zip(given, numbers, strict=True), (null, 0), (null, 1)]
    options = ("--settings-fd", "--sockets-fd", "--events-fd")
    try:
        return os.posix_spawn(
            sys.executable,
            [
                *(sys.executable, "-EP", "-m", "hardbox.net"),
                *(word for pair in zip(options, map(str, numbers), strict=True) for word in pair),
            ],
            {name: value for name, value in os.environ.items() if name in _PASSED},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for source, target in moves],
            # A group of its own: an interrupt from the terminal is the job's matter.
            setpgroup=0,
            setsigmask=(),
        )
    finally:
        os.close(null)
