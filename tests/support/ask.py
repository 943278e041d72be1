"""Questions about the network, asked from inside a sandbox: one program, many of them at once.

Run by: the sandbox's own python3, shown to it by tests/support/questions.py. stdin: a JSON list of
[KIND, ARGUMENT...]; stdout: a JSON list of objects in the same order. An answer has "error" (the name of an
errno, or of what else went wrong) or what was found. Bytes travel as latin-1 text.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import ssl
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Answer = dict[str, Any]
PATIENCE = float(os.environ.get("ASK_SECONDS", "5"))
PROXY = ("127.0.0.1", 3128)
TYPES = {"A": 1, "NS": 2, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "HTTPS": 65, "ANY": 255}


def _named(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return {value: name for name, value in vars(socket).items() if name.startswith("EAI_")}.get(
            error.errno or 0, str(error)
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS {error.reason}"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "silence"
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, str(error.errno))
    return f"{type(error).__name__}: {error}"


def _connect(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    link = socket.socket(family, socket.SOCK_STREAM)
    link.settimeout(PATIENCE)
    try:
        link.connect((host, port))
    except BaseException:
        link.close()
        raise
    return link


def _read(link: socket.socket, most: int = 1 << 20) -> Answer:
    """Read until the other side ends, something is wrong, or nothing comes any more."""
    got = b""
    try:
        while len(got) < most:
            block = link.recv(65536)
            if not block:
                return {"got": got.decode("latin-1"), "end": "eof"}
            got += block
    except OSError as error:
        return {"got": got.decode("latin-1"), "end": _named(error)}
    return {"got": got.decode("latin-1"), "end": "most"}


def _exactly(link: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        block = link.recv(size - len(got))
        if not block:
            raise ConnectionError(len(got), size)
        got += block
    return got


def _http_head(link: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65536:
        block = link.recv(1)
        if not block:
            break
        head += block
    return head


def dns(name: str, kind: str = "A", over: str = "udp", server: str = "127.0.0.1", edns: int = 0) -> Answer:
    """Ask a name server; name is what stands between the dots, however odd. edns: the size, 0 for none."""
    labels = [part.encode("latin-1") for part in name.split(".")] if name else []
    wire = b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0"
    extra = struct.pack("!BHHIH", 0, 41, edns, 0, 0) if edns else b""
    query = struct.pack("!6H", 4711, 0x100, 1, 0, 0, 1 if edns else 0) + wire
    return raw_dns((query + struct.pack("!2H", TYPES[kind], 1) + extra).decode("latin-1"), over, server)


def raw_dns(query: str, over: str = "udp", server: str = "127.0.0.1") -> Answer:
    """Send a name server these bytes."""
    data = query.encode("latin-1")
    if over == "tcp":
        with _connect(server, 53) as link:
            link.sendall(struct.pack("!H", len(data)) + data)
            return _dns_answer(_exactly(link, struct.unpack("!H", _exactly(link, 2))[0]))
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(PATIENCE)
        link.connect((server, 53))
        link.send(data)
        return _dns_answer(link.recv(65536))


def _skip_name(wire: bytes, at: int) -> int:
    while wire[at]:
        if wire[at] >= 0xC0:
            return at + 2
        at += 1 + wire[at]
    return at + 1


def _dns_answer(wire: bytes) -> Answer:
    _, flags, questions, answers, authorities, more = struct.unpack("!6H", wire[:12])
    at = 12
    for _ in range(questions):
        at = _skip_name(wire, at) + 4
    found: list[str] = []
    errors: list[int] = []
    for number in range(answers + authorities + more):
        at = _skip_name(wire, at)
        kind, _, _, size = struct.unpack("!HHIH", wire[at : at + 10])
        data = wire[at + 10 : at + 10 + size]
        at += 10 + size
        if number < answers:
            family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
            found.append(socket.inet_ntop(family, data) if family else f"type {kind}: {data.hex()}")
        while kind == 41 and len(data) >= 4:
            code, length = struct.unpack("!2H", data[:4])
            if code == 15:
                errors.append(struct.unpack("!H", data[4:6])[0])
            data = data[4 + length :]
    return {"rcode": flags & 15, "answers": found, "errors": errors, "truncated": bool(flags & 0x200)}


def lookup(name: str) -> Answer:
    """Ask as programs do."""
    rows = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    return {"addresses": [row[4][0] for row in rows]}


def tcp(host: str, port: int, send: str = "", *, end: bool = False) -> Answer:
    """Connect to a name or address, send, read until the end. end: say that no more is sent."""
    literal = host if ":" in host or host.replace(".", "").isdigit() else ""
    with _connect(literal, port) if literal else socket.create_connection((host, port), PATIENCE) as link:
        link.sendall(send.encode("latin-1"))
        if end:
            link.shutdown(socket.SHUT_WR)
        return _read(link)


def talk(host: str, port: int, size: int, send: str) -> Answer:
    """Connect, read `size` bytes that come unasked, send, read as many as were sent."""
    with socket.create_connection((host, port), PATIENCE) as link:
        first = _exactly(link, size).decode("latin-1")
        link.sendall(send.encode("latin-1"))
        return {"first": first, "got": _exactly(link, len(send)).decode("latin-1")}


def udp(host: str, port: int, send: str) -> Answer:
    """Send a datagram and wait for another; a refusal may come with the second one."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(min(PATIENCE, 1))
        link.connect((host, port))
        link.send(send.encode("latin-1"))
        return {"got": link.recv(65536).decode("latin-1")}


