"""The posture of a running job, taken from outside: /proc of the job and of its init, as text.

Run by: verify/posture.py. Reads only. What differs from host to host and means nothing (device
numbers, the lease's host ids) is put into words.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from hardbox.verify import networks
from hardbox.verify.promised import AS_CALLER, LIMITS, OWN_CGROUP, SETS

if TYPE_CHECKING:
    from collections.abc import Mapping

# One for memory, and with version 1 one for CPU bandwidth (launch/cgroup.h).
_OWN_CGROUPS: Final = 2
_KINDS: Final = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
_SCHEDULING: Final = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "other", os.SCHED_IDLE: "other"}
_NOTHING: Final = networks.NOTHING


def read(path: str) -> str:
    """Give a file's text; "unreadable: EACCES" and the like if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def record(pid: int, init: int, promised: Mapping[str, str]) -> dict[str, str]:
    """Describe the job and its init, name -> value.

    promised: tells which mounts are binds of the host's trees, whose kind is not ours to judge.
    """
    job = f"/proc/{pid}"
    status, own = _status(job), _status("/proc/self")
    init_status = _status(f"/proc/{init}")
    maps = {kind: read(f"{job}/{kind}") for kind in ("uid_map", "gid_map")}
    leased = os.geteuid() == 0
    return {
        **{
            f"status {name}": status.get(name, "missing")
            for name in ("Seccomp", "Seccomp_filters", "NoNewPrivs")
        },
        "status Threads": status.get("Threads", "missing"),
        "status NSpid": f"{len(status.get('NSpid', '').split())} levels",
        **{f"status {name}": _hex(status, name) for name in ("SigBlk", "SigIgn", *SETS)},
        "status Uid": _ids(status.get("Uid", ""), maps["uid_map"]),
        "status Gid": _ids(status.get("Gid", ""), maps["gid_map"]),
        "status Groups": _groups(status.get("Groups", ""), own.get("Groups", "")),
        **{name: _map(text, leased=leased) for name, text in maps.items()},
        **{f"ns {kind}": _namespace(job, kind) for kind in _KINDS},
        **_limits(job),
        **_mounts(job, promised),
        "cwd": _link(f"{job}/cwd"),
        "root": _link(f"{job}/root"),
        "environment": _environment(job),
        "descriptors": " ".join(sorted(_list(f"{job}/fd"), key=int)),
        "descriptor 2": _stream(job, 2),
        "children": read(f"{job}/task/{pid}/children").strip() or _NOTHING,
        "init's children": "the job"
        if read(f"/proc/{init}/task/{init}/children").split() == [str(pid)]
        else "others",
        **_session(job),
        "scheduling": _SCHEDULING.get(os.sched_getscheduler(pid), "real-time"),
        "priority": _priority(pid),
        "personality": read(f"{job}/personality").strip().lstrip("0") or "0",
        **{
            name.replace("/", " "): AS_CALLER
            if read(f"{job}/{name}") == read(f"/proc/self/{name}")
            else "changed"
            for name in ("oom_score_adj", "attr/current")
        },
        "cgroup": _cgroup(job),
        "CPUs": _cpus(pid),
        **networks.found(job, read),
        "init NoNewPrivs": init_status.get("NoNewPrivs", "missing"),
        "init Seccomp": init_status.get("Seccomp", "missing"),
        "init CapEff": _hex(init_status, "CapEff"),
        "init CapBnd": _hex(init_status, "CapBnd"),
    }


def _cgroup(job: str) -> str:
    """Say whether the job is in our cgroups, but for those that were made for it."""
    rows, own = read(f"{job}/cgroup").splitlines(), read("/proc/self/cgroup").splitlines()
    other = [row for row in rows if row not in own]
    if not other:
        return AS_CALLER
    made = all(row.rpartition("/")[2].startswith("hardbox-") for row in other)
    return OWN_CGROUP if made and len(other) <= _OWN_CGROUPS else "changed"


def parent(pid: int) -> int:
    """Give a process's parent, 0 if it is gone."""
    return int(_status(f"/proc/{pid}").get("PPid", "0"))


def _status(folder: str) -> dict[str, str]:
    rows = (line.partition(":") for line in read(f"{folder}/status").splitlines())
    return {name: value.strip() for name, _, value in rows}


def _hex(status: Mapping[str, str], name: str) -> str:
    return f"{int(status[name], 16):x}" if name in status else "missing"


def _ids(four: str, map_: str) -> str:
    """Put host ids into the words of the inside: "1000 in all four"."""
    inside = set()
    for word in four.split():
        for row in map_.splitlines():
            first, outside, count = (int(part) for part in row.split())
            if outside <= int(word) < outside + count:
                inside.add(first + int(word) - outside)
                break
        else:
            return f"{word}, which is not mapped"
    return f"{inside.pop()} in all four" if len(inside) == 1 else f"{sorted(inside)}"


