"""The posture that a plan promises: facts about the running job, as text, from the plan's steps.

Run by: verify/posture.py; pure. Each line is "name: value", in the words of verify/record.py.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Final

from hardbox.plan import steps as s
from hardbox.verify import networks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardbox.plan import LaunchPlan

LIMITS: Final = {
    0: "Max cpu time",
    1: "Max file size",
    2: "Max data size",
    3: "Max stack size",
    4: "Max core file size",
    5: "Max resident set",
    6: "Max processes",
    7: "Max open files",
    8: "Max locked memory",
    9: "Max address space",
    10: "Max file locks",
    11: "Max pending signals",
    12: "Max msgqueue size",
    13: "Max nice priority",
    14: "Max realtime priority",
    15: "Max realtime timeout",
}
NAMESPACES: Final = (
    ("user", 0x10000000),
    ("mnt", 0x00020000),
    ("pid", 0x20000000),
    ("net", 0x40000000),
    ("ipc", 0x08000000),
    ("uts", 0x04000000),
    ("cgroup", 0x02000000),
)
SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
AS_CALLER: Final = "as the caller's"
OWN_CGROUP: Final = "its own, for memory"
_FLAGS: Final = ((s.RDONLY, "ro"), (s.NOSUID, "nosuid"), (s.NODEV, "nodev"), (s.NOEXEC, "noexec"))
_NOBODYS: Final = s.NOSUID | s.NODEV
_MASK: Final = "ro,nosuid,noexec"


def flag_words(attributes: int) -> str:
    """Give "ro,nosuid,nodev" for mount attributes."""
    words = [word for bit, word in _FLAGS if attributes & bit]
    return ",".join(words if "ro" in words else ["rw", *words])


def promise(
    plan: LaunchPlan,
    present: Sequence[str],
    cpus: int,
    has: Callable[[str], bool],
    ceiling: Callable[[int], int],
) -> dict[str, str]:
    """Give what the plan promises of the job, name -> value.

    present: names of variables that the caller has, of which the plan passes some on.
    cpus:    how many the caller may run on.
    has:     whether the host's /proc has a path, which can be masked only then.
    ceiling: the caller's own hard limit of a resource, resource.RLIM_INFINITY if it has none.
    """
    found: dict[str, str] = {}
    for name in ("Seccomp", "Seccomp_filters", "NoNewPrivs", "Threads", "NSpid"):
        found[f"status {name}"] = {"Seccomp": "2", "NSpid": "2 levels"}.get(name, "1")
    for name in ("SigBlk", "SigIgn"):
        found[f"status {name}"] = "0"
    found |= _identity(plan) | _limits(plan, ceiling) | dict(_mounts(plan, has))
    for step in plan.steps:
        if isinstance(step, s.Namespaces):
            found |= {f"ns {name}": "its own" for name, bit in NAMESPACES if step.flags & bit}
            found |= {f"ns {name}": "shared" for name, bit in NAMESPACES if not step.flags & bit}
        elif isinstance(step, s.SetCaps):
            for name in SETS:
                found[f"status {name}"] = f"{step.keep:x}"
        elif isinstance(step, s.Chdir):
            found["cwd"] = step.path
    found["ns time"] = "shared"
    names = {step.name for step in plan.steps if isinstance(step, s.Env)}
    names |= {step.name for step in plan.steps if isinstance(step, s.PassEnv) and step.name in present}
    walls = [step for step in plan.steps if isinstance(step, s.Landlock)]
    few = [step.count for step in plan.steps if isinstance(step, s.Cpus)]
    return found | {
        "second wall, TCP": "EACCES" if any(wall.network for wall in walls) else "worked",
        "root": "/",
        "environment": " ".join(sorted(names)),
        "descriptors": "0 1 2",
        # verify starts it with a terminal there.
        "descriptor 2": "a terminal of its own",
        "children": "none",
        "init's children": "the job",
        "terminal": "none",
        "session": "its own",
        "scheduling": "other",
        "priority": "not above the caller's",
        "personality": "0",
        "oom_score_adj": AS_CALLER,
        "attr current": AS_CALLER,
        "cgroup": OWN_CGROUP if any(isinstance(step, s.Cgroup) for step in plan.steps) else AS_CALLER,
        "CPUs": str(min(few[0], cpus)) if few else AS_CALLER,
        **networks.promised(plan),
        "init NoNewPrivs": "1",
        "init Seccomp": "2",
        "init CapEff": "0",
        "init CapBnd": found.get("status CapBnd", "nothing"),
    }


def _identity(plan: LaunchPlan) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, name in ((s.MapUid, "uid_map"), (s.MapGid, "gid_map")):
        rows = [step for step in plan.steps if isinstance(step, kind)]
        # Host ids above 0 that are the lease's are as good as each other.
        found[name] = "; ".join(
            f"{row.inside} is {'lease' if row.relative else row.outside}, {row.count}" for row in rows
        )
    for step in plan.steps:
        if isinstance(step, s.SetIds):
            found["status Uid"] = f"{step.uid} in all four"
            found["status Gid"] = f"{step.gid} in all four"
            found["status Groups"] = "none" if step.flags & s.DROP_GROUPS else AS_CALLER
    return found


def _limits(plan: LaunchPlan, ceiling: Callable[[int], int]) -> dict[str, str]:
    given: dict[int, str] = {}
    for step in plan.steps:
        if isinstance(step, s.Rlimit):
            top = ceiling(step.resource)
            given[step.resource] = f"{lower(step.soft, top)} {lower(step.hard, top)}"
    # Normalise takes these two away.
    fixed = {13: "0 0", 14: "0 0"}
    return {
        f"limit {name}": given.get(number, fixed.get(number, AS_CALLER)) for number, name in LIMITS.items()
    }


def _mounts(plan: LaunchPlan, has: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Give a row for each mount that is left in the end: "mount /tmp" and its kind and flags."""
    rows: list[list[str]] = []
    flags: dict[str, int] = {}
    for step in plan.steps:
        if isinstance(step, s.NewRoot):
            rows.append(["/", f"tmpfs size={step.size // 1024}k"])
            flags["/"] = _NOBODYS
        elif isinstance(step, s.BindMount | s.Attach):
            rows.append([step.dest, "bind", flag_words(step.attributes)])
        elif isinstance(step, s.Tmpfs | s.Overlay):
            size = f" size={step.size // 1024}k" if isinstance(step, s.Tmpfs) else ""
            rows.append([step.dest, f"{step.kind}{size}", flag_words(step.attributes)])
        elif isinstance(step, s.Device | s.Devpts):
            rows.append([step.dest, step.kind, flag_words(s.NOSUID | s.NOEXEC)])
        elif isinstance(step, s.Proc):
            rows.append([step.dest, "proc"])
            flags[step.dest] = _NOBODYS | s.NOEXEC
        elif isinstance(step, s.Mask) and has(step.path):
            rows.append([step.path, "device" if step.cover.startswith("/dev/") else "bind", _MASK])
        elif isinstance(step, s.Attributes):
            flags[step.path] = flags.get(step.path, 0) | step.set
    return [
        (
            f"mount {row[0]}{_again(rows, number)}",
            f"{row[1]} {row[2] if row[2:] else flag_words(flags[row[0]])}",
        )
        for number, row in enumerate(rows)
    ]


def lower(wanted: int, ceiling: int) -> int:
    """Give the limit that a job gets: a caller's lower hard limit stays, for nobody may raise it."""
    return wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)


def meets(promised: str | None, found: str | None) -> bool:
    """Whether what was found is what was promised; "9 (as the caller's)" is both 9 and AS_CALLER."""
    if promised is None or found is None:
        return False
    plain = found.removesuffix(f" ({AS_CALLER})")
    return promised in (found, plain) or (promised == AS_CALLER and plain != found)


def _again(rows: list[list[str]], number: int) -> str:
    """Give " (2)" for the second mount at one place, as an overlay is."""
    before = sum(row[0] == rows[number][0] for row in rows[:number])
    return f" ({before + 1})" if before else ""
