"""HTTP through a broker: one request after the other, each judged, each written anew."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import h11
import pytest
from support.brokers import PATIENCE, Names, World, everything, near, server, serving, until, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator


class Origin:
    """A lenient HTTP server that records the bytes of each request as they came over the wire."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def __call__(self, client: socket.socket) -> None:
        while head := until(client, b"\r\n\r\n"):
            self.heads.append(head)
            lower = head.lower()
            if b"expect: 100-continue" in lower:
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b""
            if b"transfer-encoding: chunked" in lower:
                body = until(client, b"0\r\n\r\n")
            elif b"content-length: " in lower:
                length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                while len(body) < length and (data := client.recv(length - len(body))):
                    body += data
            self.bodies.append(body)
            client.sendall(self.answer)
            if b"connection: close" in self.answer.lower():
                return


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def world(origin: Origin) -> Iterator[World]:
    with server(origin) as (port, _):
        names = Names(index_example_org=["127.0.0.1"], inwards_example_org=["127.9.0.1"])
        rules = [f"{name}.example.org:{port}" for name in ("index", "inwards", "gone")]
        with serving(wanted(*rules), names) as world:
            world.web = f"index.example.org:{port}"  # type: ignore[attr-defined]
            yield world


def ask(world: World, text: str, *, end: bool = True) -> bytes:
    """Send a request, in which HERE stands for the server."""
    return world.ask(text.replace("HERE", world.web).encode("latin-1"), end=end)  # type: ignore[attr-defined]


def inside(world: World, text: str) -> bytes:
    """The same inside a tunnel to the server."""
    with world.tunnel(world.web) as client:  # type: ignore[attr-defined]
        client.sendall(text.replace("HERE", world.web).encode("latin-1"))  # type: ignore[attr-defined]
        with suppress(OSError):  # it may have been reset by now
            client.shutdown(socket.SHUT_WR)
        return everything(client)