def _groups(found: str, own: str) -> str:
    if not found:
        return _NOTHING if own else AS_CALLER if os.geteuid() != 0 else _NOTHING
    return AS_CALLER if sorted(found.split()) == sorted(own.split()) else found


def _map(text: str, *, leased: bool) -> str:
    rows = []
    for line in text.splitlines():
        inside, outside, count = line.split()
        rows.append(f"{inside} is {'lease' if leased and int(outside) > 0 else outside}, {count}")
    return "; ".join(rows)


def _namespace(job: str, kind: str) -> str:
    return "shared" if _link(f"{job}/ns/{kind}") == _link(f"/proc/self/ns/{kind}") else "its own"


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _list(path: str) -> list[str]:
    return os.listdir(path)


def _limits(job: str) -> dict[str, str]:
    texts = {where: read(f"{where}/limits").splitlines() for where in (job, "/proc/self")}
    found = {}
    for number, name in LIMITS.items():
        rows = {
            where: " ".join(row.removeprefix(name).split()[:2])
            for where, lines in texts.items()
            for row in lines
            if row.startswith(name)
        }
        fixed = number in (13, 14)
        same = rows.get(job) == rows.get("/proc/self")
        found[f"limit {name}"] = rows.get(job, "missing")
        if same and not fixed and rows.get(job):
            found[f"limit {name}"] += f" ({AS_CALLER})"
    return found


def _mounts(job: str, promised: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in read(f"{job}/mountinfo").splitlines():
        head, _, tail = line.partition(" - ")
        words, (kind, _source, options) = head.split(), tail.split(" ", 2)
        root, point = words[3], words[4]
        flags = ",".join(
            word for word in words[5].split(",") if word in ("ro", "rw", "nosuid", "nodev", "noexec")
        )
        if point.startswith(("/dev/", "/proc/")) and root in (point.removeprefix("/dev"), "/null"):
            kind, flags = "device", flags.replace(",nodev", "")
        elif kind == "tmpfs" and root == "/":
            size = next((word for word in options.split(",") if word.startswith("size=")), "size=?")
            kind = f"tmpfs {size}"
        elif kind not in ("proc", "devpts", "overlay") or root != "/":
            kind = "bind"
        name = f"mount {point}"
        while name in found:
            name = f"mount {point} ({int(name[:-1].rpartition('(')[2]) + 1 if name.endswith(')') else 2})"
        if words[6:]:
            kind = f"PROPAGATES {' '.join(words[6:])} {kind}"
        found[name] = _within(f"{kind} {flags}", promised.get(name, ""))
    return _without_submounts(found, promised)


def _within(found: str, promised: str) -> str:
    """Take a bind for what was promised if it has all flags that were: the host's may be more."""
    kind, _, flags = found.rpartition(" ")
    wanted_kind, _, wanted = promised.rpartition(" ")
    enough = set(wanted.split(",")) - {"rw"} <= set(flags.split(","))
    return promised if kind == wanted_kind == "bind" and promised and enough else found


def _without_submounts(found: dict[str, str], promised: Mapping[str, str]) -> dict[str, str]:
    """Leave out the host's own mounts below a bind, as long as they are shut as tightly."""
    kept = {}
    for name, value in found.items():
        above = [
            other
            for other in promised
            if other.startswith("mount ")
            and promised[other].startswith("bind")
            and name.startswith(f"{other}/")
        ]
        shut = any(
            set(promised[other].split()[-1].split(",")) - {"rw"} <= set(value.split()[-1].split(","))
            for other in above
        )
        if name in promised or not shut:
            kept[name] = value
    return kept


def _stream(job: str, number: int) -> str:
    """Say whose terminal it is that stands there: of the sandbox's own devpts, or of the caller's."""
    try:
        found, host = os.stat(f"{job}/fd/{number}"), os.stat("/dev/pts")
    except OSError as error:
        return f"unreadable: {error.strerror}"
    if not stat.S_ISCHR(found.st_mode):
        return "no terminal"
    return "the caller's terminal" if found.st_dev == host.st_dev else "a terminal of its own"


def _environment(job: str) -> str:
    rows = read(f"{job}/environ").split("\0")
    return " ".join(sorted(row.partition("=")[0] for row in rows if row))


def _session(job: str) -> dict[str, str]:
    words = read(f"{job}/stat").rpartition(")")[2].split()
    session, terminal = (words[3], words[4]) if len(words) > 4 else ("", "")  # noqa: PLR2004 (proc(5), fields 6 and 7)
    return {
        "session": "shared" if session == str(os.getsid(0)) else "its own",
        "terminal": _NOTHING if terminal == "0" else f"device {terminal}",
    }


def _priority(pid: int) -> str:
    above = os.getpriority(os.PRIO_PROCESS, pid) < min(0, os.getpriority(os.PRIO_PROCESS, 0))
    return "above the caller's" if above else "not above the caller's"


def _cpus(pid: int) -> str:
    count, own = len(os.sched_getaffinity(pid)), len(os.sched_getaffinity(0))
    return f"{count} ({AS_CALLER})" if count == own else str(count)
