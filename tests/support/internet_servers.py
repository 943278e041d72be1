"""The servers of the tests' internet, in one process, which records what each of them sees.

Run by: tests/support/internet.py, as `python3 -m support.internet_servers FOLDER`, in namespaces of its own;
makes another one, where the servers are, so that they are not the host's own. Says "ready" and the descriptor
of that one on stdout, and ends when stdin does.
"""

from __future__ import annotations

import hashlib
import http.server
import ipaddress
import itertools
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Final, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from support import internet_map as at
from support.far import Far

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK: Final = 1 << 16
_TTL: Final = 0


class Book:
    """What the servers saw: a file, one JSON object a line."""

    def __init__(self, folder: str) -> None:
        self._fd = os.open(os.path.join(folder, "seen"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, what: str, local: tuple[Any, ...], **more: object) -> None:
        """Write one row; a single write(2), so that rows of threads stay whole."""
        row = {"what": what, "to": plain(local[0]), "port": local[1], **more}
        os.write(self._fd, json.dumps(row).encode() + b"\n")


def plain(address: str) -> str:
    """Write an IPv4 address that came by an IPv6 socket as what it is."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


class Web(http.server.BaseHTTPRequestHandler):
    """Echo: a JSON object of what came.

    /big?N: N bytes. /slow?S: after S seconds. /www/...: files. /bare: ends with the connection. /chunks?N: N
    chunks. /status?N: that one, without a body. /upgrade: another protocol, which echoes.
    """

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path, _, query = self.path.partition("?")
        told = {
            "line": self.requestline,
            "headers": [[name, value] for name, value in self.headers.items()],
            "body": body.decode("latin-1"),
            "name": getattr(self.connection, "asked_name", None),
        }
        local = self.connection.getsockname()
        self.server.book.note("http", local, **told)
        if path == "/slow":
            time.sleep(float(query))
        special = {
            "/bare": self._bare,
            "/chunks": self._chunks,
            "/status": self._status,
            "/upgrade": self._upgrade,
        }
        if path == "/big":
            self._big(int(query))
        elif path in special:
            special[path](query)
        elif path.startswith("/www/"):
            self._file(path)
        else:
            self._answer(200, json.dumps({**told, "to": plain(local[0])}).encode(), "application/json")

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 (http.server's names)

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _bare(self, _query: str) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")

    def _chunks(self, query: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(int(query)):
            self.wfile.write(b"5\r\nchunk\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _status(self, query: str) -> None:
        self.send_response(int(query))
        self.end_headers()

    def _upgrade(self, _query: str) -> None:
        self.close_connection = True
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "echo")
        self.end_headers()
        while block := self.connection.recv(_BLOCK):
            self.wfile.write(block)

    def _big(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(_BLOCK)
        for start in range(0, size, _BLOCK):
            self.wfile.write(block[: size - start])

    def _file(self, path: str) -> None:
        top = os.path.join(self.server.folder, "www")
        found = os.path.normpath(os.path.join(top, path.removeprefix("/www/")))
        if os.path.isdir(found):
            found = os.path.join(found, "index.html")
        if not found.startswith(top) or not os.path.isfile(found):
            self._answer(404, b"not here\n", "text/plain")
            return
        with open(found, "rb") as file:
            kind = "text/html" if found.endswith(".html") else "application/octet-stream"
            self._answer(200, file.read(), kind)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Nothing on stderr: the book has it."""


class Server(socketserver.ThreadingTCPServer):
    """Listens at every address of both families, a thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024
    address_family = (
        socket.AF_INET6 if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6") else socket.AF_INET
    )

    def __init__(
        self, book: Book, folder: str, port: int, handler: type[socketserver.BaseRequestHandler]
    ) -> None:
        self.book = book
        self.folder = folder
        self.tls: ssl.SSLContext | None = None
        super().__init__(("", port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Shake hands in the connection's own thread."""
        self.book.note("connection", request.getsockname())
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Clients that go away are what is tested."""
        self.book.note("error", ("0.0.0.0", 0), why=repr(sys.exception()))  # noqa: S104 (no address)


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes, block by block."""

    first = b""

    def handle(self) -> None:
        link: socket.socket = self.request
        if self.first:
            link.sendall(self.first)
        while block := link.recv(_BLOCK):
            link.sendall(block)


class Banner(Echo):
    """Speaks first."""

    first = at.BANNER.encode()


class Count(socketserver.BaseRequestHandler):
    """Answers only when the other side has ended."""

    def handle(self) -> None:
        link: socket.socket = self.request
        total, digest = 0, hashlib.sha256()
        while block := link.recv(_BLOCK):
            total += len(block)
            digest.update(block)
        link.sendall(f"{total} {digest.hexdigest()}".encode())


class Names:
    """The name server: what is on the map, NXDOMAIN for the rest, and a record of every question."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._turns: Iterator[str] = itertools.cycle(at.REBINDS)

    def answer(self, wire: bytes, local: tuple[Any, ...], over: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        self._book.note("dns", local, name=name, kind=kind, over=over)
        if name == at.MUTE:
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        addresses = at.NAMES.get(name)
        if name == at.REBIND:
            addresses = (next(self._turns),) if kind == "A" else ()
        if addresses is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return reply.to_wire()
        fit = [one for one in addresses if (":" in one) == (kind == "AAAA")] if kind in {"A", "AAAA"} else []
        if fit:
            reply.answer.append(dns.rrset.from_text(asked.name, _TTL, "IN", kind, *fit))
        return reply.to_wire()


def _serve_names(names: Names, address: str) -> None:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.bind((address, 53))

    def serve() -> None:
        while True:
            wire, client = link.recvfrom(_BLOCK)
            answer = names.answer(wire, link.getsockname(), "udp")
            if answer is not None:
                link.sendto(answer, client)

    threading.Thread(target=serve, daemon=True).start()


def _watch_datagrams(book: Book, address: str, port: int, *, echo: bool) -> None:
    """Record every datagram to a port; nobody is expected to send one."""
    link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((address, port))

    def serve() -> None:
        while True:
            data, client = link.recvfrom(_BLOCK)
            book.note("datagram", link.getsockname(), data=data.decode("latin-1"))
            if echo:
                link.sendto(data, client)

    threading.Thread(target=serve, daemon=True).start()


def _context(folder: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "server.pem"))

    def heard(link: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        cast("Any", link).asked_name = name

    context.sni_callback = cast("Any", heard)
    return context


def _resolve_there(folder: str) -> None:
    """Give this mount namespace its resolver, which is ours alone."""
    for name, text in (
        ("resolv.conf", f"nameserver {at.RESOLVER}\noptions timeout:10 attempts:1\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ):
        path = os.path.join(folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        if os.path.exists(f"/etc/{name}"):
            subprocess.run(["mount", "--bind", path, f"/etc/{name}"], check=True)


def main(folder: str, ready: IO[str], until: IO[str]) -> None:
    """Serve until `until` ends; what is on the map there, and loopback here."""
    six = os.path.exists("/proc/net/if_inet6")
    public, own = (*at.V4, *(at.V6 if six else ())), (at.OWN, *((at.OWN_6,) if six else ()))
    far = Far(public, own)
    _resolve_there(folder)
    book = Book(folder)
    names = Names(book)
    _serve(folder, book, own)
    if not os.path.exists("/etc/resolv.conf"):
        _serve_names(names, "127.0.0.1")  # where the C library then looks
    for port in (at.HTTPS, at.ECHO):
        _watch_datagrams(book, "127.0.0.1", port, echo=port == at.ECHO)
    with far.there():
        _serve(folder, book, public)
        _serve_names(names, at.RESOLVER)
    print(f"ready {far.fd}", file=ready, flush=True)
    until.read()


def _serve(folder: str, book: Book, addresses: Sequence[str]) -> None:
    """Serve in the namespace that this is in: at every address, and datagrams at some."""
    handlers: dict[int, type[socketserver.BaseRequestHandler]] = {
        **dict.fromkeys((at.HTTP, at.HTTPS, at.HTTP_ODD), Web),
        at.ECHO: Echo,
        at.BANNER_PORT: Banner,
        at.COUNT: Count,
    }
    for port, handler in handlers.items():
        server = Server(book, folder, port, handler)
        server.tls = _context(folder) if port == at.HTTPS else None
        threading.Thread(target=server.serve_forever, daemon=True).start()
    # An answer has to come from the address that was asked: a socket for each.
    for address in addresses:
        for port in (53, at.HTTPS, at.ECHO):
            if (address, port) != (at.RESOLVER, 53):
                _watch_datagrams(book, address, port, echo=port == at.ECHO)


if __name__ == "__main__":
    main(sys.argv[1], sys.stdout, sys.stdin)
