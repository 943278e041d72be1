"""The model of a filter: what a seccomp/*.toml file says, as frozen values.

Run by: filters/__init__.py on a cache miss, cli/seccomp.py; pure. A file is groups of rules; a profile
lifts or enforces whole groups; `effective` gives the sets of rules that are left, and
`answer` the five-step decision over them that docs/filters.md states.
"""

from __future__ import annotations

import errno
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hardbox.errors import ProfileError
from hardbox.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ARGUMENTS: Final = 6
WORD: Final = 0xFFFF_FFFF
ERRNOS: Final = ("EPERM", "EACCES", "ENOSYS", "ENOENT", "EINVAL", "EAFNOSUPPORT", "EOPNOTSUPP")
MAX_BYTES: Final = 1 << 20
MAX_ROWS: Final = 1000
GROUP_KEYS: Final = (
    "why",
    "allow",
    "allow_when",
    "refuse",
    "refuse_when",
    "errno",
    "addable",
    "optional",
    "with_capability",
)
_ROW_KEYS: Final = ("call", "arg", "mask", "value", "and_arg", "and_mask", "and_value")


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison: (low 32 bits of argument `arg`, 0..5) & mask == value."""

    arg: int
    mask: int
    value: int

    def holds(self, args: Sequence[int]) -> bool:
        """Whether it holds for six 64-bit arguments."""
        return args[self.arg] & self.mask == self.value


@dataclass(frozen=True, slots=True)
class Row:
    """A call with one or two comparisons that must all hold; none: whatever the arguments are."""

    call: str
    tests: tuple[Compare, ...] = ()

    def holds(self, args: Sequence[int]) -> bool:
        """Whether all comparisons hold."""
        return all(test.holds(args) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Group:
    """One [group.NAME] of a file.

    errno:           of the calls in `refuse`.
    addable:         a profile may lift it: what it refuses is then allowed.
    optional:        in force only if a profile asks for it.
    with_capability: in force only if the profile keeps this capability.
    source:          the file that it comes from.
    """

    name: str
    why: str
    source: str
    allow: tuple[str, ...] = ()
    allow_when: tuple[Row, ...] = ()
    refuse: tuple[str, ...] = ()
    refuse_when: tuple[Row, ...] = ()
    errno: int = errno.EPERM
    addable: bool = False
    optional: bool = False
    with_capability: str = ""

    def calls(self) -> frozenset[str]:
        """All calls that the group names."""
        rows = (*self.allow_when, *self.refuse_when)
        return frozenset((*self.allow, *self.refuse, *(row.call for row in rows)))


@dataclass(frozen=True, slots=True)
class Filter:
    """A file together with those that it extends; groups of the root first."""

    name: str
    summary: str
    extends: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force: the inputs of the decision."""

    refuse_when: tuple[Row, ...]
    allow: frozenset[str]
    allow_when: tuple[Row, ...]
    refuse: Mapping[str, int]

    def calls(self) -> frozenset[str]:
        """All calls that any rule names."""
        rows = (*self.refuse_when, *self.allow_when)
        return self.allow | frozenset(self.refuse) | frozenset(row.call for row in rows)


def answer(rules: Rules, call: str, args: Sequence[int]) -> int:
    """Give the errno that the call is answered with, 0 if the kernel does it."""
    if any(row.call == call and row.holds(args) for row in rules.refuse_when):
        return errno.EPERM
    if call in rules.allow:
        return 0
    rows = [row for row in rules.allow_when if row.call == call]
    if any(row.holds(args) for row in rows):
        return 0
    if call in rules.refuse:
        return rules.refuse[call]
    return errno.EPERM if rows else errno.ENOSYS


def load(name: str, read: Callable[[str], bytes]) -> Filter:
    """Read a filter and the shipped ones that it extends.

    read: gives a filter's bytes by shipped name or path.
    Raises ProfileError HB450..HB459.
    """
    chain = [parse(read(name), name)]
    while wanted := chain[-1].extends:
        if any(link.name == wanted for link in chain):
            _bad("HB453", "filters extend one another in a circle", wanted, name, "remove one `extends`")
        chain.append(parse(read(wanted), wanted))
    groups: dict[str, Group] = {}
    for link in reversed(chain):
        for group in link.groups:
            if group.name in groups:
                _bad(
                    "HB453",
                    f"group {group.name} stands in {groups[group.name].source} already",
                    f"[group.{group.name}]",
                    link.name,
                    "give the group another name; a filter adds to its parent and replaces nothing",
                )
            groups[group.name] = group
    return Filter(name, chain[0].summary, chain[0].extends, tuple(groups.values()))


