"""Decisions that this process has made before: the next of the kind needs less Python.

Run by: api.py. A decision is used again only if it would be made again. All that it rested on is looked at
anew each time: the facts of the host and the caller, which are read and compared (but for own_paths, which
only writable trees are judged by); the mount table; the groups; the working directory; the caller's
home; and every file and link (rested.py), by what lstat(2) says. Decisions for trees of the host are
never kept: they rest on everything in the tree.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox import grants, host, rested
from hardbox.plan import Template
from hardbox.policy import UNLIMITED
from hardbox.refusals import Disk

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from hardbox.host import HostFacts
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact

_MOST: Final = 32
_kept: dict[Hashable, Decision] = {}


@dataclass(frozen=True, slots=True)
class Around:
    """What a decision rests on beside files; began: when it was looked at, ns since the epoch."""

    began: int = field(compare=False)
    facts: HostFacts
    groups: tuple[int, ...]
    mounts: bytes
    cwd: str
    home: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, for any command.

    asked: as the caller gave the profile: while it is held here, no other object has its id.
    """

    policy: Policy
    template: Template
    paths: Mapping[str, PathFact]
    asked: str | Policy
    around: Around
    files: tuple[tuple[str, tuple[int, ...]], ...]

    def holds(self) -> bool:
        """Whether it would be made again."""
        try:
            # The files first: then the facts that stand in them need not be read again.
            return rested.all_same(self.files) and look(self.around.facts) == self.around
        except OSError:
            return False


def key(
    profile: str | Policy,
    env: Mapping[str, str] | None,
    settings: Mapping[str, object] | None,
    loosen: Mapping[str, str] | None,
    workdir: str | None,
) -> Hashable:
    """Give what a request is known by, None if it has values that are not plain."""
    if "HARDBOX_NO_CACHE" in os.environ:
        return None
    try:
        given = tuple(_plain(dict(table or {})) for table in (env, settings, loosen))
    except TypeError:
        return None
    return (profile if type(profile) is str else id(profile), *given, _plain(workdir))


def find(wanted: Hashable) -> Decision | None:
    """Give the decision for a request if there is one that holds. Raises HostUnfit, as host.read_facts."""
    if wanted is None or (known := _kept.get(wanted)) is None:
        return None
    if known.holds():
        return known
    _kept.pop(wanted, None)
    return None


def look(known: HostFacts | None = None) -> Around:
    """Look around, as before a decision; known: see host.read_facts. Raises HostUnfit."""
    began = time.time_ns()
    mounts = host.read_bytes("/proc/self/mountinfo")
    facts = host.read_facts(known=known, mounts=mounts)
    return Around(began, facts, tuple(os.getgroups()), mounts, grants.cwd(), Disk().home(facts.uid))


def keep(
    wanted: Hashable,
    asked: str | Policy,
    policy: Policy,
    plan: LaunchPlan,
    paths: Mapping[str, PathFact],
    before: Around,
) -> None:
    """Keep a decision for `find`, if it is of the kind that may be kept, and nothing has changed meanwhile.

    wanted: from `key`. before: from `look`, before the decision.
    """
    # Where CPU bandwidth can be limited is no fact that `look` knows.
    if not rested.plain(policy) or policy.limits.cpu_bandwidth < UNLIMITED:
        return
    try:
        files = tuple((path, rested.stamp(path, before.began)) for path in dict.fromkeys(rested.names(paths)))
    except (OSError, rested.ChangedError):
        return
    if before == look():
        if len(_kept) >= _MOST:
            _kept.clear()
        _kept[wanted] = Decision(policy, Template(plan), paths, asked, before, files)


def _plain(value: object) -> Hashable:
    """Give a value that compares equal only to the same value of the same type. Raises TypeError."""
    if value is None or type(value) in (str, int, bool, float):
        return type(value), value
    if type(value) in (list, tuple):
        return type(value), tuple(_plain(one) for one in value)  # type: ignore[attr-defined]
    if type(value) is dict:
        return dict, tuple((_plain(name), _plain(one)) for name, one in value.items())
    raise TypeError