def test_an_absolute_target_becomes_an_origin_target(world: World, origin: Origin) -> None:
    answer = ask(world, "GET http://HERE/a?b HTTP/1.1\r\nHost: HERE\r\nX-A: 1\r\nProxy-Connection: x\r\n\r\n")
    assert answer == origin.answer
    assert origin.heads == [
        f"GET /a?b HTTP/1.1\r\nHost: {world.web}\r\nX-A: 1\r\n\r\n".encode()  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize(
    ("request_text", "status", "words"),
    [
        ("GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n", 403, "not in network.allow"),
        ("GET http://HERE/ HTTP/1.1\r\nHost: other.example\r\n\r\n", 403, "Host header"),
        ("GET http://user@HERE/ HTTP/1.1\r\nHost: HERE\r\n\r\n", 403, "user before the host"),
        ("GET / HTTP/1.1\r\nHost: HERE\r\n\r\n", 403, "proxy itself"),
        ("GET https://HERE/ HTTP/1.1\r\nHost: HERE\r\n\r\n", 403, "CONNECT is for that"),
        ("CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403, "--allow other.example:443"),
        ("CONNECT 2130706433:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403, "not a plain spelling"),
        ("CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403, "not a plain spelling"),
        ("CONNECT HERE@other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403, "user before the host"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "none of the forms"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "x" * 200 + "\r\n\r\n", 400, "malformed HTTP"),
    ],
)
def test_what_is_denied_is_told_in_words(world: World, request_text: str, status: int, words: str) -> None:
    answer = ask(world, request_text)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nX-Hardbox: blocked\r\n" in answer
    assert b"\r\nContent-Type: text/plain\r\n" in answer
    assert b"blocked by profile net-client" in answer
    assert b"do not retry" in answer
    assert words.encode() in answer


def test_denials_and_failures_are_rows(origin: Origin) -> None:
    with server(origin) as (port, _):
        names = Names(inwards_example_org=["127.9.0.1"])
        rules = (f"inwards.example.org:{port}", f"gone.example.org:{port}")
        with serving(wanted(*rules), names) as world:
            inwards = world.ask(f"CONNECT inwards.example.org:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            gone = world.ask(f"CONNECT gone.example.org:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert b" 403 " in inwards
    assert b"not public" in inwards
    assert b"127.9.0.1" not in inwards, "addresses outside are not the job's business"
    assert b" 502 " in gone
    assert b"network failure, not the sandbox's decision" in gone
    assert [(row["verdict"], row["host"], row["via"], row["reason"]) for row in world.rows] == [
        ("denied", "inwards.example.org", "connect", "unfit-address"),
        ("failed", "gone.example.org", "connect", "unresolved"),
    ]
    assert names.asked == ["inwards.example.org", "gone.example.org"]
    assert origin.heads == []


@pytest.mark.parametrize("through", [ask, inside])
@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\tchunked\r\nTransfer-encoding: x",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\r\n : chunked",
        "X: x\rTransfer-Encoding: chunked",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4, 5",
        "Content-Length: +4",
        "Content-Length: 0x4",
        "Content-Length: -1",
        "Content-Length: 4 4",
        "Host: HERE",
        "Host: other.example",
        " folded: first",
        "X\0Y: z",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_goes_nowhere(
    world: World, origin: Origin, through: object, head: str
) -> None:
    body = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: other.example\r\n\r\n"
    answer = through(world, f"POST http://HERE/ HTTP/1.1\r\nHost: HERE\r\n{head}\r\n\r\n{body}")  # type: ignore[operator]
    # A folded Host is a clear one that no host has; the others are no HTTP.
    assert (b"HTTP/1.1 403 " if head.startswith(" ") else b"HTTP/1.1 400 ") in answer
    assert b"X-Hardbox: blocked" in answer
    assert origin.heads == []


@pytest.mark.parametrize(
    ("name", "text", "requests"),
    [
        # RFC 9112 section 5.2: a fold becomes a space, within one header.
        ("obs-fold", "GET http://HERE/ HTTP/1.1\r\nHost: HERE\r\nX-A: 1\r\n X-B: 2\r\n\r\n", 1),
        ("bare LF", "GET http://HERE/ HTTP/1.1\nHost: HERE\nX-A: 1\n\n", 1),
        (
            "equal lengths",
            "POST http://HERE/ HTTP/1.1\r\nHost: HERE\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nab",
            1,
        ),
        (
            "chunk extensions and trailers",
            (
                "POST http://HERE/ HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: CHUNKED\r\n\r\n"
                "2;x=y\r\nab\r\n0\r\nX-Late: 1\r\n\r\n"
            ),
            1,
        ),
    ],
)
def test_what_is_odd_but_clear_is_written_anew(
    world: World, origin: Origin, name: str, text: str, requests: int
) -> None:
    answer = ask(world, text)
    assert answer.startswith(b"HTTP/1.1 200 "), name
    assert len(origin.heads) == requests
    head, body = origin.heads[0], origin.bodies[0]
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r\n X-B" not in head
    assert head.lower().count(b"content-length:") + head.lower().count(b"transfer-encoding:") <= 1
    assert b"x=y" not in body
    assert b"X-Late" not in body


def test_pipelined_requests_are_each_judged(world: World, origin: Origin) -> None:
    good = "GET http://HERE/{} HTTP/1.1\r\nHost: HERE\r\n\r\n"
    bad = "GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n"
    answer = ask(world, good.format("one") + good.format("two") + bad + good.format("three"))
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b"HTTP/1.1 403 ") == 1
    assert [head.split()[1] for head in origin.heads] == [b"/one", b"/two"]


def test_requests_inside_a_tunnel_are_each_judged(world: World, origin: Origin) -> None:
    good = "GET /{} HTTP/1.1\r\nHost: HERE\r\n\r\n"
    answer = inside(
        world, good.format("one") + good.format("two") + "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert b"HTTP/1.1 403 " in answer
    assert b"Host header" in answer
    assert [head.split()[1] for head in origin.heads] == [b"/one", b"/two"]


@pytest.mark.parametrize(
    "text",
    [
        "GET http://evil.example/ HTTP/1.1\r\nHost: HERE\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: HERE\r\n\r\n",
        "CONNECT HERE HTTP/1.1\r\nHost: HERE\r\n\r\n",
        "get / http/1.1\r\nHost: evil.example\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\nHost: evil.example\n\n",
        "GET http://evil.example/\r\n",
    ],
)
def test_no_spelling_of_a_request_leads_elsewhere_inside_a_tunnel(
    world: World, origin: Origin, text: str
) -> None:
    answer = inside(world, text)
    assert b"X-Hardbox: blocked" in answer
    assert origin.heads == []


def test_http_2_in_clear_text_is_reset(world: World, origin: Origin) -> None:
    assert inside(world, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == b"RESET"
    assert origin.heads == []


def test_a_body_goes_through_while_the_client_waits_to_be_asked(world: World, origin: Origin) -> None:
    with world.connect() as client:
        head = f"PUT http://{world.web}/ HTTP/1.1\r\nHost: {world.web}\r\n"  # type: ignore[attr-defined]
        client.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == origin.answer
    assert origin.bodies == [b"hello"]


def test_large_bodies_go_both_ways(world: World, origin: Origin) -> None:
    size = 3_000_000
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size
    with world.connect() as client:
        head = f"POST http://{world.web}/ HTTP/1.1\r\nHost: {world.web}\r\nContent-Length: {size}\r\n\r\n"  # type: ignore[attr-defined]
        sender = threading.Thread(target=client.sendall, args=(head.encode() + b"x" * size,))
        sender.start()
        answer = until(client, b"\r\n\r\n")
        while len(answer) < size and (data := client.recv(1 << 16)):
            answer += data
        sender.join(PATIENCE)
    assert origin.bodies == [b"x" * size]
    assert answer.endswith(b"y" * 1000)


def test_an_answer_without_length_ends_with_its_connection(world: World, origin: Origin) -> None:
    origin.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"
    answer = ask(world, "GET http://HERE/ HTTP/1.1\r\nHost: HERE\r\n\r\n")
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    peer.receive_data(answer)
    assert isinstance(peer.next_event(), h11.Response)
    assert bytes(peer.next_event().data) == b"until the end"  # type: ignore[union-attr]


def test_a_server_that_breaks_off_shows_as_a_reset(world: World, origin: Origin) -> None:
    origin.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nshort"
    assert ask(world, "GET http://HERE/ HTTP/1.1\r\nHost: HERE\r\n\r\n").endswith(b"RESET")


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\r\nConnection: close\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nBad Header\r\n\r\n",
    ],
)
def test_a_server_that_speaks_no_http_is_a_failure(world: World, origin: Origin, answer: bytes) -> None:
    origin.answer = answer
    said = ask(world, "GET http://HERE/ HTTP/1.1\r\nHost: HERE\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"X-Hardbox: failed" in said


def test_websocket_goes_on_as_plain_bytes(origin: Origin) -> None:
    def upgrade(client: socket.socket) -> None:
        origin.heads.append(until(client, b"\r\n\r\n"))
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi"
        )
        while data := client.recv(100):
            client.sendall(data.upper())

    with near(upgrade) as (world, where), world.connect() as client:
        client.sendall(
            f"GET http://{where}/ HTTP/1.1\r\nHost: {where}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n\x81frame".encode("latin-1")
        )
        answer = until(client, b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"hi\x81FRAME"
    assert b"upgrade: websocket\r\n" in origin.heads[0].lower()


def test_a_head_is_bounded(world: World, origin: Origin) -> None:
    answer = ask(world, "GET http://HERE/ HTTP/1.1\r\nHost: HERE\r\n" + "X-A: " + "x" * 100_000)
    assert b"HTTP/1.1 400 " in answer or answer.endswith(b"RESET")
    assert origin.heads == []


def test_a_slow_head_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardbox.net.ways.HEAD_PATIENCE", 0.2)
    with serving(wanted("index.example.org:80"), Names()) as world, world.connect() as client:
        client.sendall(b"GET http://index.example.org/ HT")
        assert b"too slow" in everything(client)
    assert [row["reason"] for row in world.rows] == ["limit-idle"]


def test_an_answer_may_come_before_the_body(origin: Origin) -> None:
    def at_once(client: socket.socket) -> None:
        origin.heads.append(until(client, b"\r\n\r\n"))
        client.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno\n")
        client.shutdown(socket.SHUT_WR)
        everything(client)

    with near(at_once) as (world, where), world.connect() as client:
        head = f"POST http://{where}/ HTTP/1.1\r\nHost: {where}\r\nContent-Length: 50000000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 10_000)
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.removesuffix(b"RESET").endswith(b"no\n")


def test_an_answer_to_head_has_no_body(world: World, origin: Origin) -> None:
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    request = "HEAD http://HERE/ HTTP/1.1\r\nHost: HERE\r\n\r\n"
    assert ask(world, request + request) == origin.answer * 2


def test_a_connection_kept_for_later_is_closed_without_a_word(origin: Origin) -> None:
    with near(origin, idle=300) as (world, where), world.connect() as client:
        client.sendall(f"GET http://{where}/ HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        assert everything(client) == origin.answer
    assert [row["verdict"] for row in world.rows] == ["allowed"]


def test_one_connection_leads_to_several_servers(origin: Origin) -> None:
    other = Origin()
    with server(origin) as (first, _), server(other) as (second, _):
        places = f"127.0.0.1:{first}", f"127.0.0.1:{second}"
        with serving(wanted(*places), Names()) as world:
            text = "".join(f"GET http://{place}/ HTTP/1.1\r\nHost: {place}\r\n\r\n" for place in places * 2)
            assert world.ask(text.encode(), end=True) == origin.answer * 4
    assert (len(origin.heads), len(other.heads)) == (2, 2)
    assert [row["count"] for row in world.rows] == [2, 2]
