"""N: more than was granted. Each attempt asks for a little more than the profile's own limit.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, FILTERED, ROOT, SHUT, Check

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.verify.check import Facts

_FULL: Final = frozenset({"EAGAIN", "ENOMEM", "ENOSPC", "EFBIG", "EMFILE", "SIGXFSZ"}) | FILTERED
_LOW: Final = "the caller's own limit is as low, or the host's"


def _above(name: str) -> Callable[[str, Facts], str]:
    """Give a judge of "soft hard": neither may be above the limit."""

    def judge(text: str, facts: Facts) -> str:
        most = int(facts.places[f"limit_{name}"])
        return text.strip() if any(int(word) > most for word in text.split()) else ""

    return judge


def _more_cpus(text: str, facts: Facts) -> str:
    return f"{text.strip()} CPUs" if int(text) > int(facts.places["cpus"]) else ""


_LIMITS: Final = (
    *(("cpu", "0"), ("fsize", "1"), ("data", "2"), ("core", "4"), ("nproc", "6"), ("nofile", "7")),
    *(("memlock", "8"), ("msgqueue", "12")),
)
_CGROUP_FILES: Final = (
    *("cgroup.procs", "pids.max", "memory.max", "cpu.max", "unified/cgroup.procs", "pids/tasks"),
    *("memory/memory.limit_in_bytes", "rdma/release_agent", "cpu/cpu.cfs_quota_us", "freezer/freezer.state"),
)

CHECKS: Final = (
    *(
        Check(
            f"N4-processes-{how}",
            "more processes than were granted",
            ("forks", "{tasks_more}", how),
            _FULL,
            "crun init forkbomb; CIS-5.29",
            control=(CALLER,),
            vacuous=_LOW,
            permit="tasks",
        )
        for how in ("fork", "clone")
    ),
    Check(
        "N4-threads",
        "more threads than were granted",
        ("threads", "{tasks_more}"),
        _FULL,
        "crun test_limit_pid; CIS-5.29",
        control=(CALLER,),
        vacuous=_LOW,
        permit="tasks",
    ),
    *(
        Check(
            f"N5-memory-{how}",
            "more private memory than was granted, untouched",
            ("map-memory", "{memory_more}", how),
            _FULL,
            "benchexec test_memory_limit; CIS-5.11",
            control=(CALLER,),
            vacuous=_LOW,
        )
        for how in ("private", "heap")
    ),
    Check(
        "N5-locked",
        "more locked memory than was granted",
        ("lock-memory", "{locked_more}"),
        _FULL,
        "runc rlimits.bats",
        control=(CALLER, ROOT),
        vacuous=_LOW,
    ),
    Check(
        "N8-files",
        "more open files than were granted",
        ("open-files", "{files_more}"),
        _FULL,
        "CIS-5.19",
        control=(CALLER, ROOT),
        vacuous=_LOW,
    ),
    Check(
        "N8-file-size",
        "a larger file than was granted",
        ("grow", "{scratch}/grown", "{size_more}"),
        _FULL,
        "benchexec test_file_size_limit",
        control=(CALLER,),
        vacuous="the host's file system, or its own limit, takes no file of that size either",
    ),
    Check(
        "A16-scratch",
        "more blocks than the scratch directory has",
        ("reserve", "/tmp", "{scratch_more}"),
        _FULL,
        "bubblewrap tmpfs size; CIS-5.11",
        control=(CALLER,),
        outside=("reserve", "{scratch}", "1048576"),
        vacuous="the host's file system cannot reserve",
    ),
    Check(
        "N7-cpus",
        "more CPUs than were granted",
        ("cpus",),
        frozenset(),
        "sandlock test_cpu_throttle; CIS-5.12",
        saw=_more_cpus,
        control=(CALLER,),
        vacuous="the profile grants as many CPUs as the host has",
    ),
    *(
        Check(
            f"N8-limit-{name}",
            "a limit above what was granted",
            ("limit", number),
            frozenset(),
            "runc rlimits.bats; CIS-5.19",
            saw=_above(name),
            control=(CALLER, ROOT),
            outside=("after-exec", "limit", number),
            vacuous=_LOW,
        )
        for name, number in _LIMITS
    ),
    *(
        Check(
            f"N3-cgroup-{name.replace('/', '-')}",
            "leave the cgroup, or raise its limit",
            ("open", f"/sys/fs/cgroup/{name}", "wr"),
            SHUT,
            "CVE-2022-0492; CDK; crun create-sub-cgroup; CIS-5.25",
            control=(ROOT,),
            vacuous="only one version of cgroups has this file, and the control needs root",
        )
        for name in _CGROUP_FILES
    ),
)
