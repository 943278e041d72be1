"""The catalogue of refusals: what is never shared with the host, who asks for it, what to do instead.

Run by: the Python front; data only. `refusals/` checks policies against these rules, `habits/`
answers requests that no policy can even express, `profile/` reads and lifts them by name.

A rule with a `because` is floor: no profile and no flag lifts it. It is floor either because the
promise of hardbox hangs on it (own user namespace, host ids 0 never mapped, no_new_privs, a filter,
no privileged mode) or because the launcher has no means to do without it, so that lifting it would
be a word without effect. Every other rule is lifted by a profile that says `NAME = false` in its
[refuse] table and gives its reason in [loosen] under "refuse.NAME"; both are needed.

Standards: PSS-x the Pod Security Standards of Kubernetes at level baseline, PSS-restricted-x at level
restricted; CIS-5.n the CIS Docker Benchmark; 800-190-n NIST SP 800-190; NSA-x the workload items of the
NSA/CISA Kubernetes Hardening Guide.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hardbox.errors import Refused
from hardbox.rules.ids import IDS
from hardbox.rules.paths import PATHS
from hardbox.rules.privileges import BASELINE_CAPABILITIES, PRIVILEGES
from hardbox.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BASELINE_CAPABILITIES", "BY_CODE", "RULES", "Rule", "refuse"]

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.name: rule for rule in (*PRIVILEGES, *PATHS, *IDS)})
BY_CODE: Final[Mapping[str, Rule]] = MappingProxyType({rule.code: rule for rule in RULES.values()})


def refuse(
    name: str, *, value: str = "", origin: str = "", what: str = "", why: str = "", instead: str = ""
) -> Refused:
    """Make the error for a broken rule; what, why and instead default to the rule's own words."""
    rule = RULES[name]
    return Refused(
        rule.code,
        what or rule.title,
        value=value,
        origin=origin,
        why=why or rule.why,
        rule=rule.cite(),
        instead=instead or rule.instead,
    )
