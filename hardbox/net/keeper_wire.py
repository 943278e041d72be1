"""What a network mode's process says and hears: messages of the supervisor, lines of events.

Run by: hardbox.net.bridge. Messages are those of hardbox/launch/wire.h; the engine reads the events.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Say = Callable[[Mapping[str, object]], None]

__all__ = ("Events", "Gone", "Supervisor", "end", "row")

_MESSAGE: Final = struct.Struct("=IiI")  # type, value, step
_GO: Final = 1
_HELLO: Final = 3
_SOCKET: Final = 10
_EARLY: Final = "the sandbox ended before it had a network"


class Events:
    """Lines of JSON for the launcher's Python side."""

    def __init__(self, descriptor: int) -> None:
        """Write to a pipe."""
        self._descriptor = descriptor

    def say(self, event: Mapping[str, object]) -> None:
        """Write one line. A reader that is gone has ended the run; the other channel says so."""
        line = json.dumps(event).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except BrokenPipeError:
            return


class Supervisor:
    """The channel to the launcher's supervisor; its end is the sandbox's end."""

    def __init__(self, descriptor: int) -> None:
        """Take over a SOCK_SEQPACKET socket."""
        self._socket = socket.socket(fileno=descriptor)

    def fileno(self) -> int:
        """Give the descriptor, to wait on."""
        return self._socket.fileno()

    def sandbox_socket(self) -> int:
        """Wait for the socket that was made in the sandbox, then for HELLO. Raises Trouble otherwise."""
        descriptor = -1
        while True:
            data, found, flags = self._receive()
            kind = _MESSAGE.unpack(data)[0] if len(data) == _MESSAGE.size else 0
            fit = not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
            if fit and kind == _SOCKET and len(found) == 1 and descriptor < 0:
                descriptor = found[0]
            elif fit and kind == _HELLO and not found and descriptor >= 0:
                return descriptor
            else:
                for one in (*found, *((descriptor,) if descriptor >= 0 else ())):
                    os.close(one)
                if not data:
                    raise Gone(what=_EARLY)
                raise Trouble(what=f"the supervisor sent message {kind} with {len(found)} descriptors")

    def _receive(self) -> tuple[bytes, list[int], int]:
        try:
            data, found, flags, _ = socket.recv_fds(self._socket, _MESSAGE.size, 4)
        except ConnectionResetError as error:
            raise Gone(what=_EARLY) from error
        return data, list(found), flags

    def go(self) -> None:
        """Say that everything is in force: the job may be executed. Raises Gone if nobody listens."""
        try:
            self._socket.send(_MESSAGE.pack(_GO, 0, 0))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone(what=_EARLY) from error

    def ended(self) -> None:
        """Read the end of the channel. Raises Trouble for anything else: nothing more is to be said."""
        try:
            data = self._socket.recv(_MESSAGE.size)
        except ConnectionResetError:
            return
        if data:
            raise Trouble(what="the supervisor sent a message after the job had begun")

    def close(self) -> None:
        """Close the channel: the supervisor takes it for a failure if it waits for GO."""
        self._socket.close()


class Gone(Trouble):
    """The sandbox ended while its network was made."""


def row(host: str, port: int, protocol: str, count: int, via: str) -> dict[str, object]:
    """Give an end event's row of refused packets.

    via: "bridge" or "pasta".
    """
    return {
        "verdict": "denied",
        "host": host,
        "port": port,
        "via": via,
        "reason": "not-allowed",
        "detail": f"{protocol}, counted in packets",
        "count": count,
        "sent": 0,
        "received": 0,
    }


def end(rows: Sequence[Mapping[str, object]] = (), sent: int = 0, received: int = 0) -> dict[str, object]:
    """Give the end event. Connections are the kernel's and are not counted."""
    return {
        "event": "end",
        "rows": list(rows),
        "dropped": 0,
        "connections": 0,
        "most": 0,
        "sent": sent,
        "received": received,
    }
