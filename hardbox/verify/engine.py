"""Starts a plan for verify: from an unusual parent, with a terminal and secrets around it.

Run by: verify/examine.py. Not engines/namespaces.py, which hands the launcher a clean
environment: here the launcher itself must take away what its caller has.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from hardbox import report
from hardbox.engines.failures import set_up_failed
from hardbox.engines.memory import memory_file
from hardbox.engines.namespaces import launcher_path
from hardbox.plan.network import kept
from hardbox.verify.runner import PROBE, open_script, outcomes, script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardbox.engines.keeper import Keeper
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.report import Record
    from hardbox.verify.check import Check, Outcome
    from hardbox.verify.runner import Around


class Boxed:
    """One running sandbox; `end` must be called exactly once."""

    def __init__(self, plan: LaunchPlan, policy: Policy, around: Around, given: str = "") -> None:
        """Start it: `given` is the job's stdin. Raises SetupFailed."""
        self._plan = plan
        self._keeper = _keeper(policy)
        try:
            self._start(plan, around, given)
        except BaseException:
            self._end_keeper()
            raise

    def _start(self, plan: LaunchPlan, around: Around, given: str) -> None:
        status_read, status_write = os.pipe()
        files = [memory_file("hardbox-verify", plan.encode()), open_script(given, around.cwd)]
        network = () if self._keeper is None else (self._keeper.socket,)
        try:
            self.process = subprocess.Popen(  # noqa: S603 (our own launcher)
                [
                    *(os.path.join(around.folder, PROBE), "one", "odd", launcher_path()),
                    *("--plan-fd", str(files[0]), "--status-fd", str(status_write)),
                    *(("--network-fd", str(network[0])) if network else ()),
                ],
                stdin=files[1],
                stdout=subprocess.PIPE,
                stderr=around.terminal[1],
                pass_fds=(files[0], status_write, *network),
                text=True,
                cwd=around.cwd,
                env=dict(around.environment),
                start_new_session=True,
            )
        except BaseException:
            os.close(status_read)
            raise
        finally:
            for file in (*files, status_write):
                os.close(file)
            if self._keeper is not None:
                self._keeper.handed_over()
        self._status = status_read
        self._said: list[bytes] = []

    def records(self, *, until: bytes = b"") -> tuple[Record, ...]:
        """Read what the launcher says: all of it, or until a record's payload starts with `until`."""
        while True:
            found = self._whole()
            if until and any(row.payload.startswith(until) for row in found):
                return found
            chunk = os.read(self._status, 1 << 16)
            if not chunk:
                return found
            self._said.append(chunk)

    def _whole(self) -> tuple[Record, ...]:
        try:
            return report.parse_records(b"".join(self._said))
        except ValueError:  # the last record is still being written, or its writer was killed
            return ()

    def abandon(self) -> None:
        """Kill it; what it says does not matter any more."""
        self.process.kill()
        self.process.wait()
        self._end_keeper()
        os.close(self._status)
        if self.process.stdout:
            self.process.stdout.close()

    def end(self) -> tuple[Record, ...]:
        """End it, if it has not ended. Raises SetupFailed if it never started."""
        try:
            records = self.records()
        finally:
            os.close(self._status)
            self.process.wait()
            self._end_keeper()
            if self.process.stdout:
                self.process.stdout.close()
        failed = report.failure(records)
        if failed is not None:
            raise set_up_failed(self._plan, failed)
        return records

    def _end_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.close()


def _keeper(policy: Policy) -> Keeper | None:
    """Start who keeps the network of a policy, if anybody does."""
    if not kept(policy):
        return None
    from hardbox.engines.keeper import Keeper  # noqa: PLC0415 (few profiles have such a network)

    keeper = Keeper(policy)
    keeper.wait_ready()
    return keeper


def run_inside(
    plan: LaunchPlan, policy: Policy, checks: Sequence[Check], around: Around, seen: Callable[[], None]
) -> dict[str, Outcome]:
    """Run attempts in one sandbox. Raises SetupFailed, with what the launcher says on the terminal."""
    box = Boxed(plan, policy, around, script(checks, around.places, around.machine))
    try:
        lines = list(_counted(box, seen))
    except BaseException:  # an interrupt: nothing may go on behind our back
        box.abandon()
        raise
    box.end()
    return outcomes(
        lines, checks, lambda: f"exit {box.process.returncode}: {_said(around.terminal[0])}", _nothing
    )


def _said(master: int) -> str:
    """Give what stands on a terminal that nobody writes to any more."""
    os.set_blocking(master, False)
    try:
        return " ".join(os.read(master, 4096).decode(errors="replace").split())
    except BlockingIOError:
        return "without a word"


def _counted(box: Boxed, seen: Callable[[], None]) -> Sequence[str]:
    found = []
    for line in box.process.stdout or ():
        found.append(line)
        seen()
    return found


def _nothing() -> None:
    return None
