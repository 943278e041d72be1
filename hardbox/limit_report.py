"""What the report says of limits: by which means each one held, what was hit, how much was used.

Run by: the Python front; pure. The numbers come from the launcher's LIMITS and SAMPLE records
(launch/wire.h).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from signal import SIGKILL, SIGXCPU, SIGXFSZ
from typing import TYPE_CHECKING, Final

from hardbox.plan.steps import IF_THERE, Cgroup, CgroupLimit, Watch
from hardbox.policy import UNLIMITED
from hardbox.profile.units import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy

# The launcher doubles its interval each time it has taken that many; so does the thinning here.
MOST_SAMPLES: Final = 600
_TOTAL: Final = struct.Struct("<IIQQQQQ16sQQQ")
_SAMPLE: Final = struct.Struct("<QQQQQQ")
# The least that the two records hold.
TOTAL_SIZE: Final = _TOTAL.size
SAMPLE_SIZE: Final = _SAMPLE.size
_FIRST_INTERVAL: Final = 0.05
# The kernel counts CPU time in ticks: what it tells may be less than the limit that was hit.
_MOSTLY: Final = 0.75


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a run.

    key:    of the profile, "limits.memory"; for scratch "filesystem.scratch" and the path.
    value:  in the key's own unit: bytes, milliseconds, seconds, a number or thousandths of a CPU.
    means:  "cgroup v1", "cgroup v2", "watched every 10 to 100 ms", "rlimit", "clock", "affinity", "tmpfs",
            "relay"; "none": nothing holds it, as the profile accepts.
    hits:   how often it was hit; None where that is not known: a limit whose signal a job may survive
            (cpu_time, file_size) is 1 if it ended the job.
    peak:   the most that was used, in the same unit; None where that is not known.
    detail: what else is known, "" if nothing.
    """

    key: str
    value: int
    means: str
    hits: int | None = None
    peak: int | None = None
    detail: str = ""

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        return {name: getattr(self, name) for name in ("key", "value", "means", "hits", "peak", "detail")}


@dataclass(frozen=True, slots=True)
class Sample:
    """What all processes together used at one moment.

    t:       seconds since the launcher began.
    memory:  bytes; by the cgroup if there is one, else what is resident: shared pages in each process.
    cpu:     seconds of CPU time so far.
    tasks:   processes and threads.
    read, written: bytes through read(2), write(2) and their like so far, of processes that are alive or have
             been waited for by one that is; an ordinary user is not told those of the job's orphans.
    """

    t: float
    memory: int
    cpu: float
    tasks: int
    read: int
    written: int

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        return {name: getattr(self, name) for name in ("t", "memory", "cpu", "tasks", "read", "written")}


@dataclass(frozen=True, slots=True)
class Total:
    """What the supervisor saw of the memory limit of the job as a whole.

    version: of the cgroup, 0: the supervisor watched.
    pressed: how often the job stood at the limit and something had to give; 0 for the watch, and where
             the kernel does not count it.
    stalled: seconds in which something waited for memory (version 2 with PSI, else 0).
    most:    name of the largest process when that was looked at last, "" if it was not.
    throttled: periods in which the job had used up its CPU bandwidth, and waited for the next.
    tasks:   the most processes and threads that were seen, 0 if nobody looked.
    full:    how many looks saw so many.
    """

    version: int
    looks: int
    hits: int
    peak: int
    pressed: int
    stalled: float
    most: str
    throttled: int
    tasks: int
    full: int

    def detail(self) -> str:
        """Say what else is known."""
        parts = [f"most: {self.most}"] if self.most else []
        if self.pressed:
            parts.append(f"{self.pressed} times at the limit")
        if not self.version:
            parts.append(f"{self.looks} looks")
        if self.stalled:
            parts.append(f"waited {self.stalled:.3f} s for memory")
        return "; ".join(parts)


def read_total(payload: bytes) -> Total:
    """Read a LIMITS record."""
    version, _, looks, hits, peak, pressed, stalled, name, *more = _TOTAL.unpack_from(payload)
    most = name.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return Total(version, looks, hits, peak, pressed, stalled / 1e6, most, *more)


def read_samples(payloads: Sequence[bytes]) -> tuple[Sample, ...]:
    """Read SAMPLE records, at most MOST_SAMPLES: of more, the last one of each interval."""
    found = []
    for payload in payloads:
        t, memory, cpu, tasks, read, written = _SAMPLE.unpack_from(payload)
        found.append(Sample(t / 1e9, memory, cpu / 1e6, tasks, read, written))
    interval = _FIRST_INTERVAL
    while len(found) > MOST_SAMPLES:
        interval *= 2
        found = list({int(sample.t / interval): sample for sample in found}.values())
    return tuple(found)


