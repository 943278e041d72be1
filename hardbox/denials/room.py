"""No room left: a scratch directory that is full, and too many tasks.

Run by: denials/seen.py; pure. The launcher asked the file systems, and counted tasks; whether a write or a
fork failed of it is concluded here, and said so.
"""

from __future__ import annotations

import errno
import shlex
from typing import TYPE_CHECKING, Final

from hardbox.denials.denial import LIKELY, POSSIBLE, Denial
from hardbox.policy import files_of
from hardbox.profile.units import size_text
from hardbox.toml_text import toml

if TYPE_CHECKING:
    from hardbox.denials.seen import Seen
    from hardbox.policy import Policy

BYTES, FILES = 1, 2
AT_END: Final = 1
_CLONE_THREAD: Final = 0x10000
FORKS: Final = ("clone", "fork", "vfork")


def full(row: Seen, policy: Policy) -> Denial | None:
    """Say that a place in memory was full: certain; that this is what failed is possible only."""
    sizes = policy.filesystem.scratch
    scratch = row.text in sizes
    size = sizes[row.text] if scratch else policy.filesystem.changes
    if size <= 0:
        return None
    key = "filesystem.scratch" if scratch else "filesystem.changes"
    place = f"scratch {row.text}" if scratch else "the layer of changes"
    if scratch and not row.first & BYTES and policy.limits.scratch_files < files_of(size):
        return _files(row, policy)
    # Else the number of files goes with the size (plan/root.py).
    what = f"all {size_text(size)} of {place}" if row.first & BYTES else f"all files that {place} may hold"
    wanted = size_text(2 * size)
    value = toml({row.text: wanted}) if scratch else wanted
    allow = f"--set {shlex.quote(f'{key}={value}')} --loosen '{key}=REASON'"
    if 2 * size >= policy.limits.memory:
        # What is in there counts as memory of the job.
        memory = size_text(policy.limits.memory + size)
        allow += f" --memory {memory} --loosen 'limits.memory=REASON'"
    where = f"{key} = {size_text(size)}"
    risk = "low: it is taken from the host's memory, within limits.memory"
    return Denial("limit", f"{what} were used (ENOSPC)", 1, "", where, _when(row), allow, risk, POSSIBLE)


def _when(row: Seen) -> str:
    when = "at the end" if row.mode & AT_END else "while the job ran, though not at the end"
    return f"it is certain that it was full {when}, and possible that something failed of it"


def _files(row: Seen, policy: Policy) -> Denial:
    limit = policy.limits.scratch_files
    what = f"all {limit} files that scratch {row.text} may hold were used (ENOSPC)"
    allow = f"--set limits.scratch_files={2 * limit} --loosen 'limits.scratch_files=REASON'"
    where = f"limits.scratch_files = {limit}"
    risk = "low: each takes a little of the host's memory"
    return Denial("limit", what, 1, "", where, _when(row), allow, risk, POSSIBLE)


def tasks(row: Seen, policy: Policy) -> Denial:
    """Say that there was no room for one more task."""
    if row.errno == errno.ENOMEM:
        return _stacks(row, policy)
    what = "a new thread" if row.first & _CLONE_THREAD else "a new process"
    limit = policy.limits.tasks
    return Denial(
        "limit",
        f"{what} (EAGAIN)",
        row.count,
        row.comm,
        f"limits.tasks = {limit}",
        f"{row.mode} threads and processes were there",
        f"--tasks {2 * limit} --loosen 'limits.tasks=REASON'",
        "low: they share the job's CPUs and memory",
        LIKELY,
    )


def _stacks(row: Seen, policy: Policy) -> Denial:
    """Say that there was no room for the stack of another thread, so that none could be made."""
    memory = policy.limits.memory
    why = f"a process that made a thread had {row.mode}M of private memory: another stack of 8M has no room"
    allow = f"--memory {size_text(2 * memory)} --loosen 'limits.memory=REASON'"
    risk = "low: it is taken from the host's memory"
    where = f"limits.memory = {size_text(memory)}"
    return Denial("limit", "another thread (EAGAIN)", 1, row.comm, where, why, allow, risk, POSSIBLE)
