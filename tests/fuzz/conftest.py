"""How much was tried, at the end.  Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fuzzers counted."""
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, line in getattr(report, "user_properties", ())
        if name == "fuzz" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("fuzzed")
        for line in lines:
            terminalreporter.write_line(str(line))
