"""What a decision rested on, so that whoever keeps it can see that it would be made again.

Run by: seals.py, for the next `hardbox run`; recall.py, for the next call in this process; pool/, for the
next job. The latter two hold a `Rested`: all that the decision rested on is looked at anew each time, which
takes 0.15 ms. These are the facts of the host and the caller, which are read and compared (but for own_paths,
which only writable trees are judged by); the mount table; the groups; the working directory, where it
counts; the caller's home; and every file and link, by what lstat(2) says.
"""

from __future__ import annotations

import operator
import os
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox import data, filters, grants, host
from hardbox.errors import HostUnfit
from hardbox.files import way
from hardbox.plan.network import kept
from hardbox.refusals import Disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hardbox.host import HostFacts
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact

# Files carry the time of the kernel's last tick, which may be this much behind.
_CLOCK_TICK: Final = 20_000_000
_NUMBERS: Final = operator.attrgetter(
    "st_dev", "st_ino", "st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_ctime_ns"
)
_MISSING: Final = (0,) * 8
# How many of them say which file it is, and whose.
_IDENTITY: Final = 5


class ChangedError(Exception):
    """Something has changed since the decision began."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a decision rests on beside files.

    began: when it was looked at, ns since the epoch.
    cwd:   the working directory, None where the decision does not rest on it.
    """

    began: int = field(compare=False)
    facts: HostFacts
    groups: tuple[int, ...]
    mounts: bytes
    cwd: str | None
    home: str


def look(known: HostFacts | None = None, *, anywhere: bool = False, bandwidth: bool = False) -> Around:
    """Look around, as before a decision. Raises HostUnfit.

    known:     see host.read_facts.
    anywhere:  the decision does not rest on the working directory.
    bandwidth: see host.look_for_bandwidth.
    """
    began = time.time_ns()
    mounts = host.read_bytes("/proc/self/mountinfo")
    facts = host.read_facts(known=known, mounts=mounts)
    if bandwidth:
        facts = host.look_for_bandwidth(facts)
    cwd = None if anywhere else grants.cwd()
    return Around(began, facts, tuple(os.getgroups()), mounts, cwd, Disk().home(facts.uid))


class Rested:
    """What one decision rested on, and whether that is still so."""

    def __init__(self, files: Iterable[str], before: Around, *, bandwidth: bool = False) -> None:
        """Note it. Raises ChangedError if anything has changed since `before`, or OSError.

        files:     see `names`.
        before:    from `look`, before the decision.
        bandwidth: as `before` was looked for.
        """
        self._files = tuple((path, stamp(path, before.began)) for path in dict.fromkeys(files))
        self._bandwidth = bandwidth
        self._around = before
        if self._look() != before:
            raise ChangedError

    def _look(self, known: HostFacts | None = None) -> Around:
        return look(known, anywhere=self._around.cwd is None, bandwidth=self._bandwidth)

    def same(self) -> bool:
        """Say whether nothing has changed."""
        try:
            # The files first: then the facts that stand in them need not be read again.
            return all_same(self._files) and self._look(self._around.facts) == self._around
        except (OSError, HostUnfit):
            return False


def plain(policy: Policy) -> bool:
    """Say whether everything that a decision for this policy rests on can be named in a few rows.

    Not where trees of the host are shown, which are looked through as a whole, with files of the user's
    own, or with a process that keeps the network.
    """
    return not (trees(policy) or policy.files or policy.optional or kept(policy))


def trees(policy: Policy) -> bool:
    """Say whether trees of the host are shown, in which nothing can be told to be as it was."""
    files = policy.filesystem
    return bool(files.read or files.write or files.root != "host")


def names(paths: Mapping[str, PathFact]) -> Iterator[str]:
    """Name every file and link whose change could change the decision, but for hardbox's own code.

    paths: what the decision has looked at.
    """
    for kind in ("profiles", "seccomp"):
        yield from (data.path(kind, name) for name in data.names(kind))
    yield from host.READ_FILES
    yield from filters.library_files()
    for path, found in paths.items():
        yield path
        yield found.real
        yield from way(path)


def stamp(path: str, began: int = 0) -> tuple[int, ...]:
    """Give what tells that a path is as it was: eight numbers, as front/seal.c has them; all 0: missing.

    began: when the decision began, ns since the epoch; 0: a while ago. What has changed since may have been
           read as it was before: raises ChangedError then. Raises OSError too.
    """
    try:
        row: tuple[int, ...] = _NUMBERS(os.lstat(path))
    except FileNotFoundError:
        return _MISSING
    if began and not old(row, began):
        raise ChangedError
    return row


def old(row: tuple[int, ...], began: int) -> bool:
    """Whether what `stamp` gave had been so for a while at that moment; else it may have been read before."""
    return max(row[-2:]) <= began - _CLOCK_TICK


def all_same(rows: Iterable[tuple[str, tuple[int, ...]]]) -> bool:
    """Whether paths still are as `stamp` had them; of a directory its identity counts, not what it holds.

    Raises OSError.
    """
    for path, row in rows:
        now = stamp(path)
        if now != row and not (stat.S_ISDIR(now[2]) and now[:_IDENTITY] == row[:_IDENTITY]):
            return False
    return True
