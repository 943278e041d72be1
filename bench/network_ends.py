"""Both ends of what bench/network.py measures: `serve` outside, `measure` inside a sandbox.

Run by: bench/network.py; the second one by the sandbox's own python3. A connection begins with one byte that
says what it is for (1: give me, 2: take this, 3: echo) and eight bytes of a number. The first byte is none
that a request of HTTP or TLS begins with, as that would be looked at.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import statistics
import struct
import sys
import threading
import time

GIVE, TAKE, ECHO = 1, 2, 3
BLOCK = 1 << 18
LATENCY_TRIES = 200
TURNS = 1000
CROWD = 500
CROWD_TURNS = 4
WORD = b"hardbox!" * 2


def _exactly(link: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        block = link.recv(size - len(got))
        if not block:
            raise ConnectionError(len(got), size)
        got += block
    return got


def _attend(link: socket.socket) -> None:
    # A sandbox that has ended resets what it had open.
    with link, contextlib.suppress(OSError):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind, size = struct.unpack("!BQ", _exactly(link, 9))
        buffer = bytearray(BLOCK)
        if kind == GIVE:
            while size > 0:
                size -= link.send(memoryview(buffer)[: min(size, BLOCK)])
        elif kind == TAKE:
            while size > 0:
                size -= link.recv_into(buffer)
            link.sendall(b"!")
        else:
            while count := link.recv_into(buffer):
                link.sendall(memoryview(buffer)[:count])


def serve(host: str, port: int) -> None:
    """Serve until stdin ends."""
    with socket.create_server((host, port), backlog=1024) as server:
        print("up", flush=True)

        def accept() -> None:
            while True:
                threading.Thread(target=_attend, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


def _connect(way: str, host: str, port: int) -> socket.socket:
    """Connect. way: straight, connect or socks; the latter two by the sandbox's proxy."""
    to = (host, port) if way == "straight" else ("127.0.0.1", 3128)
    link = socket.create_connection(to)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if way == "connect":
        link.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _exactly(link, 1)
        if b" 200" not in head.split(b"\r\n")[0]:
            raise ConnectionRefusedError(head.decode())
    elif way == "socks":
        link.sendall(b"\5\1\0\5\1\0\1" + socket.inet_aton(host) + struct.pack("!H", port))
        answer = _exactly(link, 12)
        if answer[3]:
            raise ConnectionRefusedError(answer[3])
    return link


def _throughput(way: str, host: str, port: int, kind: int, size: int) -> float:
    """Give megabytes a second."""
    buffer = bytearray(BLOCK)
    with _connect(way, host, port) as link:
        began = time.perf_counter()
        link.sendall(struct.pack("!BQ", kind, size))
        left = size
        if kind == GIVE:
            while left > 0:
                left -= link.recv_into(buffer)
        else:
            while left > 0:
                left -= link.send(memoryview(buffer)[: min(left, BLOCK)])
            _exactly(link, 1)
        return size / (time.perf_counter() - began) / 1e6


def _echoing(way: str, host: str, port: int) -> socket.socket:
    link = _connect(way, host, port)
    link.sendall(struct.pack("!BQ", ECHO, 0))
    return link


def _first_byte(way: str, host: str, port: int) -> float:
    """Give milliseconds until a new connection has brought its first bytes back."""
    times = []
    for _ in range(LATENCY_TRIES):
        began = time.perf_counter()
        with _echoing(way, host, port) as link:
            link.sendall(WORD)
            _exactly(link, len(WORD))
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def _turn(way: str, host: str, port: int) -> float:
    """Give milliseconds there and back on a connection that is open."""
    times = []
    with _echoing(way, host, port) as link:
        for _ in range(TURNS):
            began = time.perf_counter()
            link.sendall(WORD)
            _exactly(link, len(WORD))
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def _crowd(way: str, host: str, port: int) -> float:
    """Give thousands of echoes a second of CROWD connections at once."""
    links = [_echoing(way, host, port) for _ in range(CROWD)]
    left = dict.fromkeys(links, CROWD_TURNS)
    with selectors.DefaultSelector() as watch:
        began = time.perf_counter()
        for link in links:
            watch.register(link, selectors.EVENT_READ, link)
            link.sendall(WORD)
        while left:
            for key, _ in watch.select():
                link = key.data
                _exactly(link, len(WORD))
                left[link] -= 1
                if left[link]:
                    link.sendall(WORD)
                else:
                    watch.unregister(link)
                    del left[link]
        took = time.perf_counter() - began
    for link in links:
        link.close()
    return CROWD * CROWD_TURNS / took / 1e3


def measure(way: str, host: str, port: int, size: int) -> dict[str, float]:
    """Give the figures of one round."""
    return {
        "down MB/s": _throughput(way, host, port, GIVE, size),
        "up MB/s": _throughput(way, host, port, TAKE, size),
        "first byte ms": _first_byte(way, host, port),
        "turn ms": _turn(way, host, port),
        f"{CROWD} at once, k/s": _crowd(way, host, port),
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))
