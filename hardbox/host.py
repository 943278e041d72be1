"""HostFacts: what is possible here, as a frozen value.

Run by: the Python front. `read_facts()` only reads (a few hundred microseconds, used
by every run); really trying things in a child is `probe/`, for `hardbox doctor`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hardbox import cgroups
from hardbox.cache import cache_folder
from hardbox.errors import HostUnfit

if TYPE_CHECKING:
    from collections.abc import Iterable

LANDLOCK_CREATE_RULESET: Final = 444  # one number on every architecture (asm-generic/unistd.h)
LANDLOCK_CREATE_RULESET_VERSION: Final = 1  # linux/landlock.h
ROOT_RANGES_OWNER: Final = "hardbox"  # whose subordinate ids root's sandboxes use
# Fixed places, never the caller's PATH; the last one is NixOS's.
_HELPER_FOLDERS: Final = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin")
# Every file outside /proc that the facts are read from.
READ_FILES: Final = (
    *("/etc/passwd", "/etc/subuid", "/etc/subgid"),
    *(f"{folder}/{name}" for folder in _HELPER_FOLDERS for name in ("newuidmap", "newgidmap")),
)
_ID_LIMIT: Final = (1 << 32) - 1  # (uid_t)-1 is no id


# Host ids for root's sandboxes where /etc/subuid names no range for user "hardbox": above
# what systemd-nspawn uses, below 2^31.
LEASE_FIRST: Final = 0x70000000
LEASE_SIZE: Final = 65536
LEASE_RANGES: Final = 4096


@dataclass(frozen=True, slots=True)
class IdRange:
    """A run of subordinate ids: first host id and how many (subuid(5))."""

    start: int
    count: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The facts that a plan depends on; tests make their own.

    uid, gid:         of the caller (effective).
    user_name:        login name, "" if the uid has none.
    kernel, machine:  uname release and machine ("x86_64").
    last_cap:         highest capability number of this kernel (/proc/sys/kernel/cap_last_cap).
    landlock_abi:     0 if there is no Landlock, else its ABI (landlock_create_ruleset(2)).
    cpus:             CPU numbers that the caller may run on.
    subuid, subgid:   the caller's (for root: user "hardbox"'s) ranges, read separately.
    newuidmap, newgidmap: absolute paths, "" where not installed.
    cgroup_namespaces: CLONE_NEWCGROUP exists here.
    own_paths:        resolved paths of hardbox itself (environment, interpreter, package, cache);
                      a job that could write them would control the next run.
    cgroup:           where a cgroup with a limit on memory can be made, or None.
    children:         /proc lists the children of each thread, so that a tree can be walked.
    swap:             the host has swap space.
    ipv6:             the kernel has IPv6, and a new network may use it.
    """

    uid: int
    gid: int
    user_name: str = ""
    kernel: str = ""
    machine: str = "x86_64"
    last_cap: int = 40
    landlock_abi: int = 0
    cpus: tuple[int, ...] = (0,)
    subuid: tuple[IdRange, ...] = ()
    subgid: tuple[IdRange, ...] = ()
    newuidmap: str = ""
    newgidmap: str = ""
    cgroup_namespaces: bool = True
    own_paths: tuple[str, ...] = ()
    cgroup: cgroups.Place | None = None
    children: bool = True
    swap: bool = False
    ipv6: bool = True

    def digest(self) -> str:
        """SHA-256 (hex) over what plans are made from, which is all but own_paths: those only refuse."""
        return hashlib.sha256(repr(replace(self, own_paths=())).encode("utf-8", "surrogatepass")).hexdigest()

    def lease_ids(self) -> IdRange:
        """Give the host ids that root's sandboxes take theirs from, LEASE_SIZE each.

        They are user "hardbox"'s subordinate ids where both files name the same range, which
        must not reach down to ids of the host's own; else a high default.
        """
        if self.subuid and self.subgid:
            own = max(self.subuid, key=lambda ids: ids.count)
            if own in self.subgid and own.count >= LEASE_SIZE and own.start >= LEASE_SIZE:
                return own
        return IdRange(LEASE_FIRST, LEASE_SIZE * LEASE_RANGES)


def read_facts(root: str = "", known: HostFacts | None = None, mounts: bytes | None = None) -> HostFacts:
    """Read the facts of this host and this caller.

    root:   a directory that stands for "/" where files are read; tests use it.
    known:  facts of the same user, since which none of READ_FILES has changed: what stands in those is
            taken from them, and so are `own_paths`, which may be out of date then.
    mounts: of /proc/self/mountinfo, None: to be read.

    Raises HostUnfit HB502 if /proc is not mounted, HB503 if this Python cannot make
    a system call of its own.
    """
    uid, system = os.geteuid(), os.uname()
    own = _text(f"{root}/proc/self/cgroup")
    if mounts is None:
        mounts = read_bytes(f"{root}/proc/self/mountinfo")
    if known is None or known.uid != uid:
        name = user_name(uid, root)
        owners = (ROOT_RANGES_OWNER,) if uid == 0 else (name, str(uid))
        known = HostFacts(
            uid=uid,
            gid=os.getegid(),
            user_name=name,
            subuid=parse_ranges(read_bytes(f"{root}/etc/subuid"), owners),
            subgid=parse_ranges(read_bytes(f"{root}/etc/subgid"), owners),
            newuidmap=_helper("newuidmap", root),
            newgidmap=_helper("newgidmap", root),
            own_paths=own_paths(),
        )
    return replace(
        known,
        gid=os.getegid(),
        kernel=system.release,
        machine=system.machine,
        last_cap=_last_cap(root),
        landlock_abi=landlock_abi(),
        cpus=tuple(sorted(os.sched_getaffinity(0))),
        cgroup_namespaces=os.path.lexists(f"{root}/proc/self/ns/cgroup"),
        cgroup=cgroups.find(own, mounts.decode("utf-8", "surrogateescape"), root, uid),
        children=os.path.exists(f"{root}/proc/thread-self/children"),
        swap=_text(f"{root}/proc/swaps").count("\n") > 1,
        ipv6=os.path.exists(f"{root}/proc/net/if_inet6")
        and _text(f"{root}/sys/module/ipv6/parameters/disable_ipv6").strip() != "1",
    )


