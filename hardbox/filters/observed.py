"""Calls that `hardbox run --explain` looks at before the kernel does them.

Run by: filters/__init__.py on a cache miss; data only. They name a file, an address, a process or an
id, and fail where the sandbox does not have it; or they make a task, and fail where there are too
many. Looking decides nothing: the kernel then does the call as if nobody had looked
(launch/observe.c).
"""

from __future__ import annotations

from typing import Final

OBSERVED: Final = frozenset(
    (
        *("open", "openat", "creat", "execve", "execveat", "chdir", "connect", "sendto", "bind"),
        *("stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"),
        *("readlink", "readlinkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "mknod", "mknodat"),
        *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate"),
        *("chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat", "utimensat"),
        *("kill", "tgkill", "tkill", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"),
        *("setgroups", "fchown", "clone", "fork", "vfork"),
    )
)
