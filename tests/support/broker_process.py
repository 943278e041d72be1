"""Starts the broker's process as the launcher does, in a network of its own, and tries it.

Run by: tests/system/test_broker.py, as a program in a namespace with an "internet" on its loopback. Takes the
name of a scenario, prints what happened as JSON. The listeners are in the broker's own namespace here,
which changes nothing for it: they are bound to synthetic addresses.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Any, Final

from hardbox.net.wire import GO, HELLO, SOCKET, message

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support.far import Far

PUBLIC: Final = "93.184.216.34"
# The host's own, and public all the same.
OWN: Final = "93.184.218.34"
PORT: Final = 443
HOSTS: Final = {
    "index.example.org": PUBLIC,
    "inwards.example.org": "10.0.3.7",
    "metadata.example.org": "169.254.169.254",
    "loop.example.org": "127.0.0.1",
    "own.example.org": OWN,
    "localhost": "127.0.0.1",
}
RULES: Final = [f"{name}:{PORT}" for name in HOSTS if name != "localhost"] + [
    f"gone.example.org:{PORT}",
    f"10.0.3.7:{PORT + 1}",
]
_PATIENCE: Final = 60.0


def settings(**changed: object) -> dict[str, object]:
    """Give settings as the launcher writes them."""
    plain = {"mode": "allow", "profile": "net-client", "allow": RULES, "sni": "match", "log": "all"}
    limits = {"connections": 256, "rate": 1000, "bytes": (1 << 63) - 1, "idle": 60_000}
    return plain | limits | changed


class Process:
    """One broker process."""

    def __init__(self, told: object) -> None:
        """Start it, and read its first event."""
        memory = os.memfd_create("settings")
        os.write(memory, told if isinstance(told, bytes) else json.dumps(told).encode())
        self.supervisor, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reader, writer = os.pipe()
        words = ("--settings-fd", memory, "--sockets-fd", theirs.fileno(), "--events-fd", writer)
        self.process = subprocess.Popen(
            [sys.executable, "-EP", "-m", "hardbox.net", *map(str, words)],
            pass_fds=(memory, theirs.fileno(), writer),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for fd in (memory, writer):
            os.close(fd)
        theirs.close()
        self.events = os.fdopen(reader)
        self.first: dict[str, Any] = json.loads(self.events.readline() or "{}")

    def give(self, sock: socket.socket) -> None:
        """Hand a socket over."""
        socket.send_fds(self.supervisor, [message(SOCKET)], [sock.fileno()])
        sock.close()

    def go(self) -> bool:
        """Say that there are no more; whether the broker serves."""
        self.supervisor.sendall(message(HELLO))
        return self.supervisor.recv(64) == message(GO)

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Leave it, and give its status and its last events."""
        self.supervisor.close()
        rest = [json.loads(line) for line in self.events.read().splitlines()]
        return self.process.wait(_PATIENCE), rest


def prepare() -> None:
    """Make the internet: addresses in a namespace, names in a hosts file, a server that says who it is."""
    with tempfile.NamedTemporaryFile("w", suffix=".hosts", delete=False) as hosts:
        hosts.write("".join(f"{address} {name}\n" for name, address in HOSTS.items()))
    os.chmod(hosts.name, 0o644)
    addresses = (PUBLIC, "10.0.3.7", "169.254.169.254")
    far = Far(addresses, (OWN,))
    commands = [
        "ip route add local 198.18.0.0/15 dev lo",
        f"mount --bind {hosts.name} /etc/hosts",
    ]
    for command in commands:
        subprocess.run(command.split(), check=True)
    os.unlink(hosts.name)
    with far.there():
        for address in addresses:
            for port in (PORT, PORT + 1):
                _serve(address, port)
    _serve(OWN, PORT)


def _serve(address: str, port: int) -> None:
    listener = socket.create_server((address, port))

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            with client, suppress(OSError):  # who asks by SOCKS does not stay for the answer
                client.sendall(f"{address}\n".encode())

    threading.Thread(target=accept, daemon=True).start()


def listeners() -> list[socket.socket]:
    """Make the sockets that init makes, but for transparent ones only the first two names' addresses."""
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 53))
    streams = (("127.0.0.1", 53), ("127.0.0.1", 3128), ("198.18.0.1", PORT), ("198.18.0.2", PORT))
    return [names, *(socket.create_server(where) for where in streams)]


