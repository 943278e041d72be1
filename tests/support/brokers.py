"""A broker in a thread of the test, with its own resolver and servers on loopback; for unit tests.

Run by: tests/unit/net. The process itself, confined, is tests/system/test_broker.py's matter.
"""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hardbox.net import broker, settings, vetting
from hardbox.net.wire import GO, HELLO, SOCKET, message
from hardbox.policy import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from ipaddress import IPv4Address, IPv6Address

NO_LIMIT: Final = UNLIMITED
PATIENCE: Final = 20.0


def wanted(*allow: str, **changed: Any) -> settings.Settings:  # noqa: ANN401 (fields of Settings)
    """Give settings that limit nothing but the destinations; changed: also less than a profile may name."""
    import json  # noqa: PLC0415 (beside its only use)

    values = {
        "mode": "allow",
        "profile": "net-client",
        "allow": allow,
        "sni": "match",
        "log": "all",
        "connections": 1000,
        "rate": 10_000,
        "bytes": NO_LIMIT,
        "idle": 60_000,
    }
    return replace(settings.parse(json.dumps(values).encode()), **changed)


class Names:
    """A resolver that a test scripts; addresses of 127.0.0.0/8 are fit, but for 127.9.0.0/16."""

    def __init__(self, **known: Sequence[str]) -> None:
        """Take what names resolve to, with "_" for ".". A name that is not there fails."""
        self.known: dict[str, Any] = {name.replace("_", "."): found for name, found in known.items()}
        self.asked: list[str] = []

    def resolve(self, name: str, _port: int) -> Sequence[str]:
        """Give the addresses; a callable gives others each time."""
        self.asked.append(name)
        if name not in self.known:
            raise OSError(-2, "Name or service not known")
        found = self.known[name]
        addresses: Sequence[str] = found() if callable(found) else found
        return addresses

    @staticmethod
    def unfit(address: IPv4Address | IPv6Address) -> str:
        """As the real one, except that a test's servers are where loopback is."""
        text = str(address)
        if text.startswith("127.") and not text.startswith("127.9."):
            return ""
        return vetting.unfit(address)

    @staticmethod
    def own(_address: IPv4Address | IPv6Address, _sock: object) -> str:
        """Take none for the host's own: the test's servers are there."""
        return ""


class World:
    """A broker that serves, and what the test needs to talk to it."""

    def __init__(self, program: broker.Broker, proxy: int, names: int, transparent: int) -> None:
        """Take the broker and the ports of its listeners on 127.0.0.1."""
        self.program = program
        self.proxy, self.names, self.transparent = proxy, names, transparent
        self.rows: list[dict[str, Any]] = []
        self.end: dict[str, Any] = {}

    def connect(self, port: int = 0) -> socket.socket:
        """Connect to the proxy, or another listener."""
        return socket.create_connection(("127.0.0.1", port or self.proxy), timeout=PATIENCE)

    def is_reset(self, data: bytes = b"", port: int = 0) -> bool:
        """Say whether a connection, or what is sent by it, is answered by a reset."""
        try:
            with self.connect(port) as client:
                client.sendall(data)
                return everything(client) == b"RESET"
        except (ConnectionResetError, BrokenPipeError):
            return True

    def ask(self, data: bytes, *, end: bool = False) -> bytes:
        """Send to the proxy, and give all that comes back; end: half-close after it."""
        with self.connect() as client:
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
            return everything(client)

    def tunnel(self, where: str) -> socket.socket:
        """Give a connection that CONNECT has led somewhere."""
        client = self.connect()
        client.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        answer = until(client, b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        return client


@contextmanager
def serving(told: settings.Settings, names: Names) -> Iterator[World]:
    """Run a broker; its rows and totals are there afterwards."""
    with ExitStack() as stack:
        proxy = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        transparent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stream, datagrams = _names_sockets(stack)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(ours)
        port = proxy.getsockname()[1]
        program = broker.Broker(
            told,
            resolve=names.resolve,
            unfit=names.unfit,
            own=names.own,
            proxy=("127.0.0.1", port),
            names_port=stream.getsockname()[1],
        )
        world = World(program, port, stream.getsockname()[1], transparent.getsockname()[1])
        problems: list[BaseException] = []

        def run() -> None:
            try:
                program.run(theirs.detach())
            except BaseException as error:  # noqa: BLE001 (for the test to see)
                problems.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            for sock in (proxy, transparent, stream, datagrams):
                socket.send_fds(ours, [message(SOCKET)], [sock.fileno()])
            ours.sendall(message(HELLO))
            assert ours.recv(64) == message(GO)
            yield world
        finally:
            ours.close()
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert not problems, problems
        world.end = program.ledger.end()
        world.rows = world.end["rows"]
        assert program.ledger.open == 0


def _names_sockets(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Give a stream and a datagram socket of one port."""
    while True:
        stream = socket.create_server(("127.0.0.1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            datagrams.bind(stream.getsockname())
        except OSError:
            stream.close()
            datagrams.close()
            continue
        return stack.enter_context(stream), stack.enter_context(datagrams)


@contextmanager
def server(
    handle: Callable[[socket.socket], None], address: str = "127.0.0.1"
) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """Serve each connection with a function; gives the port, and the list of who has connected."""
    listener = socket.create_server((address, 0), backlog=600)
    came: list[tuple[str, int]] = []

    def one(client: socket.socket) -> None:
        with client:
            client.settimeout(PATIENCE)
            try:
                handle(client)
            except OSError:
                return  # the other side has gone

    def accept() -> None:
        while True:
            try:
                client, peer = listener.accept()
            except OSError:
                return
            came.append(peer)
            threading.Thread(target=one, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def near(handle: Callable[[socket.socket], None], **changed: object) -> Iterator[tuple[World, str]]:
    """Serve with a function, and with a broker whose only rule leads there; gives that place too."""
    with server(handle) as (port, _):
        where = f"127.0.0.1:{port}"
        with serving(wanted(where, **changed), Names()) as world:
            yield world, where


def echo(client: socket.socket) -> None:
    """Send back what comes, and end when the other side does."""
    while data := client.recv(1 << 16):
        client.sendall(data)


def everything(client: socket.socket) -> bytes:
    """Read until the end. A reset is an end that shows as b"RESET"."""
    found = b""
    try:
        while data := client.recv(1 << 16):
            found += data
    except ConnectionResetError:
        return found + b"RESET"
    return found


def until(client: socket.socket, mark: bytes) -> bytes:
    """Read until a mark has come, or the end."""
    found = b""
    while mark not in found and (data := client.recv(1)):
        found += data
    return found
