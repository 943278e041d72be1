"""The supervisor, as a keeper of mode "bridge" talks with it; and the rows of what the kernel refused.

Run by: hardbox.net.bridge, in the keeper's process.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from hardbox.net.trouble import Trouble
from hardbox.net.wire import GO, HELLO, MESSAGE, QUEUED, SOCKET, message
from hardbox.network_report import DENIED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hardbox.network_report import Reason

    Say = Callable[[Mapping[str, object]], None]

__all__ = ("Gone", "Supervisor", "row")

_EARLY: Final = "the sandbox ended before it had a network"


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
            kind = MESSAGE.unpack(data)[0] if len(data) == MESSAGE.size else 0
            fit = not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
            if fit and kind == SOCKET and len(found) == 1 and descriptor < 0:
                descriptor = found[0]
            elif fit and kind == HELLO and not found and descriptor >= 0:
                return descriptor
            else:
                for one in (*found, *((descriptor,) if descriptor >= 0 else ())):
                    os.close(one)
                if not data:
                    raise Gone(what=_EARLY)
                raise Trouble(what=f"the supervisor sent message {kind} with {len(found)} descriptors")

    def _receive(self) -> tuple[bytes, list[int], int]:
        try:
            data, found, flags, _ = socket.recv_fds(self._socket, MESSAGE.size, 4)
        except ConnectionResetError as error:
            raise Gone(what=_EARLY) from error
        return data, list(found), flags

    def queued(self) -> None:
        """Say that others have their turn, and that it takes longer. Raises Gone if nobody listens."""
        self._say(QUEUED)

    def go(self) -> None:
        """Say that everything is in force: the job may be executed. Raises Gone if nobody listens."""
        self._say(GO)

    def _say(self, kind: int) -> None:
        try:
            self._socket.send(message(kind))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone(what=_EARLY) from error

    def ended(self) -> None:
        """Read the end of the channel. Raises Trouble for anything else: nothing more is to be said."""
        try:
            data = self._socket.recv(MESSAGE.size)
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
    reason: Reason = "not-allowed"
    return {
        "verdict": DENIED,
        "host": host,
        "port": port,
        "via": via,
        "reason": reason,
        "detail": f"{protocol}, counted in packets",
        "count": count,
        "sent": 0,
        "received": 0,
    }
