"""Ways around the look at the first bytes, against servers that really take them.

Each is tried with sni = "off" first: then it works, or it would be no attempt.
"""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest
import trustme
from support import faults
from support.brokers import PATIENCE, Names, World, everything, server, serving, until, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME: Final = "index.example.org"
# Of the same length, so that one can stand where the other was.
EVIL: Final = "other.example.org"
MODES: Final = ("off", "match")
# A warning, change_cipher_spec, and early data that no server can read.
WARNING: Final = b"\x15\x03\x01\x00\x02\x01\x5a"
CHANGE_CIPHER: Final = b"\x14\x03\x03\x00\x01\x01"
EARLY: Final = b"\x17\x03\x03\x00\x20" + bytes(32)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Tls:
    """A TLS server of OpenSSL that says which names it was asked for, and echoes a line."""

    def __init__(self, authority: trustme.CA) -> None:
        self.names: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME, EVIL).configure_cert(self.context)
        self.context.sni_callback = lambda _sock, name, _context: self.names.append(name)

    def retries(self) -> None:
        """Take a group that clients do not guess, so that there is a HelloRetryRequest."""
        self.context.set_ecdh_curve("secp384r1")

    def handle(self, client: socket.socket) -> None:
        with suppress(ssl.SSLError), self.context.wrap_socket(client, server_side=True) as talk:
            talk.sendall(talk.recv(100))


@contextmanager
def to(
    handle: Callable[[socket.socket], None], sni: str, **changed: int
) -> Iterator[tuple[World, socket.socket]]:
    """Give a tunnel to a server, which is allowed by name."""
    with server(handle) as (port, _):
        names = Names(index_example_org=["127.0.0.1"])
        told = wanted(f"{NAME}:{port}", sni=sni, **changed)
        with serving(told, names) as world, world.tunnel(f"{NAME}:{port}") as client:
            yield world, client


class Client:
    """OpenSSL's side of a handshake, whose bytes the test sends."""

    def __init__(self, authority: trustme.CA, name: str, *, old: bool = False) -> None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if old:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.talk = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def says(self) -> bytes:
        """Go on with the handshake as far as it goes; what has to be sent for it."""
        with suppress(ssl.SSLWantReadError):
            self.talk.do_handshake()
        return self.outgoing.read()


def record(client: socket.socket) -> bytes:
    """Read one record."""
    header = exactly(client, 5)
    return header + exactly(client, int.from_bytes(header[3:], "big"))


def exactly(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := client.recv(size - len(found))):
        found += data
    return found


def reasons(world: World) -> set[str]:
    return {row["reason"] for row in world.program.ledger.end()["rows"]}


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("sni", MODES)
def test_a_record_before_the_hello(authority: trustme.CA, sni: str, pieces: bool) -> None:  # noqa: FBT001
    """Go's crypto/tls passes over a warning, and then serves whoever the hello names."""
    tls = Tls(authority)

    def passes_over(client: socket.socket) -> None:
        if record(client)[0] == 21:
            tls.handle(client)

    with to(passes_over, sni) as (world, client):
        message = WARNING + Client(authority, EVIL).says()
        for part in [message[:1], message[1:]] if pieces else [message]:
            with suppress(OSError):
                client.sendall(part)
        if sni == "off":
            assert record(client)[0] == 22, "it answers the hello"
            assert tls.names == [EVIL]
        else:
            assert everything(client) == b"RESET"
            assert tls.names == []
            assert "protocol" in reasons(world)


@pytest.mark.parametrize(
    "between", [b"", CHANGE_CIPHER, EARLY, CHANGE_CIPHER + EARLY + WARNING], ids=["", "ccs", "data", "all"]
)
@pytest.mark.parametrize("how", ["off", "at once", "after the answer", "in records"])
def test_another_name_in_the_second_hello(authority: trustme.CA, how: str, between: bytes) -> None:
    tls = Tls(authority)
    tls.retries()
    with to(tls.handle, "off" if how == "off" else "match") as (world, client):
        peer = Client(authority, EVIL)
        first = peer.says()
        assert first.count(EVIL.encode()) == 1
        client.sendall(first.replace(EVIL.encode(), NAME.encode()))
        again = second(authority, between)
        if how == "at once":
            client.sendall(again)
        asked = record(client)
        assert asked[0] == 22
        if how == "in records":
            hello = again[len(between) :]
            again = (
                between + b"".join(hello[:3] + b"\0\1" + bytes([part]) for part in hello[5:65]) + hello[:3]
            )
            again += (len(hello) - 65).to_bytes(2, "big") + hello[65:]
        if how != "at once":
            client.sendall(again)
        if how == "off":
            # Early data that was not announced ends it.
            if EARLY not in between:
                # What comes first may be a record of its first answer still.
                faults.eventually(lambda: tls.names == [NAME, EVIL], "it is the second name that counts")
        else:
            assert everything(client).endswith(b"RESET")
            assert tls.names == [NAME]
            assert "server-name" in reasons(world)


