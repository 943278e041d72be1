"""Docker's and OCI's seccomp JSON, read into and written from our filters.

Run by: cli/seccomp.py. What one side cannot say is an error that names the entry, never left
out. Format: the OCI runtime specification, config-linux.md, "Seccomp", and Docker's
archMap, includes and excludes on top of it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hardbox.errors import ProfileError
from hardbox.filters.floor import CALLS
from hardbox.filters.model import MAX_ROWS, WORD, Compare, Row
from hardbox.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hardbox.filters.model import Rules

_TOP: Final = ("defaultAction", "defaultErrnoRet", "architectures", "archMap", "syscalls", "flags")
_ENTRY: Final = ("names", "name", "action", "args", "errnoRet", "comment", "includes", "excludes")
_OURS: Final = frozenset(("amd64", "arm64"))
# mount_setattr(2), which the launcher needs, came with Linux 5.12.
_OLDEST_KERNEL: Final = (5, 12)


@dataclass
class _Draft:
    """A group that is being collected."""

    allow: list[str] = field(default_factory=list)
    allow_when: list[Row] = field(default_factory=list)
    refuse: list[str] = field(default_factory=list)
    refuse_when: list[Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.allow or self.allow_when or self.refuse or self.refuse_when)

    def take_floor_out(self) -> set[str]:
        """Drop what the floor of every filter refuses; gives the calls."""
        found = {*self.allow, *(row.call for row in self.allow_when)} & CALLS.keys()
        self.allow = [name for name in self.allow if name not in found]
        self.allow_when = [row for row in self.allow_when if row.call not in found]
        return found


def read(document: object, origin: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Turn a JSON document into the tables of a filter file, ready for writing as TOML.

    Gives with it the calls that the document allows and no filter may (`floor.py`): they are left out.
    Raises ProfileError HB460 for what a filter of ours cannot say.
    """
    if not isinstance(document, dict):
        _no("the document is not an object", "", origin, "give a Docker or OCI seccomp profile")
    _known(document, _TOP, "", origin)
    if document.get("defaultAction") != "SCMP_ACT_ERRNO":
        _no(
            "the default action is not SCMP_ACT_ERRNO",
            f"defaultAction = {document.get('defaultAction')}",
            origin,
            "write a profile that lists what is allowed",
        )
    if document.get("flags"):
        _no("filter flags cannot be chosen", f"flags = {document['flags']}", origin, "remove `flags`")
    entries = document.get("syscalls")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        _no("`syscalls` is not a list of objects", "syscalls", origin, "correct the file")
    drafts: dict[tuple[str, int], _Draft] = {}
    for number, entry in enumerate(entries):
        _entry(entry, f"syscalls[{number}]", origin, drafts)
    _contradictions(drafts, origin)
    left_out: set[str] = set()
    for draft in drafts.values():
        left_out |= draft.take_floor_out()
    groups = {_name(key): _table(key, draft) for key, draft in drafts.items() if draft}
    return {"summary": "Converted from Docker or OCI JSON.", "group": groups}, tuple(sorted(left_out))


def _entry(entry: Mapping[str, Any], where: str, origin: str, drafts: dict[tuple[str, int], _Draft]) -> None:
    _known(entry, _ENTRY, where, origin)
    names = entry.get("names") or ([entry["name"]] if "name" in entry else [])
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        _no("an entry without names", where, origin, 'add "names": [...]')
    where = f"{where} ({', '.join(names[:3])}{'...' if len(names) > 3 else ''})"  # noqa: PLR2004 (names enough to find it)
    includes, excludes = (
        _condition(entry, "includes", where, origin),
        _condition(entry, "excludes", where, origin),
    )
    arches = includes.get("arches")
    if (arches and not _OURS & set(arches)) or set(excludes.get("arches", ())) >= _OURS:
        return  # for machines that we have no filters for
    capability = _capability(includes, where, origin)
    # Entries that `excludes.caps` switches off stay: no capability is kept, and where one is,
    # the narrower entry of the two is the safer.
    tests = _tests(entry.get("args") or [], where, origin)
    action = entry.get("action")
    if action == "SCMP_ACT_ALLOW":
        draft = drafts.setdefault((capability, errno.EPERM), _Draft())
        if tests:
            draft.allow_when += [Row(name, tests) for name in names]
        else:
            draft.allow += [name for name in names if name not in draft.allow]
    elif action == "SCMP_ACT_ERRNO":
        number = entry.get("errnoRet", errno.EPERM)
        if capability:
            _no("a refusal that depends on a kept capability", where, origin, "remove includes.caps")
        if number not in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOENT, errno.EINVAL):
            _no("this errno cannot be chosen", f"{where}: errnoRet = {number}", origin, "use 1 (EPERM) or 38")
        if tests and number != errno.EPERM:
            _no("a refusal by argument answers EPERM", f"{where}: errnoRet = {number}", origin, "use 1")
        draft = drafts.setdefault((capability, number), _Draft())
        if tests:
            draft.refuse_when += [Row(name, tests) for name in names]
        else:
            draft.refuse += [name for name in names if name not in draft.refuse]
    else:
        _no(
            "this action does not exist here",
            f"{where}: action = {action}",
            origin,
            "allow, or refuse by errno",
        )


