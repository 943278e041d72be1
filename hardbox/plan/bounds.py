"""The part of a plan that bounds the job as a whole: by which means its memory and CPU time are held.

Run by: the Python front; pure. A cgroup where this caller may make one, else the supervisor's watch
over the tree; where there is neither, nothing is run unless the profile accepts that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.errors import HostUnfit
from hardbox.plan import steps as s
from hardbox.policy import UNLIMITED, cpus_text

if TYPE_CHECKING:
    from hardbox.cgroups import Place
    from hardbox.host import HostFacts
    from hardbox.policy import Policy

# Milliseconds between two looks of the watch: the least near the limit, the most far from it.
LEAST, MOST = 10, 100
# Microseconds in which a new cgroup's quota of CPU time counts: the kernel's own, which is left as it is.
PERIOD: Final = 100_000
# How many processes it can count (launch/sample.h).
WATCHED_PROCESSES: Final = 16384
_OPTIONAL: Final = "memory-total"
_INSTEAD: Final = (
    'or [optional] memory-total = "reason" in a profile of your own: then each process is limited'
)


def _place(facts: HostFacts) -> Place | None:
    """Give where a cgroup can be made that holds all of the job's memory."""
    place = facts.cgroup
    return place if place is not None and (place.swap or not facts.swap) else None


def _delegated(policy: Policy, place: Place) -> int:
    paced = policy.limits.cpu_bandwidth < UNLIMITED
    return (s.DELEGATE if place.delegate else 0) | (s.DELEGATE_CPU if paced and place.delegate_cpu else 0)


def bandwidth_steps(policy: Policy, facts: HostFacts) -> tuple[s.Step, ...]:
    """Give the steps that bound the job's CPU time in each period, behind those of its memory.

    Raises HostUnfit HB563.
    """
    bandwidth = policy.limits.cpu_bandwidth
    if bandwidth == UNLIMITED:
        return ()
    place = _place(facts)
    if place is None or not place.cpu:
        raise HostUnfit(
            "HB563",
            "CPU bandwidth can be limited by a cgroup only, and there is none for it here",
            value=f'limits.cpu_bandwidth = "{cpus_text(bandwidth)}"',
            origin=policy.origin("limits.cpu_bandwidth"),
            why="no cgroup may be made here"
            if place is None
            else "the cgroups here come without the cpu controller",
            instead="leave it out: limits.cpu holds the job to a number of CPUs; or run where a cgroup with"
            " the cpu controller is delegated (systemd-run --user --scope hardbox ...)",
        )
    quota = bandwidth * PERIOD // 1000
    if place.version == 1:
        return (s.Cgroup(place.cpu, 1, 0), s.CgroupLimit("cpu.cfs_quota_us", quota, 0))
    return (s.CgroupLimit("cpu.max", quota, 0),)


def _tcp(policy: Policy) -> tuple[s.Step, ...]:
    """Bound what waits in TCP sockets, which version 1 does not count as memory."""
    if policy.network.mode == "none":
        return ()
    return (s.CgroupLimit("memory.kmem.tcp.limit_in_bytes", policy.limits.memory, s.IF_THERE),)


def total_memory_steps(policy: Policy, facts: HostFacts) -> tuple[s.Step, ...]:
    """Give the steps that bound the memory of all processes together.

    Raises HostUnfit HB560, HB561, HB562.
    """
    memory, swap = policy.limits.memory, policy.limits.swap
    place = _place(facts)
    if place is not None:
        # Where the host has no swap space there is none to be given, nor to be held.
        flag = 0 if facts.swap else s.IF_THERE
        if place.bound is not None:
            memory = min(memory, place.bound)
        if place.version == 1:
            return (
                s.Cgroup(place.folder, 1, 0),
                s.CgroupLimit("memory.limit_in_bytes", memory, 0),
                s.CgroupLimit("memory.memsw.limit_in_bytes", memory + swap, flag),
                # Counted apart, and only where it has a limit of its own.
                *_tcp(policy),
            )
        return (
            s.Cgroup(place.folder, 2, _delegated(policy, place)),
            s.CgroupLimit("memory.max", memory, 0),
            s.CgroupLimit("memory.swap.max", swap, flag),
            s.CgroupLimit("memory.oom.group", 1, 0),
        )
    if swap:
        raise HostUnfit(
            "HB562",
            "swap space can be given by a cgroup only, and there is none for it here",
            value=f"limits.swap = {swap}",
            origin=policy.origin("limits.swap"),
            why="the launcher's watch counts what is swapped out as memory, and cannot have it swapped out",
            instead="limits.swap = 0, or run where a cgroup with limits on memory and swap is delegated"
            " (systemd-run --user --scope hardbox ...)",
        )
    if facts.children and policy.limits.tasks < WATCHED_PROCESSES:
        return (s.Watch(memory, LEAST, MOST),)
    if _OPTIONAL in policy.optional:
        return ()
    if facts.children:
        raise HostUnfit(
            "HB561",
            "the memory of so many processes cannot be watched, and there is no cgroup for them",
            value=f"limits.tasks = {policy.limits.tasks}",
            origin=policy.origin("limits.tasks"),
            why=f"without a cgroup the launcher looks at every process, up to {WATCHED_PROCESSES}",
            instead=f"a smaller limits.tasks, {_INSTEAD}",
        )
    raise HostUnfit(
        "HB560",
        "nothing here can limit the memory of the job as a whole",
        value=f"limits.memory = {memory}",
        origin=policy.origin("limits.memory"),
        why="no cgroup may be made here, and this kernel does not list a process's children"
        " (CONFIG_PROC_CHILDREN)",
        instead=f"run where a cgroup is delegated (systemd-run --user --scope hardbox ...), {_INSTEAD}",
    )
