"""SOCKS 5: greeting, request, refusals, in pieces of any size.  Run by: pytest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.net.socks import Reply, Request, Socks, reply

GREETING = b"\x05\x01\x00"
CONNECT = b"\x05\x01\x00"


def named(host: bytes, port: int = 443) -> bytes:
    return CONNECT + b"\x03" + bytes([len(host)]) + host + port.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("request_bytes", "request_"),
    [
        (named(b"index.example.org"), Request("index.example.org", 443)),
        (named(b"Index.example.org.", 65535), Request("Index.example.org.", 65535)),
        (named("bücher.example.org".encode()), Request("bücher.example.org", 443)),
        (named(b"x" * 255, 0), Request("x" * 255, 0)),
        (named(b"a\0b@c:d"), Request("a\0b@c:d", 443)),
        (CONNECT + b"\x01\x0a\x00\x03\x07\x15\x38", Request("10.0.3.7", 5432)),
        (
            CONNECT + b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01" + b"\x00\x16",
            Request("2001:db8::1", 22),
        ),
    ],
)
def test_a_request_is_read(request_bytes: bytes, request_: Request) -> None:
    socks = Socks()
    assert socks.receive(GREETING) == b"\x05\x00"
    assert socks.receive(request_bytes) == b""
    assert (socks.request, socks.refused, socks.rest) == (request_, "", b"")


def test_the_method_of_no_authentication_is_taken_among_others() -> None:
    assert Socks().receive(b"\x05\x03\x02\x01\x00") == b"\x05\x00"


def test_all_in_one_piece_and_more_behind_it() -> None:
    socks = Socks()
    assert socks.receive(GREETING + named(b"a.org") + b"\x16\x03\x01") == b"\x05\x00"
    assert (socks.request, socks.rest) == (Request("a.org", 443), b"\x16\x03\x01")


@pytest.mark.parametrize(
    ("data", "sent", "why"),
    [
        (b"\x04\x01\x00\x50\x5d\xb8\xd8\x22user\0", b"\x00\x5b" + bytes(6), "SOCKS 4"),
        (b"\x04\x01\x00\x50\x00\x00\x00\x01user\0evil.org\0", b"\x00\x5b" + bytes(6), "SOCKS 4"),
        (b"\x04", b"\x00\x5b" + bytes(6), "SOCKS 4"),
        (b"GET / HTTP/1.1\r\n", b"", "not SOCKS 5"),
        (b"\x05\x00", b"\x05\xff", "no authentication"),
        (b"\x05\x01\x02", b"\x05\xff", "no authentication"),
        (GREETING + b"\x04\x01\x00", b"\x05\x00" + reply(Reply.FAILURE), "malformed"),
        (GREETING + b"\x05\x01\x01", b"\x05\x00" + reply(Reply.FAILURE), "malformed"),
        (GREETING + b"\x05\x02\x00", b"\x05\x00" + reply(Reply.COMMAND_NOT_SUPPORTED), "command"),
        (GREETING + b"\x05\x03\x00", b"\x05\x00" + reply(Reply.COMMAND_NOT_SUPPORTED), "command"),
        (GREETING + b"\x05\xf0", b"\x05\x00" + reply(Reply.COMMAND_NOT_SUPPORTED), "command"),
        (GREETING + CONNECT + b"\x02", b"\x05\x00" + reply(Reply.ADDRESS_NOT_SUPPORTED), "type of address"),
        (GREETING + named(b""), b"\x05\x00" + reply(Reply.FAILURE), "empty or no text"),
        (GREETING + named(b"\xff\xfe.org"), b"\x05\x00" + reply(Reply.FAILURE), "empty or no text"),
    ],
)
def test_what_is_refused_says_so_to_both_sides(data: bytes, sent: bytes, why: str) -> None:
    socks = Socks()
    assert socks.receive(data) == sent
    assert why in socks.refused
    assert socks.request is None


@pytest.mark.parametrize("data", [b"\x04", GREETING + named(b"a.org")])
def test_nothing_is_read_behind_the_end(data: bytes) -> None:
    socks = Socks()
    socks.receive(data)
    with pytest.raises(RuntimeError):
        socks.receive(b"x")


def test_replies_are_those_of_the_standard() -> None:
    assert reply(Reply.SUCCEEDED) == b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    assert reply(Reply.NOT_ALLOWED)[:2] == b"\x05\x02"
    assert [code.value for code in Reply] == list(range(9))


@given(st.binary(min_size=1, max_size=255), st.integers(0, 65535), st.binary(max_size=20), st.data())
def test_pieces_of_any_size_give_the_same(name: bytes, port: int, rest: bytes, data: st.DataObject) -> None:
    whole = GREETING + named(name, port) + rest
    at_once, piecewise = Socks(), Socks()
    expected = at_once.receive(whole)
    sent = b""
    left = whole
    while left and not (piecewise.request or piecewise.refused):
        size = data.draw(st.integers(1, len(left)))
        sent += piecewise.receive(left[:size])
        left = left[size:]
    assert sent == expected
    assert (piecewise.request, piecewise.refused) == (at_once.request, at_once.refused)
    if piecewise.request:
        assert piecewise.rest + left == rest == at_once.rest


@given(st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from([GREETING, CONNECT, b"\x03\x01a"])))
def test_any_bytes_end_in_a_request_a_refusal_or_a_wait(pieces: list[bytes]) -> None:
    socks = Socks()
    for piece in pieces:
        if socks.request or socks.refused:
            break
        socks.receive(piece)
    assert not (socks.request and socks.refused)
