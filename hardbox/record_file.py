"""A file in which a run is recorded: opened before anything runs, never where the job may write.

Run by: the Python front, for --report, output_dir= and the audit log. An earlier job may have left a symlink
where its caller now names a file: none is followed that a job could have put there.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from hardbox.errors import SetupFailed
from hardbox.places import within
from hardbox.refusals import Disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def open_for_writing(path: str, flags: int = 0) -> int:
    """Open or create a file, mode 0600; gives the descriptor.

    flags: more of open(2), such as O_APPEND.
    Raises OSError, or ValueError where a symlink redirects the path.
    """
    flags |= os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
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


def tree_around(path: str, write: Iterable[str]) -> str:
    """Give the tree of `write` that the file stands in, or "".

    write: host paths that the job may change.
    Raises OSError or ValueError.
    """
    # The name may be a symlink: neither it nor what it leads to may be the job's.
    places = [os.path.realpath(os.path.dirname(path) or "."), os.path.realpath(path)]
    trees = [os.path.realpath(source) for source in write]
    # A bind mount shows the same directory at another path.
    above = {(found.st_dev, found.st_ino) for place in places for found in _above(place)}
    for tree in trees:
        found = os.stat(tree) if os.path.exists(tree) else None
        if any(within(place, tree) for place in places) or (
            found is not None and (found.st_dev, found.st_ino) in above
        ):
            return tree
    return ""


def _above(path: str) -> Iterator[os.stat_result]:
    """Give what stands at a path and at every directory above it, as far as it is there."""
    while True:
        if os.path.exists(path):
            yield os.stat(path)
        if path == os.path.dirname(path):
            return
        path = os.path.dirname(path)


def output_files(folder: str, write: Sequence[str]) -> tuple[int, ...]:
    """Open `stdout` and `stderr` in a directory. Raises SetupFailed HB640, HB641."""
    files: list[int] = []
    try:
        for path in (os.path.join(folder, name) for name in ("stdout", "stderr")):
            tree = tree_around(path, write)
            if tree:
                break
            files.append(emptied(open_for_writing(path)))
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
