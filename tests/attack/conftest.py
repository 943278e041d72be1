"""Fixtures of the attack tests, and the table at the end.

Run by: pytest.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from attack import batch, ledger, world
from attack.check import CALLER, ROOT, THROWAWAY, Check, Facts, Outcome, Verdict, judge
from attack.corpus import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.callers import Caller
    from support.installed import Installed

    from attack.world import Canaries


@dataclass
class Controls:
    """The whole corpus without a sandbox, by one caller.

    changed: what the controls did to their canaries: the proof that damage is seen.
    """

    facts: Facts
    outcomes: dict[str, dict[str, Outcome]]
    changed: set[str] = field(default_factory=set)

    def of(self, check: Check) -> dict[str, Outcome]:
        """Give the outcomes of one attempt, by place."""
        return {where: done[check.id] for where, done in self.outcomes.items() if check.id in done}


@dataclass
class Arena:
    """The whole corpus inside the sandbox, by one caller, and what the host was before and after."""

    controls: Controls
    facts: Facts
    outcomes: dict[str, Outcome]
    before: dict[str, str]
    after: dict[str, str]

    def verdict(self, check: Check) -> Verdict:
        """Judge one attack."""
        return judge(check, self.controls.of(check), self.outcomes[check.id], self.controls.facts, self.facts)


@pytest.fixture(scope="session")
def probes(base: str) -> str:
    """The directory of the compiled probes."""
    folder = os.path.join(base, "probes")
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    batch.build(folder)
    return folder


def _own_folder(caller: Caller) -> str:
    folder = tempfile.mkdtemp(dir=caller.home)
    os.chown(folder, caller.uid, caller.gid)
    return folder


def _pairs(watched: Canaries, slave: str, **more: str) -> dict[str, str]:
    return {**watched.places(), "pts": slave, **more}


@pytest.fixture(scope="session")
def controls(caller: Caller, base: str, probes: str) -> Iterator[Controls]:
    """Every attempt outside."""
    watched = world.canaries(caller, base)
    master, slave = os.openpty()
    scratch = _own_folder(caller)
    facts = world.host_facts(
        caller, watched, {"probe": probes, "scratch": scratch, "pts": os.ttyname(slave), "base": base}
    )
    before = world.observe(watched)
    outcomes = {
        where: batch.outside(where, caller, CHECKS, probes, {**facts.places, "scratch": _own_folder(caller)})
        for where in (CALLER, THROWAWAY, ROOT)
        if where != ROOT or os.geteuid() == 0
    }
    after = world.observe(watched)
    yield Controls(facts, outcomes, {name for name in before if before[name] != after[name]})
    os.close(master)
    os.close(slave)
    watched.remove()


@pytest.fixture(scope="session")
def arena(caller: Caller, program: Installed, base: str, probes: str, controls: Controls) -> Iterator[Arena]:
    """Every attempt inside."""
    watched = world.canaries(caller, base)
    places = {
        "probe": batch.INSIDE_PROBES,
        "scratch": "/tmp",
        "pts": controls.facts.places["pts"],
        "base": base,
    }
    facts = world.host_facts(caller, watched, places)
    before = world.observe(watched)
    outcomes = batch.inside(caller, program, CHECKS, probes, facts.places)
    yield Arena(controls, facts, outcomes, before, world.observe(watched))
    watched.remove()


@pytest.fixture
def enter(request: pytest.FixtureRequest, caller: Caller) -> Callable[[str, Verdict], Verdict]:
    """Enter a verdict into the table at the end."""

    def note(check: str, verdict: Verdict) -> Verdict:
        row = (check, "root" if caller.uid == 0 else "user", verdict.word, verdict.reason)
        # A property of the test's report: it reaches the summary from parallel workers too.
        request.node.user_properties.append((ledger.PROPERTY, row))
        return verdict

    return note


@pytest.fixture
def settle(enter: Callable[[str, Verdict], Verdict]) -> Callable[[str, str, str], None]:
    """Enter and assert a verdict on an attack with a launch of its own.

    The function takes: the id; what the attack gave, "" if it was held; what shows that the
    control is live, "" if it is not.
    """

    def decide(check: str, gave: str, live: str) -> None:
        word = "escaped" if gave else "held" if live else "vacuous"
        verdict = enter(check, Verdict(word, gave or live or "NO KNOWN REASON (the control is not live)"))
        assert verdict.word == "held", f"{check}: {verdict.word}: {verdict.reason}"

    return decide


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    entries = [
        ledger.Entry(*row)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, row in getattr(report, "user_properties", ())
        if name == ledger.PROPERTY and report.when == "call"
    ]
    if not entries:
        return
    terminalreporter.section("attacks: held / vacuous / escaped")
    for line in ledger.lines(entries):
        terminalreporter.write_line(line)
