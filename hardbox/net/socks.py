"""SOCKS 5 from the server's side (RFC 1928), without sockets: bytes in, bytes out.

Run by: the broker, for connections to its proxy port that begin with 5, or with 4 to be refused. Only
"no authentication" and CONNECT: the sandbox is the only client, and UDP and listening have no rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_VERSION: Final = 5
_OLD_VERSION: Final = 4
_NO_AUTHENTICATION: Final = 0
_NONE_ACCEPTABLE: Final = 0xFF
_CONNECT: Final = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SIZES: Final = {_IPV4: 4, _IPV6: 16}
# Version, command, zero, type, and the first byte of the address: a name's length.
_FIXED: Final = 5
# "Request rejected or failed", as SOCKS 4 says it; the rest is ignored.
_OLD_REJECTED: Final = bytes([0, 91, 0, 0, 0, 0, 0, 0])


class Reply(IntEnum):
    """Reply codes (RFC 1928 section 6)."""

    SUCCEEDED = 0
    FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_NOT_SUPPORTED = 8


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants to be connected to.

    host: as it came: a name (in whatever spelling), or an address in canonical text, IPv6 without brackets.
    port: 0 to 65535.
    """

    host: str
    port: int


class Socks:
    """One connection until its request is there.

    request: once it is complete, else None.
    refused: why the connection is to be closed, once what `receive` gave has been sent; "" if not.
    rest:    what came behind the request, for the server that it leads to.
    """

    def __init__(self) -> None:
        """Begin with the greeting."""
        self.request: Request | None = None
        self.refused = ""
        self.rest = b""
        self._held = b""
        self._greeted = False

    def receive(self, data: bytes) -> bytes:
        """Take what the client sent; give what is to be sent back. Raises RuntimeError once it is done."""
        if self.request or self.refused:
            message = "the SOCKS request is complete"
            raise RuntimeError(message)
        self._held += data
        answer = b"" if self._greeted else self._greeting()
        if self._greeted and not self.refused:
            answer += self._requested()
        return answer

    def _greeting(self) -> bytes:
        if self._held[:1] == bytes([_OLD_VERSION]):
            self.refused = "SOCKS 4, which cannot name a host safely: use socks5h"
            return _OLD_REJECTED
        if self._held[:1] not in (b"", bytes([_VERSION])):
            self.refused = "not SOCKS 5"
            return b""
        methods = self._take_vector(1)
        if methods is None:
            return b""
        if _NO_AUTHENTICATION not in methods:
            self.refused = "SOCKS without the method of no authentication"
            return bytes([_VERSION, _NONE_ACCEPTABLE])
        self._greeted = True
        return bytes([_VERSION, _NO_AUTHENTICATION])

    def _requested(self) -> bytes:
        """Read the request: version, command, zero, type of address, address, port."""
        held = self._held
        code, self.refused = _fault(held)
        if self.refused:
            return reply(code)
        if len(held) < _FIXED:
            return b""
        kind = held[3]
        start = _FIXED if kind == _NAME else _FIXED - 1
        end = start + _SIZES.get(kind, held[4])
        if len(held) < end + 2:
            return b""
        host = _host(kind, held[start:end])
        if not host:
            self.refused = "a SOCKS request whose name is empty or no text"
            return reply(Reply.FAILURE)
        self.request = Request(host, int.from_bytes(held[end : end + 2], "big"))
        self.rest, self._held = held[end + 2 :], b""
        return b""

    def _take_vector(self, start: int) -> bytes | None:
        """Take the bytes behind the length at `start` off what is held; None if they are not all there."""
        if len(self._held) <= start:
            return None
        end = start + 1 + self._held[start]
        if len(self._held) < end:
            return None
        taken, self._held = self._held[start + 1 : end], self._held[end:]
        return taken


def reply(code: Reply) -> bytes:
    """Write the reply to a request; it tells nothing of the outside: the bound address is 0.0.0.0:0."""
    return bytes([_VERSION, code, 0, _IPV4, 0, 0, 0, 0, 0, 0])


def _fault(held: bytes) -> tuple[Reply, str]:
    """Say what is wrong with the fixed part of a request, as far as it is there; "" if nothing."""
    if held[:1] not in (b"", bytes([_VERSION])) or held[2:3] not in (b"", b"\0"):
        return Reply.FAILURE, "a malformed SOCKS request"
    if held[1:2] not in (b"", bytes([_CONNECT])):
        return Reply.COMMAND_NOT_SUPPORTED, "a SOCKS command other than CONNECT"
    if held[3:4] not in (b"", *(bytes([kind]) for kind in (_IPV4, _NAME, _IPV6))):
        return Reply.ADDRESS_NOT_SUPPORTED, "a SOCKS request with an unknown type of address"
    return Reply.SUCCEEDED, ""


def _host(kind: int, data: bytes) -> str:
    if kind == _IPV4:
        return str(IPv4Address(data))
    if kind == _IPV6:
        return str(IPv6Address(data))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