def look_for_bandwidth(facts: HostFacts, root: str = "") -> HostFacts:
    """Give the facts with where CPU bandwidth can be limited, which few runs ask for."""
    if facts.cgroup is None:
        return facts
    own, mounts = _text(f"{root}/proc/self/cgroup"), _text(f"{root}/proc/self/mountinfo")
    return replace(facts, cgroup=cgroups.find_cpu(facts.cgroup, own, mounts, root, facts.uid))


def read_bytes(path: str) -> bytes:
    """Give what a small file holds, b"" if it is missing or may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return b""
    chunks: list[bytes] = []
    try:
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
    except OSError:  # a directory, or a sysctl that is closed to this caller
        return b""
    finally:
        os.close(descriptor)
    return b"".join(chunks)


def _text(path: str) -> str:
    return read_bytes(path).decode("utf-8", "surrogateescape")


def split_range(line: bytes) -> tuple[str, IdRange] | None:
    """Take one line of /etc/subuid apart: its owner and range, None if it is no usable line.

    Read as newuidmap(1) reads it: exactly three fields, decimal numbers; any other line, such
    as a comment, counts as absent. Also absent is a range with id 0, which is never mapped,
    or one that ends beyond the last id.
    """
    fields = line.split(b":")
    if len(fields) != 3 or not fields[0]:  # noqa: PLR2004 (subuid(5): owner, first id, count)
        return None
    if not all(field.isdigit() and len(field) <= 10 for field in fields[1:]):  # noqa: PLR2004 (2^32 has ten)
        return None
    start, count = int(fields[1]), int(fields[2])
    if start == 0 or count == 0 or start + count > _ID_LIMIT:
        return None
    return fields[0].decode("utf-8", "surrogateescape"), IdRange(start, count)


def parse_ranges(text: bytes, owners: Iterable[str]) -> tuple[IdRange, ...]:
    """Give the ranges that belong to one of `owners`, in the order of the file."""
    wanted = frozenset(owner for owner in owners if owner)
    rows = (split_range(line) for line in text.split(b"\n"))
    return tuple(row[1] for row in rows if row is not None and row[0] in wanted)


def user_name(uid: int, root: str = "") -> str:
    """Give the login name: from /etc/passwd, and only if it is not there from a name service."""
    wanted = b"%d" % uid
    for line in read_bytes(f"{root}/etc/passwd").split(b"\n"):
        fields = line.split(b":", 3)
        if len(fields) == 4 and fields[2] == wanted:  # noqa: PLR2004 (name, password, uid, the rest)
            return fields[0].decode("utf-8", "surrogateescape")
    import pwd  # noqa: PLC0415 (may ask a server; most callers stand in the file)

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def landlock_abi() -> int:
    """Ask the kernel for its Landlock ABI; 0 if there is none (landlock_create_ruleset(2)).

    Asked anew each time: a remembered value that is too low would weaken the second wall in
    silence. `ctypes` takes 1.5 ms to import, the C module below it 0.3 ms.
    """
    arguments = (LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    try:
        import _ctypes  # noqa: PLC0415 (a Python without it gets a proper error)

        try:
            program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: dlopen(3)'s own program
            call = _ctypes.dlsym(program, "syscall")
            version: int = _ctypes.call_function(call, arguments)
        except AttributeError:  # the module is private to Python: its public face is slower
            import ctypes  # noqa: PLC0415

            version = ctypes.CDLL(None).syscall(*arguments)
    except ImportError as error:
        raise HostUnfit(
            "HB503",
            "this Python cannot make system calls",
            value=sys.executable,
            why=f"its ctypes module is missing ({error}), so neither Landlock nor seccomp can be prepared",
            instead="use a Python that was built with libffi; the distribution's own is",
        ) from error
    return max(version, 0)


def own_paths() -> tuple[str, ...]:
    """Give the resolved paths that a job must never be able to write (see HostFacts)."""
    package = os.path.dirname(os.path.abspath(__file__))
    prefixes = (prefix for prefix in (sys.prefix, sys.base_prefix) if prefix != "/usr")
    paths = (*prefixes, package, cache_folder())
    return tuple(dict.fromkeys(os.path.realpath(path) for path in paths if path))


def _last_cap(root: str) -> int:
    text = read_bytes(f"{root}/proc/sys/kernel/cap_last_cap").strip()
    if text.isdigit():
        return int(text)
    raise HostUnfit(
        "HB502",
        "/proc is not mounted, or not readable",
        value="/proc/sys/kernel/cap_last_cap",
        why="id maps are written through /proc, and the report is read back from it",
        instead="mount -t proc proc /proc",
    )


def _helper(name: str, root: str) -> str:
    for folder in _HELPER_FOLDERS:
        if os.access(f"{root}{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    return ""
