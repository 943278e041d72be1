"""The system calls that Python 3.11 has no function for: our only ctypes file.

Run by: the probes, in their children. Constants name the header that they come from.
Every function raises OSError with the errno of the call.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from hardbox.host import LANDLOCK_CREATE_RULESET

# linux/sched.h
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
CLONE_INTO_CGROUP: Final = 0x200000000
# linux/mount.h
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
FSOPEN_CLOEXEC: Final = 1
FSMOUNT_CLOEXEC: Final = 1
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_CMD_CREATE: Final = 6
MOUNT_ATTR_RDONLY: Final = 1
MOUNT_ATTR_IDMAP: Final = 0x00100000
MOVE_MOUNT_F_EMPTY_PATH: Final = 4
# linux/fcntl.h
AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000
# linux/openat2.h
# linux/prctl.h
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
# linux/seccomp.h
SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_GET_ACTION_AVAIL: Final = 2
SECCOMP_GET_NOTIF_SIZES: Final = 3
SECCOMP_RET_KILL_PROCESS: Final = 0x80000000
SECCOMP_RET_ERRNO: Final = 0x00050000
SECCOMP_RET_USER_NOTIF: Final = 0x7FC00000
SECCOMP_RET_ALLOW: Final = 0x7FFF0000
# asm-generic/unistd.h; from 424 on one number serves every architecture
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 428, 429, 430, 431, 432
SYS_CLONE3, SYS_CLOSE_RANGE, SYS_OPENAT2, SYS_MOUNT_SETATTR = 435, 436, 437, 442
LANDLOCK_RESTRICT_SELF: Final = 446
SYS_SECCOMP: Final = 317 if os.uname().machine in ("x86_64", "i686") else 277  # asm/unistd_64.h

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, _function: object, _arguments: object) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


_long, _text = ctypes.c_long, ctypes.c_char_p
_unshare, _setns, _mount, _syscall, _prctl = (
    getattr(_libc, name) for name in ("unshare", "setns", "mount", "syscall", "prctl")
)
_unshare.argtypes = [ctypes.c_int]
_setns.argtypes = [ctypes.c_int, ctypes.c_int]
_mount.argtypes = [_text, _text, _text, ctypes.c_ulong, _text]
_syscall.argtypes, _syscall.restype = [_long] * 7, _long
_prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
for _function in (_unshare, _setns, _mount, _syscall, _prctl):
    _function.errcheck = _checked


class _MountAttr(ctypes.Structure):
    """Struct mount_attr of linux/mount.h."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


class _OpenHow(ctypes.Structure):
    """Struct open_how of linux/openat2.h."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("flags", "mode", "resolve"))


class _SockFprog(ctypes.Structure):
    """Struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _call(number: int, *arguments: int | bytes | ctypes.Structure | ctypes.Array[ctypes.c_char]) -> int:
    """Make a system call; structures and byte strings are passed by address."""
    kept: list[object] = []  # the buffers must live until the call is over
    words: list[int] = []
    for argument in arguments:
        if isinstance(argument, int):
            words.append(argument)
            continue
        buffer = ctypes.create_string_buffer(argument) if isinstance(argument, bytes) else argument
        kept.append(buffer)
        words.append(ctypes.addressof(buffer))
    words += [0] * (6 - len(words))
    result: int = _syscall(number, *words)
    return result


def unshare(flags: int) -> None:
    """Leave namespaces: see man 2 unshare."""
    _unshare(flags)


