"""Looks for names on the host that a job chose, without making anybody act.

Run by: denials/showable.py before a run with --explain (`first_foreign`), denials/seen.py after it. A name
must not choose what an automounter mounts or which server is asked, and nothing may hang: only file systems
of this machine's own are looked at, and the mount table says which those are.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox.places import normal, within
from hardbox.refusals.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Those that answer without a server, a user's process or a hypervisor's; autofs is none of them.
LOCAL: Final = frozenset(
    (
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "jfs", "reiserfs", "nilfs2"),
        *("tmpfs", "ramfs", "rootfs", "overlay", "aufs", "vfat", "msdos", "exfat", "ntfs3"),
        *("squashfs", "erofs", "iso9660", "udf", "cramfs", "sysfs", "cgroup", "cgroup2"),
    )
)
# Of the kernel itself: nothing there is ever shown.
_KERNEL: Final = frozenset(("proc", "devtmpfs", "devpts", "mqueue", "hugetlbfs", "debugfs", "tracefs"))
_LINKS: Final = 16
# Seconds for all looks of a run, which a job must not draw out.
_MOST_SECONDS: Final = 0.5
_MOST_ASKED: Final = 32
TOO_MANY: Final = "there were too many to judge"
THERE, ABSENT, UNLOOKED = "there", "absent", "unlooked"


@dataclass(frozen=True, slots=True)
class Found:
    """What a look gave.

    state:  THERE, ABSENT or UNLOOKED.
    why:    of UNLOOKED, in words.
    real:   of THERE: the path with symlinks resolved, but for the last component unless it was followed.
    folder: it is a directory.
    """

    state: str
    why: str = ""
    real: str = ""
    folder: bool = False


@dataclass(slots=True)
class Lookup:
    """All looks of one run.

    mounts: (mount point, file system type) of every mount.
    """

    mounts: tuple[tuple[str, str], ...] = field(default_factory=lambda: Disk().mounts())
    _until: float = field(default_factory=lambda: time.monotonic() + _MOST_SECONDS)
    _foreign: dict[str, str] = field(init=False)
    _looks: dict[tuple[str, bool], Found] = field(default_factory=dict)
    _asked: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the mounts by their points."""
        self._foreign = {"/": ""}
        for point, kind in self.mounts:
            # Of several mounts on one point each counts: an automount lies under what it has mounted.
            before = self._foreign.get(point, "")
            self._foreign[point] = before or ("" if kind in LOCAL else kind)

    def ask(self, path: str, may_show: Callable[[str], str]) -> str:
        """Say why `--read PATH` would be refused, "" if it would not be; few are asked for, each once.

        path: a look that follows has found it.
        """
        path = plain(path)
        if path not in self._asked:
            if len(self._asked) >= _MOST_ASKED or self._late():
                return TOO_MANY
            self._asked[path] = may_show(path)
        return self._asked[path]

    def _late(self) -> bool:
        return time.monotonic() > self._until

    def foreign(self, path: str) -> str:
        """Give the type of the file system that a path without symlinks lies on, "" if it is local."""
        while path not in self._foreign:
            path = os.path.dirname(path)
        return self._foreign[path]

    def look(self, path: str, *, follow: bool = False) -> Found:
        """Walk to a path component by component, and stop in front of what is not local."""
        key = plain(path), follow
        if key not in self._looks:
            if self._late():
                return Found(UNLOOKED, "there were too many to look at")
            try:
                self._looks[key] = self._walk(path, follow=follow)
            except (OSError, ValueError):
                self._looks[key] = Found(ABSENT)
        return self._looks[key]

    def leads_elsewhere(self, path: str) -> bool:
        """Whether a symlink stands in a path that is there, or at its end."""
        return self.look(path, follow=True).real != normal(path)

    def _walk(self, path: str, *, follow: bool) -> Found:
        here, waiting, links = "/", _names(path), 0
        at = os.open("/", os.O_PATH | os.O_DIRECTORY)
        try:
            while waiting:
                name = waiting.pop()
                there = os.path.dirname(here) if name == ".." else os.path.join(here, name)
                kind = self.foreign(there)
                if kind in _KERNEL:
                    return Found(ABSENT)
                if kind:
                    return Found(UNLOOKED, f"it lies on a file system of type {kind}")
                above, at = at, os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=at)
                mode = os.fstat(at).st_mode
                if stat.S_ISLNK(mode) and (waiting or follow):
                    links += 1
                    target = os.readlink("", dir_fd=at)
                    os.close(at)
                    at = above
                    if links > _LINKS:
                        return Found(ABSENT)
                    waiting += _names(target)
                    if target.startswith("/"):
                        os.close(at)
                        here, at = "/", os.open("/", os.O_PATH | os.O_DIRECTORY)
                    continue
                os.close(above)
                here = there
            return Found(THERE, "", here, folder=stat.S_ISDIR(os.fstat(at).st_mode))
        finally:
            os.close(at)


def _names(path: str) -> list[str]:
    """Give the components, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def plain(path: str) -> str:
    """Give one spelling for all that are the same by their letters.

    What has ".." stays: behind a symlink it leads elsewhere.
    """
    return path if ".." in path.split("/") else normal(path)


def first_foreign(paths: Iterable[str], lookup: Lookup | None = None) -> tuple[str, str]:
    """Give the first tree that lies on, or holds, a file system that is not local, and its type."""
    lookup = lookup or Lookup()
    for path in paths:
        kind = lookup.foreign(path)
        below = [kind for point, kind in lookup.mounts if within(point, path) and kind not in LOCAL]
        if kind or below:
            return path, kind or below[0]
    return "", ""