def proxy(send: str, then: str = "") -> Answer:
    """Send the proxy these bytes, and others once it has answered the first."""
    with _connect(*PROXY) as link:
        link.sendall(send.encode("latin-1"))
        if not then:
            return _read(link)
        head = _http_head(link).decode("latin-1")
        link.sendall(then.encode("latin-1"))
        return {"head": head, **_read(link)}


def _socks(kind: int, host: str, port: int, version: int = 5) -> tuple[socket.socket, int]:
    link = _connect(*PROXY)
    link.sendall(bytes([version, 1, 0]))
    if _exactly(link, 2) != b"\5\0":
        raise ConnectionAbortedError
    if kind == 3:
        name = host.encode("latin-1")
        where = bytes([len(name)]) + name
    else:
        where = socket.inet_pton(socket.AF_INET6 if kind == 4 else socket.AF_INET, host)
    link.sendall(bytes([5, 1, 0, kind]) + where + struct.pack("!H", port))
    head = _exactly(link, 4)
    _exactly(link, {1: 4, 4: 16}[head[3]] + 2)
    return link, head[1]


def socks(kind: int, host: str, port: int, send: str = "", *, end: bool = True) -> Answer:
    """CONNECT by SOCKS5 (kind: 1 IPv4, 3 name, 4 IPv6), send, read until the end."""
    link, reply = _socks(kind, host, port)
    with link:
        if reply or not send:
            return {"reply": reply}
        link.sendall(send.encode("latin-1"))
        if end:
            link.shutdown(socket.SHUT_WR)
        return {"reply": reply, **_read(link)}


def tls(way: str, host: str, port: int, name: str, header: str = "", path: str = "/") -> Answer:
    """Ask by HTTPS. way: direct, connect, socks; name: in the hello ("" for none); header: Host."""
    if way == "socks":
        link, reply = _socks(3, host, port)
        if reply:
            link.close()
            return {"reply": reply}
    elif way == "connect":
        link = _connect(*PROXY)
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        link.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        head = _http_head(link).decode("latin-1")
        if " 200" not in head.partition("\r\n")[0]:
            rest = _read(link)
            link.close()
            return {"head": head, "got": rest["got"]}
    else:
        link = socket.create_connection((host, port), PATIENCE)
    context = ssl.create_default_context(cafile=os.environ["ASK_CA"])
    context.check_hostname = bool(name)
    with link, context.wrap_socket(link, server_hostname=name or None) as safe:
        safe.sendall(f"GET {path} HTTP/1.1\r\nHost: {header or name}\r\nConnection: close\r\n\r\n".encode())
        return _read(safe)


def family(number: int, kind: int, protocol: int = 0) -> Answer:
    """Make a socket of a family."""
    with contextlib.closing(socket.socket(number, kind, protocol)):
        return {"made": True}


def listening() -> Answer:
    """Read what listens, from /proc."""
    found = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{name}", encoding="ascii") as file:
            found += [f"{name} {line.split()[1]} {line.split()[3]}" for line in list(file)[1:]]
    return {"rows": found}


def text(path: str) -> Answer:
    """Read a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return {"got": file.read()}


QUESTIONS = {
    one.__name__: one
    for one in (dns, raw_dns, lookup, tcp, talk, udp, proxy, socks, tls, family, listening, text)
}


def ask(question: list[Any]) -> Answer:
    """Answer one question."""
    kind, *arguments = question
    options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
    try:
        return QUESTIONS[kind](*arguments, **options)
    except (OSError, ValueError, OverflowError, struct.error, IndexError) as error:
        return {"error": _named(error)}


if __name__ == "__main__":
    with ThreadPoolExecutor(12) as pool:
        json.dump(list(pool.map(ask, json.load(sys.stdin))), sys.stdout)
