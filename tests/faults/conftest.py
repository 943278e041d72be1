"""Fixtures of the fault tests, and the count at the end.  Run by: pytest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import faults

from faults import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.callers import Caller
    from support.installed import Installed

    from faults.trace import Ground

_COUNT = "faults"
# The tests' own, and the file that holds the leases of ids, which stays.
_KNOWN = (
    *("hardbox-tests-", "hardbox-bridges-", "hardbox-canary-", "hardbox-verify-", "hardbox-compare-"),
    "hardbox-doctor-",
    "hardbox.ids",
)


@pytest.fixture(scope="session")
def tool(base: str) -> str:
    """The tracer."""
    return trace.build_tool(base)


def _traces_of_use() -> set[str]:
    """Name what a launch might leave on the host."""
    found = set()
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
        found |= {
            f"{folder}/{name}"
            for name in os.listdir(folder)
            if name.startswith("hardbox") and not name.startswith(_KNOWN)
        }
    return found


def _reclaimed(caller: Caller, program: Installed, before: set[str]) -> bool:
    """Launch once more: what a killed launcher leaves as its cgroup, the next one removes."""
    caller.run(program.hardbox, "run", "--", "true")
    return not faults.cgroups_left() - before


@pytest.fixture
def ground(
    request: pytest.FixtureRequest, caller: Caller, program: Installed, tool: str, place: str
) -> Iterator[Ground]:
    """A plan, a tracer, a canary; afterwards nothing is left of whatever was done.

    A test may ask for another mode by its parameter, see trace.MODES.
    """
    mode = getattr(request, "param", "none")
    faults.adopt_orphans()
    before = faults.children()
    traces = _traces_of_use()
    cgroups = faults.cgroups_left()
    own = set(os.listdir("/proc/self/fd"))
    made = trace.make_ground(caller, program, tool, place, mode)
    yield made
    try:
        faults.eventually(lambda: not faults.orphans(before), "all processes of the test have ended")
    finally:
        faults.end(faults.orphans(before))
    assert not list(made.left())
    assert _traces_of_use() <= traces
    if caller.uid == 0:
        faults.eventually(lambda: _reclaimed(caller, program, cgroups), "all cgroups are removed")
    assert set(os.listdir("/proc/self/fd")) == own


@pytest.fixture
def count(request: pytest.FixtureRequest, caller: Caller) -> Callable[[str], None]:
    """Enter a line into the count at the end."""

    def note(line: str) -> None:
        # A property of the test's report: it reaches the summary from parallel workers too.
        request.node.user_properties.append((_COUNT, f"{caller.name}: {line}"))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, line in getattr(report, "user_properties", ())
        if name == _COUNT and report.when == "call"
    ]
    if lines:
        terminalreporter.section("set-up faults")
        total: dict[str, int] = {}
        for line in lines:
            terminalreporter.write_line(line)
            number, word = line.partition(": ")[2].split()[:2]
            total[word] = total.get(word, 0) + int(number)
        kills = total.get("kills", 0) + total.get("launchers", 0)
        calls, kernels = total.get("calls", 0), total.get("older", 0)
        terminalreporter.write_line(f"in all: {kills} kills, {calls} failed calls, {kernels} older kernels")
