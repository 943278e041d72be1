"""Plans as the launcher's own decoder sees them.  Run by: pytest; needs a C compiler."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import plans

from hardbox.plan import LaunchPlan
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from collections.abc import Callable

LAUNCH = Path(__file__).parents[2] / "hardbox" / "launch"
SAMPLES = plans.samples()
PHASES = {range(1, 20): 0, range(20, 40): 1, range(40, 100): 2}
HEADER = 56


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str]:
    """The launcher's decoder, with sanitizers, printing what it has understood."""
    binary = tmp_path_factory.mktemp("dump") / "plan_dump"
    sources = [LAUNCH / "plan.c", LAUNCH / "floor.c", LAUNCH / "sha256.c"]
    subprocess.run(
        [
            *("cc", "-std=c17", "-D_GNU_SOURCE", "-O1", "-fsanitize=address,undefined"),
            *("-fno-sanitize-recover=all", f"-I{LAUNCH}", str(Path(__file__).parent / "plan_dump.c")),
            *(*map(str, sources), "-o", str(binary)),
        ],
        check=True,
    )

    def run(data: bytes) -> str:
        done = subprocess.run([binary], input=data, capture_output=True, check=False)
        assert done.stderr == b""
        return done.stdout.decode()

    return run


def line(step: s.Step) -> str:
    phase = next(number for numbers, number in PHASES.items() if step.number in numbers)
    words = [f"{step.number} {step.kind} {phase}"]
    for value in step.values():
        if isinstance(value, int):
            words.append(f"n:{value}")
        elif isinstance(value, str):
            words.append("s:" + value.encode("utf-8", "surrogateescape").hex())
        else:
            words.append("b:" + value.hex())
    return " ".join(words)


def changed(plan: LaunchPlan, steps: tuple[s.Step, ...]) -> bytes:
    return LaunchPlan(steps, plan.policy_name, plan.policy_digest).encode()


def without(plan: LaunchPlan, kind: type[s.Step]) -> bytes:
    return changed(plan, tuple(step for step in plan.steps if not isinstance(step, kind)))


def swapped(plan: LaunchPlan, old: s.Step, new: s.Step) -> bytes:
    assert old in plan.steps
    return changed(plan, tuple(new if step == old else step for step in plan.steps))


def expanded(plan: LaunchPlan, *old: s.Step, new: tuple[s.Step, ...] = ()) -> bytes:
    """Put some steps in the place of others, or take these out."""
    assert set(old) <= set(plan.steps)
    return changed(plan, tuple(x for y in plan.steps for x in ((y,) if y not in old else new)))


def first(plan: LaunchPlan, kind: type[s.Step]) -> s.Step:
    return next(step for step in plan.steps if isinstance(step, kind))


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_launcher_reads_what_python_wrote(name: str, dump: Callable[[bytes], str]) -> None:
    plan = SAMPLES[name]

    assert dump(plan.encode()).splitlines() == [line(step) for step in plan.steps]


def test_the_samples_hold_every_kind() -> None:
    held = {step.number for plan in SAMPLES.values() for step in plan.steps}

    assert held == set(s.KINDS)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(arguments=st.lists(st.binary(max_size=200).map(lambda data: data.replace(b"\0", b"")), min_size=1))
def test_arguments_of_any_bytes_arrive(arguments: list[bytes], dump: Callable[[bytes], str]) -> None:
    plan = plans.build(
        plans.policy(), plans.USER, [word.decode("utf-8", "surrogateescape") for word in arguments]
    )

    lines = [text for text in dump(plan.encode()).splitlines() if text.startswith("22 ")]

    assert lines == ["22 arg 1 s:" + word.hex() for word in arguments]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_is_taken(place: int, bit: int, dump: Callable[[bytes], str]) -> None:
    data = bytearray(SAMPLES["user"].encode())
    data[place % len(data)] ^= 1 << bit

    assert dump(bytes(data)).startswith("refused: ")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "its size is out of range"),
        (b"#!/bin/sh\n" * 10, "it is not a hardbox plan"),
        (SAMPLES["user"].encode()[:-1], "it is cut short or has something appended"),
        (SAMPLES["user"].encode() + b"\0", "it is cut short or has something appended"),
        (SAMPLES["user"].encode()[:8] + b"\2" + SAMPLES["user"].encode()[9:], "another version"),
        (SAMPLES["user"].encode()[:-1] + b"\1", "its digest does not match"),
    ],
)
def test_damaged_bytes_are_named(data: bytes, why: str, dump: Callable[[bytes], str]) -> None:
    assert why in dump(data)


