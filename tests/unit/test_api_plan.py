"""make_plan takes what run takes, and gives the plan of just that.  Run by: pytest."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest
from support import plans

import hardbox
from hardbox import api, host, refusals
from hardbox import plan as planning
from hardbox.errors import ProfileError, Usage
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def made_up_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "read_facts", lambda: plans.USER)


def test_it_takes_whatever_shapes_a_run() -> None:
    streams = {"input", "capture", "output_dir", "samples"}
    assert set(inspect.signature(api.run).parameters) - streams == set(
        inspect.signature(api.make_plan).parameters
    )


def test_the_plan_carries_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    plan = hardbox.make_plan(
        ["id", "-u"],
        profile="build",
        read=[f"{tmp_path}/in:/in"],
        write=[f"{tmp_path}/out:/out"],
        env={"NAME": "value"},
        settings={"limits.wall": "3s", "limits.memory": "100G"},
        loosen={"limits.memory": "a test of the reason"},
        workdir="/in",
    )
    assert isinstance(plan, hardbox.LaunchPlan)
    binds = {step.dest: step for step in plan.steps if isinstance(step, s.BindMount)}
    assert binds["/in"].attributes & s.RDONLY
    assert not binds["/out"].attributes & s.RDONLY
    assert s.Env("NAME", "value") in plan.steps
    assert s.Wall(3000, 2000) in plan.steps
    assert s.Rlimit(2, 100 << 30, 100 << 30) in plan.steps
    assert s.Chdir("/in") in plan.steps
    assert plan.policy_name == "build"


def test_a_loaded_policy_is_planned_as_it_stands() -> None:
    policy = hardbox.load_profile("baseline")
    plan = hardbox.make_plan(["true"], profile=policy)
    assert (plan.policy_name, plan.policy_digest) == ("baseline", policy.digest)
    with pytest.raises(Usage) as caught:
        hardbox.make_plan(["true"], profile=policy, settings={"limits.wall": "1s"})
    assert caught.value.code == "HB007"


def test_what_is_weaker_needs_its_reason() -> None:
    with pytest.raises(ProfileError) as caught:
        hardbox.make_plan(["true"], settings={"limits.memory": "100G"})
    assert caught.value.code == "HB417"


def test_rules_and_plan_are_made_from_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    check, build = refusals.check, planning.build

    def checking(policy: object, facts: object, paths: object) -> None:
        given.append(paths)
        check(policy, facts, paths)  # type: ignore[arg-type]  # as they came

    def building(policy: object, facts: object, paths: object, *rest: object) -> hardbox.LaunchPlan:
        given.append(paths)
        return build(policy, facts, paths, *rest)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(refusals, "check", checking)
    monkeypatch.setattr(planning, "build", building)
    hardbox.make_plan(["true"])
    first, second = given
    assert first is second
