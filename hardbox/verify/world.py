"""What is watched from outside: canary files, processes, sockets and IPC, sysctls, mounts.

Run by: verify/examine.py, tests/attack. There are two sets of canaries: the controls damage one,
which shows that damage is seen; the sandbox attacks the other, which must stay as it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox.verify.runner import PROBE

if TYPE_CHECKING:
    from collections.abc import Mapping

UNTOUCHED: Final = "untouched"
_SYSCTLS: Final = (
    *("kernel/core_pattern", "kernel/hostname", "kernel/domainname", "kernel/randomize_va_space"),
    *("kernel/sysrq", "vm/overcommit_memory", "user/max_user_namespaces", "fs/suid_dumpable"),
    "net/ipv4/ip_forward",
)
_KINDS: Final = ("user", "pid", "net", "ipc", "mnt", "uts", "cgroup")
INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_KEY: Final = 0x7FFFFFFF


@dataclass
class Canaries:
    """One set.

    folders: tree name -> a directory with a readable `secret` and a world-writable `victim`.
    token:   the content of every secret.
    process: a sleeping process of the caller.
    holder:  the probe that holds IPC objects and a key; None if they were not asked for.
    ids:     what the holder said: "shm" -> id...
    sockets: listening sockets by name.
    terminal: both ends of a pseudo-terminal, (-1, -1) if there is none.
    """

    folders: Mapping[str, str]
    token: str
    process: subprocess.Popen[bytes]
    holder: subprocess.Popen[str] | None = None
    ids: dict[str, str] = field(default_factory=dict)
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    terminal: tuple[int, int] = (-1, -1)

    def places(self) -> dict[str, str]:
        """Give the names that attempts use."""
        found = {"pid": str(self.process.pid), **self.ids}
        for tree, folder in self.folders.items():
            found[f"folder_{tree}"] = folder
            found[f"secret_{tree}"] = os.path.join(folder, "secret")
            found[f"victim_{tree}"] = os.path.join(folder, "victim")
        for name, listener in self.sockets.items():
            address = listener.getsockname()
            found[f"socket_{name}"] = str(address[1] if isinstance(address, tuple) else _text(address))
        if self.terminal[1] >= 0:
            found["pts"] = os.ttyname(self.terminal[1])
            found["pts_device"] = str(os.fstat(self.terminal[1]).st_dev)
        return found

    def remove(self) -> None:
        """Take everything away again; a second interrupt has to wait."""
        held = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        try:
            for listener in self.sockets.values():
                listener.close()
            if self.holder is not None:
                # It removes its IPC objects when its stdin ends.
                self.holder.communicate()
            for end in self.terminal:
                if end >= 0:
                    os.close(end)
            self.process.kill()
            self.process.wait()
        finally:
            for folder in self.folders.values():
                shutil.rmtree(folder)
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _text(address: bytes | str) -> str:
    return address.decode().lstrip("\0") if isinstance(address, bytes) else address


def canaries(trees: Mapping[str, str], prefix: tuple[str, ...] = ()) -> Canaries:
    """Set canaries out, readable and writable for everybody: no permission protects them.

    trees: name -> parent directory. prefix: words that make the process another user's.
    """
    token = f"canary-{os.urandom(12).hex()}"
    folders: dict[str, str] = {}
    for tree, parent in trees.items():
        folder = tempfile.mkdtemp(prefix=f"hardbox-canary-{os.getpid()}-", dir=parent)
        os.chmod(folder, 0o777)  # noqa: S103 (see above)
        for name, content, mode in (("secret", token, 0o644), ("victim", UNTOUCHED, 0o666)):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as stream:
                stream.write(content)
            os.chmod(path, mode)
        folders[tree] = folder
    process = subprocess.Popen([*prefix, "sleep", "600"], start_new_session=True)  # noqa: S603 (a fixed program)
    return Canaries(folders, token, process)


def open_terminal() -> tuple[int, int]:
    """Open a pseudo-terminal that is not number 0, as the job's own is: by its number it is known."""
    first = os.openpty()
    if os.path.basename(os.ttyname(first[1])) != "0":
        return first
    try:
        return os.openpty()  # number 0 is held meanwhile
    finally:
        for end in first:
            os.close(end)


