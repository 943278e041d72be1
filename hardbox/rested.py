"""What a decision rested on, so that whoever keeps it can see that it would be made again.

Run by: seals.py, for the next `hardbox run`; recall.py, for the next call in this process; pool/, for the
next job.
"""

from __future__ import annotations

import operator
import os
import stat
from typing import TYPE_CHECKING, Final

from hardbox import data, filters, host
from hardbox.files import way
from hardbox.plan.network import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
    """A file has changed since the decision began."""


def plain(policy: Policy) -> bool:
    """Say whether everything that a decision for this policy rests on can be named in a few rows.

    Not where trees of the host are shown, which are looked through as a whole, with files of the user's
    own, or with a process that keeps the network.
    """
    files = policy.filesystem
    return not (files.read or files.write or policy.files or policy.optional or kept(policy)) and (
        files.root == "host"
    )


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
