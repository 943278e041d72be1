"""A refused call in words: its name, and the arguments that the filter looked at, where they have names.

Run by: denials/__init__.py; pure. Numbers are those of the kernel's uapi headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAMILIES: Final = {
    1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 15: "AF_KEY", 16: "AF_NETLINK", 17: "AF_PACKET",
    21: "AF_RDS", 29: "AF_CAN", 30: "AF_TIPC", 31: "AF_BLUETOOTH", 38: "AF_ALG", 40: "AF_VSOCK",
    42: "AF_QIPCRTR", 43: "AF_SMC", 44: "AF_XDP",
}  # fmt: skip
_TYPES: Final = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET", 10: "SOCK_PACKET"}
_NETLINK: Final = {4: "NETLINK_SOCK_DIAG", 6: "NETLINK_XFRM", 9: "NETLINK_AUDIT", 12: "NETLINK_NETFILTER",
                   15: "NETLINK_KOBJECT_UEVENT", 16: "NETLINK_GENERIC"}  # fmt: skip
_NAMESPACES: Final = {
    0x20000: "CLONE_NEWNS", 0x2000000: "CLONE_NEWCGROUP", 0x4000000: "CLONE_NEWUTS",
    0x8000000: "CLONE_NEWIPC",
    0x10000000: "CLONE_NEWUSER", 0x20000000: "CLONE_NEWPID", 0x40000000: "CLONE_NEWNET",
}  # fmt: skip
_IOCTLS: Final = {
    0x5412: "TIOCSTI", 0x541C: "TIOCLINUX", 0x541D: "TIOCCONS", 0x540C: "TIOCEXCL", 0x5423: "TIOCSETD",
    0x8946: "SIOCETHTOOL", 0xC0045877: "FIFREEZE", 0xC0045878: "FITHAW", 0xC0185879: "FITRIM",
    0x40086602: "FS_IOC_SETFLAGS", 0x40046602: "FS_IOC32_SETFLAGS", 0x401C5820: "FS_IOC_FSSETXATTR",
}  # fmt: skip
_PRCTLS: Final = {
    22: "PR_SET_SECCOMP", 24: "PR_CAPBSET_DROP", 28: "PR_SET_SECUREBITS", 8: "PR_SET_KEEPCAPS",
    35: "PR_SET_MM", 47: "PR_CAP_AMBIENT", 52: "PR_SET_SPECULATION_CTRL", 53: "PR_SET_SPECULATION_CTRL",
    0x59616D61: "PR_SET_PTRACER", 57: "PR_SET_IO_FLUSHER", 62: "PR_SCHED_CORE", 65: "PR_SET_MDWE",
}  # fmt: skip
_FCNTLS: Final = {1024: "F_SETLEASE", 1026: "F_NOTIFY", 1031: "F_SETPIPE_SZ"}
_SET_ID: Final = 0o6000
_CREATES: Final = 0x400040
_MODES: Final = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1, "mknodat": 2,
                 "open": 2, "openat": 3, "mkdir": 1, "mkdirat": 2}  # fmt: skip
NEW_LISTENER: Final = 8
_WORD: Final = 0xFFFF_FFFF


def words(call: str, args: Sequence[int | None]) -> str:
    """Give "socket(AF_ALG)", or the bare name where no argument was looked at or has a name."""
    first, second, third = ((arg & _WORD if arg is not None else None) for arg in args[:3])
    inner = ""
    if call in ("socket", "socketpair") and first is not None:
        inner = _socket(first, second, third)
    elif call in ("clone", "unshare") and first is not None:
        inner = "|".join(name for bit, name in _NAMESPACES.items() if first & bit) or f"{first:#x}"
    elif call == "ioctl" and second is not None:
        inner = _IOCTLS.get(second, f"request {second:#x}")
    elif call == "prctl" and first is not None:
        inner = _PRCTLS.get(first, f"option {first}")
    elif call == "fcntl" and second is not None:
        inner = _FCNTLS.get(second, f"command {second}")
    elif call == "personality" and first is not None:
        inner = f"{first:#x}"
    elif call == "seccomp" and second is not None and second & NEW_LISTENER:
        inner = "a listener of its own"
    elif call in _MODES and (mode := args[_MODES[call]]) is not None and mode & _SET_ID:
        inner = f"mode {mode & 0o7777:04o}"
    return f"{call}({inner})" if inner else call


def _socket(family: int, kind: int | None, protocol: int | None) -> str:
    parts = [_FAMILIES.get(family, f"family {family}")]
    if kind is not None:
        parts.append(_TYPES.get(kind & 0xF, f"type {kind & 0xF}"))
    if protocol is not None and (protocol or parts[0] == "AF_NETLINK"):
        named = _NETLINK.get(protocol) if parts[0] == "AF_NETLINK" else None
        parts.append(named or f"protocol {protocol}")
    return ", ".join(parts)
