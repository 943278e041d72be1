"""Which host paths a plan may name: looked up once, before rules and plan.

Run by: the Python front. Rules and plan are pure functions of these values (but for what the rules
look for inside a directory); the launcher opens every path again without following symlinks, so a
change in between fails closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.places import above
from hardbox.refusals.disk import Disk, PathFact, root_of, root_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hardbox.policy import Bind, Policy

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
    trees = by_place(binds)
    for dest in (*(bind.dest for bind in binds), *policy.filesystem.scratch):
        for bind in around(dest, trees):
            below = dest[len(bind.dest) :]
            facts.setdefault(bind.source + below, disk.look(facts[bind.source].real + below))
    return facts


def by_place(binds: Iterable[Bind]) -> Mapping[str, Sequence[Bind]]:
    """Give the binds by the place inside that each is attached to."""
    found: dict[str, list[Bind]] = {}
    for bind in binds:
        found.setdefault(bind.dest.rstrip("/") or "/", []).append(bind)
    return found


def around(dest: str, trees: Mapping[str, Sequence[Bind]]) -> Iterator[Bind]:
    """Give the binds of `by_place` that a place lies inside of; its own is not one."""
    for place in above(dest):
        yield from (bind for bind in trees.get(place, ()) if bind.dest != dest)
