"""Fixtures of the attack tests, and the table at the end.

Run by: pytest.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from attack import ledger
from hardbox.verify import runner
from hardbox.verify.check import Verdict
from hardbox.verify.world import alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.callers import Caller
    from support.installed import Installed

VERIFY_SECONDS = 240


@pytest.fixture(scope="session")
def probes(base: str) -> str:
    """The directory of the probes: the installed ones, which is what users have."""
    folder = os.path.join(base, "probes")
    os.mkdir(folder)
    runner.lay_out(folder)
    return folder


def run_verify(caller: Caller, program: Installed, *words: str) -> dict[str, Any]:
    """Run `hardbox verify --json` as a caller; gives its document."""
    done = caller.run(program.hardbox, "verify", "--json", *words, timeout=VERIFY_SECONDS)
    assert done.returncode in (0, 1), done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def left_by_the_dead(caller: Caller) -> list[str]:
    """Give what a verify that is no more has left in the places where it works.

    The names carry its process id, so that one of another test worker is not taken for one.
    """
    return [
        os.path.join(parent, name)
        for parent in ("/tmp", "/var/tmp", "/dev/shm", caller.home)
        for name in os.listdir(parent)
        if name.startswith(("hardbox-verify-", "hardbox-canary-"))
        and name.split("-")[2].isdigit()
        and not alive(int(name.split("-")[2]))
    ]


@pytest.fixture(scope="session")
def found(caller: Caller, program: Installed) -> dict[str, Any]:
    """What `hardbox verify` says of the strict profile."""
    return run_verify(caller, program)


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
