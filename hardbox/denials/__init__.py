"""Denials: what was refused, why, and the smallest change that would allow it.

Run by: the Python front, after a job to which something was refused; a run without refusals imports none
of it. The launcher counts (launch/notify.c); what it means is decided here, from the same
files that the filter was made of.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hardbox import filters
from hardbox.denials import calls, causes, changes, seen
from hardbox.denials.causes import Inputs
from hardbox.denials.denial import CERTAIN, LIKELY, Denial
from hardbox.denials.rows import Row, Table, parse
from hardbox.errors import HardboxError
from hardbox.filters import model as models

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.filters.model import Filter
    from hardbox.policy import Policy

__all__ = ["Denial", "Inputs", "Row", "Table", "explain", "inputs_of", "lines", "observed", "parse", "shown"]

_MOST_SHOWN: Final = 10
# Of netlink(7): which addresses there are, asked for by getaddrinfo(3).
_NETLINK: Final = 16
_NETLINK_ROUTE: Final = 0


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
    """Explain each row; rows that read the same are one, and what every program does by habit is left out.

    same: the inputs are those of the filter that refused. False makes every statement "likely".
    """
    try:
        model = models.load(inputs.filter, filters.read_filter)
    except HardboxError:  # the filter's file is gone
        model, same = models.load("strict", filters.read_filter), False
        inputs = replace(inputs, filter="strict", add=(), refuse=())
    found: dict[tuple[str, str], Denial] = {}
    for row in table.rows:
        if _by_habit(row):
            continue
        denial = _explained(row, model, inputs, same=same)
        key = denial.what, denial.where
        found[key] = replace(found[key], count=found[key].count + row.count) if key in found else denial
    return tuple(found.values())


def observed(
    data: bytes, policy: Policy, machine: str, may_show: Callable[[str], str]
) -> tuple[tuple[Denial, ...], int]:
    """Explain what --explain saw; gives the denials, and how many observations found no room.

    may_show: see `seen.judge`. Raises ValueError.
    """
    rows, dropped = seen.parse(data)

    def name_of(number: int) -> str:
        return filters.call_name(number, machine)

    return seen.judge(rows, policy, name_of, may_show), dropped


def _by_habit(row: Row) -> bool:
    """Say whether it is a call that the C library makes for every look-up of a name, and does without.

    A filter's quiet calls (filters/quiet.py) are quiet whatever their arguments; this one is not.
    """
    call = filters.call_name(row.number, row.machine)
    return call == "socket" and row.args[0] == _NETLINK and row.args[2] == _NETLINK_ROUTE


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


def shown(denial: Denial) -> list[str]:
    """Give the lines of one denial for people; of a report's row, any text may be empty."""
    process = f" by {denial.process}" if denial.process else ""
    times = f" \N{MULTIPLICATION SIGN}{denial.count}" if denial.count > 1 else ""
    sure = "" if denial.sure in ("", CERTAIN) else f" ({denial.sure})"
    about = ": ".join(part for part in (f"{denial.where}{sure}".strip(), denial.why) if part)
    risk = f"; risk {denial.risk}" if denial.risk else ""
    found = [f"  {denial.what}{times}{process}   {about}".rstrip()]
    return [*found, f"      to allow: {denial.allow}{risk}"] if denial.allow else found


def lines(denials: tuple[Denial, ...], dropped: int, profile: str, *, most: int = _MOST_SHOWN) -> list[str]:
    """Give the block for people, without "hardbox: " in front of its first line."""
    things = "1 thing was" if len(denials) == 1 else f"{len(denials)} things were"
    block = [f"{things} denied by profile {profile}"]
    for denial in denials[:most]:
        block += shown(denial)
    if len(denials) > most:
        block.append(f"  ... and {len(denials) - most} more: hardbox explain last")
    if dropped:
        block.append(f"  ... and {dropped} more calls, of kinds that were not kept")
    if any("REASON" in denial.allow for denial in denials[:most]):
        block.append("  REASON: why it may be weaker than the profile, in 10 characters or more")
    return block
