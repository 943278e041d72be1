"""`hardbox profile`: list, show, lint and diff profiles; reads files, starts nothing.

Run by: cli/main.py. Exit status 0; `lint` 1 if the file does not load, `diff` 1 if the two differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox import profile, rules
from hardbox.cli.options import Request
from hardbox.errors import EXIT_REFUSED, Usage, printable
from hardbox.profile import orders
from hardbox.profile.values import plain, show
from hardbox.words import hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hardbox.policy import Policy

HELP: Final = """\
usage: hardbox profile list
       hardbox profile show NAME|FILE [--origin] [--json]
       hardbox profile lint FILE
       hardbox profile diff A B

list   the profiles that ship
show   every value, then rule by rule what is refused, and who asks for it
         --origin  where each value comes from
         --json    the same for programs (schema hardbox.profile/1)
lint   every problem of a profile at once, and advice; status 1 if it does not load
diff   where B is stricter, weaker or just different; status 1 if they differ
"""


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if argv else EXIT_REFUSED
    verbs: dict[str, Callable[[list[str]], int]] = {
        "list": _list,
        "show": _show,
        "lint": _lint,
        "diff": _diff,
    }
    if argv[0] not in verbs:
        raise Usage(
            "HB001",
            f'"{argv[0]}" is no part of hardbox profile',
            instead=hint(argv[0], verbs),
        )
    if "-h" in argv or "--help" in argv:
        print(HELP, end="")
        return 0
    return verbs[argv[0]](argv[1:])


def _take(words: list[str], count: int, flags: tuple[str, ...] = ()) -> tuple[list[str], set[str]]:
    """Split the words into names and flags. Raises Usage HB001 or HB004."""
    given = {word for word in words if word.startswith("-")}
    names = [word for word in words if not word.startswith("-")]
    if given - set(flags):
        raise Usage(
            "HB001",
            f"there is no flag {min(given - set(flags))} here",
            instead="hardbox profile --help",
        )
    if len(names) != count:
        wanted = {0: "no name", 1: "one profile", 2: "two profiles"}[count]
        raise Usage("HB004", f"{wanted} expected, {len(names)} given", instead="hardbox profile --help")
    return names, given


def _table(rows: Sequence[tuple[str, ...]], indent: str = "") -> None:
    """Print aligned columns; the last one is free."""
    if not rows:
        return
    widths = [max(len(printable(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [printable(cell) for cell in row]
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=False))
        print(f"{indent}{line}  {cells[-1]}".rstrip())


def _list(words: list[str]) -> int:
    _take(words, 0)
    default = Request().profile
    mark = {default: " (default)"}
    _table([(name, profile.load(name).summary + mark.get(name, "")) for name in profile.shipped()])
    return 0


def _show(words: list[str]) -> int:
    names, flags = _take(words, 1, ("--origin", "--json"))
    policy = profile.load(names[0])
    if "--json" in flags:
        import json  # noqa: PLC0415 (only with --json)

        print(json.dumps(_document(policy), indent=2))
        return 0
    print(printable(f"{policy.name}: {policy.summary}"))
    print(printable(f"from {', which extends '.join(policy.sources)}; sha256 {policy.digest}"))
    values = [(key, show(key, value)) for key, value in profile.flat(policy).items() if key != "summary"]
    print()
    if "--origin" in flags:
        _table([(key, value, policy.origin(key) or "default") for key, value in values])
    else:
        _table(values)
    for title, reasons in (("weaker than the parent", policy.loosen), ("optional", policy.optional)):
        if reasons:
            print(f"\n{title}:")
            _table(list(reasons.items()), "  ")
    print("\nrules:")
    _table([_rule_row(policy, rule) for rule in rules.RULES.values()], "  ")
    return 0


def _standing(policy: Policy, rule: rules.Rule) -> str:
    if rule.floor:
        return "floor"
    return "refused" if rule.name in policy.refuse else "LIFTED"


def _rule_row(policy: Policy, rule: rules.Rule) -> tuple[str, ...]:
    standing = _standing(policy, rule)
    ids = ", ".join(policy.refuse.get(rule.name, rule.ids)) or "-"
    if standing == "LIFTED":
        ids += f"  ({policy.loosen.get(f'refuse.{rule.name}', '')})"
    return rule.code, rule.name, standing, ids


def _document(policy: Policy) -> dict[str, object]:
    return {
        "schema": "hardbox.profile/1",
        "name": policy.name,
        "sha256": policy.digest,
        "sources": list(policy.sources),
        "values": {
            key: {"value": plain(key, value), "origin": policy.origin(key)}
            for key, value in profile.flat(policy).items()
        },
        "loosen": dict(policy.loosen),
        "optional": dict(policy.optional),
        "rules": [
            {
                "code": rule.code,
                "name": rule.name,
                "standing": _standing(policy, rule).lower(),
                "ids": list(policy.refuse.get(rule.name, rule.ids)),
                "reason": policy.loosen.get(f"refuse.{rule.name}", ""),
            }
            for rule in rules.RULES.values()
        ],
    }


def _lint(words: list[str]) -> int:
    names, _ = _take(words, 1)
    policy, problems, own, parent = profile.inspect(names[0])
    for problem in problems:
        # render() ends with "nothing was run", which is no news here.
        print(problem.render().rsplit("\n", 2)[0])
    if policy is None or own is None:
        print(printable(f"{names[0]}: {len(problems)} problem{'s' if len(problems) != 1 else ''}"))
        return 1
    from hardbox.profile import advice  # noqa: PLC0415 (only for this word)

    for line in advice.of(policy, own, parent):
        print(printable(f"advice: {line}"))
    print(printable(f"{names[0]}: loads; sha256 {policy.digest}"))
    return 0


def _diff(words: list[str]) -> int:
    names, _ = _take(words, 2)
    first, second = (profile.load(name) for name in names)
    rows = list(_differences(first, second))
    if not rows:
        print(printable(f"{names[0]} and {names[1]} give a job the same"))
        return 0
    print(printable(f"{names[1]}, compared with {names[0]}:"))
    _table(rows, "  ")
    return 1


def _differences(first: Policy, second: Policy) -> Iterator[tuple[str, ...]]:
    before, after = profile.flat(first), profile.flat(second)
    for key, old in before.items():
        new = after[key]
        if key != "summary" and old != new:
            yield key, orders.compare(key, old, new), f"{show(key, old)} -> {show(key, new)}"
    for name in rules.RULES:
        standing = [policy.refuse.get(name) for policy in (first, second)]
        if (standing[0] is None) != (standing[1] is None):
            words = ["lifted" if ids is None else "in force" for ids in standing]
            yield f"refuse.{name}", orders.compare(f"refuse.{name}", *standing), " -> ".join(words)
    for name in sorted({*first.optional, *second.optional}):
        if (name in first.optional) != (name in second.optional):
            weaker = name in second.optional
            words = ["required", "optional"] if weaker else ["optional", "required"]
            yield f"optional.{name}", "weaker" if weaker else "stricter", " -> ".join(words)
