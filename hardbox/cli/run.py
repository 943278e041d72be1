"""`hardbox run`: run a command in a sandbox.

Run by: cli/main.py. Decides nothing; exit status as in docs/errors.md.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hardbox import api
from hardbox.cli.options import parse
from hardbox.engines.namespaces import Launch, Streams
from hardbox.errors import SetupFailed, printable

if TYPE_CHECKING:
    from hardbox.report import Result


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    request = parse("run", argv)
    policy = api.load_profile(request.profile, request.settings, request.reasons)
    prepared = api.prepare(policy, request.command, workdir=request.workdir)
    report_file = _open_report(request.report) if request.report else None
    if not request.quiet:
        _say_loosened(prepared.policy.loosen, prepared.policy.optional)
    launch = Launch(prepared.plan, dict(os.environ), Streams())
    api.forwarding(launch)
    result = api.finish(prepared, launch)
    if report_file is not None:
        _write_report(report_file, result)
    _say_problem(result, quiet=request.quiet)
    return result.exit_code


def _say_loosened(loosen: object, optional: object) -> None:
    """Print what is weaker than the parent profile: never silent."""
    for word, table in (("loosened", loosen), ("optional", optional)):
        if isinstance(table, dict) or hasattr(table, "items"):
            for key, reason in table.items():
                print(printable(f"hardbox: {word} {key}: {reason}"), file=sys.stderr)


def _say_problem(result: Result, *, quiet: bool) -> None:
    name = result.argv[0] if result.argv else ""
    line = {
        "not-found": f"hardbox: not found in the sandbox: {name}",
        "not-executable": f"hardbox: cannot be executed in the sandbox: {name}",
        "limit": f"hardbox: ended by its {result.limit} time limit after {result.seconds:.1f} s",
        "lost": "hardbox: the sandbox was killed from outside",
    }.get(result.outcome)
    if line and (not quiet or result.outcome.startswith("not-")):
        print(printable(line), file=sys.stderr)


def _open_report(path: str) -> int:
    """Open the report before anything runs: a report that cannot be written is a refusal."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetupFailed(
            "HB604",
            f"the report cannot be written: {error.strerror}",
            value=path,
            origin="--report",
            instead="name a file in a directory that you may write",
        ) from error


def _write_report(file: int, result: Result) -> None:
    import json  # noqa: PLC0415 (only with --report)

    with os.fdopen(file, "w", encoding="utf-8") as stream:
        json.dump(result.to_json(), stream, indent=2, sort_keys=False)
        stream.write("\n")