def _condition(entry: Mapping[str, Any], key: str, where: str, origin: str) -> Mapping[str, Any]:
    found = entry.get(key) or {}
    if not isinstance(found, dict):
        _no(f"`{key}` is not an object", where, origin, "correct the file")
    _known(found, ("caps", "arches", "minKernel"), f"{where}.{key}", origin)
    for name in ("caps", "arches"):
        if not isinstance(found.get(name) or [], list):
            _no(f"`{key}.{name}` is not a list", where, origin, "correct the file")
    kernel = found.get("minKernel")
    if kernel:
        parts = str(kernel).split(".")
        if not all(part.isdigit() for part in parts) or key == "excludes":
            _no(f"`{key}.minKernel` cannot be understood", f"{where}: {kernel}", origin, "remove it")
        if tuple(map(int, parts)) > _OLDEST_KERNEL:
            _no(
                "a rule that depends on the kernel",
                f"{where}: minKernel = {kernel}",
                origin,
                "decide for one",
            )
    return {name: value for name, value in found.items() if value}


def _capability(includes: Mapping[str, Any], where: str, origin: str) -> str:
    caps = includes.get("caps", ())
    if len(caps) > 1:
        _no("a rule that depends on several capabilities", f"{where}: {caps}", origin, "one entry for each")
    return str(caps[0]).removeprefix("CAP_") if caps else ""


def _tests(args: object, where: str, origin: str) -> tuple[Compare, ...]:
    if not isinstance(args, list) or not all(isinstance(arg, dict) for arg in args):
        _no("`args` is not a list of objects", where, origin, "correct the file")
    if len(args) > 2:  # noqa: PLR2004 (arg and and_arg of a row)
        _no("an entry compares more than two arguments", where, origin, "split or shorten it")
    tests = []
    for arg in args:
        _known(arg, ("index", "value", "valueTwo", "op"), where, origin)
        index, value, second = arg.get("index"), arg.get("value"), arg.get("valueTwo", 0)
        if not all(type(number) is int for number in (index, value, second)) or not 0 <= index <= 5:  # noqa: PLR2004 (six arguments)
            _no("an argument without index or value", where, origin, "correct the file")
        operator = arg.get("op")
        mask = WORD
        if operator == "SCMP_CMP_MASKED_EQ":
            mask, value = value, second
        elif operator != "SCMP_CMP_EQ":
            _no("this comparison cannot be said", f"{where}: op = {operator}", origin, "use EQ or MASKED_EQ")
        if not (0 <= mask <= WORD and 0 <= value <= WORD) or value & ~mask:
            _no("a comparison beyond 32 bits, or that never holds", f"{where}: {arg}", origin, "correct it")
        tests.append(Compare(index, mask, value))
    if len({test.arg for test in tests}) != len(tests):
        _no("an entry compares one argument twice", where, origin, "one entry for each comparison")
    return tuple(tests)


def _contradictions(drafts: Mapping[tuple[str, int], _Draft], origin: str) -> None:
    allowed = {name for draft in drafts.values() for name in draft.allow}
    refused = [name for draft in drafts.values() for name in draft.refuse]
    for name in refused:
        if name in allowed or refused.count(name) > 1:
            _no("a call is both allowed and refused, or refused twice", name, origin, "keep one entry")


def _name(key: tuple[str, int]) -> str:
    capability, number = key
    if capability:
        return "with-" + capability.lower().replace("_", "-")
    return "converted" if number == errno.EPERM else f"converted-{errno.errorcode[number].lower()}"


