"""The first bytes of a connection: TLS with which server name, HTTP, or something else.

Run by: the broker, on what a job sends first; pure. The bytes are hostile: whatever begins as TLS and
then breaks RFC 8446 is "bad", never "other", since servers differ in what they forgive.

What this cannot see: protocols that begin in clear text and start TLS later, and a name that is encrypted
(ECH), whose outer name is given instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NoReturn

# So many bytes may come before it has to be clear what they are.
MOST: Final = 16 * 1024
# A fragment may be one byte, so a hello could be 16,000 records; nothing honest needs more than a few.
_MOST_RECORDS: Final = 64
# RFC 8446: section 5.1 (content type, longest record), section 4 (message), section 4.2 (extensions).
_HANDSHAKE: Final = 0x16
# change_cipher_spec to heartbeat (RFC 6520): records that some servers skip before a hello.
_RECORDS: Final = range(0x14, 0x19)
_MAJOR: Final = 3
_CHANGE_CIPHER, _ALERT = 0x14, 0x15
# Some servers skip such records whatever their version, as long as that is below 16.
_ODD_MAJOR: Final = 0x10
_MOST_FRAGMENT: Final = 2**14
_RECORD_HEADER: Final = 5
_CLIENT_HELLO: Final = 1
_MESSAGE_HEADER: Final = 4
_RANDOM: Final = 32
_MOST_SESSION: Final = 32
# RFC 6066 section 3.
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
# encrypted_client_hello (RFC 9849), and the draft before it (encrypted_server_name).
_ENCRYPTED: Final = (0xFE0D, 0xFFCE)
_NAME: Final = re.compile(rb"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_MOST_NAME: Final = 253
# SSL 2.0's form of a hello (RFC 5246 appendix E.2), which some servers still take, and which has no name.
_OLD_HEADER: Final = 11
_OLD_CHALLENGE: Final = range(16, 33)

# HAProxy's PROXY protocol, versions 1 and 2: a server that takes it reads what follows as the beginning.
_RELAYED: Final = (b"PROXY ", b"\r\n\r\n\0")

# RFC 9110 section 5.6.2.
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What servers take for white space: some as much as str.split() does, in Latin-1.
_BLANK: Final = b" \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0"
# What no request line has, though some servers let it pass.
_ODD: Final = re.compile(rb"[^\t\x20-\x7e]")
_HTTP_VERSION: Final = re.compile(rb"http/", re.IGNORECASE)
# Some servers leave out what cannot be printed, and take any word for a method.
_NO_PRINT: Final = bytes((*range(0x21), *range(0x7F, 0x100)))
_LIKE_REQUEST: Final = re.compile(
    rb"[!-~]+[%(b)s].*http/[0-9]\.[0-9][%(b)s]*" % {b"b": _BLANK}, re.IGNORECASE | re.DOTALL
)
# Without a version a line is HTTP/0.9 if it begins with one of these and then names a path or a URL.
_METHODS: Final = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())
_TARGET: Final = re.compile(rb"/|https?:", re.IGNORECASE)


class Hello(StrEnum):
    """What a connection begins with."""

    MORE = "more"
    TLS = "tls"
    HTTP = "http"
    HTTP2 = "http2"
    OTHER = "other"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Look:
    """What the first bytes are.

    kind:        MORE: undecided, needs more bytes. HTTP: a request line of HTTP/1, or what a server could
                 take for one. HTTP2: without TLS. BAD: not to be passed on.
    server_name: TLS: in lower case, "" if there is none.
    ech:         TLS: whether a second, encrypted name may be inside, or only looks so (GREASE).
    size:        TLS: how many bytes the hello takes with its records; more may follow it.
    reason:      BAD: why, on one line.
    line:        OTHER: its first line has not ended: so far it may be handed on, but more may make it BAD.
    """

    kind: Hello
    server_name: str = ""
    ech: bool = False
    size: int = field(default=0, compare=False)
    reason: str = ""
    line: bool = field(default=False, compare=False)


class _Bad(Exception):  # noqa: N818 (an outcome, not an error of ours)
    """The bytes break the protocol that they begin as."""


class _More(Exception):  # noqa: N818 (an outcome)
    """The bytes are right as far as they go."""


def _refuse(why: str) -> NoReturn:
    raise _Bad(why)


def look(data: bytes) -> Look:
    """Say what a client's first bytes are; `data` is all of them since the connection began."""
    try:
        return _judge(data)
    except _Bad as bad:
        return Look(Hello.BAD, reason=str(bad))
    except _More:
        if len(data) >= MOST:
            return Look(Hello.BAD, reason=f"nothing that can be judged within {MOST} bytes")
        return Look(Hello.MORE)


