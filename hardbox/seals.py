"""Sealed decisions: what lets `hardbox run` do without Python the next time.

Run by: cli/run.py, after a decision. front/seal.c finds a seal by a key over the words of the
request, the caller and the kernel, and uses it only if every file that the decision rested on
looks exactly as it did. A request that names host paths, gives reasons or wants a report is
never sealed: what such a decision rests on cannot be listed in a few rows. Nor is one that has to leave
a line in an audit log, which Python writes.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from hardbox import cache, cgroups, data, filters, host
from hardbox.plan.network import kept
from hardbox.plan.steps import Cgroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact

MAGIC: Final = b"HBXSEAL\x01"
# Files carry the time of the kernel's last tick, which may be this much behind.
_CLOCK_TICK: Final = 20_000_000


class _ChangedError(Exception):
    """A file has changed since the decision began."""


def keep(
    key: str,
    policy: Policy,
    plan: LaunchPlan,
    paths: Mapping[str, PathFact],
    programs: tuple[str, ...],
    began: int,
) -> None:
    """Seal a plan, if the request is of the kind that may be sealed.

    key:      from front/seal.c; "": not to be sealed.
    paths:    what the decision looked at.
    programs: hardbox and hardbox-launch of this installation.
    began:    when the decision began, ns since the epoch: what has changed since may have been
              read as it was before.
    """
    if not key or not _plain(policy):
        return
    try:
        rested = (*_rests_on(paths, programs), *_bounds(plan))
        rows = [_row(path, began) for path in dict.fromkeys(rested)]
    except _ChangedError:
        return
    path = cache.store(f"{key}.plan", plan.encode())
    if path:
        content = b"".join((_row(path), *rows))
        cache.store(f"{key}.seal", struct.pack("<8sII", MAGIC, len(rows) + 1, 0) + content)


def _plain(policy: Policy) -> bool:
    files = policy.filesystem
    return (
        # Without Python there would be no line in the audit log.
        not policy.audit.file
        # Nobody would keep the network.
        and not kept(policy)
        and not (files.read or files.write or policy.files or policy.optional)
        and files.root == "host"
        and not any(policy.origin(name).startswith("-") for name in policy.loosen)
    )


def _rests_on(paths: Mapping[str, PathFact], programs: tuple[str, ...]) -> Iterator[str]:
    """Name every file whose change could change the decision."""
    yield from programs
    package = os.path.dirname(os.path.abspath(__file__))
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (os.path.join(folder, name) for name in names if name.endswith((".py", ".toml")))
    yield from decided_from(paths)


def decided_from(paths: Mapping[str, PathFact]) -> Iterator[str]:
    """Name the files whose change could change a decision of the code that is running."""
    for kind in ("profiles", "seccomp"):
        yield from (data.path(kind, name) for name in data.names(kind))
    yield from host.READ_FILES
    yield from filters.library_files()
    for path, found in paths.items():
        yield path
        if found.real != path:
            yield found.real


def _bounds(plan: LaunchPlan) -> Iterator[str]:
    """Name what bounds our own cgroup and not the plan's: another scope of the same name may have less."""
    for step in plan.steps:
        if isinstance(step, Cgroup) and step.version != 1:
            own, mounts = (_text(f"/proc/self/{name}") for name in ("cgroup", "mountinfo"))
            yield from cgroups.bounds_files(step.parent, own, mounts)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read()


def _row(path: str, began: int = 0) -> bytes:
    try:
        now = os.lstat(path)
        if began and max(now.st_mtime_ns, now.st_ctime_ns) > began - _CLOCK_TICK:
            raise _ChangedError
        is_now = (now.st_dev, now.st_ino, now.st_mode, now.st_uid, now.st_gid, now.st_size)
        numbers = (*is_now, now.st_mtime_ns, now.st_ctime_ns)
    except FileNotFoundError:
        numbers = (0,) * 8
    name = os.fsencode(path)
    return struct.pack("<8QI", *numbers, len(name)) + name + b"\0"
