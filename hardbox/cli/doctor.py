"""`hardbox doctor`: what this host can enforce; for each gap the narrowest fix.

Run by: cli/main.py. Tries everything in throw-away children and in one real sandbox;
nothing remains. Exit status 0 if all that is required is there, else 125.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hardbox.engines.namespaces import launcher_path
from hardbox.errors import EXIT_REFUSED, HardboxError, HostUnfit, Usage, printable
from hardbox.host import HostFacts, look_for_bandwidth, read_facts
from hardbox.probe import Check, probe
from hardbox.probe.check import APPARMOR

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA: Final = "hardbox.doctor/1"
_WORDS: Final = {True: "ok", False: "no", None: "info"}
_HELP: Final = """\
usage: hardbox doctor [--json]

Tries on this host, as this user, what hardbox relies on. One line for each requirement:
ok, no, or info. Exit status 0 if everything required is there, 125 otherwise.

  --json   the same as JSON (schema hardbox.doctor/1, docs/doctor.schema.json)
"""
_TRIAL_WHY: Final = "all of it together: `true` under the profile strict, by the launcher itself"


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    as_json = False
    for word in argv:
        if word in ("-h", "--help"):
            print(_HELP, end="")
            return 0
        if word not in ("--json", "--debug"):
            raise Usage(
                "HB001",
                "doctor takes no such argument",
                value=word,
                instead="hardbox doctor [--json]",
            )
        as_json = as_json or word == "--json"
    facts, checks = examine()
    missing = [check for check in checks if check.required and check.ok is False]
    if as_json:
        _print_json(facts, checks)
    else:
        _print_text(facts, checks)
    return EXIT_REFUSED if missing else 0


def examine() -> tuple[HostFacts | None, tuple[Check, ...]]:
    """Probe this host. The facts are None where not even they could be read."""
    try:
        facts = look_for_bandwidth(read_facts())
    except HostUnfit as error:
        found = f"[{error.code}] {error.what}"
        return None, (Check("facts", False, found, error.why, error.instead, required=True),)  # noqa: FBT003 (fields)
    try:
        launcher = launcher_path()
    except HardboxError:  # the check "launcher" says what is missing
        launcher = ""
    checks = probe(facts, launcher=launcher)
    return facts, settle(checks, trial(launcher))


def trial(launcher: str) -> Check:
    """Run `true` in a real sandbox."""
    if not launcher:
        found = "not tried: there is no launcher"
        return Check("sandbox", ok=False, found=found, why=_TRIAL_WHY, fix="see launcher", required=True)
    from hardbox import api  # noqa: PLC0415 (the probes must be able to speak where this cannot be imported)

    try:
        result = api.run(["true"], profile="strict", workdir="/", input=b"", capture=True)
    except HardboxError as error:
        found = f"[{error.code}] {error.what}" + (f": {error.why}" if error.why else "")
        return Check("sandbox", ok=False, found=found, why=_TRIAL_WHY, fix=error.instead, required=True)
    if result.exit_code != 0:
        found = f"started, but `true` gave {result.exit_code} ({result.outcome})"
        fix = "report this: it is a defect of hardbox"
        return Check("sandbox", ok=False, found=found, why=_TRIAL_WHY, fix=fix, required=True)
    return Check("sandbox", ok=True, found="runs", why=_TRIAL_WHY, required=True)


def settle(checks: Sequence[Check], sandbox: Check) -> tuple[Check, ...]:
    """Put probes and trial together.

    AppArmor judges by program: the probes run in Python, which has no profile and needs none.
    If the launcher's own sandbox runs, what AppArmor refused to Python is no gap.
    """
    if sandbox.ok:
        checks = [
            replace(
                check,
                ok=None,
                found=f"refused to Python by AppArmor, allowed to the launcher ({check.found})",
                fix="",
            )
            if check.ok is False and check.blocker == APPARMOR
            else check
            for check in checks
        ]
    return (*checks, sandbox)


def summary(checks: Sequence[Check]) -> str:
    """Give the last line."""
    missing = [check.name for check in checks if check.required and check.ok is False]
    gaps = [check.name for check in checks if not check.required and check.ok is False]
    good = sum(check.ok is True for check in checks)
    text = f"{good} of {len(checks)} ok"
    if gaps:
        text += f"; not there, needed only by some profiles or options: {', '.join(gaps)}"
    if missing:
        return f"this host is not fit: {text}; required and missing: {', '.join(missing)}"
    return f"this host is fit: {text}"


def _print_text(facts: HostFacts | None, checks: Sequence[Check]) -> None:
    if facts is not None:
        who = f"{facts.user_name or 'no name'} (uid {facts.uid})"
        print(printable(f"hardbox doctor: Linux {facts.kernel} {facts.machine}, as {who}"))
    width = max(len(check.name) for check in checks)
    told: set[str] = set()
    for check in checks:
        print(printable(f"{_WORDS[check.ok]:<4}  {check.name:<{width}}  {check.found}"))
        if check.ok is True or not check.fix:
            continue
        indent = " " * (width + 8)
        if check.fix in told:
            print(f"{indent}fix: as above")
            continue
        told.add(check.fix)
        if check.ok is False:
            print(printable(f"{indent}for: {check.why}"))
        first, *more = check.fix.rstrip("\n").split("\n")
        print(printable(f"{indent}fix: {first}"))
        for line in more:  # a file to write, to be copied as it stands
            print(printable(f"{indent}{line}"))
    print(printable(summary(checks)))


def _print_json(facts: HostFacts | None, checks: Sequence[Check]) -> None:
    import json  # noqa: PLC0415 (only with --json)

    host = (
        None
        if facts is None
        else {
            "kernel": facts.kernel,
            "machine": facts.machine,
            "uid": facts.uid,
            "user": facts.user_name,
            "landlock_abi": facts.landlock_abi,
        }
    )
    document = {
        "schema": SCHEMA,
        "fit": not any(check.required and check.ok is False for check in checks),
        "summary": summary(checks),
        "host": host,
        "checks": [
            {
                "name": check.name,
                "status": _WORDS[check.ok],
                "required": check.required,
                "found": check.found,
                "why": check.why,
                "fix": check.fix,
                "blocker": check.blocker or None,
            }
            for check in checks
        ],
    }
    print(json.dumps(document, indent=2))
