"""What --explain may look at, and what it may suggest to show.

Run by: api.py, before a run with --explain and after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hardbox import refusals
from hardbox.denials.lookup import first_foreign
from hardbox.errors import HardboxError, SetupFailed
from hardbox.policy import Bind
from hardbox.refusals.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hardbox.host import HostFacts
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact


def check_trees(paths: Mapping[str, PathFact]) -> None:
    """Refuse --explain where a look of the supervisor could wait for ever: no clock would end the job."""
    tree, kind = first_foreign(fact.real for fact in paths.values() if fact.kind != "missing")
    if tree:
        raise SetupFailed(
            "HB632",
            "--explain does not work with trees that do not lie on this machine's own disks",
            value=f"{tree}: a file system of type {kind}",
            why="the supervisor looks at what the job names; a server that is silent would hold it for ever",
            instead="without --explain, or with a copy of the tree on a local disk",
        )


class Unlisted(Disk):
    """The real file system, but no directory is looked through: the paths are a job's choice."""

    def survey(self, top: str, *, write: bool) -> dict[str, str]:  # noqa: ARG002 (as in Disk)
        """Find nothing; what is said of the path is "if it holds no socket"."""
        return {}

    def entries(self, path: str) -> frozenset[str]:  # noqa: ARG002 (as in Disk)
        """Find nothing."""
        return frozenset()


def unshowable(
    policy: Policy,
    facts: HostFacts,
    path: str,
    look_all: Callable[[Policy, Disk], Mapping[str, PathFact]],
) -> str:
    """Say why `--read PATH` would be refused, "" if it would not be; no directory is looked through.

    look_all: of plan/trees.py.
    """
    files = policy.filesystem
    wider = replace(policy, filesystem=replace(files, read=(*files.read, Bind(path, path))))
    disk = Unlisted()
    try:
        broken = refusals.broken(wider, facts, look_all(wider, disk), disk)
        mine = [one for one in broken if path in one.value]
        return mine[0].what if mine else ""
    except HardboxError as error:
        return error.what
