"""Files that hardbox writes for the caller: never where the job could lead them elsewhere.

Run by: cli/report_file.py for `--report`, api.py for `output_dir`.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from hardbox.errors import SetupFailed
from hardbox.places import within
from hardbox.refusals import Disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def tree_around(path: str, write: Iterable[str]) -> str:
    """Give the tree of `write` that a path stands in, "" if none.

    Raises OSError or ValueError if that cannot be told.
    """
    # The name may be a symlink: neither it nor what it leads to may be the job's.
    places = [os.path.realpath(os.path.dirname(path) or "."), os.path.realpath(path)]
    for tree in (os.path.realpath(source) for source in write):
        if any(within(place, tree) for place in places):
            return tree
    return ""


def opened(path: str) -> int:
    """Open a file for writing, made if need be; a symlink is not followed, a job may have put it there.

    What it held is kept until `emptied`. Raises OSError, or ValueError for a symlink on the way.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    if os.path.dirname(path) != "/dev":  # /dev/stdout and friends are symlinks
        flags |= os.O_NOFOLLOW
        link, _ = Disk().walk(os.path.dirname(os.path.abspath(path)))
        if link:
            message = f"the symlink {link} redirects it"
            raise ValueError(message)
    return os.open(path, flags, 0o600)


def emptied(file: int) -> int:
    """Take what a regular file held away; gives the descriptor."""
    if stat.S_ISREG(os.fstat(file).st_mode):
        os.ftruncate(file, 0)
    return file


def output_files(folder: str, write: Sequence[str]) -> tuple[int, ...]:
    """Open `stdout` and `stderr` in a directory. Raises SetupFailed HB640, HB641."""
    files: list[int] = []
    try:
        for path in (os.path.join(folder, name) for name in ("stdout", "stderr")):
            tree = tree_around(path, write)
            if tree:
                break
            files.append(emptied(opened(path)))
        else:
            return tuple(files)
    except (OSError, ValueError) as error:
        _close(files)
        raise SetupFailed(
            "HB640",
            f"the output cannot be written: {getattr(error, 'strerror', None) or error}",
            value=folder,
            origin="output_dir=",
            instead="name a directory that is there and that you may write",
        ) from error
    _close(files)
    raise SetupFailed(
        "HB641",
        "the output stands in a tree that the job may change",
        value=folder,
        origin="output_dir=",
        why="a job could put a symlink there, and the output would overwrite what it leads to",
        instead=f"name a directory outside {tree}",
    )


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)
