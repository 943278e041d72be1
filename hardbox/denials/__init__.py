"""Denials: what was refused, why, and the smallest change that would allow it.

Run by: the Python front, after a job to which something was refused; a run without refusals imports none
of it. The launcher counts (launch/notify.c); what it means is decided here, from the same
files that the filter was made of.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hardbox import filters
from hardbox.denials import calls, causes, changes
from hardbox.denials.causes import Inputs
from hardbox.denials.rows import Row, Table, parse
from hardbox.errors import HardboxError, plain
from hardbox.filters import model as models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.filters.model import Filter
    from hardbox.policy import Policy

__all__ = ["Denial", "Inputs", "Row", "Table", "explain", "inputs_of", "lines", "parse"]

CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"
_MOST_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Denial:
    """One thing that was refused.

    kind:    "syscall", "file", "network", "capability" or "signal".
    what:    the call, in words.
    count:   how often.
    process: name of the thread that was first, "" if it is not known.
    where:   the file and group, or the key, that refused it.
    why:     the reason that stands there.
    allow:   the smallest change that allows it.
    risk:    what that change costs: "low", "medium" or "high", and why; "" if there is no change.
    sure:    "certain", "likely" or "possible".
    """

    kind: str
    what: str
    count: int
    process: str
    where: str
    why: str
    allow: str
    risk: str
    sure: str

    @classmethod
    def from_json(cls, row: Mapping[str, object]) -> Denial:
        """Read it from a report; whatever is missing is empty."""
        count = row.get("count")
        texts = [str(row.get(name, "")) for name in ("process", "where", "why", "allow", "risk", "sure")]
        kind, what = str(row.get("kind", "")), str(row.get("what", ""))
        return cls(kind, what, count if isinstance(count, int) else 1, *texts)

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        texts = ("kind", "what", "process", "where", "why", "allow", "risk", "sure")
        return {name: plain(getattr(self, name)) for name in texts} | {"count": self.count}


def inputs_of(policy: Policy) -> Inputs:
    """Give what decides a policy's filter."""
    wanted = policy.seccomp
    return Inputs(
        wanted.filter,
        wanted.add,
        wanted.refuse,
        policy.capabilities.keep,
        no_memfd=policy.filesystem.exec == "shown",
        tells=wanted.denials != "silent",
    )


def explain(table: Table, inputs: Inputs, *, same: bool = True) -> tuple[Denial, ...]:
    """Explain each row; rows that read the same are one.

    same: the inputs are those of the filter that refused. False makes every statement "likely".
    """
    try:
        model = models.load(inputs.filter, filters.read_filter)
    except HardboxError:  # the filter's file is gone
        model, same = models.load("strict", filters.read_filter), False
        inputs = replace(inputs, filter="strict", add=(), refuse=())
    found: dict[tuple[str, str], Denial] = {}
    for row in table.rows:
        denial = _explained(row, model, inputs, same=same)
        key = denial.what, denial.where
        found[key] = replace(found[key], count=found[key].count + row.count) if key in found else denial
    return tuple(found.values())


def _explained(row: Row, model: Filter, inputs: Inputs, *, same: bool) -> Denial:
    call = filters.call_name(row.number, row.machine)
    cause = causes.find(model, inputs, call, row.args)
    allow, risk = changes.smallest(model, inputs, cause, call, [arg or 0 for arg in row.args])
    word = errno.errorcode.get(row.errno, str(row.errno))
    return Denial(
        kind="syscall",
        what=calls.words(call, row.args) + ("" if row.errno == errno.EPERM else f" ({word})"),
        count=row.count,
        process=row.comm,
        where=cause.where,
        why=cause.why,
        allow=allow,
        risk=risk,
        sure=CERTAIN if same else LIKELY,
    )


def lines(denials: tuple[Denial, ...], dropped: int, profile: str, *, most: int = _MOST_SHOWN) -> list[str]:
    """Give the block for people, without "hardbox: " in front of its first line."""
    things = "1 thing was" if len(denials) == 1 else f"{len(denials)} things were"
    block = [f"{things} denied by profile {profile}"]
    for denial in denials[:most]:
        process = f" by {denial.process}" if denial.process else ""
        times = f" \N{MULTIPLICATION SIGN}{denial.count}" if denial.count > 1 else ""
        sure = "" if denial.sure == CERTAIN else f" ({denial.sure})"
        block.append(f"  {denial.what}{times}{process}   {denial.where}{sure}: {denial.why}")
        risk = f"; risk {denial.risk}" if denial.risk else ""
        block.append(f"      to allow: {denial.allow}{risk}")
    if len(denials) > most:
        block.append(f"  ... and {len(denials) - most} more: hardbox explain last")
    if dropped:
        block.append(f"  ... and {dropped} more calls, of kinds that were not kept")
    return block
