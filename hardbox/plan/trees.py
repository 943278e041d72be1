"""What stands at a host path: looked up once, before the plan is made.

Run by: the Python front. The plan itself is a pure function of these values; the launcher
opens every path again without following symlinks, so a change in between fails closed.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.policy import Policy


@dataclass(frozen=True, slots=True)
class PathFact:
    """One host path: kind is "dir", "file", "link", "other" or "missing".

    real:     the path with every symlink resolved; what the launcher opens.
    target:   what a "link" points to.
    uid, gid: the owner on disk.
    """

    kind: str
    real: str
    target: str = ""
    uid: int = 0
    gid: int = 0


# Usually links into /usr; directories beside it on unmerged systems.
TOP_LEVEL: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
MISSING: Final = PathFact("missing", "")


def look(path: str) -> PathFact:
    """Look at one path; the last component is not followed."""
    try:
        found = os.lstat(path)
        real = os.path.realpath(path)
    except OSError:  # realpath too: a link that the caller may not read
        return PathFact("missing", path)
    if stat.S_ISLNK(found.st_mode):
        return PathFact("link", real, os.readlink(path), found.st_uid, found.st_gid)
    kind = "dir" if stat.S_ISDIR(found.st_mode) else "file" if stat.S_ISREG(found.st_mode) else "other"
    return PathFact(kind, real, "", found.st_uid, found.st_gid)


def look_resolved(path: str) -> PathFact:
    """Look at what a path leads to in the end."""
    try:
        return look(os.path.realpath(path))
    except OSError:
        return PathFact("missing", path)


def root_prefix(policy: Policy) -> str:
    """Give "" for the host's own root, else the directory of "dir:/path", resolved."""
    kind, _, path = policy.filesystem.root.partition(":")
    return os.path.realpath(path) if kind == "dir" else ""


def look_all(policy: Policy) -> Mapping[str, PathFact]:
    """Look at every host path that a plan for `policy` may name."""
    prefix = root_prefix(policy)
    facts: dict[str, PathFact] = {}
    if prefix:
        facts[prefix] = look(prefix)
    facts.update({prefix + path: look(prefix + path) for path in policy.filesystem.show})
    facts.update({prefix + path: look(prefix + path) for path in TOP_LEVEL})
    binds = (*policy.filesystem.read, *policy.filesystem.write)
    for bind in binds:
        facts[bind.source] = look_resolved(bind.source)
    # Where something is attached inside a host tree, it has to be there already.
    for dest in (*(bind.dest for bind in binds), *policy.filesystem.scratch):
        for bind in binds:
            if dest.startswith(bind.dest + "/"):
                place = bind.source + dest[len(bind.dest) :]
                facts.setdefault(place, look(place))
    return facts
