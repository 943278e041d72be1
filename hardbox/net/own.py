"""Whether an address is one of the host's own, whatever it looks like.

Run by: the broker, for the addresses that an allowed name leads to. What listens on a public address of the
host itself is often meant for the host alone, and a connection from itself passes many a firewall. The kernel
is asked how it would route, which covers every address that it takes for its own, at this moment. An address
that a router or a firewall translates to the host's own cannot be told.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

# rtnetlink(7): struct nlmsghdr, struct rtmsg, and the head of the one attribute.
_HEADER: Final = struct.Struct("=IHHII")
_ROUTE: Final = struct.Struct("=8BI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NUMBER: Final = struct.Struct("=i")
_TYPE: Final = 7
_GET_ROUTE, _NEW_ROUTE, _ERROR = 26, 24, 2
_REQUEST: Final = 1
_DESTINATION: Final = 1
# Of routes: local, broadcast, anycast (a router's own address in each of its networks).
_OWN_TYPES: Final = (2, 3, 4)
# There is no way there, or one that ends in the kernel: connecting says so.
_NO_WAY: Final = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
_IPV4_BYTES: Final = 4
_MOST: Final = 4096


def own(address: IPv4Address | IPv6Address, sock: _socket.socket | None = None) -> str:
    """Say why an address is one of the host's own, "" if it is none.

    sock: connected to it, if that is done already: who has connected to its own address has it on both sides.
    Raises OSError if that cannot be known.
    """
    if sock is not None:
        return "the host's own" if sock.getsockname()[0] == sock.getpeername()[0] else ""
    return "the host's own" if _route_type(address.packed) in _OWN_TYPES else ""


def _route_type(address: bytes) -> int:
    """Ask the kernel for the type of the route to an address; 0: there is none."""
    family = _socket.AF_INET if len(address) == _IPV4_BYTES else _socket.AF_INET6
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address), _DESTINATION) + address
    route = _ROUTE.pack(family, len(address) * 8, 0, 0, 0, 0, 0, 0, 0) + attribute
    kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    sock = _socket.socket(_socket.AF_NETLINK, kind, 0)
    try:
        sock.sendto(_HEADER.pack(_HEADER.size + len(route), _GET_ROUTE, _REQUEST, 1, 0) + route, (0, 0))
        # It has answered by now.
        answer = sock.recv(_MOST)
    finally:
        sock.close()
    said = _HEADER.unpack_from(answer)[1]
    if said == _NEW_ROUTE:
        return answer[_HEADER.size + _TYPE]
    problem = -_NUMBER.unpack_from(answer, _HEADER.size)[0] if said == _ERROR else errno.EPROTO
    if problem in _NO_WAY:
        return 0
    raise OSError(problem, os.strerror(problem))
