"""What a job inherits from whoever launches it, beside files: rights, limits, filters, priority, namespaces.

Run by: server.py, to compare a client with itself; decision.py, to see that the owner is as it was.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of /proc/PID/status: what a job would inherit.
_STATUS: Final = frozenset(
    b"Uid Gid Groups NoNewPrivs Seccomp Seccomp_filters Cpus_allowed Mems_allowed".split()
    + b"CapInh CapPrm CapEff CapBnd CapAmb".split()
)
_FILES: Final = {
    "cgroup": "other cgroups",
    "limits": "other limits",
    "oom_score_adj": "another oom_score_adj",
}
_LINKS: Final = ("root", "ns/user", "ns/mnt", "ns/pid", "ns/cgroup")


def unlike(pid: int) -> str:
    """Say in what a process differs from this one, of that which a job inherits; "" if in nothing."""
    try:
        return next(_differences(pid), "")
    except OSError:
        return "the server cannot see who asks"


def _differences(pid: int) -> Iterator[str]:
    for name in _LINKS:
        if os.readlink(f"/proc/{pid}/{name}") != os.readlink(f"/proc/self/{name}"):
            yield f"the server lives elsewhere ({name})"
    for name, what in _FILES.items():
        if _read(f"/proc/{pid}/{name}") != _read(f"/proc/self/{name}"):
            yield f"the server has {what}"
    if _label(str(pid)) != _label("self"):
        yield "the server has another security label"
    if _status(pid) != _status(os.getpid()):
        yield "the server has other ids, rights or CPUs"
    if os.getpriority(os.PRIO_PROCESS, pid) != os.getpriority(os.PRIO_PROCESS, 0):
        yield "the server has another priority"


def snapshot() -> tuple[object, ...]:
    """Give what a job of this process would inherit now. Raises OSError."""
    files = tuple(_read(f"/proc/self/{name}") for name in _FILES)
    return files, _label("self"), _status(os.getpid()), os.getpriority(os.PRIO_PROCESS, 0)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _label(process: str) -> bytes | None:
    """Give what a security module has put on a process, None where none tells (EINVAL), or there is none."""
    try:
        return _read(f"/proc/{process}/attr/current")
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _status(pid: int) -> list[bytes]:
    rows = _read(f"/proc/{pid}/status").split(b"\n")
    return [row for row in rows if row.split(b":", 1)[0] in _STATUS]
