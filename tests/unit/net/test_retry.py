"""Whether a server asks for a second hello, and what a client sends then: records, real and broken."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.net import retry
from hardbox.net.hello import Hello

RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def record(kind: int, data: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(data).to_bytes(2, "big") + data


def records(data: bytes, size: int) -> bytes:
    return b"".join(record(22, data[place : place + size]) for place in range(0, len(data), size))


def server_hello(random: bytes = RANDOM, kind: int = 2) -> bytes:
    body = b"\3\3" + random + b"\0\x13\1\0"
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


ALERT: Final = record(21, b"\1\x70")
ASKS: Final = (
    record(22, server_hello()),
    ALERT + record(22, server_hello()) + b"\x14\3\3\0\1\1",
    records(server_hello(), 1),
    records(bytes(4) + server_hello(), 7),
    record(22, bytes(4)) + ALERT + record(22, server_hello()),
    record(22, server_hello(kind=6)),
)
ASKS_NOT: Final = (
    record(22, server_hello(bytes(32))),
    record(22, server_hello(RANDOM[:-1] + b"\0")),
    ALERT + records(server_hello(bytes(32)), 5),
    record(22, server_hello(kind=11)),
    record(23, server_hello()),
    b"\x16\2",
    b"HTTP/1.1 400 Bad Request\r\n",
    b"\0",
)


@pytest.mark.parametrize("data", ASKS)
def test_a_server_asks_again(data: bytes) -> None:
    found = [retry.asked(data[:size]) for size in range(len(data) + 1)]
    assert set(found) == {None, True}
    assert found == sorted(found, key=lambda one: one is True), "once it is clear it stays so"


@pytest.mark.parametrize("data", ASKS_NOT)
def test_a_server_asks_for_nothing(data: bytes) -> None:
    assert {retry.asked(data[:size]) for size in range(len(data) + 1)} <= {None, False}
    assert retry.asked(data) is False


@pytest.mark.parametrize("data", [ALERT * 100, b"\x15\3\3\xff\xff" + bytes(1000), record(22, bytes(4)) * 100])
def test_what_is_not_clear_in_time_counts_as_asked(data: bytes) -> None:
    assert retry.asked(data[: retry.MOST - 1]) is None
    assert retry.asked(data) is True


BETWEEN: Final = (record(20, b"\1"), ALERT, record(23, bytes(300)), record(23, bytes(2**14 + 256)))


@pytest.mark.parametrize("data", [*BETWEEN, b"".join(BETWEEN)])
def test_whole_records_pass_before_the_second_hello(data: bytes) -> None:
    assert retry.between(data) == len(data)
    assert retry.between(data[:-1]) < len(data)
    for size in (1, 4, 5, len(data) - 1):
        rest = data[:size][retry.between(data[:size]) :]
        assert retry.look(rest).kind == Hello.MORE


@pytest.mark.parametrize(
    "data",
    [
        record(20, b"\1\1"),
        record(20, b""),
        record(21, b"\1"),
        record(23, b""),
        record(23, bytes(2**14 + 257)),
        record(24, b"\1"),
        b"\x15\2\3\0\2\1\0",
        b"GET / HTTP/1.1\r\n",
        record(22, server_hello()),
        b"\x16\2",
    ],
)
def test_nothing_else_passes_before_it(data: bytes) -> None:
    assert retry.between(data) == 0
    assert retry.look(data).kind == Hello.BAD


@given(
    st.lists(st.sampled_from([*BETWEEN[:3], *ASKS, b"\x16\3\1\0\1", b"\0", b"\x17\3"])).map(b"".join)
    | st.binary()
)
def test_any_bytes_are_something(data: bytes) -> None:
    assert retry.asked(data) in (None, True, False)
    size = retry.between(data)
    assert 0 <= size <= len(data)
    assert retry.between(data[size:]) == 0
    assert retry.look(data[size:]).kind in (Hello.MORE, Hello.TLS, Hello.BAD)
