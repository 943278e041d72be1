"""The second ClientHello of a TLS connection, which a server may ask for with a HelloRetryRequest.

Run by: the broker, once the first ClientHello has been judged (hello.py); pure. Servers take the name of the
second hello, so it is judged too (RFC 8446 section 4.1.2). The bytes are hostile on both sides; but a server
that is in league with the job has no need of a second hello.
"""

from __future__ import annotations

from typing import Final

from hardbox.net import hello

# Within so many bytes a server says what it is: 43 in one record, and a warning or two before it.
MOST: Final = 512
# RFC 8446 section 5.1: content types, header, the longest record (section 5.2).
_CHANGE_CIPHER, _ALERT, _HANDSHAKE, _DATA = 0x14, 0x15, 0x16, 0x17
_MAJOR: Final = 3
_HEADER: Final = 5
_MOST_RECORD: Final = 2**14 + 256
# What may stand between the two hellos, and how long it is: for middleboxes; warnings, and the end of a
# client that gives up; early data, which the server passes over (section 4.2.10).
_BETWEEN: Final = {
    _CHANGE_CIPHER: range(1, 2),
    _ALERT: range(2, 3),
    _DATA: range(1, _MOST_RECORD + 1),
}
# Section 4: HelloRequest of TLS 1.2, which is empty; ServerHello; HelloRetryRequest of drafts of TLS 1.3.
_HELLO_REQUEST: Final = bytes(4)
_SERVER_HELLO: Final = 2
_DRAFT_RETRY: Final = 6
# Section 4.1.3: a ServerHello with this random value, behind type, length and version.
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_RANDOM: Final = slice(6, 38)


def asked(data: bytes) -> bool | None:
    """Say whether a server asks for another ClientHello; None: more of what it said has to be seen.

    data: all that it has said since the first ClientHello. What is not clear in time counts as asked.
    """
    found = _asked(data[:MOST])
    return True if found is None and len(data) >= MOST else found


def _asked(data: bytes) -> bool | None:
    message = b""
    place = 0
    while True:
        header = data[place : place + _HEADER]
        if header[:1] not in (b"", bytes([_ALERT]), bytes([_HANDSHAKE])):
            return False
        if header[1:2] not in (b"", bytes([_MAJOR])):
            return False
        if len(header) < _HEADER:
            return None
        end = place + _HEADER + int.from_bytes(header[3:], "big")
        if header[0] == _HANDSHAKE:
            message += data[place + _HEADER : end]
            if (said := _asks(message)) is not None:
                return said
        if len(data) < end:
            return None
        place = end


def _asks(message: bytes) -> bool | None:
    while message.startswith(_HELLO_REQUEST):
        message = message[len(_HELLO_REQUEST) :]
    kind = message[:1]
    if kind not in (b"", b"\0", bytes([_SERVER_HELLO])):
        return message[0] == _DRAFT_RETRY
    return message[_RANDOM] == _RETRY if len(message) >= _RANDOM.stop else None


def between(data: bytes) -> int:
    """Give how many bytes at the start are whole records that may stand before the second ClientHello."""
    place = 0
    while (size := _record(data[place : place + _HEADER])) and place + size <= len(data):
        place += size
    return place


def look(data: bytes) -> hello.Look:
    """Say what a client sends after a HelloRetryRequest; `data` begins behind what `between` has given.

    Only MORE, TLS and BAD.
    """
    if not data or (len(data) < _HEADER and data[0] in _BETWEEN) or _record(data[:_HEADER]):
        return hello.Look(hello.Hello.MORE)
    if data[0] != _HANDSHAKE:
        return hello.Look(hello.Hello.BAD, reason="TLS: no second ClientHello where one was asked for")
    return hello.look(data)


def _record(header: bytes) -> int:
    """Give the size of a record that may stand before the second ClientHello; 0: it is none."""
    if len(header) < _HEADER or header[0] not in _BETWEEN or header[1] != _MAJOR:
        return 0
    length = int.from_bytes(header[3:], "big")
    return _HEADER + length if length in _BETWEEN[header[0]] else 0
