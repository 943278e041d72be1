"""Decisions that this process has made before: the next of the kind needs less Python.

Run by: api.py. A decision is used again only if it would be made again: all that it rested on is looked at
anew each time (rested.py). Decisions for trees of the host are never kept: they rest on everything in the
tree.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox import rested
from hardbox.plan import Template
from hardbox.policy import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact
    from hardbox.rested import Around, Rested

_MOST: Final = 32
_kept: dict[Hashable, Decision] = {}


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, for any command.

    asked: as the caller gave the profile: while it is held here, no other object has its id.
    """

    policy: Policy
    template: Template
    paths: Mapping[str, PathFact]
    asked: str | Policy
    rested: Rested


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
    """Give the decision for a request if there is one that holds."""
    if wanted is None or (known := _kept.get(wanted)) is None:
        return None
    if known.rested.same():
        return known
    _kept.pop(wanted, None)
    return None


def keep(
    wanted: Hashable,
    asked: str | Policy,
    policy: Policy,
    plan: LaunchPlan,
    paths: Mapping[str, PathFact],
    before: Around,
) -> None:
    """Keep a decision for `find`, if it is of the kind that may be kept, and nothing has changed meanwhile.

    wanted: from `key`. before: from `rested.look`, before the decision.
    """
    # Where CPU bandwidth can be limited is no fact that api.run looks for.
    if not rested.plain(policy) or policy.limits.cpu_bandwidth < UNLIMITED:
        return
    try:
        found = rested.Rested(rested.names(paths), before)
    except (OSError, rested.ChangedError):
        return
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[wanted] = Decision(policy, Template(plan), paths, asked, found)


def _plain(value: object) -> Hashable:
    """Give a value that compares equal only to the same value of the same type. Raises TypeError."""
    if value is None or type(value) in (str, int, bool, float):
        return type(value), value
    if type(value) in (list, tuple):
        return type(value), tuple(_plain(one) for one in value)  # type: ignore[attr-defined]
    if type(value) is dict:
        return dict, tuple((_plain(name), _plain(one)) for name, one in value.items())
    raise TypeError
