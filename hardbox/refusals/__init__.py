"""What is never done: a policy against the rules.

Run by: the Python front. Pure but for looking at what stands in the directories that the policy names
(`disk.py`). One function per subject gives the broken rules in a stable order; rules/ has their words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.refusals.disk import Disk, PathFact
from hardbox.refusals.ids import check_ids, check_limits
from hardbox.refusals.paths import check_paths
from hardbox.refusals.privileges import check_privileges, known_ids
from hardbox.rules import BY_CODE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardbox.errors import Refused
    from hardbox.host import HostFacts
    from hardbox.policy import Policy
    from hardbox.rules import Rule

__all__ = ["Disk", "PathFact", "broken", "check", "lifted"]


def check(policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact], disk: Disk | None = None) -> None:
    """Raise Refused for the first broken rule.

    paths: of `plan.trees.look_all`: what the plan is to be made from.
    """
    for refused in _broken(policy, facts, paths, disk or Disk()):
        raise refused


def broken(
    policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact], disk: Disk | None = None
) -> tuple[Refused, ...]:
    """Give all broken rules, each request once."""
    every = _broken(policy, facts, paths, disk or Disk())
    found = {(one.code, one.value, one.what): one for one in every}
    return tuple(found.values())


def lifted(policy: Policy, rule: Rule) -> bool:
    """Whether the policy lifts a rule: it says so, gives its reason, and the rule is not floor."""
    return (
        not rule.floor and rule.name not in policy.refuse and bool(policy.loosen.get(f"refuse.{rule.name}"))
    )


def _broken(policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact], disk: Disk) -> Iterator[Refused]:
    checks = (
        check_privileges(policy),
        known_ids(policy),
        check_paths(policy, facts, paths, disk),
        check_ids(policy, facts),
        check_limits(policy),
    )
    for check_one in checks:
        for refused in check_one:
            if not lifted(policy, BY_CODE[refused.code]):
                yield refused