def _judge(data: bytes) -> Look:
    if not data:
        raise _More
    if data[0] == _HANDSHAKE:
        body, size = _message(data)
        return replace(_client_hello(body), size=size)
    if data[0] in _RECORDS:
        _no_record(data)
    if data[0] & 0x80:
        _no_old_hello(data)
    if data.startswith(_RELAYED):
        _refuse("a header of the PROXY protocol, behind which anything could be named")
    found = _request_line(data.lstrip(_BLANK))
    return replace(found, line=_open_line(data)) if found.kind is Hello.OTHER else found


def _no_record(data: bytes) -> None:
    """Refuse a record before the ClientHello, which could follow it unseen."""
    if len(data) == 1:
        raise _More
    if data[1] == _MAJOR:
        _refuse("TLS: a record before the ClientHello")
    # With another version it could be a length of some other protocol: only the whole of it tells.
    header = bytes((*data[:3], 0, data[0] - _CHANGE_CIPHER + 1))
    if data[0] > _ALERT or data[1] >= _ODD_MAJOR or not header.startswith(data[:_RECORD_HEADER]):
        return
    if len(data) <= _RECORD_HEADER:
        raise _More
    if data[_RECORD_HEADER] in (1, 2):
        _refuse("TLS: a record before the ClientHello")


def _message(data: bytes) -> tuple[bytes, int]:
    """Put the first handshake message together from its records (RFC 8446 section 5.1).

    Gives its body, and how long those records are.
    """
    held = b""
    place = 0
    for _ in range(_MOST_RECORDS):
        start = place + _RECORD_HEADER
        length = _fragment_length(data[place:start])
        place = start + length
        held += data[start:place]
        body = _body(held)
        if len(data) < place:
            raise _More
        if body is not None:
            return body, place
    _refuse(f"TLS: a ClientHello in more than {_MOST_RECORDS} records")


def _fragment_length(header: bytes) -> int:
    if header[:1] not in (b"", bytes([_HANDSHAKE])):
        _refuse("TLS: another record within the ClientHello")
    if header[1:2] not in (b"", bytes([_MAJOR])):
        _refuse("TLS: a record of an unknown version")
    if len(header) < _RECORD_HEADER:
        raise _More
    length = int.from_bytes(header[3:], "big")
    if not 0 < length <= _MOST_FRAGMENT:
        _refuse("TLS: a record of a length that is not allowed")
    return length


def _body(held: bytes) -> bytes | None:
    """Give the body of a ClientHello (RFC 8446 section 4), or None if it is not all there."""
    if held[:1] not in (b"", bytes([_CLIENT_HELLO])):
        _refuse("TLS: the first message is no ClientHello")
    if len(held) < _MESSAGE_HEADER:
        return None
    whole = _MESSAGE_HEADER + int.from_bytes(held[1:4], "big")
    if whole > MOST:
        _refuse(f"TLS: a ClientHello of more than {MOST} bytes")
    if len(held) > whole:
        _refuse("TLS: more behind the ClientHello in its record")
    return held[_MESSAGE_HEADER:] if len(held) == whole else None


