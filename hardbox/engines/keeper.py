"""The process that keeps a job's network, as its caller sees it: started before the launcher, heard after it.

Run by: the Python front, on the host, for network modes "allow" and "bridge". The process itself is
`python3 -m hardbox.net`. It gets the sockets from the launcher, over a socket pair of which this file
makes both ends, and says what happened over a pipe.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from hardbox import network_report
from hardbox.errors import SetupFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.network_report import NetworkUse
    from hardbox.policy import Policy

# An interpreter starts, name servers or tools are looked at: far more than that takes.
_READY_SECONDS: Final = 30.0
# After the sandbox has ended: connections are closed, rules and links are taken away.
_END_SECONDS: Final = 15.0
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


class Keeper:
    """The process that keeps one job's network."""

    def __init__(self, policy: Policy) -> None:
        """Start it; `wait_ready` says whether it can do what is asked for. Raises SetupFailed HB660."""
        self._mode = policy.network.mode
        self._said = b""
        self._reaped = False
        ends: list[int] = []
        try:
            settings = _memory(_settings(policy))
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
                instead="end what holds processes, memory or files: ulimit -a; or --network none",
            ) from error
        for end in (settings, sockets, events):
            os.close(end)

    def wait_ready(self) -> None:
        """Wait until it has everything that it needs. Raises SetupFailed HB660 or HB661; it is then gone."""
        event = self._event("ready", "error", time.monotonic() + _READY_SECONDS)
        if event is not None and event.get("event") == "ready":
            return
        self.close()
        if event is None:
            raise SetupFailed(
                "HB660",
                "the process that keeps the job's network ended without a word",
                value=f'network.mode = "{self._mode}"',
                why="it was killed, or cannot find its own files; what it said stands above",
                instead=_HINT,
            )
        raise SetupFailed(
            str(event.get("code", "HB661")),
            f"the job's network cannot be kept: {event.get('message', '')}",
            value=f'network.mode = "{self._mode}"',
            why=str(event.get("why", "")),
            instead=str(event.get("instead", "")) or _HINT,
        )

    def handed_over(self) -> None:
        """Close our end of what the launcher sends the sockets over, so that its end is the only one."""
        if self.socket >= 0:
            os.close(self.socket)
            self.socket = -1

    def failed(self) -> SetupFailed | None:
        """Give what it said went wrong while the sandbox was set up, if it said so."""
        event = self._event("error", "end", time.monotonic() + _END_SECONDS)
        if event is None or event.get("event") != "error":
            return None
        return SetupFailed(
            str(event.get("code", "HB661")),
            f"the job's network cannot be kept: {event.get('message', '')}",
            value=f'network.mode = "{self._mode}"',
            why=str(event.get("why", "")),
            instead=str(event.get("instead", "")) or _HINT,
        )

    def told(self) -> NetworkUse:
        """Wait for its last word, after the launcher has ended; and for its end."""
        self.handed_over()
        event = self._event("end", "error", time.monotonic() + _END_SECONDS)
        self.close()
        try:
            return network_report.read(self._mode, event if event and event.get("event") == "end" else None)
        except ValueError:
            # What it says is not to be relied on: it counts as not having spoken.
            return network_report.read(self._mode, None)

    def close(self) -> None:
        """End it, if it has not ended. Once this was done, again is nothing."""
        self.handed_over()
        if self._events >= 0:
            os.close(self._events)
            self._events = -1
        if self._reaped:
            return
        self._reaped = True
        try:
            if not self._over(time.monotonic() + _END_SECONDS):
                os.kill(self.pid, signal.SIGKILL)  # our own child, not yet waited for
                os.waitpid(self.pid, 0)
        except ChildProcessError:
            return  # a caller that ignores SIGCHLD has no children to wait for

    def _over(self, deadline: float) -> bool:
        """Wait for its end, which follows the end of the sandbox at once."""
        descriptor = os.pidfd_open(self.pid)
        try:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        finally:
            os.close(descriptor)
        if ready:
            os.waitpid(self.pid, 0)
        return bool(ready)

    def _event(self, first: str, second: str, deadline: float) -> Mapping[str, object] | None:
        """Give the next event of one of two kinds; None if it ends, or takes too long, without one."""
        while self._events >= 0:
            line, newline, rest = self._said.partition(b"\n")
            if newline:
                self._said = rest
                event = _object(line)
                if event.get("event") in (first, second):
                    return event
                continue
            ready, _, _ = select.select([self._events], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._events, _ROOM) if ready else b""
            self._said += chunk
            if not chunk or len(self._said) > _MOST_SAID:
                return None
        return None


def _object(line: bytes) -> Mapping[str, object]:
    """Read one line; whatever is no JSON object is an event of no kind."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _settings(policy: Policy) -> bytes:
    network = policy.network
    keys = (*_COMMON, *_KEYS[network.mode])
    table = {"profile": policy.name, **{name: getattr(network, name) for name in keys}}
    if network.mode == "bridge":
        table |= {"uid": os.geteuid(), "engine": "veth" if os.geteuid() == 0 else "pasta"}
    return json.dumps(table).encode()


def _memory(content: bytes) -> int:
    descriptor = os.memfd_create("hardbox-network", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _start(settings: int, sockets: int, events: int) -> int:
    """Start the process; gives its id."""
    given = (settings, sockets, events)
    # Numbers that collide with none of ours, as in engines/namespaces.py; what is below 3 is replaced last.
    numbers = tuple(max(*given, 2) + 1 + place for place in range(len(given)))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
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
