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
from hardbox.engines.namespaces import launcher_path
from hardbox.verify.runner import PROBE, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hardbox.plan import LaunchPlan
    from hardbox.report import Record
    from hardbox.verify.check import Check, Outcome


class Boxed:
    """One running sandbox; `end` must be called exactly once.

    cwd: the launcher's, a directory of the caller's own; the script is put there too.
    """

    def __init__(
        self,
        plan: LaunchPlan,
        folder: str,
        environment: Mapping[str, str],
        cwd: str,
        given: str = "",
        terminal: int | None = None,
    ) -> None:
        """Start it: `given` is the job's stdin; `terminal` its stderr, None: nothing."""
        self._plan = plan
        status_read, status_write = os.pipe()
        files = [_memory(plan.encode()), _script(given, cwd)]
        try:
            self.process = subprocess.Popen(  # noqa: S603 (our own launcher)
                [
                    *(os.path.join(folder, PROBE), "one", "odd", launcher_path()),
                    *("--plan-fd", str(files[0]), "--status-fd", str(status_write)),
                ],
                stdin=files[1],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if terminal is None else terminal,
                pass_fds=(files[0], status_write),
                text=True,
                cwd=cwd,
                env=dict(environment),
                start_new_session=True,
            )
        except BaseException:
            os.close(status_read)
            raise
        finally:
            for file in (*files, status_write):
                os.close(file)
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

    def end(self) -> tuple[Record, ...]:
        """End it, if it has not ended. Raises SetupFailed if it never started."""
        try:
            records = self.records()
        finally:
            os.close(self._status)
            self.process.wait()
            if self.process.stdout:
                self.process.stdout.close()
        failed = report.failure(records)
        if failed is not None:
            raise set_up_failed(self._plan, failed)
        return records


def run_inside(  # noqa: PLR0913 (see Boxed)
    plan: LaunchPlan,
    checks: Sequence[Check],
    folder: str,
    environment: Mapping[str, str],
    cwd: str,
    given: str,
    terminal: tuple[int, int],
    seen: Callable[[], None],
) -> dict[str, Outcome]:
    """Run attempts in one sandbox.

    terminal: both ends of a pseudo-terminal; what the launcher says on it is told where it fails.
    Raises SetupFailed.
    """
    box = Boxed(plan, folder, environment, cwd, given, terminal[1])
    lines = list(_counted(box, seen))
    box.end()
    return outcomes(lines, checks, lambda: f"exit {box.process.returncode}: {_said(terminal[0])}", _nothing)


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


def _script(text: str, folder: str) -> int:
    """Put a text into a file with a name, opened for reading: memory files are refused as streams."""
    path = os.path.join(folder, "script")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _memory(data: bytes) -> int:
    file = os.memfd_create("hardbox-verify", os.MFD_CLOEXEC)
    os.write(file, data)
    os.lseek(file, 0, os.SEEK_SET)
    return file