class _Reader:
    """Reads a message from its start to its end; whatever does not fit is bad."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._place : self._place + size]
        if len(part) < size:
            _refuse("TLS: a ClientHello whose lengths do not fit")
        self._place += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int, lengths: range) -> bytes:
        """Give what stands behind a length of `size` bytes (RFC 8446 section 3.4)."""
        length = self.number(size)
        if length not in lengths:
            _refuse("TLS: a ClientHello with a length that is not allowed")
        return self.take(length)

    @property
    def ended(self) -> bool:
        return self._place == len(self._data)


def _client_hello(body: bytes) -> Look:
    """Read a ClientHello (RFC 8446 section 4.1.2; without extensions, as before TLS 1.2, too)."""
    reader = _Reader(body)
    if reader.number(1) != _MAJOR:
        _refuse("TLS: a ClientHello of an unknown version")
    reader.take(1 + _RANDOM)
    reader.vector(1, range(_MOST_SESSION + 1))
    reader.vector(2, range(2, 2**16, 2))
    reader.vector(1, range(1, 2**8))
    extensions = {} if reader.ended else _extensions(reader.vector(2, range(2**16)))
    if not reader.ended:
        _refuse("TLS: a ClientHello with more behind its extensions")
    name = _server_name(extensions[_SERVER_NAME]) if _SERVER_NAME in extensions else ""
    return Look(Hello.TLS, server_name=name, ech=any(kind in extensions for kind in _ENCRYPTED))


def _extensions(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    reader = _Reader(data)
    while not reader.ended:
        kind = reader.number(2)
        if kind in found:
            _refuse("TLS: an extension that is there twice")
        found[kind] = reader.vector(2, range(2**16))
    return found


def _server_name(data: bytes) -> str:
    """Read the one name of a server_name extension (RFC 6066 section 3)."""
    reader = _Reader(data)
    names = _Reader(reader.vector(2, range(1, 2**16)))
    kind = names.number(1)
    name = names.vector(2, range(1, 2**16))
    if kind != _HOST_NAME:
        _refuse("TLS: a server name of an unknown type")
    if not names.ended or not reader.ended:
        _refuse("TLS: more than one server name")
    if len(name) > _MOST_NAME or not _NAME.fullmatch(name):
        _refuse("TLS: a server name that is no host name")
    return name.decode("ascii").lower()


def _no_old_hello(data: bytes) -> None:
    """Refuse an SSL 2.0 hello, and let pass whatever else begins with a byte above 127."""
    known = data[2:4]
    if known not in (b"", b"\x01", b"\x01\x00", b"\x01\x03"):
        return
    if len(data) < _OLD_HEADER:
        raise _More
    length = int.from_bytes(data[:2], "big") & 0x7FFF
    ciphers, session, challenge = (int.from_bytes(data[place : place + 2], "big") for place in (5, 7, 9))
    fits = length == _OLD_HEADER - 2 + ciphers + session + challenge
    if fits and ciphers and not ciphers % 3 and challenge in _OLD_CHALLENGE:
        _refuse("TLS: a hello in the form of SSL 2.0, which has no server name")


def _request_line(data: bytes) -> Look:
    """Tell HTTP by its first line, as the most lenient server reads it (RFC 9112 sections 2.2 and 3)."""
    token = _TOKEN.match(data)
    rest = data[token.end() :] if token else data
    if rest in (b"", b"\r"):
        raise _More
    if token is None:
        return Look(Hello.OTHER)
    method = token[0].upper() in _METHODS
    if rest[0] not in b" \t":
        # Some take other white space for a space: the parser of requests refuses it.
        odd = method and _ODD.match(rest) and not rest.startswith((b"\n", b"\r\n"))
        return Look(Hello.HTTP if odd else Hello.OTHER)
    line, end, _ = rest.partition(b"\n")
    line = line.removesuffix(b"\r")
    odd = bool(_ODD.search(line))
    if _HTTP_VERSION.search(line) and end:
        return Look(Hello.HTTP2 if token[0] == b"PRI" else Hello.HTTP)
    if method and (odd or (end and _TARGET.match(line.lstrip()))):
        return Look(Hello.HTTP)
    if end or odd:
        return Look(Hello.OTHER)
    raise _More


def _open_line(data: bytes) -> bool:
    """Say whether the first line of something else may still become a request's; refuse one that has."""
    line, end, _ = data.lstrip(_NO_PRINT).partition(b"\n")
    if end and _LIKE_REQUEST.fullmatch(line):
        _refuse("a request line with something before it, or odd white space in it")
    return not end and len(data) < MOST