def setns(descriptor: int, kind: int) -> None:
    """Enter a namespace: see man 2 setns."""
    _setns(descriptor, kind)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Mount: see man 2 mount."""
    _mount(source.encode(), target.encode(), kind.encode(), flags, data.encode())


def prctl(option: int, value: int = 0) -> int:
    """Make a prctl call with one argument: see man 2 prctl."""
    result: int = _prctl(option, value, 0, 0, 0)
    return result


def fsopen(kind: str) -> int:
    """Open a file system context: see man 2 fsopen."""
    return _call(SYS_FSOPEN, kind.encode(), FSOPEN_CLOEXEC)


def fsconfig_string(context: int, key: str, value: str) -> None:
    """Set an option: see man 2 fsconfig, FSCONFIG_SET_STRING."""
    _call(SYS_FSCONFIG, context, FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)


def fsconfig_create(context: int) -> None:
    """Make the file system: see man 2 fsconfig, FSCONFIG_CMD_CREATE."""
    _call(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, 0, 0, 0)


def fsmount(context: int) -> int:
    """Make a detached mount: see man 2 fsmount."""
    return _call(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, 0)


def move_mount(mounted: int, target: str) -> None:
    """Attach a detached mount: see man 2 move_mount."""
    _call(SYS_MOVE_MOUNT, mounted, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)


def open_tree(path: str) -> int:
    """Give a detached recursive copy of the mounts at `path`: see man 2 open_tree."""
    return _call(SYS_OPEN_TREE, AT_FDCWD, path.encode(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)


def mount_setattr(tree: int, attributes: int, user_namespace: int = 0, flags: int = AT_RECURSIVE) -> None:
    """Change a mount by its descriptor: see man 2 mount_setattr."""
    wanted = _MountAttr(attributes, 0, 0, user_namespace)
    _call(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | flags, wanted, ctypes.sizeof(wanted))


def openat2(path: str, flags: int, resolve: int) -> int:
    """Open with rules for the way there: see man 2 openat2."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    return _call(SYS_OPENAT2, AT_FDCWD, path.encode(), how, ctypes.sizeof(how))


def close_range(first: int, last: int) -> None:
    """Close descriptors: see man 2 close_range; no flags."""
    _call(SYS_CLOSE_RANGE, first, last, 0)


def clone3_errno(size: int, flags: int = 0, cgroup: int = 0) -> int:
    """Call clone3(2) with arguments that cannot succeed; give the errno."""
    words = (flags, *[0] * 9, cgroup)  # struct clone_args: cgroup is the eleventh
    try:
        _call(SYS_CLONE3, b"".join(word.to_bytes(8, "little") for word in words), size)
    except OSError as error:
        return error.errno or 0
    os._exit(1)  # no process can have come of it; if one has, it must not go on


def seccomp_load(program: bytes) -> None:
    """Load a filter (array of struct sock_filter) on the calling thread: see man 2 seccomp."""
    _call(SYS_SECCOMP, SECCOMP_SET_MODE_FILTER, 0, _SockFprog(len(program) // 8, program))


def seccomp_has_action(action: int) -> None:
    """Ask whether the kernel knows an action; OSError if not (SECCOMP_GET_ACTION_AVAIL)."""
    _call(SYS_SECCOMP, SECCOMP_GET_ACTION_AVAIL, 0, action.to_bytes(4, "little"))


def seccomp_notify_sizes() -> tuple[int, int, int]:
    """Give the sizes of notification, response and data, in bytes (SECCOMP_GET_NOTIF_SIZES)."""
    sizes = ctypes.create_string_buffer(6)
    _call(SYS_SECCOMP, SECCOMP_GET_NOTIF_SIZES, 0, sizes)
    first, second, third = (int.from_bytes(sizes.raw[i : i + 2], "little") for i in (0, 2, 4))
    return first, second, third


def landlock_create(handled_access_fs: int) -> int:
    """Make a ruleset for these rights on files: see man 2 landlock_create_ruleset."""
    return _call(LANDLOCK_CREATE_RULESET, handled_access_fs.to_bytes(8, "little"), 8, 0)


def landlock_restrict(ruleset: int) -> None:
    """Apply a ruleset to the calling thread: see man 2 landlock_restrict_self."""
    _call(LANDLOCK_RESTRICT_SELF, ruleset, 0)


def library_version(name: str) -> tuple[int, int, int] | None:
    """Give libseccomp's version (seccomp_version(3)), None if the library is missing."""
    try:
        call = ctypes.CDLL(name).seccomp_version
    except (OSError, AttributeError):
        return None
    call.restype = ctypes.POINTER(ctypes.c_uint * 3)
    found = call()
    if not found:
        return None
    major, minor, micro = found.contents
    return int(major), int(minor), int(micro)
