"""What rules and plan have to know of the file system, behind one small value that tests can fake.

Run by: the Python front. It only looks; nothing is opened or changed. The paths of a policy are
resolved once, to `PathFact`s: what the rules have judged is what the plan binds, and the launcher
opens it without following symlinks.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hardbox import mountinfo
from hardbox.places import normal, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.policy import Policy

# Where root's symlinks are the system's, not a job's.
_SYSTEM_PLACES: Final = ("/", "/var", "/opt", "/srv", "/home")
_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFLNK: "link",
}


@dataclass(frozen=True, slots=True)
class PathFact:
    """One host path: kind is "dir", "file", "link", "socket", "fifo", "device" or "missing".

    real:     the path with every symlink resolved; what the launcher opens.
    target:   what a "link" points to.
    uid, gid: the owner on disk.
    redirect: a symlink on the way that a job could have put there, "" if there is none.
    """

    kind: str
    real: str
    target: str = ""
    uid: int = 0
    gid: int = 0
    redirect: str = ""


MISSING: Final = PathFact("missing", "")


def root_of(policy: Policy) -> str:
    """Give the path of a root directory as the policy spells it, "" for the host's own root."""
    kind, _, path = policy.filesystem.root.partition(":")
    return path if kind == "dir" and path.startswith("/") else ""


def root_prefix(policy: Policy, paths: Mapping[str, PathFact]) -> str:
    """Give "" for the host's own root, else where a root directory really is."""
    root = root_of(policy)
    return paths[root].real.rstrip("/") if root else ""


class Disk:
    """The real file system."""

    def real(self, path: str) -> str:
        """Give the path with every symlink resolved, as far as the caller may look."""
        try:
            return os.path.realpath(path)
        except ValueError:  # a NUL
            return path
        except OSError:
            # A link that the caller may not read, such as /proc/1/root. `kind` finds nothing behind
            # it either, so the path is refused; what is above it still tells what it is.
            above, name = os.path.split(path.rstrip("/"))
            return os.path.join(self.real(above), name) if name else path

    def look(self, path: str) -> PathFact:
        """Look at one path; the last component is not followed."""
        try:
            found = os.lstat(path)
            target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
        except (OSError, ValueError):
            return PathFact("missing", self.real(path))
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "missing")
        return PathFact(kind, self.real(path), target, found.st_uid, found.st_gid)

    def look_resolved(self, path: str) -> PathFact:
        """Look at what a path leads to in the end; what stands there is no "link" but in a race."""
        redirect, walked = self.walk(path)
        real = self.real(path) if redirect else walked
        found = self.look(real)
        if found.real != real:
            # What is judged and bound is this one name, even if it has just become a link.
            found = PathFact("link", real, found.target)
        return replace(found, redirect=redirect)

    def kind(self, path: str) -> str:
        """Give "file", "dir", "socket", "fifo", "device" or "missing"; symlinks are followed."""
        try:
            return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "missing")
        except (OSError, ValueError):
            return "missing"

    def open_to_all(self, path: str) -> bool:
        """Whether every user may read the file, or list and enter the directory."""
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return False
        wanted = 0o005 if stat.S_ISDIR(mode) else 0o004
        return mode & wanted == wanted

    def same(self, path: str, other: str) -> bool:
        """Whether two paths are one file: a bind mount or a hard link has other names."""
        try:
            return os.path.samestat(os.stat(path), os.stat(other))
        except OSError:
            return False

    def entries(self, path: str) -> frozenset[str]:
        """Give the names in a directory; none if it is unreadable."""
        try:
            return frozenset(os.listdir(path))
        except OSError:
            # What the caller cannot list, the job cannot either: it runs as nobody else.
            return frozenset()

    def survey(self, top: str, *, write: bool) -> dict[str, str]:
        """Look through a tree: give the first socket, named pipe and privileged file, by kind.

        Keys: "socket", "fifo", "privileged" (only looked for with `write`). Symlinks are not
        followed; what the caller cannot list, a job of the same user cannot either.
        """
        found: dict[str, str] = {}
        waiting = [top]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        kind = self._notable(entry, waiting, write=write)
                        if kind:
                            found.setdefault(kind, entry.path)
            except OSError:
                continue
        return found

    def _notable(self, entry: os.DirEntry[str], waiting: list[str], *, write: bool) -> str:
        if entry.is_dir(follow_symlinks=False):
            waiting.append(entry.path)
            return ""
        if entry.is_file(follow_symlinks=False):
            return "privileged" if write and self._privileged(entry) else ""
        if entry.is_symlink():
            return ""
        kind = _KINDS.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), "")
        return kind if kind in ("socket", "fifo") else ""

    def _privileged(self, entry: os.DirEntry[str]) -> bool:
        mode = entry.stat(follow_symlinks=False).st_mode
        if mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        if not mode & 0o111:
            return False
        try:
            os.getxattr(entry.path, "security.capability", follow_symlinks=False)
        except OSError:  # none, or a file system without
            return False
        return True

    def walk(self, path: str) -> tuple[str, str]:
        """Follow a path, but no symlink that somebody like the job could have put there.

        Give the first such symlink ("" if there is none) and where the walk has come to. The
        system's own symlinks are followed: those of the top level, of /usr, and where a job of
        this caller cannot write.
        """
        here = ""
        for name in normal(path).split("/")[1:]:
            above, here = here or "/", f"{here}/{name}"
            if not os.path.islink(here):
                continue
            writable = os.geteuid() == 0 or os.access(above, os.W_OK)
            if writable and above not in _SYSTEM_PLACES and not within(above, "/usr"):
                return here, here
            here = self.real(here).rstrip("/")
        return "", here or "/"

    def home(self, uid: int) -> str:
        """Give the caller's home by the user database, resolved; see `stated_home`."""
        import pwd  # noqa: PLC0415 (only where paths are asked for)

        try:
            home = pwd.getpwuid(uid).pw_dir
            return os.path.realpath(home) if home.startswith("/") else ""
        except KeyError:
            return ""

    def stated_home(self) -> str:
        """Give $HOME, resolved: what a shell and its programs keep keys and start-up files in.

        It can only add refusals: a uid without an entry in the user database has no other home.
        """
        home = os.environ.get("HOME", "")
        return self.real(home) if home.startswith("/") else ""

    def mounts(self) -> tuple[tuple[str, str], ...]:
        """Give (mount point, file system type) of every mount, proc(5) mountinfo."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            return tuple((mount.point, mount.kind) for mount in mountinfo.parse(lines.read()))

    def swaps(self) -> tuple[str, ...]:
        """Give the swap files and devices in use, proc(5) swaps."""
        try:
            with open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as lines:
                return tuple(mountinfo.unescaped(line.split()[0]) for line in lines if line.startswith("/"))
        except FileNotFoundError:
            # A kernel without CONFIG_SWAP.
            return ()
