"""The namespaces engine: hands a plan to hardbox-launch and collects what it says.

Run by: the Python front, on the host. The launcher is found beside this interpreter's
`hardbox`, never through PATH.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardbox.errors import SetupFailed
from hardbox.report import Record, parse_records

if TYPE_CHECKING:
    from hardbox.plan import LaunchPlan

_PIPE_ROOM = 65536


@dataclass(frozen=True, slots=True)
class Streams:
    """Descriptors for the job's 0, 1 and 2; by default the caller's own."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


def launcher_path() -> str:
    """Find hardbox-launch of this installation. Raises SetupFailed HB610."""
    candidate = os.path.join(os.path.dirname(sys.executable), "hardbox-launch")
    if os.access(candidate, os.X_OK):
        return candidate
    import sysconfig  # noqa: PLC0415 (only where the interpreter is not the environment's)

    candidate = os.path.join(sysconfig.get_path("scripts"), "hardbox-launch")
    if os.access(candidate, os.X_OK):
        return candidate
    raise SetupFailed(
        "HB610",
        "hardbox-launch is not installed beside hardbox",
        value=candidate,
        why="this installation is incomplete",
        instead="install hardbox again: make build, or pip install --force-reinstall hardbox",
    )


class Launch:
    """One running sandbox. Not a context manager: wait() must be called exactly once."""

    def __init__(self, plan: LaunchPlan, environment: dict[str, str], streams: Streams) -> None:
        """Start the launcher. Raises SetupFailed if it cannot even be started.

        environment: the caller's, of which the launcher gets only what the plan passes on.
        """
        launcher = launcher_path()
        data = plan.encode()
        plan_read = _plan_descriptor(data)
        self._status, status_write = os.pipe()
        os.set_inheritable(plan_read, True)  # noqa: FBT003 (the only form there is)
        os.set_inheritable(status_write, True)  # noqa: FBT003
        passed = {step.name for step in plan.steps if step.kind == "pass-env"}  # type: ignore[attr-defined]
        actions = [
            (os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(_clear_of_standard(streams))
        ]
        try:
            self.pid = os.posix_spawn(
                launcher,
                ["hardbox-launch", "--plan-fd", str(plan_read), "--status-fd", str(status_write)],
                {name: value for name, value in environment.items() if name in passed},
                file_actions=actions,
            )
        except OSError as error:
            os.close(self._status)
            raise SetupFailed(
                "HB611",
                f"hardbox-launch cannot be started: {error.strerror}",
                value=launcher,
                instead="check that the file system it is on is not mounted noexec; hardbox doctor",
            ) from error
        finally:
            os.close(plan_read)
            os.close(status_write)

    def signal(self, number: int) -> None:
        """Send the launcher a signal, which it forwards to the job."""
        os.kill(self.pid, number)

    def wait(self) -> tuple[int, tuple[Record, ...]]:
        """Wait for the end; give the launcher's exit status and its records."""
        chunks: list[bytes] = []
        while chunk := os.read(self._status, _PIPE_ROOM):
            chunks.append(chunk)
        os.close(self._status)
        _, status = os.waitpid(self.pid, 0)
        try:
            return os.waitstatus_to_exitcode(status), parse_records(b"".join(chunks))
        except ValueError as error:
            raise SetupFailed("HB612", f"hardbox-launch spoke nonsense: {error}") from error


def _plan_descriptor(data: bytes) -> int:
    """Put the plan where the launcher can read it: a pipe if it fits, else a memory file."""
    if len(data) <= _PIPE_ROOM:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        return reader
    memory = os.memfd_create("hardbox-plan", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(memory, view) :]
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def _clear_of_standard(streams: Streams) -> tuple[int, int, int]:
    return (streams.stdin, streams.stdout, streams.stderr)
