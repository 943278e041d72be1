"""K, first half: system calls that are refused by name.

Bad pointers and descriptors tell a filter's answer from the kernel's.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import Final

from hardbox.verify.check import CALLER, FILTERED, ROOT, THROWAWAY, Check

_OFTEN_ABSENT: Final = "not built into every kernel"
_ENOSYS: Final = frozenset({"ENOSYS"})

# row, call, arguments, may be absent
_REFUSED: Final = (
    ("K8", "mount", ("bad", "bad", "bad", "0", "0"), False),
    ("K8", "umount2", ("bad", "0"), False),
    ("K8", "pivot_root", ("bad", "bad"), False),
    ("K8", "chroot", ("bad",), False),
    ("K8", "open_tree", ("-1", "bad", "0"), False),
    ("K8", "move_mount", ("-1", "bad", "-1", "bad", "0"), False),
    ("K8", "fsopen", ("bad", "0"), False),
    ("K8", "fsconfig", ("-1", "0", "0", "0", "0"), False),
    ("K8", "fsmount", ("-1", "0", "0"), False),
    ("K8", "fspick", ("-1", "bad", "0"), False),
    ("K8", "mount_setattr", ("-1", "bad", "0", "bad", "32"), False),
    ("K8", "statmount", ("bad", "bad", "0", "0"), True),
    ("K8", "listmount", ("bad", "bad", "0", "0"), True),
    ("K8", "open_tree_attr", ("-1", "bad", "0", "bad", "32"), True),
    ("K9", "io_uring_setup", ("1", "bad"), True),
    ("K9", "io_uring_enter", ("-1", "0", "0", "0", "0", "0"), True),
    ("K9", "io_uring_register", ("-1", "0", "0", "0"), True),
    ("K10", "bpf", ("0", "bad", "1"), False),
    ("K10", "perf_event_open", ("bad", "0", "-1", "-1", "0"), False),
    ("K10", "userfaultfd", ("-1",), True),
    ("K10", "lookup_dcookie", ("0", "bad", "0"), True),
    ("K10", "fanotify_init", ("-1", "0"), True),
    ("K10", "fanotify_mark", ("-1", "0", "0", "-1", "bad"), True),
    ("K11", "keyctl", ("-1", "0", "0", "0", "0"), False),
    ("K11", "add_key", ("bad", "bad", "bad", "0", "0"), False),
    ("K11", "request_key", ("bad", "bad", "bad", "0"), False),
    ("K12", "ptrace", ("0x4206", "-1", "0", "0"), False),
    ("K12", "process_vm_readv", ("self", "bad", "1", "bad", "1", "0"), True),
    ("K12", "process_vm_writev", ("self", "bad", "1", "bad", "1", "0"), True),
    ("K12", "kcmp", ("self", "self", "0", "0", "0"), True),
    ("K12", "pidfd_getfd", ("-1", "0", "0"), False),
    ("K12", "process_madvise", ("-1", "bad", "1", "20", "0"), False),
    ("K12", "process_mrelease", ("-1", "0"), False),
    ("K10", "cachestat", ("-1", "bad", "bad", "0"), True),
    ("K10", "mincore", ("bad", "1", "bad"), False),
    ("K14", "init_module", ("bad", "0", "bad"), True),
    ("K14", "finit_module", ("-1", "bad", "0"), True),
    ("K14", "delete_module", ("bad", "0"), True),
    ("K14", "kexec_load", ("0", "99", "bad", "0xffff"), True),
    ("K14", "kexec_file_load", ("-1", "-1", "0", "bad", "0xffff"), True),
    ("K14", "reboot", ("0", "0", "0", "0"), False),
    ("K14", "swapon", ("bad", "0"), False),
    ("K14", "swapoff", ("bad",), False),
    ("K14", "acct", ("bad",), True),
    ("K14", "syslog", ("10", "0", "0"), False),
    ("K14", "iopl", ("0",), True),
    ("K14", "ioperm", ("0", "1", "0"), True),
    ("K14", "modify_ldt", ("0", "buf", "8"), True),
    ("K14", "quotactl", ("0", "bad", "0", "0"), True),
    ("K14", "nfsservctl", ("0", "bad", "bad"), True),
    ("K14", "uselib", ("bad",), True),
    ("K14", "ustat", ("0", "bad"), True),
    ("K14", "sysfs", ("3",), True),
    ("K14", "_sysctl", ("bad",), True),
    ("K14", "create_module", ("bad", "0"), True),
    ("K14", "get_kernel_syms", ("bad",), True),
    ("K14", "query_module", ("bad", "0", "bad", "0", "bad"), True),
    ("K15", "mbind", ("bad", "4096", "0", "bad", "1", "0"), True),
    ("K15", "set_mempolicy", ("99", "bad", "1"), True),
    ("K15", "get_mempolicy", ("bad", "bad", "1", "0", "0"), True),
    ("K15", "migrate_pages", ("self", "64", "bad", "bad"), True),
    ("K15", "move_pages", ("self", "1", "bad", "bad", "bad", "2"), True),
    ("K15", "set_mempolicy_home_node", ("0", "0", "0", "1"), True),
    ("K15", "sched_setaffinity", ("0", "8", "bad"), False),
    ("K15", "sched_setscheduler", ("0", "1", "bad"), False),
    ("K15", "sched_setparam", ("0", "bad"), False),
    ("K15", "sched_setattr", ("0", "bad", "0"), False),
    ("K15", "ioprio_set", ("1", "0", "0x2000"), False),
    ("K7", "setns", ("-1", "0"), False),
    ("K7", "setns", ("-1", "0x20000"), False),
    ("K20", "seccomp", ("2", "0", "bad"), False),
    ("K20", "seccomp", ("1", "0", "bad"), False),
    ("K20", "seccomp", ("1", "8", "bad"), False),
    ("K20", "seccomp", ("0", "1", "bad"), False),
)
# Calls that a deny-list of yesterday would let through (6.13's xattrat calls did).
_NEW: Final = (
    ("setxattrat", ("-1", "bad", "0", "bad", "bad", "16")),
    ("getxattrat", ("-1", "bad", "0", "bad", "bad", "16")),
    ("listxattrat", ("-1", "bad", "0", "bad", "0")),
    ("removexattrat", ("-1", "bad", "0", "bad")),
    ("file_getattr", ("-1", "bad", "bad", "24", "0")),
    ("file_setattr", ("-1", "bad", "bad", "24", "0")),
    ("lsm_get_self_attr", ("0", "bad", "bad", "0")),
    ("lsm_set_self_attr", ("0", "bad", "0", "0")),
    ("lsm_list_modules", ("bad", "bad", "0")),
    ("clone3", ("bad", "64")),
    ("openat2", ("-1", "bad", "bad", "24")),
)
_NUMBERS: Final = (
    *(("past-the-last", "470"), ("500", "500"), ("512", "512"), ("547", "547"), ("600", "600")),
    *(("1000", "1000"), ("minus-one", "-1"), ("minus-two", "-2"), ("two-to-31", "0x80000000")),
    *(("most", "0x7fffffff"), ("upper-half", "0x1000000a5")),
)


def _id(row: str, call: str, arguments: tuple[str, ...]) -> str:
    twins = [words for r, c, words, _ in _REFUSED if (r, c) == (row, call)]
    base = f"{row}-{call.strip('_').replace('_', '-')}"
    return base if len(twins) == 1 else f"{base}-{'-'.join(arguments[:2])}"


CHECKS: Final = (
    *(
        Check(
            _id(row, call, arguments),
            f"{call}, with arguments that do nothing",
            ("sys", f"@{call}", *arguments),
            FILTERED,
            "moby default profile; flatpak; bubblewrap try-syscall.c",
            control=(CALLER, THROWAWAY, ROOT) if row == "K8" else (CALLER, ROOT),
            vacuous=_OFTEN_ABSENT if absent else "",
        )
        for row, call, arguments, absent in _REFUSED
    ),
    *(
        Check(
            f"K18-{call.replace('_', '-')}",
            f"{call}: newer than most lists",
            ("sys", f"@{call}", *arguments),
            _ENOSYS,
            "runc -ENOSYS handling; Linux 6.13 xattrat",
            vacuous="" if call in ("clone3", "openat2") else "newer than some kernels",
        )
        for call, arguments in _NEW
    ),
    *(
        Check(
            f"K18-number-{name}",
            f"system call number {number}, which is none, or mount with a rubbish upper half",
            ("sys", number, "-1", "-1", "-1"),
            FILTERED,
            "libseccomp 35-sim-negative_one",
            # The kernel looks at the lower half of the number only.
            vacuous="the kernel has no such call either" if name != "upper-half" else "the kernel may cut it",
        )
        for name, number in _NUMBERS
    ),
)
