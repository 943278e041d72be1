"""Which host paths a plan may name: looked up once, before rules and plan.

Run by: the Python front. Rules and plan are pure functions of these values (but for what the rules
look for inside a directory); the launcher opens every path again without following symlinks, so a
change in between fails closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.places import within
from hardbox.refusals.disk import Disk, PathFact, root_of, root_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.policy import Policy

# Usually links into /usr; directories beside it on unmerged systems.
TOP_LEVEL: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


def look_all(policy: Policy, disk: Disk | None = None) -> Mapping[str, PathFact]:
    """Look at every host path that a plan for `policy` may name."""
    disk = disk or Disk()
    facts: dict[str, PathFact] = {}
    root = root_of(policy)
    if root:
        facts[root] = disk.look_resolved(root)
    prefix = root_prefix(policy, facts)
    for path in (*policy.filesystem.show, *TOP_LEVEL):
        facts[prefix + path] = disk.look(prefix + path)
    binds = (*policy.filesystem.read, *policy.filesystem.write)
    for bind in binds:
        facts[bind.source] = disk.look_resolved(bind.source)
    # Where something is attached inside a host tree, it has to be there already.
    for dest in (*(bind.dest for bind in binds), *policy.filesystem.scratch):
        for bind in binds:
            if dest != bind.dest and within(dest, bind.dest):
                below = dest[len(bind.dest) :]
                facts.setdefault(bind.source + below, disk.look(facts[bind.source].real + below))
    return facts