def ask(where: str) -> str:
    """Ask the proxy for a place; gives the answer's status, or what came from there."""
    with socket.create_connection(("127.0.0.1", 3128), timeout=_PATIENCE) as client:
        client.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        answer = b""
        while data := client.recv(4096):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode().strip() if b" 200 " in head else head.split()[1].decode()


def ask_by_socks(name: str) -> int:
    """Give the reply's code (RFC 1928 section 6); the name is UTF-8, as a program's socks5h has it."""
    text = name.encode()
    with socket.create_connection(("127.0.0.1", 3128), timeout=_PATIENCE) as client:
        client.sendall(b"\x05\x01\0\x05\x01\0\x03" + bytes([len(text)]) + text + struct.pack(">H", PORT))
        answer = b""
        while len(answer) < 4 and (data := client.recv(4 - len(answer))):
            answer += data
    return answer[3]


def ask_for_name(name: str, kind: int) -> tuple[int, str]:
    """Give the code and the last four bytes of the name server's answer (RFC 1035 section 4)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    head = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_PATIENCE)
        client.connect(("127.0.0.1", 53))
        client.send(head + labels + b"\0" + struct.pack(">2H", kind, 1))
        answer = client.recv(4096)
    return answer[3] & 15, socket.inet_ntoa(answer[-4:])


def connect(address: str) -> str:
    """Connect as a program without a proxy does."""
    try:
        with socket.create_connection((address, PORT), timeout=_PATIENCE) as client:
            return client.recv(100).decode().strip()
    except ConnectionResetError:
        return "reset"


def status(pid: int) -> dict[str, str]:
    """Give what /proc says of a process (proc_pid_status(5))."""
    with open(f"/proc/{pid}/status") as file:
        return {key: " ".join(value.split()) for key, _, value in (line.partition(":") for line in file)}


def _opens(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def serves() -> dict[str, Any]:
    """One life: everything that is asked, and what the broker says of it."""
    prepare()
    broker = Process(settings())
    for sock in listeners():
        broker.give(sock)
    found: dict[str, Any] = {"first": broker.first, "go": broker.go()}
    # The control: it is there.
    with socket.create_connection((OWN, PORT), timeout=_PATIENCE) as direct:
        found["own"] = direct.recv(100).decode().strip()
    found["asked"] = {
        where: ask(where)
        for where in (*RULES, f"INDEX.example.org.:{PORT}", f"other.example.org:{PORT}", f"{PUBLIC}:{PORT}")
    }
    found["socks"] = [
        ask_by_socks("index.example.org"),
        ask_by_socks("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example.org"),
    ]
    found["names"] = [ask_for_name("index.example.org", 1), ask_for_name("other.example.org", 1)]
    found["connected"] = [connect("198.18.0.1"), connect("198.18.0.2")]
    found["status"] = status(broker.process.pid)
    # Of a process that is not dumpable, these belong to root.
    found["memory"] = _opens(f"/proc/{broker.process.pid}/environ")
    found["limits"] = subprocess.run(
        ["cat", f"/proc/{broker.process.pid}/limits"], capture_output=True, text=True, check=False
    ).stdout
    found["status_code"], found["events"] = broker.end()
    return found


def refuses() -> dict[str, Any]:
    """Lives that end before they begin."""
    found: dict[str, Any] = {}
    told = {
        "empty": settings(allow=[]),
        "unknown key": settings(extra=1),
        "network": settings(allow=["10.0.0.0/8:443"]),
        "no JSON": b"{",
        "nothing": b"",
    }
    for name, given in told.items():
        broker = Process(given)
        found[name] = [broker.first, *broker.end()]
    return found


def breaks() -> dict[str, Any]:
    """Supervisors that say what none says."""
    prepare()
    found: dict[str, Any] = {}

    def unknown(broker: Process) -> None:
        broker.supervisor.sendall(message(77))

    def short(broker: Process) -> None:
        broker.supervisor.sendall(b"x")

    def datagrams(broker: Process) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 4444))
        broker.give(sock)

    def local(broker: Process) -> None:
        broker.give(socket.socket(socket.AF_UNIX))

    def late(broker: Process) -> None:
        broker.go()
        broker.give(socket.create_server(("127.0.0.1", 0)))

    for act in (unknown, short, datagrams, local, late):
        broker = Process(settings())
        act(broker)
        # It ends by itself, not because it is left.
        code = broker.process.wait(_PATIENCE)
        found[act.__name__] = [code, [json.loads(line) for line in broker.events]]
        broker.supervisor.close()
    return found


if __name__ == "__main__":
    print(json.dumps({"serves": serves, "refuses": refuses, "breaks": breaks}[sys.argv[1]]()))
