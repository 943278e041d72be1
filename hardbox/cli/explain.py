"""`hardbox explain`: what an HB code, a rule or a report means, in plain words.

Run by: cli/main.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from hardbox import cache
from hardbox.cli import last, output
from hardbox.cli.report import shown
from hardbox.codes import CODES, EXIT_STATUS, FAMILIES
from hardbox.denials import Denial, lines
from hardbox.errors import EXIT_SIGNAL_BASE, Usage
from hardbox.report import SCHEMA
from hardbox.rules import BY_CODE, RULES
from hardbox.view import run as view
from hardbox.words import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.rules import Rule

_HELP: Final = """usage: hardbox explain HB103 | RULE | STATUS | REPORT.json | last
Says what a code of an error, the name of a rule, an exit status of `hardbox run`, or a report of
`hardbox run --report` means; `last`: the last run of which there was something to tell."""
_STANDARDS: Final = (
    ("PSS-restricted-", "Kubernetes Pod Security Standards, restricted"),
    ("PSS-", "Kubernetes Pod Security Standards, baseline"),
    ("CIS-", "CIS Docker Benchmark, section"),
    ("800-190-", "NIST SP 800-190, section"),
    ("NSA-", "NSA/CISA Kubernetes Hardening Guide"),
)
_DIGITS: Final = 3
_LAST_STATUS: Final = 255
_MORE: Final = {
    "124": "--timeout TIME, or --set limits.output=SIZE; more than the profile gives needs --loosen, as"
    " 'limits.wall=REASON'",
    "125": "the message on stderr says why; hardbox explain HB103",
    "126": "chmod +x FILE; what a job may write can be executed under --profile build only",
    "127": "--read PATH shows the program, or what its first line names",
}


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status. Raises Usage."""
    if argv and argv[0] in ("-h", "--help"):
        print(_HELP)
        return 0
    if len(argv) != 1:
        raise Usage(
            "HB004",
            "explain takes one code, rule or report",
            value=" ".join(argv),
            instead="hardbox explain HB103",
        )
    for line in _lines(argv[0]):
        print(output.shown(line))
    return 0


def _lines(word: str) -> Iterator[str]:
    code = word.strip().strip("[]").upper()
    code = f"HB{code}" if code.isdigit() else code
    if code in BY_CODE:
        return _rule(BY_CODE[code])
    if code in CODES:
        return _code(code)
    if word.strip().lower() in RULES:
        return _rule(RULES[word.strip().lower()])
    if (status := word.strip()) in EXIT_STATUS or (
        status.isdigit() and len(status) <= _DIGITS and int(status) <= _LAST_STATUS
    ):
        return _exit_status(status)
    if word == "last":
        return _last()
    if os.path.lexists(word) or "/" in word or word.endswith(".json"):
        return _report(word)
    raise Usage("HB020", "this is no code, no rule and no report", value=word, instead=_elsewhere(word, code))


def _elsewhere(word: str, code: str) -> str:
    """Say where a word is explained that is not explained here."""
    from hardbox import profile  # noqa: PLC0415 (only on this path)
    from hardbox.profile import schema  # noqa: PLC0415 (only on this path)

    if word in profile.shipped():
        return f"it is a profile: hardbox profile show {word}"
    if word in schema.READERS or word in schema.TABLES:
        return "it is a key of profiles: docs/profiles.md; hardbox profile show strict --origin"
    # A slip is looked for in its own family alone: another first digit means something else,
    # and a code of the right form that does not exist is near to none.
    family = [known for known in CODES if known[:3] == code[:3]]
    slip = code.startswith("HB") and not (code[2:].isdigit() and len(code) == len("HB103"))
    near = nearest(code, family) if slip else ""
    near = near or nearest(word.lower(), RULES)
    return f"hardbox explain {near}" if near else "hardbox explain HB103; docs/errors.md lists all codes"


def _exit_status(word: str) -> Iterator[str]:
    """Explain an exit status of `hardbox run`, with the signal of one above 128."""
    number = int(word) if word.isdigit() else -1
    meaning = EXIT_STATUS.get(word, "the command's own status")
    yield f"exit status {word}: {meaning}"
    if number > EXIT_SIGNAL_BASE and (name := view.signal_name(number - EXIT_SIGNAL_BASE)):
        yield f"  or       {view.signal_words(name)}"
    if word in _MORE:
        yield f"  instead  {_MORE[word]}"


def _code(code: str) -> Iterator[str]:
    row = CODES[code]
    yield f"{code}: {row.title}"
    yield f"  kind     {FAMILIES[code[2]]}"
    yield f"  instead  {row.instead}"


def _rule(rule: Rule) -> Iterator[str]:
    yield f"{rule.code}: {rule.title}"
    yield f"  rule     {rule.name}"
    yield f"  why      {rule.why}"
    yield f"  instead  {rule.instead}"
    if rule.floor:
        yield f"  lifted   by no profile and no flag: {rule.because}"
    else:
        yield f"  lifted   by a profile with [refuse] {rule.name} = false"
        yield f'           and [loosen] "refuse.{rule.name}" = "the reason"'
    for number, name in enumerate(rule.ids):
        yield ("  asked by " if number == 0 else "           ") + f"{name} ({_standard(name)})"


def _standard(name: str) -> str:
    prefix, title = next(row for row in _STANDARDS if name.startswith(row[0]))
    return f"{title} {name.removeprefix(prefix)}" if title.endswith("section") else title


def _unusable(path: str, why: str) -> Usage:
    return Usage(
        "HB020",
        "this is no report of hardbox",
        value=path,
        why=why,
        instead="hardbox run --report FILE -- COMMAND writes one",
    )


def _last() -> Iterator[str]:
    """Explain what cli/denied.py has kept."""
    path = os.path.join(cache.cache_folder(), last.NAME)
    if not os.path.exists(path):
        raise Usage(
            "HB020",
            "no run is kept",
            value=path,
            why="kept are runs with a refusal or --report; those that a limit ended too, unless they needed"
            " no Python because the same had been decided before",
            instead="hardbox run -- COMMAND, and again",
        )
    return _report(path)


def _report(path: str) -> Iterator[str]:
    """Say what `hardbox report` says; of a run that left no report, what was refused."""
    try:
        report = view.load(path, (SCHEMA, last.SCHEMA))
        return _denied(report) if report["schema"] == last.SCHEMA else shown(view.read(report))
    except view.NoReportError as error:
        raise _unusable(path, str(error)) from error


def _denied(report: dict[str, object]) -> Iterator[str]:
    """Give all that was refused; every text may be hostile, and of any type."""
    found = report.get("denials")
    name = report.get("profile")
    name = name.get("name") if isinstance(name, dict) else name
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    dropped = report.get("denials_dropped")
    if rows or dropped:
        yield from lines(
            tuple(Denial.from_json(row) for row in rows),
            dropped if isinstance(dropped, int) else 0,
            str(name),
            most=len(rows),
        )
