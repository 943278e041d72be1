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
import sys
from typing import TYPE_CHECKING, Final

from hardbox import cache, cgroups, rested
from hardbox.plan.steps import Cgroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact

MAGIC: Final = b"HBXSEAL\x02"


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
    package = os.path.dirname(os.path.abspath(__file__))
    try:
        others = (*programs, *rested.names(paths), *_bounds(plan))
        rows = [_row(path, began) for path in dict.fromkeys(others)]
        rows += (_row(path, began, package) for path in _code(package))
    except rested.ChangedError:
        return
    path = cache.store(f"{key}.plan", plan.encode())
    if path:
        content = b"".join((_row(path), *rows))
        cache.store(f"{key}.seal", struct.pack("<8sII", MAGIC, len(rows) + 1, 0) + content)


def _plain(policy: Policy) -> bool:
    return (
        rested.plain(policy)
        # Without Python there would be no line in the audit log, and nobody would say what was loosened.
        and not policy.audit.file
        and not any(policy.origin(name).startswith("-") for name in policy.loosen)
    )


def _code(package: str) -> Iterator[str]:
    """Name the code that has decided: what this process has loaded of the package.

    The first is the package itself, where all others begin. Of its directories what they hold counts too:
    a new file may stand before another of the same name. A file that is not loaded has decided nothing,
    and one that is loaded in its place the next time changes one that is.
    """
    yield package + "/"
    loaded = [
        os.path.relpath(module.__file__, package)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "hardbox" and module.__file__
    ]
    yield from dict.fromkeys(os.path.dirname(name) + "/" for name in loaded if "/" in name)
    yield from loaded


def _bounds(plan: LaunchPlan) -> Iterator[str]:
    """Name what bounds our own cgroup and not the plan's: another scope of the same name may have less."""
    for step in plan.steps:
        if isinstance(step, Cgroup) and step.version != 1:
            own, mounts = (_text(f"/proc/self/{name}") for name in ("cgroup", "mountinfo"))
            yield from cgroups.bounds_files(step.parent, own, mounts)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read()


def _row(path: str, began: int = 0, base: str = "") -> bytes:
    numbers = rested.stamp(os.path.join(base, path), began)
    name = os.fsencode(path)
    return struct.pack("<8QI", *numbers, len(name)) + name + b"\0"