def populate(watched: Canaries, probes: str) -> None:
    """Add sockets, IPC objects, a key and a terminal whose session is another process's."""
    name = f"hardbox-{os.urandom(6).hex()}"
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    wanted: list[tuple[str, int, int, object]] = [
        ("tcp", socket.AF_INET, stream, ("127.0.0.1", 0)),
        ("tcp_any", socket.AF_INET, stream, ("0.0.0.0", 0)),  # noqa: S104 (a canary of a service on all addresses)
        ("udp", socket.AF_INET, datagram, ("127.0.0.1", 0)),
        ("abstract", socket.AF_UNIX, stream, f"\0{name}"),
        ("abstract_datagram", socket.AF_UNIX, datagram, f"\0{name}-d"),
        ("path", socket.AF_UNIX, stream, os.path.join(watched.folders["tmp"], "socket")),
    ]
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
        wanted.append(("tcp6", socket.AF_INET6, stream, ("::1", 0)))
    for label, family, kind, address in wanted:
        listener = socket.socket(family, kind)
        listener.settimeout(0)
        listener.bind(address)  # type: ignore[arg-type]  # one of the three shapes above
        if kind == stream:
            listener.listen(64)
        watched.sockets[label] = listener
    os.chmod(os.path.join(watched.folders["tmp"], "socket"), 0o777)  # noqa: S103 (no permission protects it)
    watched.terminal = open_terminal()
    raw = termios.tcgetattr(watched.terminal[1])
    raw[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(watched.terminal[1], termios.TCSANOW, raw)
    key = str(int.from_bytes(os.urandom(4)) % _LAST_KEY + 1)
    words = ["one", "hold", key, f"/{name}", watched.token, os.ttyname(watched.terminal[1])]
    watched.holder = subprocess.Popen(  # noqa: S603 (our own probe)
        [os.path.join(probes, PROBE), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    watched.ids = {"ipc_key": key, "ipc_name": f"/{name}"}
    for line in watched.holder.stdout or ():
        kind_, _, value = line.strip().partition(" ")
        if kind_ == "ready":
            break
        watched.ids[f"{kind_}_id"] = value


def alive(pid: int) -> bool:
    """Tell whether a process lives: it exists, and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def observe(watched: Canaries) -> dict[str, str]:
    """Describe what must not change: name -> state."""
    state: dict[str, str] = {}
    for tree, folder in watched.folders.items():
        state[f"files in {tree}"] = _folder(folder)
    state["canary process"] = "alive" if alive(watched.process.pid) else "dead"
    for name in _SYSCTLS:
        if os.path.exists(f"/proc/sys/{name}"):
            with open(f"/proc/sys/{name}", encoding="ascii", errors="replace") as stream:
                state[name] = stream.read()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        state["mount table"] = stream.read()
    null = os.stat("/dev/null")
    state["/dev/null"] = f"{null.st_mode:o} {null.st_uid}:{null.st_gid} {null.st_rdev}"
    with open("/proc/self/oom_score_adj", encoding="ascii") as stream:
        state["oom_score_adj"] = stream.read()
    for name, listener in watched.sockets.items():
        state[f"socket {name}"] = str(_visits(listener))
    if watched.terminal[1] >= 0:
        waiting = fcntl.ioctl(watched.terminal[1], termios.FIONREAD, b"\0\0\0\0")
        mode = os.fstat(watched.terminal[1])
        typed, bits = int.from_bytes(waiting, "little"), mode.st_mode & 0o7777
        modes, size = termios.tcgetattr(watched.terminal[1])[:4], termios.tcgetwinsize(watched.terminal[1])
        state["terminal"] = f"{typed} typed, {bits:o} {mode.st_uid}:{mode.st_gid}, modes {modes}, size {size}"
    return state


def _visits(listener: socket.socket) -> int:
    """Count who came since the last look: connections, or datagrams."""
    count = 0
    while True:
        try:
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()
            else:
                listener.recv(1)
        except BlockingIOError:
            return count
        count += 1


def _folder(folder: str) -> str:
    rows = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        found = os.lstat(path)
        content = b""
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                content = stream.read()
        digest = hashlib.sha256(content).hexdigest()
        rows.append(f"{name} {found.st_mode:o} {found.st_uid}:{found.st_gid} {digest}")
    return "\n".join(rows)


def namespaces() -> frozenset[str]:
    """Give "user:[4026531837]" and so on, of this process."""
    return frozenset(os.readlink(f"/proc/self/ns/{kind}") for kind in _KINDS)
