"""The sandbox of the bridge tests: a process in a user and a network namespace of its own.

Run by: tests/support/bridges.py. Its argument is the descriptor of a socket to the test: it hands over a TCP
socket of the new namespace, as the launcher's init does, and then does what it is asked to, one JSON list a
line, one answer a line.
Unlike a job it has all capabilities in its namespaces: what stops it is outside.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
PATIENCE = 30.0
SHORT = 1.5  # for what is expected to get no answer at all


def connect(host: str, port: int, source: str = "", patience: float = PATIENCE) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(patience)
        if source:
            client.bind((source, 0))
        client.connect((host, port))
        return client.recv(100).decode()


def silence(host: str, port: int, source: str = "") -> str:
    """Connect to where no answer is expected."""
    return connect(host, port, source, SHORT)


def datagram(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((host, port))
        client.send(b"!")
        return client.recv(100).decode()


def listen(port: int) -> str:
    server = socket.create_server(("", port))

    def serve() -> None:
        while True:
            peer, address = server.accept()
            peer.sendall(f"box {address[0]}".encode())
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    return "listening"


def frame(name: str, hexadecimal: str) -> str:
    """Send a raw frame."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((name, 0))
        return str(raw.send(bytes.fromhex(hexadecimal)))


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return f"{done.returncode} {done.stdout}{done.stderr}"


ASKED: dict[str, Callable[..., str]] = {
    "connect": connect,
    "silence": silence,
    "datagram": datagram,
    "listen": listen,
    "frame": frame,
    "run": run,
}


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    ids = (("setgroups", "deny"), ("uid_map", f"0 {os.geteuid()} 1"), ("gid_map", f"0 {os.getegid()} 1"))
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    for name, text in ids:
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as inner:
        socket.send_fds(channel, [b"socket"], [inner.fileno()])
    for line in channel.makefile():
        name, *words = json.loads(line)
        try:
            answer = ASKED[name](*words)
        except OSError as error:
            answer = errno.errorcode.get(error.errno or 0, str(error))
        channel.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
