"""`hardbox plan FILE.plan`: what a plan that was kept would do, and whether it fits this host and caller.

Run by: cli/plan.py. Starts nothing. The launcher judges for itself; this is for whoever reviews.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hardbox import files, host
from hardbox.errors import HostUnfit, SetupFailed, printable
from hardbox.plan import SIZE_MAX
from hardbox.plan import steps as s
from hardbox.plan.decoded import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardbox.host import HostFacts
    from hardbox.plan import LaunchPlan

SUFFIX: Final = ".plan"


def named(argv: Sequence[str]) -> str:
    """Give the file if the words of `hardbox plan` name one, else "". A command of such a name needs "--"."""
    words = [word for word in argv if word != "--json"]
    return words[0] if len(words) == 1 and words[0].endswith(SUFFIX) and words[0][0] != "-" else ""


def main(path: str, *, as_json: bool) -> int:
    """Show a plan; gives the exit status.

    Raises ProfileError or Refused if the file cannot be read or trusted, SetupFailed HB602 if it is no plan,
    and HostUnfit HB564, once it is shown, if the launcher would refuse it to this caller.
    """
    try:
        plan = decode(files.read(path, "plan", most=SIZE_MAX).content)
    except ValueError as error:
        raise SetupFailed(
            "HB602",
            f"the plan cannot be used: {error}",
            value=path,
            instead="make it anew: hardbox compile -o FILE.plan -- COMMAND",
        ) from error
    facts = host.read_facts()
    unfit, same = _unfit(plan, facts), _facts_digest(plan) in _digests(facts)
    (_print_json if as_json else _print)(plan, unfit, same=same)
    if unfit:
        raise HostUnfit(
            "HB564",
            f"the plan does not fit: it is {unfit}",
            value=path,
            why="hardbox-launch refuses it",
            instead="make it anew here: hardbox compile -o FILE.plan -- COMMAND",
        )
    return 0


def _digests(facts: HostFacts) -> tuple[str, ...]:
    """Give the digests of a plan made here now: a compiled one does not name a cgroup."""
    return facts.digest(), host.look_for_bandwidth(facts).digest(), replace(facts, cgroup=None).digest()


def _facts_digest(plan: LaunchPlan) -> str:
    return next((step.digest for step in plan.steps if isinstance(step, s.Facts)), "")


def _unfit(plan: LaunchPlan, facts: HostFacts) -> str:
    """Say what the launcher would refuse the plan for, "" if for nothing."""
    made = next((step for step in plan.steps if isinstance(step, s.Host)), None)
    if made is None:
        return "for nobody in particular"
    if (made.uid, made.kernel) != (facts.uid, facts.kernel):
        return f"for uid {made.uid} on kernel {made.kernel}, and this is uid {facts.uid} on {facts.kernel}"
    return ""


def _print(plan: LaunchPlan, unfit: str, *, same: bool) -> None:
    print(
        printable(
            f"profile {plan.policy_name} (sha256 {plan.policy_digest[:16]}), plan sha256 {plan.digest()[:16]}"
        )
    )
    state = "as they are here now" if same else "not as they are here now: compile it again"
    print(printable(f"host facts sha256 {_facts_digest(plan)[:16]}: {state}"))
    print("fits this user and this kernel" if not unfit else printable(f"does not fit: {unfit}"))
    for line in plan.lines():
        print(printable(line))


def _print_json(plan: LaunchPlan, unfit: str, *, same: bool) -> None:
    print(json.dumps(document(plan, {"unchanged": same}, {"fits": not unfit}), indent=2))


def document(
    plan: LaunchPlan, of_facts: Mapping[str, object], more: Mapping[str, object]
) -> dict[str, object]:
    """Give a plan as `hardbox plan --json` writes it.

    of_facts: what else is known of the host facts; more: of the plan.
    """
    return {
        "schema": "hardbox.plan/1",
        "profile": {"name": plan.policy_name, "sha256": plan.policy_digest},
        "host_facts": {"sha256": _facts_digest(plan), **of_facts},
        "sha256": plan.digest(),
        **more,
        "steps": [
            {"number": number, "kind": step.kind, "describe": step.describe()}
            for number, step in enumerate(plan.steps, 1)
        ],
    }
