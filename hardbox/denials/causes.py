"""Which rule refused a call: the five steps of docs/filters.md, followed for the one that answered.

Run by: denials/__init__.py; pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.filters import floor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardbox.filters.model import Filter, Group, Row

FILTER, PROFILE, EXEC, LISTENER, FLOOR, UNKNOWN = "filter", "profile", "exec", "listener", "floor", "unknown"
_LISTENER_WHY: Final = "the supervisor listens, and of two listeners the kernel would ask the job's"
_UNKNOWN_WHY: Final = "no rule names it: a call that nobody has judged does not exist here"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What decided the filter of a run.

    add, refuse, keep: as in [seccomp] and [capabilities] of the policy.
    no_memfd:          filesystem.exec = "shown" refuses memory files.
    tells:             the supervisor listens.
    """

    filter: str
    add: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    no_memfd: bool = False
    tells: bool = True


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a call was refused.

    kind:  FILTER (a rule of a filter file), PROFILE ([seccomp] refuse), EXEC (filesystem.exec),
           LISTENER, FLOOR (no filter can allow it), UNKNOWN (no rule names it).
    group: name of the rule's group, "" if it has none.
    where: file and group, or key, in words.
    """

    kind: str
    group: str
    where: str
    why: str
    floor: bool = False


def find(model: Filter, inputs: Inputs, call: str, args: Sequence[int | None]) -> Cause:
    """Give the cause of a refusal."""
    under = _floor(call, args)
    if inputs.no_memfd and call == floor.MEMFD.call:
        where = 'filesystem.exec = "shown"'
        return Cause(EXEC, "memfd", where, "a memory file can be executed without ever having a path")
    if inputs.tells and _holds(floor.LISTENER, call, args):
        return Cause(LISTENER, "", 'seccomp.denials = "explained"', _LISTENER_WHY)
    for kind, group in _rules(model, inputs, call, args):
        where = f"{_file(group.source)} group {group.name}"
        if kind == PROFILE:
            where = f'seccomp.refuse = ["{group.name}"]'
        return Cause(kind, group.name, where, group.why, floor=bool(under))
    if under:
        return Cause(FLOOR, "", "the floor of every filter (docs/filters.md)", under, floor=True)
    return Cause(UNKNOWN, "", f"{_file(model.name)}, by default", _UNKNOWN_WHY)


def _rules(
    model: Filter, inputs: Inputs, call: str, args: Sequence[int | None]
) -> Iterator[tuple[str, Group]]:
    """Give the groups that refuse the call, in the order in which they are asked."""
    groups = [group for group in model.groups if in_force(group, inputs)]
    for group in groups:
        if any(_holds(row, call, args) for row in group.refuse_when):
            yield FILTER, group
    for group in groups:
        if group.name in inputs.refuse and not group.optional and call in _allows(group):
            yield PROFILE, group
    for group in groups:
        if call in group.refuse:
            yield FILTER, group
    for group in groups:
        if any(row.call == call for row in group.allow_when):
            yield FILTER, group


def in_force(group: Group, inputs: Inputs) -> bool:
    """Whether a group counts under these inputs."""
    if group.name in inputs.add or (group.optional and group.name not in inputs.refuse):
        return False
    return not group.with_capability or group.with_capability in inputs.keep


def _allows(group: Group) -> set[str]:
    return {*group.allow, *(row.call for row in group.allow_when)}


def _floor(call: str, args: Sequence[int | None]) -> str:
    """Say why no filter can allow it, "" if one can."""
    if call in floor.CALLS:
        return floor.CALLS[call]
    for why, rows in floor.ROWS.items():
        if any(_holds(row, call, args) for row in rows):
            return why
    return ""


def _holds(row: Row, call: str, args: Sequence[int | None]) -> bool:
    """Whether a row matches by what the filter has looked at; what it has not decided nothing."""
    return row.call == call and all(
        (value := args[test.arg]) is not None and value & test.mask == test.value for test in row.tests
    )


def _file(source: str) -> str:
    return source if "/" in source else f"seccomp/{source}.toml"