def _table(key: tuple[str, int], draft: _Draft) -> dict[str, Any]:
    capability, number = key
    table: dict[str, Any] = {"why": f"CAP_{capability} is kept" if capability else "as in the original"}
    if capability:
        table["with_capability"] = capability
    if number != errno.EPERM:
        table["errno"] = errno.errorcode[number]
    for name in ("allow", "allow_when", "refuse", "refuse_when"):
        rules = getattr(draft, name)
        if rules:
            table[name] = [_row(rule) if isinstance(rule, Row) else rule for rule in rules]
    return table


def _row(row: Row) -> dict[str, Any]:
    table: dict[str, Any] = {"call": row.call}
    for prefix, test in zip(("", "and_"), row.tests, strict=False):
        table |= {f"{prefix}arg": test.arg, f"{prefix}mask": test.mask, f"{prefix}value": test.value}
    return table


def write(rules: Rules) -> dict[str, Any]:
    """Turn rules into an OCI document that allows exactly the same calls.

    OCI has no "allow, but for": such a call becomes entries that together cover what is left.
    What is refused answers EPERM, but for calls that are refused with another errno.
    Raises ProfileError HB461 if that takes too many entries.
    """
    entries: list[dict[str, Any]] = []
    plain = []
    for call in sorted(rules.calls()):
        granted = [row.tests for row in rules.allow_when if row.call == call]
        cubes: list[tuple[Compare, ...]] = [()] if call in rules.allow else granted
        # Wide rows first: a narrow one then splits a single cube instead of many.
        for row in sorted(rules.refuse_when, key=_width):
            if row.call == call:
                cubes = [part for cube in cubes for part in _minus(cube, row.tests)]
        if len(cubes) > MAX_ROWS:
            raise ProfileError(
                "HB461",
                f"{call} would take {len(cubes)} entries",
                value=call,
                instead="fewer rows for this call",
            )
        if cubes == [()]:
            plain.append(call)
            continue
        entries += [_oci(call, cube) for cube in cubes]
    by_number: dict[int, list[str]] = {}
    conditional = {row.call for row in rules.allow_when} | rules.allow
    for call, number in sorted(rules.refuse.items()):
        if call not in conditional:
            by_number.setdefault(number, []).append(call)
    refusals = [
        {"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": number}
        for number, calls in sorted(by_number.items())
        if number != errno.EPERM
    ]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": plain, "action": "SCMP_ACT_ALLOW"}, *entries, *refusals],
    }


def _oci(call: str, cube: Sequence[Compare]) -> dict[str, Any]:
    args = [
        {"index": test.arg, "value": test.mask, "valueTwo": test.value, "op": "SCMP_CMP_MASKED_EQ"}
        for test in cube
    ]
    return {"names": [call], "action": "SCMP_ACT_ALLOW", "args": args}


def _width(row: Row) -> int:
    return sum(test.mask.bit_count() for test in row.tests)


def _minus(cube: tuple[Compare, ...], other: Iterable[Compare]) -> list[tuple[Compare, ...]]:
    """Give disjoint cubes that cover `cube` without `other` (the sharp product of logic minimisation)."""
    fixed = {test.arg: (test.mask, test.value) for test in cube}
    parts = []
    for test in other:
        mask, value = fixed.get(test.arg, (0, 0))
        if (value ^ test.value) & mask & test.mask:
            return [cube]
    for test in other:
        mask, value = fixed.get(test.arg, (0, 0))
        for place in range(32):
            bit = 1 << place
            if not test.mask & bit or mask & bit:
                continue
            mask |= bit
            parts.append(_cube(fixed | {test.arg: (mask, value | (~test.value & bit))}))
            value |= test.value & bit
        fixed[test.arg] = (mask, value)
    return parts


def _cube(fixed: Mapping[int, tuple[int, int]]) -> tuple[Compare, ...]:
    return tuple(Compare(arg, mask, value) for arg, (mask, value) in sorted(fixed.items()))


def _known(table: Mapping[str, Any], keys: Sequence[str], where: str, origin: str) -> None:
    for key in table:
        if key not in keys:
            _no("unknown key", f"{where}.{key}".lstrip("."), origin, did_you_mean(key, keys) or "remove it")


def _no(what: str, value: str, origin: str, instead: str) -> NoReturn:
    raise ProfileError(
        "HB460", f"the filter cannot be converted: {what}", value=value, origin=origin, instead=instead
    )
