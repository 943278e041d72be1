"""The broker's own walls: it is outside the sandbox, and what a hostile job talks to.

Run by: the broker, before it says that it is ready, and before any socket comes. Root becomes nobody, every
capability goes, and no file can be written, no program executed, no process looked at: by Landlock and by a
filter of its own (seccomp/broker.toml). A wall that cannot be put up ends the broker.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

from hardbox.network_limits import DNS_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hardbox.policy import Seccomp

NOBODY: Final = 65534
# A backstop for everything that is bounded elsewhere: private memory of the process, in bytes (setrlimit(2)).
_MOST_MEMORY: Final = 1 << 30

# linux/prctl.h, linux/capability.h, linux/seccomp.h.
_PR_SET_DUMPABLE: Final = 4
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_SECCOMP_MODE_FILTER: Final = 2
_CAPABILITY_VERSION_3: Final = 0x2008_0522

# linux/landlock.h: one number on every architecture (asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_READ: Final = (1 << 2) | (1 << 3)  # files, directories
# All rights on files of an ABI; the first has 13.
_FILE_RIGHTS: Final = {
    1: (1 << 13) - 1,
    2: (1 << 14) - 1,
    3: (1 << 15) - 1,
    4: (1 << 15) - 1,
    5: (1 << 16) - 1,
}
_RULE_NET_PORT: Final = 2
_BIND_TCP, _CONNECT_TCP = 1, 2
_NETWORK_ABI, _SCOPE_ABI = 4, 6
_ABSTRACT_AND_SIGNALS: Final = 3
# What getaddrinfo(3) and the dynamic linker read; the files of the former may be links into /run.
_TREES: Final = ("/etc", "/usr", "/lib", "/lib32", "/lib64")
# Slashes in the path of a file in a directory at the top.
_TOP: Final = 2
_LINKED: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf")


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr; an older kernel takes the part that it knows."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Port(ctypes.Structure):
    """struct landlock_net_port_attr."""

    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


_libc: Final = ctypes.CDLL(None, use_errno=True)


def _call(name: str, function: Callable[..., int], *arguments: object) -> int:
    """Make one call; -1 is an OSError that names it."""
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _prctl(name: str, option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    _call(name, _libc.prctl, option, *words)


def confine(program: bytes, ports: Iterable[int], import_all: Callable[[], None]) -> None:
    """Put up every wall, and read back that they stand. Raises OSError, or RuntimeError.

    program:    the compiled filter.
    ports:      what TCP connections may be made to, besides name servers; held by Linux 6.7 and later.
    import_all: called if what will be imported later could not be read then.
    """
    # The files of /proc are out of reach when they are to be read.
    status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.chdir("/")
        root = os.geteuid() == 0
        _limits()
        if root:
            _become_nobody(import_all)
        _drop_capabilities()
        _prctl("prctl(PR_SET_NO_NEW_PRIVS)", _PR_SET_NO_NEW_PRIVS, 1)
        _prctl("prctl(PR_SET_DUMPABLE)", _PR_SET_DUMPABLE, 0)
        _landlock(frozenset((*ports, DNS_PORT)))
        _filter(program)
        _check(os.pread(status, 1 << 16, 0).decode("ascii", "replace"), root=root)
    finally:
        os.close(status)


def _limits() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(hard, _MOST_MEMORY)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _become_nobody(import_all: Callable[[], None]) -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    # access(2) asks for the real user id.
    os.setresuid(NOBODY, 0, 0)
    if not all(os.access(path, os.R_OK | os.X_OK) for path in _import_folders()):
        import_all()
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _import_folders() -> Iterator[str]:
    """Give the directories that modules are imported from."""
    yield from (path for path in sys.path if os.path.isdir(path))
    yield os.path.dirname(os.path.abspath(__file__))


def _drop_capabilities() -> None:
    _prctl("prctl(PR_CAP_AMBIENT)", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _call("capset", _libc.capset, header, (ctypes.c_uint32 * 6)())


def _landlock(ports: frozenset[int]) -> None:
    abi = _call("landlock_create_ruleset", _libc.syscall, _CREATE_RULESET, None, 0, _RULESET_VERSION)
    wanted = _Ruleset(
        _FILE_RIGHTS[min(abi, max(_FILE_RIGHTS))],
        _BIND_TCP | _CONNECT_TCP if abi >= _NETWORK_ABI else 0,
        _ABSTRACT_AND_SIGNALS if abi >= _SCOPE_ABI else 0,
    )
    ruleset = _call(
        "landlock_create_ruleset",
        _libc.syscall,
        _CREATE_RULESET,
        ctypes.byref(wanted),
        ctypes.c_size_t(ctypes.sizeof(wanted)),
        0,
    )
    try:
        for path in _readable():
            _let_read(ruleset, path)
        for port in ports if abi >= _NETWORK_ABI else ():
            allowed = ctypes.byref(_Port(_CONNECT_TCP, port))
            _call("landlock_add_rule", _libc.syscall, _ADD_RULE, ruleset, _RULE_NET_PORT, allowed, 0)
        _call("landlock_restrict_self", _libc.syscall, _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _readable() -> tuple[str, ...]:
    real = (os.path.realpath(path) for path in _LINKED)
    # The directory, for such files are replaced by new ones; but not all of /run, or of everything.
    linked = (os.path.dirname(path) if path.count("/") > _TOP else path for path in real)
    return tuple(dict.fromkeys((*_TREES, *linked, *_import_folders())))


def _let_read(ruleset: int, path: str) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # what is not there, or not for this user, needs no rule
    try:
        rule = _Beneath(_READ if os.path.isdir(path) else _READ_FILE, parent)
        pointer = ctypes.byref(rule)
        _call(f"landlock_add_rule {path}", _libc.syscall, _ADD_RULE, ruleset, _RULE_PATH_BENEATH, pointer, 0)
    finally:
        os.close(parent)


def _filter(program: bytes) -> None:
    handed = _Program(len(program) // 8, program)
    _call(
        "prctl(PR_SET_SECCOMP)",
        _libc.prctl,
        _PR_SET_SECCOMP,
        ctypes.c_ulong(_SECCOMP_MODE_FILTER),
        ctypes.byref(handed),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )


def _check(status: str, *, root: bool) -> None:
    """Compare what the kernel says of this process (proc_pid_status(5)). Raises RuntimeError."""
    found = {key: value.split() for key, _, value in (line.partition(":") for line in status.splitlines())}
    wanted = {name: ["0000000000000000"] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
    wanted |= {"NoNewPrivs": ["1"], "Seccomp": ["2"]}
    if root:
        wanted |= {"Uid": [str(NOBODY)] * 4, "Gid": [str(NOBODY)] * 4, "Groups": []}
    for name, value in wanted.items():
        if found.get(name) != value:
            message = f"the confinement does not stand: {name} is {' '.join(found.get(name, ['missing']))}"
            raise RuntimeError(message)


def compiled() -> bytes:
    """Give the broker's filter, compiled or from the cache. Raises HardboxError."""
    from hardbox.filters import compile_filter  # noqa: PLC0415 (beside its only use)

    # The three fields of a Seccomp that count: importing the whole policy would take a tenth of the start.
    wanted = cast("Seccomp", SimpleNamespace(filter="broker", add=(), refuse=()))
    return compile_filter(wanted, machine=os.uname().machine).bpf
