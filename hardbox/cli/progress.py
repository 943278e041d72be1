"""`hardbox run --progress`: elapsed time, memory and tasks against their limits, twice a second.

Run by: cli/run.py. As with curl, only where the job's output goes elsewhere: a line that is drawn
into the output of the job would spoil both. Where the job's messages go to the terminal and its
output does not, the line is drawn there, and a message goes over it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hardbox.cli.line import Line
from hardbox.policy import UNLIMITED
from hardbox.report import sample
from hardbox.view.amounts import duration, size

if TYPE_CHECKING:
    from hardbox.policy import Limits
    from hardbox.report import Record


class Progress:
    """The line of one run. `terminal` is -1 where none may be drawn."""

    def __init__(self, limits: Limits) -> None:
        """Choose the terminal, before the launch."""
        self.terminal = _terminal()
        self._line = Line(self.terminal)
        self._limits = limits
        self._began = time.monotonic()
        self._use = (0, 0)

    def watch(self, records: tuple[Record, ...]) -> None:
        """Take the records that have come, and draw the line."""
        for record in records:
            if found := sample(record):
                self._use = (found.memory, found.tasks)
        memory, tasks = self._use
        elapsed = time.monotonic() - self._began
        parts = (
            _of(duration(round(elapsed)), duration(self._limits.wall / 1000), self._limits.wall),
            "memory " + _of(size(memory), size(self._limits.memory), self._limits.memory),
            "tasks " + _of(str(tasks), str(self._limits.tasks), self._limits.tasks),
        )
        self._line.show("hardbox: " + ", ".join(parts))

    def close(self) -> None:
        """Take the line away."""
        self._line.clear()
        if self.terminal > 2:  # noqa: PLR2004 (not one of ours)
            os.close(self.terminal)
        self.terminal = -1


def _of(now: str, most: str, limit: int) -> str:
    return f"{now} of {most}" if limit != UNLIMITED else now


def _terminal() -> int:
    """Give a terminal that the job does not write its output to, -1 if there is none."""
    if os.isatty(1):
        return -1
    if os.isatty(2):
        return 2
    try:
        return os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return -1