def parse(raw: bytes, source: str) -> Filter:
    """Read one file. Raises ProfileError HB451 (not TOML) or HB452 (not a filter)."""
    if len(raw) > MAX_BYTES:
        _bad("HB451", f"the filter is larger than {MAX_BYTES} bytes", "", source, "split or shorten it")
    try:
        top = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfileError(
            "HB451",
            "the filter is not TOML 1.0 in UTF-8",
            value=str(error),
            origin=source,
            instead="correct the file at that place",
        ) from error
    _known(top, ("summary", "extends", "group"), source, "")
    summary = _text(top, "summary", source, "")
    extends = _text(top, "extends", source, "")
    if extends and not extends.replace("-", "").isalnum():
        _bad("HB453", "only a shipped filter can be extended", extends, source, 'extends = "strict"')
    tables = top.get("group", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        _bad("HB452", "`group` is not a table of tables", "group", source, "write [group.NAME]")
    groups = tuple(_group(name, table, source) for name, table in tables.items())
    if sum(len(group.allow_when) + len(group.refuse_when) for group in groups) > MAX_ROWS:
        _bad("HB458", f"more than {MAX_ROWS} rows with comparisons", "", source, "write fewer or wider rows")
    return Filter(source, summary, extends, groups)


def effective(
    model: Filter, *, add: Sequence[str] = (), refuse: Sequence[str] = (), keep: Sequence[str] = ()
) -> Rules:
    """Give the rules in force.

    add:    addable groups to lift: what they refuse is allowed.
    refuse: groups to enforce: an optional one comes into force; of any other, what it
            allows is refused.
    keep:   capabilities kept; bring groups with `with_capability` into force.
    Raises ProfileError HB455 or HB456.
    """
    _check_names(model, add, refuse)
    refuse_when: list[Row] = []
    allow: set[str] = set()
    allow_when: list[Row] = []
    refused: dict[str, int] = {}
    for group in model.groups:
        if (group.optional and group.name not in refuse) or (
            group.with_capability and group.with_capability not in keep
        ):
            continue
        if group.name in add:
            allow.update(group.refuse)
            continue
        refuse_when += group.refuse_when
        for call in group.refuse:
            if refused.setdefault(call, group.errno) != group.errno:
                _bad(
                    "HB457",
                    f"{call} is refused with two error numbers",
                    group.name,
                    group.source,
                    "keep one of the two",
                )
        if group.name in refuse and not group.optional:
            refuse_when += [Row(call) for call in group.allow]
            refuse_when += [Row(call) for call in dict.fromkeys(row.call for row in group.allow_when)]
        else:
            allow.update(group.allow)
            allow_when += group.allow_when
    return Rules(
        tuple(dict.fromkeys(refuse_when)), frozenset(allow), tuple(dict.fromkeys(allow_when)), refused
    )


def _check_names(model: Filter, add: Sequence[str], refuse: Sequence[str]) -> None:
    groups = {group.name: group for group in model.groups}
    for key, names in (("add", add), ("refuse", refuse)):
        for name in names:
            if name not in groups:
                _bad(
                    "HB455",
                    f"filter {model.name} has no group {name}",
                    f"seccomp.{key} = {name}",
                    "",
                    did_you_mean(name, groups) or f"see: hardbox seccomp show {model.name}",
                )
    for name in add:
        if not groups[name].addable:
            others = ", ".join(group.name for group in model.groups if group.addable)
            _bad(
                "HB456",
                f"group {name} cannot be lifted by a profile",
                f"seccomp.add = {name}",
                "",
                f"groups that can be: {others}" if others else "write a filter file of your own",
                why=groups[name].why,
            )
        if name in refuse:
            _bad("HB456", f"group {name} is both added and refused", f"seccomp.add = {name}", "", "keep one")


def _group(name: str, table: Mapping[str, Any], source: str) -> Group:
    where = f"group.{name}"
    _known(table, GROUP_KEYS, source, where)
    number = table.get("errno", "EPERM")
    if number not in ERRNOS:
        _bad("HB452", "unknown errno", f"{where}.errno = {number}", source, f"one of {', '.join(ERRNOS)}")
    why = _text(table, "why", source, where)
    if not why.strip():
        _bad("HB452", "a group without a reason", where, source, 'add: why = "..."')
    group = Group(
        name=name,
        why=why,
        source=source,
        allow=_calls(table, "allow", source, where),
        allow_when=_rows(table, "allow_when", source, where),
        refuse=_calls(table, "refuse", source, where),
        refuse_when=_rows(table, "refuse_when", source, where),
        errno=int(getattr(errno, number)),
        addable=_flag(table, "addable", source, where),
        optional=_flag(table, "optional", source, where),
        with_capability=_text(table, "with_capability", source, where),
    )
    if group.optional and (group.allow or group.allow_when or group.addable):
        _bad("HB452", "an optional group only refuses", where, source, "move what it allows to another group")
    if group.addable and (group.allow or group.allow_when or group.refuse_when or not group.refuse):
        _bad("HB452", "an addable group has a `refuse` list and nothing else", where, source, "split it")
    return group


def _rows(table: Mapping[str, Any], key: str, source: str, where: str) -> tuple[Row, ...]:
    return tuple(
        _row(row, source, f"{where}.{key}[{number}]")
        for number, row in enumerate(_list(table, key, dict, source, where))
    )


def _row(row: Mapping[str, Any], source: str, where: str) -> Row:
    _known(row, _ROW_KEYS, source, where)
    call = _text(row, "call", source, where)
    if not call:
        _bad("HB452", "a row without `call`", where, source, 'add: call = "..."')
    _call(call, source, where)
    first = _compare(row, "", source, where)
    tests = [first] if first.mask else []
    if any(key.startswith("and_") for key in row):
        second = _compare(row, "and_", source, where)
        if second.arg == first.arg:
            _bad("HB452", "one row compares an argument twice", where, source, "widen the mask instead")
        tests += [second] if second.mask else []
    return Row(call, tuple(tests))


def _compare(row: Mapping[str, Any], prefix: str, source: str, where: str) -> Compare:
    numbers = []
    for key, most in (("arg", ARGUMENTS - 1), ("mask", WORD), ("value", WORD)):
        number = row.get(prefix + key)
        if type(number) is not int or not 0 <= number <= most:
            _bad(
                "HB452",
                f"`{prefix}{key}` is not a whole number of 0..{most:#x}",
                f"{where}.{prefix}{key} = {number}",
                source,
                "write arg, mask and value",
            )
        numbers.append(number)
    arg, mask, value = numbers
    if value & ~mask:
        _bad(
            "HB452", "the value has bits outside the mask: the row never matches", where, source, "correct it"
        )
    return Compare(arg, mask, value)


def _calls(table: Mapping[str, Any], key: str, source: str, where: str) -> tuple[str, ...]:
    names = _list(table, key, str, source, where)
    for name in names:
        if names.count(name) > 1:
            _bad("HB452", f"{name} stands twice in one list", f"{where}.{key}", source, "remove one")
        _call(name, source, f"{where}.{key}")
    return tuple(names)


def _call(name: str, source: str, where: str) -> None:
    # libseccomp takes C strings: "read\\0x" would become read.
    if not (name.isascii() and name.replace("_", "a").isalnum()):
        _bad(
            "HB452", "this is no name of a system call", f"{where}: {name[:80]!r}", source, "see syscalls(2)"
        )


def _list(table: Mapping[str, Any], key: str, kind: type, source: str, where: str) -> list[Any]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
        wanted = "names" if kind is str else "tables"
        _bad("HB452", f"`{key}` is not a list of {wanted}", f"{where}.{key}", source, "write [ ... ]")
    return found


def _text(table: Mapping[str, Any], key: str, source: str, where: str) -> str:
    found = table.get(key, "")
    if not isinstance(found, str):
        _bad("HB452", f"`{key}` is not a string", f"{where}.{key}".lstrip("."), source, f'{key} = "..."')
    return found


def _flag(table: Mapping[str, Any], key: str, source: str, where: str) -> bool:
    found = table.get(key, False)
    if not isinstance(found, bool):
        _bad("HB452", f"`{key}` is not true or false", f"{where}.{key}", source, f"{key} = true")
    return found


def _known(table: Mapping[str, Any], keys: Sequence[str], source: str, where: str) -> None:
    for key in table:
        if key not in keys:
            instead = did_you_mean(key, keys) or f"known here: {', '.join(keys)}"
            _bad("HB452", f"unknown key `{key}`", f"{where}.{key}".lstrip("."), source, instead)


def _bad(code: str, what: str, value: str, source: str, instead: str, *, why: str = "") -> NoReturn:
    origin = source if "/" in source or not source else f"filter {source}"
    raise ProfileError(code, what, value=value, origin=origin, why=why, instead=instead)
