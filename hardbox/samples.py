"""What the sandbox uses at one moment, as the supervisor or /proc tells it.

Run by: cli/progress.py. `sample` is the one place that knows a SAMPLE record's payload; a record of
another size is none, so that a launcher that says more, or nothing, does no harm here.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hardbox.report import Record

# wire.h, enum hb_record_type.
_SAMPLE: Final = 8
# Nanoseconds since the start, bytes of memory, microseconds of CPU, tasks, bytes read, bytes written.
_PAYLOAD: Final = struct.Struct("<QQQIQQ")
# The launcher and init, which are no tasks of the job.
_OURS: Final = 2
_PAGE: Final = os.sysconf("SC_PAGESIZE")


class Use(NamedTuple):
    """Memory in bytes and tasks, of the whole job."""

    memory: int
    tasks: int


def sample(record: Record) -> Use | None:
    """Give what a status record says of this moment; None if it says something else."""
    if record.kind != _SAMPLE or len(record.payload) != _PAYLOAD.size:
        return None
    _, memory, _, tasks, _, _ = _PAYLOAD.unpack(record.payload)
    return Use(memory, tasks)


def look(launcher: int) -> Use:
    """Give the same from /proc, where no records come: resident memory, shared pages counted by each.

    launcher: process id of hardbox-launch. What has ended, or may not be read, counts as nothing.
    """
    memory = tasks = 0
    waiting = [launcher]
    while waiting:
        pid = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")
            for thread in threads:
                with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                    waiting += map(int, file.read().split())
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                memory += int(file.read().split()[1]) * _PAGE
            tasks += len(threads)
        except (OSError, ValueError, IndexError):
            continue
    return Use(memory, max(tasks - _OURS, 0))
