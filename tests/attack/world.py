"""What is watched from outside: canary files and processes, sysctls, mounts, devices.

Run by: the attack tests. There are two sets of canaries: the controls damage one, which
shows that damage is seen; the sandbox attacks the other, which must stay as it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from attack.check import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.callers import Caller

UNTOUCHED: Final = "untouched"
_SYSCTLS: Final = (
    "kernel/core_pattern",
    "kernel/hostname",
    "kernel/domainname",
    "kernel/randomize_va_space",
    "kernel/sysrq",
    "vm/overcommit_memory",
    "user/max_user_namespaces",
    "fs/suid_dumpable",
    "net/ipv4/ip_forward",
)
_KINDS: Final = ("user", "pid", "net", "ipc", "mnt", "uts", "cgroup")


@dataclass(frozen=True, slots=True)
class Canaries:
    """One set: files in several trees of the host, and a process.

    folders: tree name -> a directory with a readable `secret` and a world-writable `victim`.
    token:   the content of every secret.
    process: a sleeping process of the caller.
    """

    folders: Mapping[str, str]
    token: str
    process: subprocess.Popen[bytes]

    def places(self) -> dict[str, str]:
        """Give the names that attempts use."""
        found = {"pid": str(self.process.pid)}
        for tree, folder in self.folders.items():
            found[f"folder_{tree}"] = folder
            found[f"secret_{tree}"] = os.path.join(folder, "secret")
            found[f"victim_{tree}"] = os.path.join(folder, "victim")
        return found

    def remove(self) -> None:
        """Take everything away again."""
        self.process.kill()
        self.process.wait()
        for folder in self.folders.values():
            shutil.rmtree(folder)


def canaries(caller: Caller, base: str) -> Canaries:
    """Set canaries out, readable and writable for everybody: no permission protects them."""
    token = f"canary-{os.urandom(12).hex()}"
    folders: dict[str, str] = {}
    for tree, parent in (("tmp", base), ("home", caller.home), ("var", "/var/tmp"), ("shm", "/dev/shm")):
        folder = tempfile.mkdtemp(prefix="hardbox-canary-", dir=parent)
        os.chmod(folder, 0o777)
        for name, content, mode in (("secret", token, 0o644), ("victim", UNTOUCHED, 0o666)):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as stream:
                stream.write(content)
            os.chmod(path, mode)
        folders[tree] = folder
    process = subprocess.Popen([*caller.prefix, "sleep", "600"], start_new_session=True)
    return Canaries(folders, token, process)


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
    return state


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


def host_facts(caller: Caller, watched: Canaries, places: Mapping[str, str]) -> Facts:
    """Give the facts that outcomes are judged by; `places` adds to the canaries' own."""
    return Facts(
        places={
            **watched.places(),
            "token": watched.token,
            "uid": str(caller.uid),
            "gid": str(caller.gid),
            **places,
        },
        namespaces=frozenset(os.readlink(f"/proc/self/ns/{kind}") for kind in _KINDS),
        host_name=os.uname().nodename,
        uid=caller.uid,
        gid=caller.gid,
    )
