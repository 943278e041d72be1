"""System call numbers by name.

Run by: verify/runner.py.
"""

from __future__ import annotations

from typing import Final

from hardbox import filters

# i386, for `int $0x80` and i386 programs on x86_64 (arch/x86/entry/syscalls/syscall_32.tbl).
_I386: Final = dict(
    (
        *(("write", 4), ("open", 5), ("execve", 11), ("getpid", 20), ("mount", 21), ("stime", 25)),
        *(("ptrace", 26), ("umount2", 52), ("chroot", 61), ("settimeofday", 79), ("reboot", 88)),
        *(("socketcall", 102), ("ipc", 117), ("clone", 120), ("modify_ldt", 123), ("init_module", 128)),
        *(("vm86", 166), ("pivot_root", 217), ("add_key", 286), ("request_key", 287), ("keyctl", 288)),
        *(("unshare", 310), ("setns", 346), ("bpf", 357), ("socket", 359), ("connect", 362)),
        *(("sendto", 369), ("clock_settime64", 404)),
        *(("mq_timedsend_time64", 418), ("io_uring_setup", 425), ("clone3", 435)),
    )
)


def number(name: str, machine: str = "x86_64") -> int:
    """Give the number of a system call, negative if the machine has none.

    machine: as uname(2) says, or "i386".
    """
    return _I386[name] if machine == "i386" else filters.number(name, machine)
