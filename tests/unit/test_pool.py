"""What a pool decides by itself: turns, what fits a member, what a decision rests on.  Run by: pytest."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hardbox import api, rested
from hardbox.cgroups import Place
from hardbox.errors import SetupFailed
from hardbox.plan import LaunchPlan
from hardbox.plan import steps as s
from hardbox.pool import decision
from hardbox.pool.turns import Cancelled, Ticket, Turns

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.runs import Prepared


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return api.prepare(api.load_profile("strict"), ["true"])


def with_steps(plan: LaunchPlan, *steps: s.Step) -> LaunchPlan:
    return replace(plan, steps=steps)


def test_a_job_has_the_plan_that_it_would_have_alone(prepared: Prepared) -> None:
    taken = decision.kind_of(prepared)
    alone = api.prepare(prepared.policy, ["ls", "-l", "\udcff"], workdir="/tmp").plan
    assert taken.template.filled(("ls", "-l", "\udcff"), "/tmp") == alone
    assert (
        taken.template.filled(("ls",), "/tmp").encode()
        == api.prepare(prepared.policy, ["ls"], workdir="/tmp").plan.encode()
    )


def test_what_a_member_is_told_is_no_wall(prepared: Prepared) -> None:
    taken = decision.kind_of(prepared)
    content = taken.content(["ls", "-l"], "/tmp", {"LANG": "C", "SECRET": "x"})
    assert b"SECRET" not in content
    assert s.Env("LANG", "C").encode() in content


def test_plans_with_other_data_have_the_same_walls(prepared: Prepared) -> None:
    other = api.prepare(api.decide("strict", api.Added((), (), (), {"A": "b"}), None, None), ["ls"]).plan
    assert decision.same_walls(prepared.plan, other)
    home = api.prepare(api.decide("strict", api.Added((), (), (), {"HOME": "/tmp"}), None, None), ["ls"]).plan
    assert not decision.same_walls(prepared.plan, home)  # /etc/passwd names it


def test_what_fits_an_open_member(prepared: Prepared, tmp_path: Path) -> None:
    plan = prepared.plan
    at = decision.hold_point(plan, prepared.policy.filesystem.scratch)
    added = api.Added((), (f"{tmp_path}:/work",), (), None)
    job = api.prepare(api.decide("strict", added, None, None), ["ls"]).plan
    assert decision.fits(plan, plan, at)
    assert decision.fits(plan, job, at)
    for number, step in enumerate(plan.steps):
        if step.number >= 40 or step.number < 20:
            less = with_steps(plan, *plan.steps[:number], *plan.steps[number + 1 :])
            assert not decision.fits(plan, less, at), step
    for more in (s.Sysctl("/proc/sys/x", "1"), s.Tmpfs("/x", 1, 1, 1, 6), s.WriteFile("/x", 0o444, b"x")):
        assert not decision.fits(plan, with_steps(job, *job.steps[:-2], more, *job.steps[-2:]), at)
    assert not decision.fits(plan, with_steps(job, *job.steps, s.MakeDir("/x", 1)), at)


def test_names_are_spoken_out(prepared: Prepared) -> None:
    spoken = decision.spoken_out(prepared.plan, {"LANG": "C", "SECRET": "x"})
    assert not any(isinstance(step, s.PassEnv) for step in spoken.steps)
    assert s.Env("LANG", "C") in spoken.steps
    assert decision.same_walls(spoken, prepared.plan)


def test_ground(prepared: Prepared, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("x")
    policy = replace(prepared.policy, files=(str(file),))
    before = rested.look(anywhere=True)
    with pytest.raises(rested.ChangedError):
        decision.Ground(policy, prepared.paths, before)
    ground = decision.Ground(policy, prepared.paths, later(before))
    assert ground.same()
    file.write_text("xy")
    assert not ground.same()
    ground.close()
    file.unlink()
    gone = decision.Ground(policy, prepared.paths, later(before))
    assert gone.same()
    file.write_text("x")
    assert not gone.same()
    file.unlink()
    assert not gone.same()  # members may have been made meanwhile
    gone.close()


def later(before: rested.Around) -> rested.Around:
    return replace(before, began=before.began + 10**10)


@pytest.mark.parametrize("what", ["home", "directory", "bound", "groups", "cpus", "nothing"])
def test_what_a_decision_rests_on_beside_files(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    before = rested.look(anywhere=True)
    found = rested.Rested((), before)
    assert found.same()
    facts = before.facts
    changed = {
        "bound": replace(facts, cgroup=Place(2, "/sys/fs/cgroup", bound=1 << 30)),
        "cpus": replace(facts, cpus=(*facts.cpus, 4096)),
    }.get(what)
    if what == "home":
        monkeypatch.setattr("hardbox.refusals.Disk.home", lambda *_: "/elsewhere")
    elif what == "directory":
        monkeypatch.chdir("/usr")
    elif what == "groups":
        monkeypatch.setattr("os.getgroups", lambda: [12345])
    elif changed is not None:
        monkeypatch.setattr("hardbox.host.read_facts", lambda **_: changed)
    # The directory counts only where a decision rests on it.
    assert found.same() is (what in ("nothing", "directory"))
    if what == "directory":
        counts = rested.Rested((), rested.look())
        monkeypatch.chdir("/")
        assert not counts.same()


def test_turns_are_bounded() -> None:
    turns = Turns(1, 0, 5.0)
    with turns.turn(Ticket()), pytest.raises(SetupFailed, match="HB671"), turns.turn(Ticket()):
        pass
    with turns.turn(Ticket()):
        pass
    late = Turns(1, 1, 0.0)
    with late.turn(Ticket()), pytest.raises(SetupFailed, match="HB671"), late.turn(Ticket()):
        pass
    assert turns.close()
    with pytest.raises(SetupFailed, match="HB670"), turns.turn(Ticket()):
        pass


def test_who_waits_can_be_taken_back() -> None:
    turns, ticket = Turns(1, 5, 100.0), Ticket()
    found: list[type[BaseException]] = []

    def wait() -> None:
        try:
            with turns.turn(ticket):
                pass
        except BaseException as error:  # noqa: BLE001 (looked at below)
            found.append(type(error))

    with turns.turn(Ticket()):
        thread = threading.Thread(target=wait)
        thread.start()
        ticket.cancel()
        thread.join(60)
    assert found == [Cancelled]
    assert not ticket.begin()
    assert turns.close()


def test_a_ticket_ends_its_job_once() -> None:
    ended: list[int] = []
    ticket = Ticket()
    assert ticket.begin()
    assert not ticket.cancel_waiting()
    ticket.job(lambda: ended.append(1))
    ticket.cancel()
    ticket.cancel()
    ticket.job(lambda: ended.append(2))
    assert ended == [1, 2]