def test_an_unknown_kind_and_a_wrong_payload_are_refused(dump: Callable[[bytes], str]) -> None:
    for record in (struct.pack("<II", 99, 0), struct.pack("<III", 66, 4, 0), struct.pack("<II", 65, 0)):
        body = SAMPLES["user"].encode()[HEADER:] + record
        head = struct.pack("<8sII", b"HBXPLAN\x01", 1, HEADER + len(body))
        count = len(SAMPLES["user"].steps) + 1

        got = dump(head + hashlib.sha256(body).digest() + struct.pack("<II", count, 0) + body)

        assert got == "refused: a step is malformed or of unknown kind\n"


NEEDED = (
    *(s.Host, s.Namespaces, s.Stdio, s.Become, s.Private, s.NewRoot, s.PivotRoot, s.Terminal),
    *(s.Keyring, s.Normalise),
    *(
        s.NoNewPrivs,
        s.Securebits,
        s.DropBoundingSet,
        s.SetIds,
        s.SetCaps,
        s.CloseFds,
        s.SeccompFilter,
        s.Exec,
    ),
)


@pytest.mark.parametrize("kind", NEEDED, ids=lambda kind: kind.kind)
def test_a_plan_without_a_step_of_the_floor_is_refused(
    kind: type[s.Step], dump: Callable[[bytes], str]
) -> None:
    plan = SAMPLES["user"]
    step = first(plan, kind)

    assert "missing or stands twice" in dump(without(plan, kind))
    assert dump(changed(plan, (*plan.steps, step))).startswith("refused: ")


ORDERED = NEEDED[3:]


@pytest.mark.parametrize("at", range(len(ORDERED) - 1), ids=lambda at: ORDERED[at].kind)
def test_a_plan_with_two_steps_of_the_floor_exchanged_is_refused(
    at: int, dump: Callable[[bytes], str]
) -> None:
    plan = SAMPLES["user"]
    one, other = first(plan, ORDERED[at]), first(plan, ORDERED[at + 1])
    steps = tuple(other if step is one else one if step is other else step for step in plan.steps)

    assert dump(changed(plan, steps)).startswith("refused: ")


