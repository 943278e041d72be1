"""Sockets as coroutines: receive, send, connect, close.

Run by: the broker. Sockets are those of `_socket` (see loop.py), and non-blocking.
"""

from __future__ import annotations

import _socket
import errno
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.net.loop import Loop

CHUNK: Final = 1 << 16
# linger: on, for no time. close(2) resets the connection, which nobody takes for a regular end.
_RESET: Final = (1).to_bytes(4, sys.byteorder) + bytes(4)
# What the kernel holds for the broker's sockets counts in no limit of the sandbox, and grows to several
# megabytes for each if it is let: so each has a fixed size, of which the kernel takes twice (socket(7)).
# A few connections get what long lines need, as far as net.core.rmem_max and wmem_max allow it; where many
# are open, each gets little. 256 connections that send both ways, of which nobody reads, held 95 MB where
# this was measured, and 1.2 GB without it.
FEW: Final = 8
_FEW_OUTSIDE, _FEW_INSIDE, _MANY = 1 << 19, 1 << 16, 1 << 15
# What is read after a last word, so that it is not overtaken by a reset; bytes and seconds.
_MOST_UNREAD: Final = 1 << 18
_UNREAD_PATIENCE: Final = 1.0


async def receive(loop: Loop, sock: _socket.socket, size: int, deadline: float) -> bytes:
    """Give what there is, at most `size` bytes; b"" at the end. Raises TimeoutError, OSError."""
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            await loop.readable(sock.fileno(), deadline)


async def send(
    loop: Loop, sock: _socket.socket, data: bytes, patience: float, progress: Callable[[], None] | None = None
) -> None:
    """Send all. Raises TimeoutError if nothing could be sent for `patience` seconds, OSError."""
    view = memoryview(data)
    while view:
        try:
            sent = sock.send(view)
        except BlockingIOError:
            await loop.writable(sock.fileno(), loop.time() + patience)
        else:
            view = view[sent:]
            if progress is not None:
                progress()


async def connect(loop: Loop, address: tuple[str, int], deadline: float) -> _socket.socket:
    """Connect to an address; never to a name: `address` is a number in text, or this raises ValueError.

    Raises TimeoutError, OSError.
    """
    family = _socket.AF_INET6 if ":" in address[0] else _socket.AF_INET
    _socket.inet_pton(family, address[0])
    sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK, _socket.IPPROTO_TCP)
    try:
        problem = sock.connect_ex(address)
        if problem == errno.EINPROGRESS:
            # On this very machine the handshake is over by now: asked again, the kernel says so (connect(2)).
            problem = sock.connect_ex(address)
        if problem == errno.EALREADY:
            await loop.writable(sock.fileno(), deadline)
            problem = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        _raise(problem)
        no_delay(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _raise(problem: int) -> None:
    if problem:
        raise OSError(problem, os.strerror(problem))


def no_delay(sock: _socket.socket) -> None:
    """Send small pieces at once: what is handed on has waited already."""
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)


def bound(sock: _socket.socket, number: int, *, outside: bool) -> None:
    """Fix how much the kernel holds of what was received and not read, and of what was sent and not taken.

    number:  how many connections are open.
    outside: whether it leads to a server, or to the job.
    """
    few = _FEW_OUTSIDE if outside else _FEW_INSIDE
    for option in (_socket.SO_RCVBUF, _socket.SO_SNDBUF):
        sock.setsockopt(_socket.SOL_SOCKET, option, few if number <= FEW else _MANY)


def reset(loop: Loop, sock: _socket.socket) -> None:
    """Close with a reset, whatever is under way. A socket that is closed already stays so."""
    if sock.fileno() < 0:
        return
    loop.forget(sock.fileno())
    with suppress(OSError):
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _RESET)
    sock.close()


def close(loop: Loop, sock: _socket.socket) -> None:
    """Close; what was sent still arrives. A socket that is closed already stays so."""
    if sock.fileno() >= 0:
        loop.forget(sock.fileno())
        sock.close()


async def say_and_close(loop: Loop, sock: _socket.socket, data: bytes) -> None:
    """Send a last word and close. That the other side does not take it is no error."""
    deadline = loop.time() + _UNREAD_PATIENCE
    try:
        with suppress(OSError):
            await send(loop, sock, data, _UNREAD_PATIENCE)
            sock.shutdown(_socket.SHUT_WR)
            # Bytes that nobody has read turn close(2) into a reset, which would overtake what was said.
            left = _MOST_UNREAD
            while left > 0 and (chunk := await receive(loop, sock, CHUNK, deadline)):
                left -= len(chunk)
    finally:
        close(loop, sock)


def address_of(sock: _socket.socket) -> tuple[str, int]:
    """Give the local address as text and the port. Raises OSError; ValueError for no internet socket."""
    found: Any = sock.getsockname()
    if sock.family not in (_socket.AF_INET, _socket.AF_INET6):
        message = "not an internet socket"
        raise ValueError(message)
    return str(found[0]), int(found[1])
