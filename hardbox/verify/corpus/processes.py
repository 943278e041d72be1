"""E: other processes.

Own launches (killed launchers, daemons, time limits) are test_processes.py's.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import Final

from hardbox.verify.check import CALLER, FILTERED, HIDDEN, ROOT, SHUT, THROWAWAY, Check

_GONE: Final = FILTERED | {"ESRCH"}
_KINDS: Final = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
_CLONE_NEW: Final = ("0x10000000", "0x20000", "0x20000000", "0x40000000", "0x7e020000")
_CHILD_PERMITS: Final = {
    "seize": "tracing",
    "attach": "tracing",
    "vmread": "memory-of-others",
    "vmwrite": "memory-of-others",
    "kcmp": "kcmp",
}

CHECKS: Final = (
    *(
        Check(
            f"E1-{how}-probe",
            f"{how} on a host process, without effect",
            (how, "{pid}", "0"),
            _GONE,
            "gVisor",
        )
        for how in ("kill", "sigqueue", "pidfd-kill")
    ),
    Check(
        "E1-pidfd-open",
        "a descriptor of a host process",
        ("sys", "@pidfd_open", "{pid}", "0"),
        _GONE,
        "gVisor",
    ),
    *(
        Check(
            f"E2-ptrace-{how}",
            "trace a host process",
            ("ptrace", "{pid}", how),
            _GONE,
            "CDK check-ptrace",
            control=(CALLER,),
        )
        for how in ("seize", "attach")
    ),
    *(
        Check(
            f"E2-ptrace-init-{how}",
            "trace init",
            ("ptrace", "1", how),
            FILTERED,
            "moby default profile",
            control=(CALLER,),
            outside=("ptrace", "{pid}", how),
        )
        for how in ("seize", "attach")
    ),
    Check(
        "E2-vmread",
        "read the memory of a host process",
        ("vmread", "{pid}"),
        _GONE,
        "moby",
        control=(CALLER,),
    ),
    Check(
        "E2-vmread-init",
        "read the memory of init",
        ("vmread", "1"),
        FILTERED,
        "moby",
        control=(CALLER,),
        outside=("vmread", "{pid}"),
    ),
    Check(
        "E2-getfd-init",
        "take a descriptor out of init",
        ("pidfd-getfd", "1", "0"),
        FILTERED,
        "moby",
        control=(CALLER,),
        outside=("pidfd-getfd", "{pid}", "0"),
    ),
    Check(
        "E2-mem-init",
        "open the memory of init for writing",
        ("open", "/proc/1/mem", "rdwr"),
        SHUT,
        "evalbox",
        outside=("open", "/proc/{pid}/mem", "rdwr"),
    ),
    *(
        Check(
            f"E2-child-{how}",
            f"{how} on the own child, which only a filter can refuse",
            ("on-child", how),
            FILTERED if how != "mem" else SHUT,
            "moby; firejail seccomp-ptrace.exp",
            permit=_CHILD_PERMITS.get(how, ""),
        )
        for how in ("seize", "attach", "vmread", "vmwrite", "kcmp", "getfd", "madvise", "mem")
    ),
    Check(
        "E3-traceme",
        "be traced by the parent, to rewrite calls",
        ("traceme",),
        FILTERED,
        "evalbox ptrace",
        permit="tracing",
    ),
    *(
        Check(
            f"E4-setns-own-{kind}",
            f"join the own {kind} namespace",
            ("setns", f"/proc/self/ns/{kind}"),
            FILTERED | HIDDEN,
            "moby; runtime-tools linux_ns_path",
            control=(THROWAWAY, ROOT),
            vacuous={
                "user": "the kernel lets nobody join the own user namespace again",
                "time": "kernels without CONFIG_TIME_NS",
            }.get(kind, ""),
        )
        for kind in _KINDS
    ),
    *(
        Check(
            f"E4-setns-init-{kind}",
            f"join the {kind} namespace of init",
            ("setns", f"/proc/1/ns/{kind}"),
            FILTERED | HIDDEN,
            "runtime-tools linux_ns_path",
            control=(THROWAWAY, ROOT),
            outside=("setns", f"/proc/self/ns/{kind}"),
            vacuous={
                "user": "the kernel lets nobody join the own user namespace again",
                "time": "kernels without CONFIG_TIME_NS",
            }.get(kind, ""),
        )
        for kind in _KINDS
    ),
    *(
        Check(
            f"E4-setns-pidfd-{flags}",
            "join namespaces by a process descriptor",
            ("setns-pidfd", "self", flags),
            FILTERED,
            "setns(2)",
            control=(THROWAWAY, ROOT),
            vacuous="the kernel may refuse to join what one is in"
            if flags in ("0x10000000", "0x7e020000")
            else "",
        )
        for flags in _CLONE_NEW
    ),
    Check(
        "E8-zombies",
        "300 orphans: init must reap them",
        ("zombies", "300"),
        frozenset({"ECHILD"}),
        "bubblewrap README on pid 1",
        control=(THROWAWAY,),
    ),
    Check(
        "E12-oom-score",
        "be spared by the out-of-memory killer",
        ("open", "/proc/self/oom_score_adj", "wr"),
        SHUT,
        "runtime-tools process_oom_score_adj",
    ),
    Check(
        "E12-fifo",
        "real-time scheduling",
        ("sys", "@sched_setscheduler", "0", "1", "bad"),
        FILTERED,
        "moby CAP_SYS_NICE",
    ),
    Check(
        "E12-io-priority",
        "real-time disk priority",
        ("sys", "@ioprio_set", "1", "0", "0x2000"),
        FILTERED,
        "moby CAP_SYS_NICE",
        control=(CALLER, ROOT),
    ),
    Check(
        "E12-nice",
        "more than the usual share of the processor",
        ("sys", "@setpriority", "0", "0", "-20"),
        FILTERED | {"EACCES"},
        "moby CAP_SYS_NICE",
        control=(ROOT,),
        vacuous="the control needs root",
    ),
    # Last of all: outside, these end the canary process of the controls.
    Check(
        "E1-tgkill",
        "end a host process by thread id",
        ("tgkill", "{pid}", "0"),
        _GONE,
        "gVisor",
        control=(CALLER,),
    ),
    Check(
        "E1-kill",
        "end a host process",
        ("kill", "{pid}", "9"),
        _GONE,
        "gVisor TestKillPid",
        control=(CALLER,),
    ),
)
