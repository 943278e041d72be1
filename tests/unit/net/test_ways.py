"""The ways in, through a broker: SOCKS, tunnels with TLS, transparent connections, names, limits."""

from __future__ import annotations

import random
import socket
import ssl
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import pytest
from support import faults
from support.brokers import Names, World, echo, everything, near, server, serving, until, wanted

from hardbox.net import ways
from hardbox.net.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    with server(echo) as (port, _):
        names = Names(index_example_org=["127.0.0.1"], inwards_example_org=["127.9.0.1"])
        with serving(wanted(f"index.example.org:{port}", f"inwards.example.org:{port}"), names) as world:
            world.echo = port  # type: ignore[attr-defined]
            yield world


def where(world: World) -> str:
    return f"index.example.org:{world.echo}"  # type: ignore[attr-defined]


def hello(name: str | None) -> bytes:
    """Give a real ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    out = ssl.MemoryBIO()
    peer = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        peer.do_handshake()
    return out.read()


def in_records(message: bytes, size: int) -> bytes:
    """Spread a handshake message over several records (RFC 8446 section 5.1)."""
    body = message[5:]
    parts = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in parts)


def through(world: World, data: bytes, *, pieces: int = 0) -> bytes:
    """Send to the echo server by CONNECT, and give what comes back."""
    with world.tunnel(where(world)) as client:
        if pieces:
            for place in range(0, len(data), pieces):
                client.sendall(data[place : place + pieces])
        else:
            client.sendall(data)
        with suppress(OSError):  # it may have been reset by now
            client.shutdown(socket.SHUT_WR)
        return everything(client)


@pytest.mark.parametrize("pieces", [0, 100])
def test_tls_for_the_allowed_name_passes_as_it_is(world: World, pieces: int) -> None:
    message = hello("index.example.org")
    assert through(world, message + b"more", pieces=pieces) == message + b"more"


def test_tls_in_several_records_passes_as_it_is(world: World) -> None:
    message = in_records(hello("INDEX.example.org"), 60)
    assert through(world, message) == message


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (hello("other.example.org"), "server-name"),
        (hello("inwards.example.org"), "server-name"),
        (in_records(hello("other.example.org"), 60), "server-name"),
        (hello(None), "server-name"),
        (hello("index.example.org")[:100], "protocol"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "protocol"),
    ],
    ids=["other", "another rule's", "several records", "none", "broken off", "malformed"],
)
def test_any_other_tls_is_reset(world: World, first: bytes, reason: str) -> None:
    assert through(world, first) == b"RESET"
    world.program.loop.from_thread(lambda: None)
    rows = world.program.ledger.end()["rows"]
    assert ("denied", "index.example.org", reason) in [(r["verdict"], r["host"], r["reason"]) for r in rows]


def test_nothing_is_looked_at_where_the_profile_says_so() -> None:
    names = Names(index_example_org=["127.0.0.1"])
    with server(echo) as (port, _), serving(wanted(f"index.example.org:{port}", sni="off"), names) as world:
        message = hello("other.example.org")
        with world.tunnel(f"index.example.org:{port}") as client:
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
            assert everything(client) == message


@pytest.mark.parametrize(
    "first",
    [
        b"x",
        b"here and there",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"SSH-2.0-x\r\n",
        b"\xff\xfe\x01\x02\x03",
        b"EHLO me\r\n",
    ],
)
def test_other_protocols_pass(world: World, first: bytes) -> None:
    assert through(world, first) == first


@pytest.mark.parametrize("first", [b"GET /", b"GET / HTTP/1.1", b"GET http://evil.example/", b"\x16\x03"])
def test_a_request_that_breaks_off_goes_nowhere(world: World, first: bytes) -> None:
    assert through(world, first) == b"RESET"


def test_a_server_may_speak_first() -> None:
    def banner(client: socket.socket) -> None:
        client.sendall(b"SSH-2.0-server\r\n")
        echo(client)

    with near(banner) as (world, place):
        with world.tunnel(place) as client:
            assert until(client, b"\n") == b"SSH-2.0-server\r\n"
            client.sendall(b"SSH-2.0-client\r\n")
            assert until(client, b"\n") == b"SSH-2.0-client\r\n"
        # What was told first belongs to no answer: HTTP that comes after it is not HTTP.
        with world.tunnel(place) as client:
            until(client, b"\n")
            client.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            assert everything(client) == b"RESET"


def test_a_client_that_says_nothing_ends_as_the_server_s_end(world: World) -> None:
    assert through(world, b"") == b""


def socks(world: World, request: bytes, greeting: bytes = b"\x05\x01\x00") -> socket.socket:
    client = world.connect()
    client.sendall(greeting + request)
    assert exactly(client, 2) == b"\x05\x00"
    return client


def named(name: str, port: int) -> bytes:
    return b"\x05\x01\x00\x03" + bytes([len(name)]) + name.encode() + struct.pack(">H", port)


def test_socks_leads_to_an_allowed_name(world: World) -> None:
    with socks(world, named("INDEX.example.org", world.echo) + b"early\r\n") as client:  # type: ignore[attr-defined]
        assert exactly(client, 10) == b"\x05\x00\x00\x01\0\0\0\0\0\0"
        client.sendall(b"late\r\n")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"early\r\nlate\r\n"


@pytest.mark.parametrize(
    ("name", "code"),
    [("other.example.org", 2), ("inwards.example.org", 2), ("127.1", 2), ("2130706433", 2), ("::1", 2)],
)
def test_socks_refuses_what_is_not_allowed(world: World, name: str, code: int) -> None:
    with socks(world, named(name, world.echo)) as client:  # type: ignore[attr-defined]
        assert everything(client)[:2] == bytes([5, code])


def test_socks_tells_a_failure_from_a_denial() -> None:
    with serving(wanted("gone.example.org:443"), Names()) as world:
        client = socks(world, named("gone.example.org", 443))
        assert everything(client)[:2] == b"\x05\x04"
        client.close()
    assert [(row["verdict"], row["via"]) for row in world.rows] == [("failed", "socks")]


def test_socks_by_literal_addresses_needs_a_literal_rule(world: World) -> None:
    port = struct.pack(">H", world.echo)  # type: ignore[attr-defined]
    for address in (
        b"\x01\x7f\0\0\x01",
        b"\x04" + bytes(15) + b"\x01",
        b"\x04" + bytes(10) + b"\xff\xff\x7f\0\0\x01",
    ):
        with socks(world, b"\x05\x01\x00" + address + port) as client:
            assert everything(client)[:2] == b"\x05\x02"


def test_socks_4_is_refused(world: World) -> None:
    answer = world.ask(b"\x04\x01\x01\xbb\0\0\0\x01\0index.example.org\0")
    assert answer in (b"\0\x5b" + bytes(6), b"\0\x5b" + bytes(6) + b"RESET", b"RESET")


def test_a_transparent_connection_is_known_by_its_address(world: World) -> None:
    """On loopback without synthetic addresses, a connection is to the literal 127.0.0.1: no rule."""
    assert world.is_reset(port=world.transparent)
    rows = world.program.ledger.end()["rows"]
    assert [(row["verdict"], row["host"], row["port"], row["via"], row["reason"]) for row in rows] == [
        ("denied", "127.0.0.1", world.transparent, "transparent", "not-allowed")
    ]


def query(name: str, kind: str = "A") -> bytes:
    return dns.message.make_query(name, kind).to_wire()


def test_names_are_answered_by_datagram_and_by_stream(world: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(20)
        asker.connect(("127.0.0.1", world.names))
        asker.send(b"garbage")
        asker.send(query("other.example.org"))
        assert dns.message.from_wire(asker.recv(4096)).rcode() == dns.rcode.NXDOMAIN
        asker.send(query("index.example.org"))
        by_datagram = dns.message.from_wire(asker.recv(4096)).answer[0].to_rdataset()
    with world.connect(world.names) as client:
        wire = query("index.example.org")
        framed = struct.pack(">H", len(wire)) + wire
        client.sendall(framed + framed[:5])
        first = until_framed(client)
        client.sendall(framed[5:])
        second = until_framed(client)
    for answer in (first, second):
        assert dns.message.from_wire(answer).answer[0].to_rdataset() == by_datagram


def until_framed(client: socket.socket) -> bytes:
    return exactly(client, struct.unpack(">H", exactly(client, 2))[0])


def exactly(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := client.recv(size - len(found))):
        found += data
    return found


def test_no_name_is_ever_asked_of_anybody_else() -> None:
    names = Names()
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with serving(wanted("index.example.org:443"), names) as world, asker:
        asker.settimeout(20)
        asker.connect(("127.0.0.1", world.names))
        for name in ("secret.evil.example", "index.example.org", "1.0.0.10.in-addr.arpa"):
            asker.send(query(name))
            asker.recv(4096)
    assert names.asked == []
    assert {(row["verdict"], row["host"], row["via"]) for row in world.rows} >= {
        ("denied", "secret.evil.example", "dns"),
        ("allowed", "index.example.org", "dns"),
    }


def test_more_queries_than_are_answered_leave_a_row() -> None:
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with serving(wanted("index.example.org:443"), Names()) as world, asker:
        world.program.service.queries = Bucket(1, world.program.loop.time())
        asker.settimeout(20)
        asker.connect(("127.0.0.1", world.names))
        for _ in range(10):
            asker.send(query("index.example.org"))
        asker.recv(4096)
        faults.eventually(lambda: len(world.program.ledger.end()["rows"]) == 2, "the others are counted")
    assert world.rows[1]["reason"] == "limit-rate"


def test_a_name_server_that_breaks_ends_nothing(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    real = ways.answer_name

    def breaks(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(ways, "answer_name", breaks)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(20)
        asker.connect(("127.0.0.1", world.names))
        asker.send(query("index.example.org"))
        with world.connect(world.names) as client:
            wire = query("index.example.org")
            client.sendall(struct.pack(">H", len(wire)) + wire)
            assert everything(client) == b"RESET"
        monkeypatch.setattr(ways, "answer_name", real)
        asker.send(query("index.example.org"))
        assert dns.message.from_wire(asker.recv(4096)).answer
    assert through(world, b"alive\r\n") == b"alive\r\n"


def test_a_handler_that_breaks_ends_its_connection_alone(
    monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with world.tunnel(where(world)) as lives:
        lives.sendall(b"\0")
        assert lives.recv(1) == b"\0"
        monkeypatch.setattr("hardbox.net.ways.hello.look", breaks)
        asked = f"CONNECT {where(world)} HTTP/1.1\r\nHost: x\r\n\r\n"
        assert world.ask(asked.encode()).endswith(b"RESET")
        monkeypatch.undo()
        lives.sendall(b"alive\r\n")
        assert until(lives, b"\n") == b"alive\r\n"
    rows = world.program.ledger.end()["rows"]
    assert "internal error: ZeroDivisionError" in [row["detail"] for row in rows]


def test_no_bytes_end_the_broker_or_reach_code_that_did_not_expect_them(world: World) -> None:
    """Messages that are right but for some bytes, to every listener; the seed is fixed."""
    chance = random.Random(20)  # noqa: S311 (the same bytes each time)
    host = where(world)
    right = [
        f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() + hello("index.example.org"),
        f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\nGET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(),
        f"POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + b"1\r\na\r\n0\r\n\r\n",
        b"\x05\x01\x00" + named("index.example.org", world.echo) + hello("index.example.org"),  # type: ignore[attr-defined]
        struct.pack(">H", len(query("index.example.org"))) + query("index.example.org"),
    ]
    for number in range(400):
        message = bytearray(chance.choice(right))
        for _ in range(chance.choice((1, 1, 2, 8))):
            place = chance.randrange(len(message))
            message[place : place + chance.choice((0, 1, 1, 3))] = chance.randbytes(
                chance.choice((0, 1, 1, 2))
            )
        port = world.names if number % 5 == 0 else world.proxy
        with suppress(OSError), world.connect(port) as client:
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
            everything(client)
    assert through(world, b"alive\r\n") == b"alive\r\n"
    rows = world.program.ledger.end()["rows"]
    assert {row["reason"] for row in rows} >= {"", "not-allowed", "spelling", "protocol", "host-header"}
    assert not [row["detail"] for row in rows if "internal" in row["detail"]]
