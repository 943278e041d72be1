"""By which means the memory of the job as a whole is held: the decision.  Run by: pytest."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from support import plans

from hardbox.cgroups import Place
from hardbox.errors import HostUnfit
from hardbox.plan import steps as s
from hardbox.plan.bounds import WATCHED_PROCESSES, bandwidth_steps, total_memory_steps

if TYPE_CHECKING:
    from hardbox.host import HostFacts

POLICY = plans.policy()
BYTES = POLICY.limits.memory
HOST = plans.USER
REASON = MappingProxyType({"memory-total": "a test of it"})


def test_version_2_comes_with_swap_and_group_kill() -> None:
    facts = replace(HOST, cgroup=Place(2, "/x", swap=True), swap=True)

    assert total_memory_steps(POLICY, facts) == (
        s.Cgroup("/x", 2, 0),
        s.CgroupLimit("memory.max", BYTES, 0),
        s.CgroupLimit("memory.swap.max", 0, 0),
        s.CgroupLimit("memory.oom.group", 1, 0),
    )
    delegated = replace(facts, cgroup=Place(2, "/x", delegate=True, swap=True))
    assert total_memory_steps(POLICY, delegated)[0] == s.Cgroup("/x", 2, s.DELEGATE)


@pytest.mark.parametrize(("bound", "given"), [(None, BYTES), (BYTES + 1, BYTES), (4096, 4096), (0, 0)])
def test_the_limit_of_our_own_cgroup_is_the_jobs_too(bound: int | None, given: int) -> None:
    facts = replace(HOST, cgroup=Place(2, "/x", swap=True, bound=bound))
    assert s.CgroupLimit("memory.max", given, 0) in total_memory_steps(POLICY, facts)


def test_version_1_limits_memory_and_swap_together() -> None:
    facts = replace(HOST, cgroup=Place(1, "/x", swap=True), swap=True)

    assert total_memory_steps(POLICY, facts) == (
        s.Cgroup("/x", 1, 0),
        s.CgroupLimit("memory.limit_in_bytes", BYTES, 0),
        s.CgroupLimit("memory.memsw.limit_in_bytes", BYTES, 0),
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_that_cannot_limit_swap_is_taken_only_where_there_is_none(version: int) -> None:
    place = Place(version, "/x")

    steps = total_memory_steps(POLICY, replace(HOST, cgroup=place, swap=False))
    assert {step.flags for step in steps if isinstance(step, s.CgroupLimit) and "sw" in step.file} == {
        s.IF_THERE
    }
    (watch,) = total_memory_steps(POLICY, replace(HOST, cgroup=place, swap=True))
    assert isinstance(watch, s.Watch)


def test_without_a_cgroup_the_tree_is_watched() -> None:
    assert total_memory_steps(POLICY, HOST) == (s.Watch(BYTES, 10, 100),)


def test_where_nothing_can_hold_it_nothing_runs() -> None:
    with pytest.raises(HostUnfit, match="as a whole") as refused:
        total_memory_steps(POLICY, replace(HOST, children=False))
    assert refused.value.code == "HB560"
    assert total_memory_steps(replace(POLICY, optional=REASON), replace(HOST, children=False)) == ()


def test_more_processes_than_can_be_watched() -> None:
    many = replace(POLICY, limits=replace(POLICY.limits, tasks=WATCHED_PROCESSES))
    with pytest.raises(HostUnfit) as refused:
        total_memory_steps(many, HOST)
    assert refused.value.code == "HB561"
    assert total_memory_steps(many, replace(HOST, cgroup=Place(1, "/x"))) != ()
    fewer = replace(POLICY, limits=replace(POLICY.limits, tasks=WATCHED_PROCESSES - 1))
    assert total_memory_steps(fewer, HOST) != ()


@pytest.mark.parametrize("facts", [HOST, replace(HOST, cgroup=Place(1, "/x"))], ids=["watch", "cgroup"])
def test_an_optional_protection_that_is_possible_is_used(facts: object) -> None:
    wanted = replace(POLICY, optional=REASON)
    assert total_memory_steps(wanted, facts) == total_memory_steps(POLICY, facts)  # type: ignore[arg-type]


SWAPPING = replace(POLICY, limits=replace(POLICY.limits, swap=1 << 20))


@pytest.mark.parametrize(
    ("version", "file", "value"),
    [(1, "memory.memsw.limit_in_bytes", BYTES + (1 << 20)), (2, "memory.swap.max", 1 << 20)],
)
def test_a_cgroup_gives_swap_space(version: int, file: str, value: int) -> None:
    place = Place(version, "/x", swap=True)

    assert s.CgroupLimit(file, value, 0) in total_memory_steps(
        SWAPPING, replace(HOST, cgroup=place, swap=True)
    )
    # Where there is no swap space, a cgroup that cannot count it has nothing to count.
    bare = replace(HOST, cgroup=replace(place, swap=False), swap=False)
    assert s.CgroupLimit(file, value, s.IF_THERE) in total_memory_steps(SWAPPING, bare)


@pytest.mark.parametrize(
    "facts",
    [
        HOST,
        replace(HOST, swap=True),
        replace(HOST, children=False),
        replace(HOST, cgroup=Place(1, "/x"), swap=True),
        replace(HOST, cgroup=Place(2, "/x"), swap=True),
    ],
    ids=["watch", "watch with swap", "nothing", "version 1 cannot", "version 2 cannot"],
)
@pytest.mark.parametrize("optional", [{}, REASON], ids=["needed", "optional"])
def test_swap_space_that_nothing_can_give_is_refused(facts: HostFacts, optional: dict[str, str]) -> None:
    with pytest.raises(HostUnfit) as refused:
        total_memory_steps(replace(SWAPPING, optional=optional), facts)
    assert refused.value.code == "HB562"
    if facts.children:
        assert total_memory_steps(POLICY, facts) == (s.Watch(BYTES, 10, 100),)


PACED = replace(POLICY, limits=replace(POLICY.limits, cpu_bandwidth=1500))
ONE = replace(HOST, cgroup=Place(1, "/memory/x", cpu="/cpu/x"))
TWO = replace(HOST, cgroup=Place(2, "/x", cpu="/x"))


def test_without_the_key_nothing_is_done_for_bandwidth() -> None:
    assert bandwidth_steps(POLICY, ONE) == ()
    giving = replace(TWO, cgroup=Place(2, "/x", delegate=True, cpu="/x", delegate_cpu=True))
    assert total_memory_steps(POLICY, giving)[0] == s.Cgroup("/x", 2, s.DELEGATE)
    assert total_memory_steps(PACED, giving)[0] == s.Cgroup("/x", 2, s.DELEGATE | s.DELEGATE_CPU)


def test_bandwidth_is_a_quota_of_the_kernels_own_period() -> None:
    assert bandwidth_steps(PACED, TWO) == (s.CgroupLimit("cpu.max", 150_000, 0),)
    assert bandwidth_steps(PACED, ONE) == (
        s.Cgroup("/cpu/x", 1, 0),
        s.CgroupLimit("cpu.cfs_quota_us", 150_000, 0),
    )
    assert total_memory_steps(PACED, ONE) == total_memory_steps(POLICY, ONE)


@pytest.mark.parametrize(
    "facts",
    [
        HOST,
        replace(HOST, cgroup=Place(1, "/x")),
        replace(HOST, cgroup=Place(2, "/x")),
        replace(TWO, swap=True),
    ],
    ids=["watch", "no cpu hierarchy", "no cpu controller", "memory is watched"],
)
@pytest.mark.parametrize("optional", [{}, REASON], ids=["needed", "optional"])
def test_bandwidth_that_nothing_can_hold_is_refused(facts: HostFacts, optional: dict[str, str]) -> None:
    with pytest.raises(HostUnfit) as refused:
        bandwidth_steps(replace(PACED, optional=optional), facts)
    assert (refused.value.code, refused.value.value) == ("HB563", 'limits.cpu_bandwidth = "1.5"')