USER, ROOT, RANGE = SAMPLES["user"], SAMPLES["root"], SAMPLES["user-range"]
USR = s.BindMount("/usr", "/usr", s.RDONLY | s.NOSUID | s.NODEV, s.RECURSIVE)
TMP = first(USER, s.Tmpfs)
PROC = s.Attributes("/proc", s.RDONLY | s.NOSUID | s.NODEV | s.NOEXEC, 0, 0)
WATCH, CGROUP, MEMORY = first(USER, s.Watch), first(ROOT, s.Cgroup), first(ROOT, s.CgroupLimit)
PACED, SECOND = SAMPLES["root-bandwidth"], SAMPLES["root-bandwidth-2"]
PACED_CGROUP = s.Cgroup("/sys/fs/cgroup/cpu/made/up", 1, 0)
SWAP = s.CgroupLimit("memory.memsw.limit_in_bytes", 1 << 29, s.IF_THERE)
QUOTA = s.CgroupLimit("cpu.cfs_quota_us", 150_000, 0)
LAST = s.CgroupLimit("memory.oom.group", 1, 0)
BELOW = {
    "host uid 0 is mapped": swapped(USER, s.MapUid(1000, 1234, 1, 0), s.MapUid(0, 0, 1, 0)),
    "host gid 0 is mapped": swapped(USER, s.MapGid(1000, 1234, 1, 0), s.MapGid(0, 0, 1, 0)),
    "an empty map": swapped(USER, s.MapUid(1000, 1234, 1, 0), s.MapUid(1000, 1234, 0, 0)),
    "a map that wraps round to 0": swapped(USER, s.MapUid(1000, 1234, 1, 0), s.MapUid(0, 0xFFFFFFFF, 2, 0)),
    "no uid map": without(USER, s.MapUid),
    "no gid map": without(USER, s.MapGid),
    "root without a lease": without(ROOT, s.IdLease),
    "root with a map of its own": swapped(ROOT, s.MapUid(1000, 1000, 1, 1), s.MapUid(1000, 1000, 1, 0)),
    "a relative map without a lease": swapped(USER, s.MapUid(1000, 1234, 1, 0), s.MapUid(1000, 1, 1, 1)),
    "root's groups stay": swapped(ROOT, s.SetIds(1000, 1000, s.DROP_GROUPS), s.SetIds(1000, 1000, 0)),
    "the caller's groups stay with a range": swapped(
        RANGE, s.SetIds(1000, 1000, s.DROP_GROUPS), s.SetIds(1000, 1000, 0)
    ),
    "no user namespace": swapped(USER, first(USER, s.Namespaces), s.Namespaces(0x6C020000)),
    "named sockets are let in": swapped(USER, first(USER, s.Stdio), s.Stdio(s.REOPEN_PIPES | 8)),
    "an unknown way of listening": swapped(
        USER, first(USER, s.SeccompFilter), s.SeccompFilter(plans.ALLOW_ALL, 3)
    ),
    "two policies": changed(USER, tuple(x for y in USER.steps for x in ([y, y] if y.number == 24 else [y]))),
    "an unknown namespace flag": swapped(USER, first(USER, s.Namespaces), s.Namespaces(0x7E020100)),
    "CAP_SYS_ADMIN is kept": swapped(USER, s.SetCaps(0), s.SetCaps(1 << 21)),
    "the bounding set is wider": swapped(USER, s.DropBoundingSet(0), s.DropBoundingSet(1 << 10)),
    "the host's root": swapped(USER, USR, s.BindMount("//", "/usr", s.NOSUID | s.NODEV, 1)),
    "devices in a bind": swapped(USER, USR, s.BindMount("/usr", "/usr", s.NOSUID, 1)),
    "set-user-ID in a bind": swapped(USER, USR, s.BindMount("/usr", "/usr", s.NODEV, 1)),
    "an unknown mount attribute": swapped(
        USER, USR, s.BindMount("/usr", "/usr", s.NOSUID | s.NODEV | 0x100000, 1)
    ),
    "devices in a scratch tree": swapped(USER, TMP, s.Tmpfs("/tmp", 1 << 20, 1280, 0o1777, s.NOSUID)),
    "read-only is taken back": swapped(USER, PROC, s.Attributes("/proc", s.NOSUID | s.NODEV, s.RDONLY, 0)),
    "a writable /proc": swapped(USER, PROC, s.Attributes("/proc", s.NOSUID | s.NODEV, 0, 0)),
    "a second wall that is not enforced": without(USER, s.LandlockEnforce),
    "a watch without a limit": swapped(USER, WATCH, s.Watch(0, 10, 100)),
    "a watch that never looks": swapped(USER, WATCH, s.Watch(1 << 20, 0, 100)),
    "a watch that looks backwards": swapped(USER, WATCH, s.Watch(1 << 20, 10, 9)),
    "two watches": changed(USER, (WATCH, *USER.steps)),
    "a cgroup and a watch": changed(ROOT, (WATCH, *ROOT.steps)),
    "two cgroups, of which one limits nothing": changed(ROOT, (CGROUP, *ROOT.steps)),
    "a second cgroup that limits nothing": expanded(PACED, QUOTA),
    "a cgroup for CPU bandwidth alone": expanded(PACED, CGROUP, MEMORY, SWAP),
    "three cgroups": expanded(PACED, QUOTA, new=(QUOTA, PACED_CGROUP, QUOTA)),
    "a second cgroup of version 2": swapped(PACED, PACED_CGROUP, s.Cgroup("/sys/fs/cgroup", 2, 0)),
    "a second cgroup beside version 2": expanded(SECOND, LAST, new=(LAST, PACED_CGROUP, QUOTA)),
    "no CPU time": swapped(PACED, QUOTA, s.CgroupLimit("cpu.cfs_quota_us", 0, 0)),
    "no CPU time with version 2": swapped(
        SECOND, s.CgroupLimit("cpu.max", 150_000, 0), s.CgroupLimit("cpu.max", 0, 0)
    ),
    "another file of the cpu controller": swapped(PACED, QUOTA, s.CgroupLimit("cpu.shares", 2, 0)),
    "a file of the other version": swapped(PACED, QUOTA, s.CgroupLimit("cpu.max", 2, 0)),
    "CPU time in the cgroup of memory": swapped(ROOT, SWAP, s.CgroupLimit("cpu.cfs_quota_us", 2, 0)),
    "memory in the cgroup of CPU time": swapped(PACED, QUOTA, s.CgroupLimit("memory.limit_in_bytes", 2, 0)),
    "a cgroup without limits": without(ROOT, s.CgroupLimit),
    "a limit without its cgroup": without(ROOT, s.Cgroup),
    "a cgroup of no version": swapped(ROOT, CGROUP, s.Cgroup("/sys/fs/cgroup/memory/made/up", 3, 0)),
    "a cgroup with the other version's limit": swapped(ROOT, MEMORY, s.CgroupLimit("memory.max", 1 << 20, 0)),
    "a cgroup that limits memory to nothing": swapped(
        ROOT, MEMORY, s.CgroupLimit("memory.limit_in_bytes", 0, 0)
    ),
    "a file of a cgroup that is no limit": changed(
        ROOT, (s.CgroupLimit("notify_on_release", 1, 0), *ROOT.steps)
    ),
    "a file above the cgroup": swapped(
        ROOT,
        [step for step in ROOT.steps if isinstance(step, s.CgroupLimit)][1],
        s.CgroupLimit("memory./../../memory.limit_in_bytes", 1, 0),
    ),
    "two wall clocks": changed(USER, (s.Wall(1, 1), *USER.steps)),
    "a mount behind pivot-root": swapped(USER, first(USER, s.Hostname), USR),
    "an environment variable among the steps inside": swapped(
        USER, first(USER, s.Hostname), s.Env("LD_PRELOAD", "/x")
    ),
    "something behind seccomp": changed(USER, (*USER.steps[:-1], s.Hostname("late"), s.Exec())),
    "a socket of the network behind the giving up of rights": expanded(
        USER, s.SetCaps(0), new=(s.SetCaps(0), s.Listen(s.LISTEN_TCP, bytes(4), 8080))
    ),
    "an address of the network behind the giving up of rights": expanded(
        USER, first(USER, s.Securebits), new=(s.LocalRoute(bytes(4), 32), first(USER, s.Securebits))
    ),
    "nothing": changed(USER, (s.Exec(),)),
}


@pytest.mark.parametrize("name", sorted(BELOW))
def test_the_floor_holds_whoever_wrote_the_plan(name: str, dump: Callable[[bytes], str]) -> None:
    assert dump(BELOW[name]).startswith("refused: ")


def test_keeping_the_one_harmless_capability_is_above_the_floor(dump: Callable[[bytes], str]) -> None:
    steps = tuple(
        type(step)(1 << 10) if isinstance(step, s.SetCaps | s.DropBoundingSet) else step
        for step in USER.steps
    )

    assert not dump(changed(USER, steps)).startswith("refused")
