"""What is taken from the job before it runs.  Run by: pytest."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from support import plans
from unit.bpf_interpreter import data, load, run

from hardbox import filters, profile
from hardbox.errors import HostUnfit
from hardbox.host import IdRange
from hardbox.plan import steps as s
from hardbox.plan import walls
from hardbox.policy import CAPABILITIES, Limits, Seccomp

X86_64 = 0xC000003E
ALLOW = 0x7FFF0000
# What init and the job still call once their own filter is loaded, until the command's exec;
# number and arguments as on x86_64.
AFTERWARDS = {
    "fork": (56, (0x01200011,)),  # clone(CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD)
    "set_robust_list": (273, (0, 24)),
    "close": (3, (5,)),
    "setsid": (112, ()),
    "sendto": (44, (4, 0, 12, 0x4000)),
    "recvmsg": (47, (4, 0, 0x40000000)),
    "rt_sigprocmask": (14, (2, 0, 0, 8)),
    "execve": (59, (0, 0, 0)),
    "poll": (7, (0, 2, 0xFFFFFFFF)),
    "restart_syscall": (219, ()),
    "read": (0, (5, 0, 128)),
    "wait4": (61, (0xFFFFFFFFFFFFFFFF, 0, 1, 0)),
    "kill": (62, (2, 15)),
    "kill a group": (62, (0xFFFFFFFFFFFFFFFE, 2)),
    "exit_group": (231, (0,)),
}


@pytest.mark.parametrize("name", profile.shipped())
def test_the_filter_leaves_init_what_it_needs(name: str) -> None:
    wanted = profile.load(name)
    refuse = ("memfd",) if wanted.filesystem.exec == "shown" else ()
    program = load(filters.compile_filter(wanted.seccomp, refuse=refuse, machine="x86_64").bpf)

    for call, (number, arguments) in AFTERWARDS.items():
        words = data(number, X86_64, (*arguments, *(0 for _ in range(6 - len(arguments)))))
        assert run(program, words) == ALLOW, call


def test_the_filter_does_not_leave_everything() -> None:
    program = load(filters.compile_filter(Seccomp("strict"), machine="x86_64").bpf)

    assert run(program, data(165, X86_64, (0,) * 6)) != ALLOW  # mount(2)


def test_an_ordinary_caller_is_the_inside_user() -> None:
    assert walls.identity_steps(plans.policy(), plans.USER) == (
        s.MapUid(1000, 1234, 1, 0),
        s.MapGid(1000, 1234, 1, 0),
    )


def test_root_gets_a_range_that_nobody_else_has() -> None:
    lease, *maps = walls.identity_steps(plans.policy(), plans.ROOT)

    assert lease == s.IdLease("/run/hardbox.ids", 0x70000000, 65536, 4096)
    assert maps == [s.MapUid(1000, 1000, 1, 1), s.MapGid(1000, 1000, 1, 1)]


def test_root_takes_the_ranges_of_user_hardbox_where_there_are_some() -> None:
    own = (IdRange(1 << 20, 65536 * 10),)

    lease = walls.identity_steps(plans.policy(), replace(plans.ROOT, subuid=own, subgid=own))[0]

    assert lease == s.IdLease("/run/hardbox.ids", 1 << 20, 65536, 10)


@pytest.mark.parametrize(
    ("subuid", "subgid"),
    [
        ((IdRange(1 << 20, 65536),), ()),
        ((IdRange(1 << 20, 65536),), (IdRange(1 << 21, 65536),)),
        ((IdRange(1 << 20, 65535),), (IdRange(1 << 20, 65535),)),
        ((IdRange(1, 65536 * 4),), (IdRange(1, 65536 * 4),)),
    ],
)
def test_root_does_not_use_ranges_that_do_not_fit(
    subuid: tuple[IdRange, ...], subgid: tuple[IdRange, ...]
) -> None:
    facts = replace(plans.ROOT, subuid=subuid, subgid=subgid)

    assert walls.identity_steps(plans.policy(), facts)[0] == s.IdLease(
        "/run/hardbox.ids", 0x70000000, 65536, 4096
    )


def test_no_plan_maps_host_id_0() -> None:
    for plan in plans.samples().values():
        for step in plan.steps:
            if isinstance(step, s.MapUid | s.MapGid):
                assert step.relative or step.outside > 0


@pytest.mark.parametrize("kind", [s.MapUid, s.MapGid])
def test_a_range_of_an_ordinary_caller_has_no_hole_and_no_overlap(kind: type[s.MapUid | s.MapGid]) -> None:
    steps = walls.identity_steps(plans.policy(ids="range"), plans.USER)
    rows = sorted((step.inside, step.outside, step.count) for step in steps if isinstance(step, kind))

    assert steps[0] == s.MapHelpers("/usr/bin/newuidmap", "/usr/bin/newgidmap")
    assert [row[0] for row in rows] == [0, 1000, 1001]
    assert all(one[0] + one[2] == other[0] for one, other in pairwise(rows))
    outside = sorted((row[1], row[1] + row[2]) for row in rows)
    assert all(one[1] <= other[0] for one, other in pairwise(outside))
    assert rows[1][1:] == (1234, 1)


@pytest.mark.parametrize("lacking", [{"newuidmap": ""}, {"newgidmap": ""}, {"subuid": ()}, {"subgid": ()}])
def test_a_range_without_its_means_is_refused(lacking: dict[str, object]) -> None:
    with pytest.raises(HostUnfit) as caught:
        walls.identity_steps(plans.policy(ids="range"), replace(plans.USER, **lacking))  # type: ignore[arg-type]

    assert caught.value.code == "HB520"


def test_every_limit_is_a_step_and_leaves_room_for_init() -> None:
    limits = Limits(memory=1, swap=10, tasks=64, cpu=2, cpu_time=3, file_size=4, open_files=5, locked=6)
    steps = walls.limit_steps(replace(plans.policy(), limits=limits))

    rlimits = {step.resource: step.soft for step in steps if isinstance(step, s.Rlimit)}
    assert rlimits.items() >= {0: 3, 1: 4, 2: 11, 4: 0, 6: 65, 7: 5, 8: 6, 12: 819200}.items()
    assert all(step.soft == step.hard for step in steps if isinstance(step, s.Rlimit))
    assert steps[-1] == s.Cpus(2)


def test_no_landlock_is_an_error_unless_the_profile_accepts_it() -> None:
    facts = replace(plans.USER, landlock_abi=0)
    wanted = plans.policy()

    with pytest.raises(HostUnfit) as caught:
        walls.landlock_steps(wanted, facts, {"/": "list"})
    assert caught.value.code == "HB501"
    accepting = replace(wanted, optional={"landlock": "an old kernel"})
    assert walls.landlock_steps(accepting, facts, {"/": "list"}) == ()


@pytest.mark.parametrize(
    ("abi", "rights"),
    [(1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (4, 0x7FFF), (5, 0xFFFF), (6, 0xFFFF), (9, 0xFFFF)],
)
def test_landlock_asks_for_what_this_kernel_knows(abi: int, rights: int) -> None:
    first, *rules = walls.landlock_steps(
        plans.policy(), replace(plans.USER, landlock_abi=abi), {"/": "list", "/usr": "read", "/tmp": "write"}
    )

    assert isinstance(first, s.Landlock)
    assert first.values() == (rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    for rule in rules:
        if isinstance(rule, s.LandlockPath):
            assert rule.access & ~rights == 0
    assert isinstance(rules[-1], s.LandlockEnforce)


def test_a_network_of_its_own_keeps_tcp() -> None:
    first = walls.landlock_steps(plans.policy(network="loopback"), plans.USER, {})[0]

    assert isinstance(first, s.Landlock)
    assert first.network == 0


def test_what_the_job_writes_is_not_executable_where_only_shown_files_are() -> None:
    for name, execute in (("user", 0), ("user-ephemeral", 1)):
        rules = {
            step.path: step.access for step in plans.samples()[name].steps if isinstance(step, s.LandlockPath)
        }
        assert rules["/tmp"] & 1 == execute
        assert rules["/usr"] & 1 == 1


def test_no_rule_lets_device_nodes_be_made() -> None:
    for plan in plans.samples().values():
        for step in plan.steps:
            if isinstance(step, s.LandlockPath):
                assert step.access & (1 << 6 | 1 << 11) == 0


def test_capabilities_have_their_numbers() -> None:
    assert walls.capability_mask(()) == 0
    assert walls.capability_mask(("NET_BIND_SERVICE",)) == 1 << 10
    assert CAPABILITIES.index("SYS_ADMIN") == 21
    assert CAPABILITIES.index("CHECKPOINT_RESTORE") == 40
