"""Neighbours: the same attempts made from elsewhere.

From a thread, a grandchild, after exec, a second time, with many descriptors open, by i386.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import Final

from hardbox.verify.check import CALLER, FILTERED, HIDDEN, ROOT, SHUT, THROWAWAY, Check

_AROUND: Final = ("thread", "grandchild", "after-exec", "twice", "crowded")
_ALL: Final = (CALLER, THROWAWAY, ROOT)
# section and row, name, words, refused, where the control runs
_SEEDS: Final = (
    ("K8", "mount", ("sys", "@mount", "bad", "bad", "bad", "0", "0"), FILTERED, _ALL),
    ("K8", "umount", ("sys", "@umount2", "bad", "0"), FILTERED, _ALL),
    ("K9", "fsopen", ("sys", "@fsopen", "bad", "0"), FILTERED, (THROWAWAY, ROOT)),
    ("I6", "unshare-user", ("sys", "@unshare", "0x10000000"), FILTERED, _ALL),
    ("I6", "clone-user", ("clone", "0x10000000"), FILTERED, _ALL),
    ("I6", "clone3-user", ("clone3", "0x10000000"), frozenset({"ENOSYS"}), _ALL),
    ("E2", "ptrace", ("sys", "@ptrace", "0x4206", "-1", "0", "0"), FILTERED, _ALL),
    ("E1", "signal", ("kill", "{pid}", "0"), FILTERED | {"ESRCH"}, (CALLER,)),
    ("F4", "keyring", ("sys", "@keyctl", "-1", "0", "0", "0", "0"), FILTERED, (CALLER, ROOT)),
    ("K2", "tiocsti", ("sys", "@ioctl", "-1", "0x5412", "0"), FILTERED, (CALLER,)),
    ("A1", "read", ("read", "{secret_tmp}"), HIDDEN, (CALLER,)),
    ("A1", "write", ("open", "{victim_tmp}", "wr"), HIDDEN, (CALLER,)),
    ("B6", "own-memory", ("open", "/proc/self/mem", "rdwr"), SHUT, (CALLER,)),
    ("H1", "socket-vsock", ("sys", "@socket", "2", "3", "1"), FILTERED | {"EACCES"}, (THROWAWAY, ROOT)),
    ("K13", "personality", ("sys", "@personality", "0x40000"), FILTERED, (CALLER,)),
    ("K18", "openat2", ("openat2", "/"), frozenset({"ENOSYS"}), (CALLER,)),
)
# i386 call and arguments
_FOREIGN: Final = (
    *(("mount", ("0", "0", "0")), ("unshare", ("268435456", "0", "0")), ("ptrace", ("16902", "0", "0"))),
    *(("setns", ("0", "0", "0")), ("keyctl", ("0", "0", "0")), ("socketcall", ("1", "0", "0"))),
    *(("chroot", ("0", "0", "0")), ("getpid", ("0", "0", "0")), ("bpf", ("0", "0", "0"))),
    *(("clone", ("268435473", "0", "0")), ("umount2", ("0", "0", "0")), ("add_key", ("0", "0", "0"))),
    *(("ipc", ("21", "0", "0")), ("modify_ldt", ("0", "0", "0")), ("clone3", ("0", "0", "0"))),
)

CHECKS: Final = (
    *(
        Check(
            f"{row}-{around}-{name}",
            f"{name.replace('-', ' ')}, {around.replace('-', ' ')}",
            (around, *words),
            refused,
            "every thread and child is filtered alike: gVisor Threads.Uniform; CVE-2021-41133",
            control=control,
        )
        for row, name, words, refused, control in _SEEDS
        for around in _AROUND
    ),
    *(
        Check(
            f"K16-program-{call.replace('_', '-')}",
            f"{call} by an i386 program",
            ("exec", "{probe}/probe32", f"@32:{call}", *words),
            frozenset({"SIGSYS"}),
            "firejail namespaces-32.exp; libseccomp 28-sim-arch_x86",
            control=(CALLER,),
            vacuous="" if call == "getpid" else "a kernel without IA32 emulation",
        )
        for call, words in _FOREIGN
    ),
)
