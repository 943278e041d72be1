"""`hardbox serve` in a test, and its clients.

Run by: tests/system/test_serve*.py.
"""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support import patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")


class Served:
    """One server, and what its clients need."""

    def __init__(self, caller: Caller, program: Installed, path: str, *words: str) -> None:
        self.caller, self.program, self.path = caller, program, path
        self.process = subprocess.Popen(
            [*caller.prefix, program.hardbox, "serve", "--socket", path, *words],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=caller.environment(),
            cwd=caller.home,
            text=True,
        )
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline()

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.caller.run(self.program.hardbox, "run", *words, stdin=stdin, env=self.environment())

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.caller.prefix, self.program.hardbox, "run", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.caller.environment(**self.environment()),
            cwd=self.caller.home,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        return {"HARDBOX_SOCKET": self.path}

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(patience.seconds(60))
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


@contextmanager
def served(caller: Caller, program: Installed, place: str, *words: str) -> Iterator[Served]:
    one = Served(caller, program, f"{place}/run/socket", *words)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.stop()


def jobs(caller: Caller, mark: str) -> bool:
    return caller.run("pgrep", "-f", mark).returncode == 0
