"""How one job of a pool is launched: by a member that fits, else the usual way.

Run by: pool/, in the owner's process.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox import runs
from hardbox.pool.turns import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hardbox.engines.namespaces import Launch, Streams
    from hardbox.plan import LaunchPlan
    from hardbox.pool import Pool
    from hardbox.pool.decision import JobKind
    from hardbox.pool.turns import Ticket
    from hardbox.runs import Prepared

# <linux/major.h>: null, zero, full, random, urandom.
_MEMORY_MAJOR: Final = 1


class Job(NamedTuple):
    """What one job brings.

    walls: the plan of members that can take it where all their walls stand, None where only one that has
           given nothing up can.
    """

    argv: tuple[str, ...]
    workdir: str
    environment: Mapping[str, str]
    decision: JobKind
    walls: LaunchPlan | None


class Starter:
    """What launches one job: a member that fits, else the usual way."""

    def __init__(self, pool: Pool, job: Job, ticket: Ticket, told: Callable[[Launch], None] | None) -> None:
        """Prepare; `told` is called with the launch."""
        self._pool = pool
        self._job = job
        self._ticket = ticket
        self._told = told
        self.member = False

    def begin(self, prepared: Prepared, streams: Streams, *, samples: bool = False) -> Launch:
        """Launch (see `hardbox.runs.Start`)."""
        if not self._ticket.begin():
            raise Cancelled
        launch = self._pool.hand(self._job, prepared, streams, samples=samples)
        self.member = launch is not None
        return self._begun(launch) if launch else self._anew(prepared, streams, samples=samples)

    def begin_anew(self, prepared: Prepared, streams: Streams, *, samples: bool = False) -> Launch:
        """Launch the usual way."""
        return self._anew(prepared, streams, samples=samples)

    def _anew(self, prepared: Prepared, streams: Streams, *, samples: bool) -> Launch:
        environment = self._job.environment
        return self._begun(runs.start(prepared, streams, samples=samples, environment=environment))

    def _begun(self, launch: Launch) -> Launch:
        self._ticket.job(launch.cancel)
        if self._told is not None:
            self._told(launch)
        return launch


def kind(descriptor: int) -> str:
    """Say what a member can be handed: "plain", "file" (which the second wall has to name), or "terminal"."""
    try:
        mode = os.fstat(descriptor)
    except OSError:
        return "terminal"
    if stat.S_ISFIFO(mode.st_mode) or stat.S_ISSOCK(mode.st_mode):
        return "plain"
    if stat.S_ISCHR(mode.st_mode):
        return "plain" if os.major(mode.st_rdev) == _MEMORY_MAJOR else "terminal"
    return "file"
