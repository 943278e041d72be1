"""What will happen: the order of a plan, and the whole of it for each shipped profile.

Run by: pytest. HARDBOX_GOLDEN=write rewrites tests/unit/golden; read the difference then.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import plans

from hardbox import plan as planning
from hardbox import profile
from hardbox.errors import Usage
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.plan import LaunchPlan

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = plans.samples()
CALLERS = {"user": plans.USER, "root": plans.ROOT}
# They name no destination by themselves (test_plan_network.py).
BY_CALLER = ("agent", "net-client")
PLANNED = tuple(name for name in profile.shipped() if name not in BY_CALLER)
# Before -> after, and why; every pair that is in a plan has to stand in this order.
ORDER = (
    (s.Become, s.Private, "mounts are made in the identity that init has from here on"),
    (s.Private, s.NewRoot, "no mount may reach the host"),
    (s.NewRoot, s.BindMount, "there has to be a root to attach to"),
    (s.BindMount, s.Proc, "a shown tree must not cover /proc"),
    (s.Stage, s.Overlay, "an overlay needs its upper directory"),
    (s.Overlay, s.Unstage, "the stage is visible inside until it is taken away"),
    (s.Overlay, s.Tmpfs, "scratch stands on top of the root's layers"),
    (s.Proc, s.Sysctl, "sysctls of the new namespaces are set through the new /proc"),
    (s.Proc, s.Mask, "masks lie over the new /proc"),
    (s.Device, s.Mask, "a file is masked with /dev/null"),
    (s.Sysctl, s.PivotRoot, "afterwards /proc is read-only"),
    (s.Mask, s.PivotRoot, "mounting ends with the pivot"),
    (s.Attributes, s.PivotRoot, "mounting ends with the pivot"),
    (s.PivotRoot, s.NoNewPrivs, "mounts need privilege in the namespace"),
    (s.PivotRoot, s.Hostname, "everything from here on sees the new root only"),
    (s.Normalise, s.Rlimit, "limits are not reset"),
    (s.Cpus, s.SeccompFilter, "the filter refuses sched_setaffinity"),
    (s.NoNewPrivs, s.LandlockEnforce, "landlock_restrict_self(2) asks for it"),
    (s.PivotRoot, s.Landlock, "rules are for paths of the new root"),
    (s.Landlock, s.LandlockPath, "rules go into the ruleset"),
    (s.LandlockPath, s.LandlockStdio, "all rules stand before they are enforced"),
    (s.LandlockStdio, s.LandlockEnforce, "all rules stand before they are enforced"),
    (s.Securebits, s.SetIds, "a change of ids must not give or take capabilities by itself"),
    (s.DropBoundingSet, s.SetCaps, "PR_CAPBSET_DROP needs CAP_SETPCAP"),
    (s.SetIds, s.SetCaps, "setresuid(2) needs CAP_SETUID"),
    (s.SetIds, s.Chdir, "the job's own rights decide whether it may go there"),
    (s.CloseFds, s.SeccompFilter, "nothing is opened afterwards"),
    (s.SetCaps, s.SeccompFilter, "capset(2) and prctl(2) are filtered"),
    (s.SeccompFilter, s.Exec, "the filter is the last wall"),
)


@pytest.mark.parametrize("name", sorted(SAMPLES))
@pytest.mark.parametrize(("before", "after", "why"), ORDER, ids=lambda part: getattr(part, "kind", None))
def test_steps_stand_in_the_order_that_the_kernel_needs(
    name: str, before: type[s.Step], after: type[s.Step], why: str
) -> None:
    steps = SAMPLES[name].steps
    last = max((at for at, step in enumerate(steps) if isinstance(step, before)), default=-1)
    first = min((at for at, step in enumerate(steps) if isinstance(step, after)), default=len(steps))

    assert last < first, why


def test_every_pair_of_the_order_is_in_some_plan() -> None:
    for before, after, _ in ORDER:
        assert any(
            any(isinstance(step, before) for step in plan.steps)
            and any(isinstance(step, after) for step in plan.steps)
            for plan in SAMPLES.values()
        ), (before.kind, after.kind)


@pytest.mark.parametrize("caller", sorted(CALLERS))
@pytest.mark.parametrize("name", PLANNED)
def test_the_plan_of_a_shipped_profile_is_the_one_on_record(name: str, caller: str) -> None:
    plan = plans.build(profile.load(name), CALLERS[caller])
    text = "\n".join(plan.lines()) + "\n"
    record = GOLDEN / f"{name}-{caller}.txt"
    if os.environ.get("HARDBOX_GOLDEN") == "write":
        record.write_text(text)

    assert text == record.read_text()


def test_there_is_no_record_without_its_profile() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {
        f"{name}-{caller}.txt" for name in PLANNED for caller in CALLERS
    }


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_header_is_what_plan_h_says(name: str) -> None:
    plan = SAMPLES[name]
    data = plan.encode()
    magic, version, total, digest, count, zero = struct.unpack_from("<8sII32sII", data)

    assert (magic, version, total, count, zero) == (b"HBXPLAN\x01", 1, len(data), len(plan.steps), 0)
    assert digest == hashlib.sha256(data[56:]).digest()
    assert plan.digest() == hashlib.sha256(data).hexdigest()
    assert data[56:] == b"".join(step.encode() for step in plan.steps)


def test_the_same_wish_on_the_same_host_is_the_same_plan() -> None:
    assert plans.build(plans.policy(), plans.USER) == plans.build(plans.policy(), plans.USER)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_each_line_carries_the_number_that_the_launcher_counts(name: str) -> None:
    plan = SAMPLES[name]

    for number, (line, step) in enumerate(zip(plan.lines(), plan.steps, strict=True), 1):
        assert line.split(maxsplit=2)[:2] == [str(number), step.kind]
        assert line.endswith(step.describe())


@pytest.mark.parametrize(
    ("workdir", "cwd", "expected"),
    [
        ("/usr", "/made/up", "/usr"),
        (None, "/made/up", "/made/up"),
        (None, "/made/up/below", "/made/up/below"),
        (None, "/made/upwards", "/home/box"),
        (None, "/elsewhere", "/home/box"),
        (None, "", "/home/box"),
    ],
)
def test_the_command_starts_where_the_caller_is_if_that_is_shown(
    workdir: str | None, cwd: str, expected: str
) -> None:
    wanted = plans.policy(write=("/made/up",))
    command = planning.Command(("true",), workdir, cwd)

    plan = planning.build(wanted, plans.USER, plans.paths(wanted), plans.FILTER, command)

    assert s.Chdir(expected) in plan.steps


def test_a_fixed_variable_is_not_taken_from_the_caller() -> None:
    plan = SAMPLES["user"]
    fixed = {step.values()[0] for step in plan.steps if isinstance(step, s.Env)}
    passed = {step.values()[0] for step in plan.steps if isinstance(step, s.PassEnv)}

    assert passed == {"LANG"}
    assert not fixed & passed


def trees(count: int) -> LaunchPlan:
    return plans.build(plans.policy(write=[f"/made/up/{number}" for number in range(count)]), plans.ROOT)


def search(count: int) -> LaunchPlan:
    wanted = plans.policy()
    fixed = {**wanted.environment.set, "PATH": ":".join(f"/{number}" for number in range(count))}
    environment = dataclasses.replace(wanted.environment, set=fixed)
    return plans.build(dataclasses.replace(wanted, environment=environment), plans.USER)


def arguments(*argv: str) -> LaunchPlan:
    return plans.build(plans.policy(), plans.USER, argv)


def test_as_much_as_one_launch_can_carry_is_planned() -> None:
    room = planning.STEPS_MAX - len(arguments().steps)

    assert search(planning.SEARCH_MAX).encode()
    assert trees(planning.TREES_MAX).encode()
    assert len(arguments(*["x"] * room).steps) == planning.STEPS_MAX


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("65 directories in PATH", lambda: search(planning.SEARCH_MAX + 1)),
        (f"{planning.TREES_MAX + 1} trees of the host", lambda: trees(planning.TREES_MAX + 1)),
        ("steps", lambda: arguments(*["x"] * planning.STEPS_MAX)),
        ("bytes", lambda: arguments("x" * planning.SIZE_MAX).encode()),
    ],
    ids=("search", "trees", "steps", "bytes"),
)
def test_more_than_one_launch_can_carry_is_refused(what: str, make: Callable[[], object]) -> None:
    with pytest.raises(Usage, match="more than one launch can carry") as caught:
        make()

    assert caught.value.code == "HB010"
    assert what in caught.value.value
    assert caught.value.instead