def means_of_memory(plan: LaunchPlan) -> str:
    """Say by which means the memory of the job as a whole is held in a plan, "" if by none."""
    for step in plan.steps:
        if isinstance(step, Cgroup):
            return f"cgroup v{step.version}"
        if isinstance(step, Watch):
            return f"watched every {step.least} to {step.most} ms"
    return ""


def of_each_process(signal: int | None, cpu: float, policy: Policy) -> str | None:
    """Name the limit of each process that a signal comes from, None if it is none.

    cpu: seconds of CPU time that the whole sandbox has used. The kernel sends SIGKILL, not SIGXCPU, where
         both limits on CPU time are the same.
    """
    if signal == SIGXFSZ:
        return "file_size"
    if signal in (SIGKILL, SIGXCPU) and cpu >= _MOSTLY * policy.limits.cpu_time:
        return "cpu_time"
    return None


def limits(
    policy: Policy, plan: LaunchPlan, total: Total | None, hit: str | None, copied: int | None = None
) -> tuple[Limit, ...]:
    """Give every limit of a run and by which means it held.

    hit:    the name of the one that ended the job, None if none did.
    copied: bytes of stdout and stderr, None if they were not counted.
    """
    held = policy.limits
    means = means_of_memory(plan)
    return (
        _memory(held.memory, plan, means, total),
        _swap(held.swap, plan, means),
        _tasks(held.tasks, total),
        Limit("limits.cpu", held.cpu, "affinity"),
        *_bandwidth(held.cpu_bandwidth, means, total),
        Limit("limits.cpu_time", held.cpu_time, "rlimit", _ended(hit, "cpu_time"), detail="of each process"),
        Limit("limits.wall", held.wall, "clock", int(hit == "wall")),
        Limit("limits.file_size", held.file_size, "rlimit", _ended(hit, "file_size"), detail="of each file"),
        *_output(held.output, hit, copied),
        Limit("limits.open_files", held.open_files, "rlimit", detail="of each process"),
        Limit("limits.locked", held.locked, "rlimit", detail="of each process"),
        *_scratch_files(policy),
        *(
            Limit(f"filesystem.scratch {path}", size, "tmpfs")
            for path, size in sorted(policy.filesystem.scratch.items())
        ),
    )


def _memory(size: int, plan: LaunchPlan, means: str, total: Total | None) -> Limit:
    """Give what the plan holds the job to: less than the profile says where a cgroup around us has less."""
    files = ("memory.max", "memory.limit_in_bytes")
    steps = (step.value for step in plan.steps if isinstance(step, CgroupLimit) and step.file in files)
    value = next(steps, size)
    detail = total.detail() if total else "of each process only, as the profile accepts" if not means else ""
    if value < size:
        less = f"the cgroup of hardbox itself has no more; the profile gives {size_text(size)}"
        detail = f"{detail}; {less}" if detail else less
    hits, peak = (total.hits, total.peak or None) if total else (None, None)
    return Limit("limits.memory", value, means or "rlimit", hits, peak, detail)


def _ended(hit: str | None, name: str) -> int | None:
    """Count a limit whose signal a job may survive, unseen: once if it ended the job, else nobody knows."""
    return 1 if hit == name else None


def _output(most: int, hit: str | None, copied: int | None) -> tuple[Limit, ...]:
    if most == UNLIMITED:
        return ()
    detail = "of stdout and stderr together"
    return (Limit("limits.output", most, "relay", int(hit == "output"), copied, detail),)


def _tasks(most: int, total: Total | None) -> Limit:
    """Whether a fork was refused nobody tells; that all tasks were there can be seen, if one looks then."""
    if total is None or total.tasks < most:
        return Limit("limits.tasks", most, "rlimit", detail="the kernel does not say how often it was hit")
    detail = f"at the limit in at least {total.full} looks; the kernel does not say how often it was hit"
    return Limit("limits.tasks", most, "rlimit", total.full, most, detail)


def _bandwidth(thousandths: int, means: str, total: Total | None) -> tuple[Limit, ...]:
    if thousandths == UNLIMITED:
        return ()
    detail = "of the job as a whole; hits are periods of 100 ms in which it had to wait"
    hits = total.throttled if total else None
    return (Limit("limits.cpu_bandwidth", thousandths, means, hits, detail=detail),)


def _swap(size: int, plan: LaunchPlan, means: str) -> Limit:
    detail = "" if means.startswith("cgroup") else "what is swapped out counts as memory"
    if not means:
        detail = "of each process only, as the profile accepts: swap space is not counted"
    if any(isinstance(step, CgroupLimit) and step.flags & IF_THERE for step in plan.steps):
        detail = "this host has no swap space"
    return Limit("limits.swap", size, means or "none", detail=detail)


def _scratch_files(policy: Policy) -> tuple[Limit, ...]:
    stated = policy.limits.scratch_files
    if stated == UNLIMITED:
        return ()
    return (Limit("limits.scratch_files", stated, "tmpfs", detail="in each scratch directory"),)