def second(authority: trustme.CA, between: bytes) -> bytes:
    """Give a second hello for another name, from a handshake of its own."""
    tls, peer = Tls(authority), Client(authority, EVIL)
    tls.retries()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = tls.context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(peer.says())
    with pytest.raises(ssl.SSLWantReadError):
        talk.do_handshake()
    peer.incoming.write(outgoing.read())
    said = peer.says()
    assert EVIL.encode() in said
    return between + said.removeprefix(CHANGE_CIPHER)


@pytest.mark.parametrize("old", [False, True], ids=["1.3", "1.2"])
@pytest.mark.parametrize("retries", [False, True])
def test_whoever_asks_for_the_right_name_is_served(
    authority: trustme.CA,
    old: bool,  # noqa: FBT001
    retries: bool,  # noqa: FBT001
) -> None:
    tls = Tls(authority)
    if retries:
        tls.retries()
    with to(tls.handle, "match") as (_, client):
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if old:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        with context.wrap_socket(client, server_hostname=NAME) as talk:
            talk.sendall(b"line\n")
            assert talk.recv(100) == b"line\n"
    assert tls.names == [NAME] * (2 if retries and not old else 1)


def test_what_a_client_says_too_early_waits_for_the_server(authority: trustme.CA) -> None:
    """Early data that may not come before the answer is not lost; nor is a half-close."""
    go, said = threading.Event(), []

    def slow(client: socket.socket) -> None:
        size = int.from_bytes(exactly(client, 5)[3:], "big")
        exactly(client, size)
        client.settimeout(0.2)
        with suppress(TimeoutError):
            said.append(client.recv(100))
        client.settimeout(PATIENCE)
        go.set()
        client.sendall(
            b"\x15\x03\x03\x00\x02\x01\x70\x16\x03\x03\x00\x30\x02\x00\x00\x2c\x03\x03" + bytes(42)
        )
        client.sendall(everything(client))

    with to(slow, "match") as (_, client):
        client.sendall(Client(authority, NAME).says() + EARLY)
        client.shutdown(socket.SHUT_WR)
        assert everything(client).endswith(EARLY)
    assert go.is_set()
    assert said == []


@pytest.mark.parametrize("ends", ["client", "server", "idle"])
def test_a_server_that_never_answers_holds_nobody(authority: trustme.CA, ends: str) -> None:
    hello = Client(authority, NAME).says()

    def mute(client: socket.socket) -> None:
        exactly(client, len(hello))
        if ends != "server":
            everything(client)

    with to(mute, "match", idle=1000 if ends == "idle" else 60_000) as (world, client):
        client.sendall(hello)
        if ends == "client":
            client.shutdown(socket.SHUT_WR)
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
        elif ends == "server":
            client.settimeout(PATIENCE)
            assert client.recv(1) == b""
            client.sendall(b"more")
            client.shutdown(socket.SHUT_WR)
        else:
            assert everything(client) == b"RESET"
    assert ("limit-idle" in {row["reason"] for row in world.rows}) == (ends == "idle")


@pytest.mark.parametrize("blank", [*range(9, 14), *range(28, 33), 0x85, 0xA0])
def test_a_blank_before_a_request(blank: int) -> None:
    """http.server takes whatever str.split() leaves out for white space."""
    hosts: list[str] = []

    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hosts.append(self.headers["Host"])
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return

    request = bytes([blank]) + f"GET /z HTTP/1.1\r\nHost: {EVIL}\r\nConnection: close\r\n\r\n".encode()
    for sni in MODES:
        hosts.clear()
        with to(lambda client: void(Web, client), sni) as (world, client):
            client.sendall(request)
            answer = everything(client)
            # A line of its own before the request is no request's beginning for http.server.
            if sni == "off" and blank != 10:
                assert hosts == [EVIL], "the control"
            if sni == "match":
                assert hosts == []
                assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
                assert reasons(world) & {"protocol", "host-header"}


def void(handler: type[http.server.BaseHTTPRequestHandler], client: socket.socket) -> None:
    handler(client, client.getpeername(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [b"\0", b"\x01\x02", b"{", b"PROPFIND\x1c/ "])
def test_something_before_a_request(start: bytes) -> None:
    """What may be another protocol is handed on at once; but not the end of a request's line."""

    def notes(client: socket.socket) -> None:
        while data := client.recv(1000):
            came.append(data)
            client.sendall(b".")

    for sni in MODES:
        came: list[bytes] = []
        with to(notes, sni) as (world, client):
            client.sendall(start)
            assert until(client, b".") == b".", "it is not held"
            with suppress(OSError):
                client.sendall(f"GET / HTTP/1.1\r\nHost: {EVIL}\r\n\r\n".encode())
            if sni == "off":
                assert until(client, b".") == b"."
            else:
                assert everything(client) == b"RESET"
                assert b"".join(came) == start
                assert "protocol" in reasons(world)
