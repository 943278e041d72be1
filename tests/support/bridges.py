"""A throw-away host with an internet behind it, and sandboxes on its bridges.

Run by: tests/system/test_bridge*.py, as root. Everything lives in network and mount namespaces that are
made here: "host" with an uplink, "internet" with servers on addresses that look public. The machine's own
links, rules and /run are not touched. A namespace ends with the process that holds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from hardbox.net.wire import GO, HELLO, MESSAGE, QUEUED, SOCKET, message
from support import patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.callers import Caller

HERE: Final = os.path.dirname(__file__)
UPLINK: Final = "192.0.2.2"  # the host's own address, seen from outside
GATEWAY: Final = "192.0.2.1"
BRIDGE: Final = "10.210.0.1"  # the bridge's address
PUBLIC: Final = ("93.184.216.34", "93.184.216.35")
INNER: Final = ("10.0.3.7", "169.254.169.254", "192.168.7.7")
PORTS: Final = ("25", "53", "80", "443", "5432")
PLAIN: Final[dict[str, object]] = {
    "mode": "bridge",
    "profile": "test",
    "bridge": "hbx0",
    "subnet": "10.210.0.0/16",
    "allow": ["93.184.216.34:443"],
    "dns": [],
    "join": "",
    "publish": [],
    "uid": 0,
    "engine": "veth",
}


def _start(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


class World:
    """Host and internet.

    python: an interpreter that has hardbox installed and that every caller may execute.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._stack = contextlib.ExitStack()
        self.sandboxes: list[Sandbox] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._stack = stack
            # The checkout may stand where only its owner may enter.
            self._scripts = stack.enter_context(tempfile.TemporaryDirectory(prefix="hardbox-bridges-"))
            os.chmod(self._scripts, 0o755)
            for name in ("bridge_server.py", "bridge_keeper.py", "bridge_box.py"):
                shutil.copy(os.path.join(HERE, name), self._scripts)
            self.internet = self._hold("")
            # A tun device that everybody may open, as on an ordinary host; a /run of its own.
            self.host = self._hold(
                "mount -t tmpfs none /run && mkdir /run/tun && mknod -m 666 /run/tun/tun c 10 200"
                " && mount --bind /run/tun /dev/net &&"
            )
            self._wire()
            self._serve(self.internet, "internet", (GATEWAY, *PUBLIC, *INNER))
            self._serve(self.host, "host", (UPLINK, BRIDGE, "127.0.0.1"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        while self.sandboxes:
            self.sandboxes.pop().kill()
        self._stack.close()

    def _hold(self, before: str) -> int:
        script = f"{before} ip link set lo up && echo ready && exec sleep 3600"
        return self._keep(_start(["unshare", "-n", "-m", "sh", "-ec", script]))

    def _keep(self, process: subprocess.Popen[str]) -> int:
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        self._stack.callback(process.stdout.close)
        assert process.stdout.readline() == "ready\n"
        return process.pid

    def _serve(self, namespace: int, name: str, addresses: tuple[str, ...]) -> None:
        server = os.path.join(self._scripts, "bridge_server.py")
        words = [name, ",".join(addresses), ",".join(PORTS)]
        self._keep(_start([*inside(namespace), self._python, "-P", server, *words]))

    def _wire(self) -> None:
        self.on_host(f"ip link add up0 type veth peer name eth0 netns {self.internet}")
        self.on_host(f"ip addr add {UPLINK}/24 dev up0 && ip link set up0 up")
        other = [f"ip addr add {GATEWAY}/24 dev eth0", "ip link set eth0 up"]
        other += [f"ip addr add {address}/32 dev lo" for address in PUBLIC + INNER]
        shell(self.internet, " && ".join(other))
        self.on_host(f"ip route add default via {GATEWAY}")
        self.on_host("echo 1 > /proc/sys/net/ipv4/ip_forward")
        # The host's own rules, which are to stay as they are.
        self.on_host(
            "nft add table inet own && nft 'add chain inet own input { type filter hook input priority 0; }'"
        )

    def on_host(self, script: str) -> str:
        """Run a shell script on the host."""
        return shell(self.host, script)

    def state(self) -> str:
        """Give all links, addresses, routes, neighbours and rules of the host.

        Not whether a link has a carrier: the kernel finds that out by itself, some time after it was made.
        """
        plain = "sed 's/^[0-9]*: //; s/NO-CARRIER,//; s/ state [A-Z]* / /'"
        links = self.on_host(f"ip -o link | {plain} | sort; ip -o -4 addr | cut -d' ' -f2- | sort")
        return links + self.on_host(
            "ip -4 route show table all; ip -4 neigh show nud permanent; nft list ruleset"
        )

    def processes(self) -> list[tuple[int, str]]:
        """Give id and command line of the processes on the host, without the servers."""
        ours, found = os.readlink(f"/proc/{self.host}/ns/net"), []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{name}/ns/net") != ours:
                    continue
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found.append((int(name), file.read().replace(b"\0", b" ").decode("utf-8", "replace")))
            except OSError:  # it has ended
                continue
        return found

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Fail if the host is not afterwards what it was before; end sandboxes that are still there first."""
        before = self.state()
        yield
        self.end()
        assert self.state() == before

    def end(self) -> None:
        """End all sandboxes, in order."""
        while self.sandboxes:
            self.sandboxes.pop().finish()

    def start(self, caller: Caller | None = None, /, **settings: object) -> Sandbox:
        """Start a sandbox and its keeper; nothing is handed over yet."""
        wanted = PLAIN | {"uid": caller.uid if caller else 0} | settings
        sandbox = Sandbox(self.host, wanted, caller, (self._python, self._scripts))
        self.sandboxes.append(sandbox)
        return sandbox

    def sandbox(self, caller: Caller | None = None, /, **settings: object) -> Sandbox:
        """Start a sandbox and wait until its network is in force."""
        sandbox = self.start(caller, **settings)
        sandbox.hand_over()
        assert sandbox.answer() == GO, sandbox.finish()
        return sandbox


def inside(namespace: int) -> list[str]:
    """Give the words before a command that run it in a namespace."""
    return ["nsenter", "-t", str(namespace), "-n", "-m", "--"]


def shell(namespace: int, script: str) -> str:
    """Run a shell script in a namespace."""
    return subprocess.run(
        [*inside(namespace), "sh", "-ec", script], check=True, capture_output=True, text=True
    ).stdout


@dataclass
class Ended:
    """How a keeper ended."""

    status: int
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def error(self) -> str:
        """All that an error event says."""
        return " ".join(
            str(value) for event in self.events if event["event"] == "error" for value in event.values()
        )


class Sandbox:
    """One sandbox, its keeper, and this process in the supervisor's place."""

    def __init__(
        self, host: int, settings: dict[str, object], caller: Caller | None, programs: tuple[str, str]
    ) -> None:
        self.settings = settings
        python, scripts = programs
        prefix = [*inside(host), *(caller.prefix if caller else ())]
        self._supervisor, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._supervisor.settimeout(patience.seconds(60))
        self._events, events = os.pipe()
        memory = os.memfd_create("settings", 0)
        os.write(memory, json.dumps(settings).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        keeper = os.path.join(scripts, "bridge_keeper.py")
        words = [str(number) for number in (memory, theirs.fileno(), events)]
        self.keeper = subprocess.Popen(
            [*prefix, python, "-P", keeper, *words],
            pass_fds=[memory, theirs.fileno(), events],
            stdin=subprocess.DEVNULL,
        )
        for number in (memory, events):
            os.close(number)
        theirs.close()
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(patience.seconds(60))
        box = os.path.join(scripts, "bridge_box.py")
        words = [python, "-P", box, str(theirs.fileno())]
        self.box = subprocess.Popen([*prefix, *words], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._lines = self._channel.makefile()
        _, found, _, _ = socket.recv_fds(self._channel, 100, 1)
        self._inner = found[0]

    def hand_over(self, descriptor: int = -1) -> None:
        """Do what the supervisor does: hand over the socket, and say that the job is about to begin."""
        given = self._inner if descriptor < 0 else descriptor
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(self._supervisor, [message(SOCKET)], [given])
            self._supervisor.send(message(HELLO))

    def send(self, message: bytes, *, descriptor: bool) -> None:
        """Send any message, with the sandbox's socket or without."""
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(self._supervisor, [message], [self._inner] if descriptor else [])

    def answer(self) -> int:
        """Wait for the keeper's answer, however many have their turn before; 0 if it ends without one."""
        while data := self._supervisor.recv(MESSAGE.size):
            if (kind := int(MESSAGE.unpack(data)[0])) != QUEUED:
                return kind
        return 0

    def ask(self, *words: object) -> str:
        """Let the sandbox do something."""
        self._channel.sendall(json.dumps(words).encode() + b"\n")
        return str(json.loads(self._lines.readline()))

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.ask("run", "sh", "-c", "ip -o -4 addr show dev eth0").split()[4].partition("/")[0]

    def finish(self) -> Ended:
        """End the sandbox and let the keeper tidy up."""
        self._end_box()
        self.hang_up()
        status = self.keeper.wait(timeout=patience.seconds(60))
        return Ended(status, list(self._read_events()))

    def hang_up(self) -> None:
        """Do what the supervisor does when the sandbox is gone."""
        self._supervisor.close()

    def kill(self) -> None:
        """End both at once, as in a crash. Harmless if they have ended."""
        self._end_box()
        self.keeper.send_signal(signal.SIGKILL)
        self.keeper.wait()
        self.hang_up()
        list(self._read_events())

    def _end_box(self) -> None:
        self.box.kill()
        self.box.wait()
        if self._inner >= 0:
            os.close(self._inner)
            self._inner = -1
            self._lines.close()
            self._channel.close()

    def _read_events(self) -> Iterator[dict[str, Any]]:
        if self._events < 0:
            return
        with os.fdopen(self._events) as file:
            self._events = -1
            for line in file:
                yield json.loads(line)
