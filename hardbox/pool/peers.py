"""Who is at the other end of a socket.  Run by: server.py."""

from __future__ import annotations

import socket
import struct
from typing import Final

_UCRED: Final = struct.Struct("iII")
# <asm-generic/socket.h>, since Linux 6.5.
_SO_PEERPIDFD: Final = 77


def process(link: socket.socket) -> int:
    """Give a descriptor of the process that has connected (pidfd_open(2)), -1 where the kernel has none."""
    try:
        return link.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        return -1


def peer(link: socket.socket) -> tuple[int, int, int]:
    """Give pid, uid and gid of who connected."""
    given: tuple[int, int, int] = _UCRED.unpack(
        link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    )
    return given
