"""Posture: a running job seen from outside, compared exactly with what its plan promises.

Run by: verify/examine.py and tests/attack. Never more than promised, and never less noticed.
"""

from __future__ import annotations

import difflib
import os
import resource
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hardbox.errors import SetupFailed
from hardbox.plan import steps
from hardbox.verify.check import ESCAPED, HELD, Outcome
from hardbox.verify.engine import Boxed
from hardbox.verify.findings import Row
from hardbox.verify.promised import meets, promise
from hardbox.verify.record import parent, record
from hardbox.verify.runner import INSIDE_PROBES, PROBE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.verify.runner import Around

_PID: Final = b"pid\0"
_SOURCE: Final = "gVisor sandboxposture; am-i-isolated; runtime-tools; CIS-5.x"


def take(
    wanted: LaunchPlan, plan: LaunchPlan, policy: Policy, around: Around
) -> tuple[dict[str, str], dict[str, str]]:
    """Run a job that only waits; give what was promised and what was found.

    wanted: the plan that promises. plan: the plan that is launched; the tests give another one.
    """
    promised = promise(
        wanted,
        tuple(around.environment),
        len(os.sched_getaffinity(0)),
        os.path.lexists,
        lambda number: resource.getrlimit(number)[1],
    )
    box = Boxed(_waiting(plan), policy, around)
    try:
        records = box.records(until=_PID)
        said = dict(_said(box))
        pid = next(
            struct.unpack_from("<Q", row.payload, len(_PID))[0]
            for row in records
            if row.payload.startswith(_PID)
        )
        found = record(pid, parent(pid), promised) | said
    finally:
        box.process.kill()
        box.end()
    return promised, found


def _said(box: Boxed) -> Iterator[tuple[str, str]]:
    """Read what the job tells of the second wall, which no file in /proc shows. Raises SetupFailed."""
    for line in box.process.stdout or ():
        if line == "ready\n":
            return
        name, _, number = line.rpartition(" ")
        yield name, Outcome.of(int(number), 0, "").word
    raise SetupFailed("HB614", "verify could not look at a running job", value="it did not start")


def _waiting(plan: LaunchPlan) -> LaunchPlan:
    """Give the same plan with a command that waits."""
    words = tuple(steps.Arg(word) for word in (f"{INSIDE_PROBES}/{PROBE}", "one", "wait"))
    first = next(number for number, step in enumerate(plan.steps) if isinstance(step, steps.Arg))
    others = [step for step in plan.steps if not isinstance(step, steps.Arg)]
    return replace(plan, steps=(*others[:first], *words, *others[first:]))


def rows(wanted: LaunchPlan, plan: LaunchPlan, policy: Policy, around: Around) -> list[Row]:
    """Give a row for each fact, promised or found."""
    promised, found = take(wanted, plan, policy, around)
    return [_row(name, promised.get(name), found.get(name)) for name in dict.fromkeys((*promised, *found))]


def _row(name: str, promised: str | None, found: str | None) -> Row:
    same = meets(promised, found)
    return Row(
        f"X-{name.replace(' ', '-').replace('/', '-')}",
        "posture",
        f"{name} of the running job",
        _SOURCE,
        f"exactly: {promised or 'nothing of the kind'}",
        "/proc of the job and of its init, from outside",
        "a look at the job itself",
        found or "nothing of the kind",
        HELD if same else ESCAPED,
        "as promised" if same else f"promised: {promised}; found: {found}",
    )


def lines(facts: Mapping[str, str]) -> list[str]:
    """Give facts as sorted lines, for a golden file."""
    return [f"{name}: {value}" for name, value in sorted(facts.items())]


def difference(promised: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Give a unified diff, "" if there is none."""
    plain = {
        name: promised[name] if meets(promised.get(name), value) else value for name, value in found.items()
    }
    diff = difflib.unified_diff(lines(promised), lines(plain), "promised", "found", lineterm="", n=0)
    return "\n".join(diff)
