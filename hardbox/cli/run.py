"""`hardbox run`: run a command in a sandbox.

Run by: cli/main.py. Decides nothing; exit status as in docs/errors.md.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hardbox import api, report
from hardbox.cli.options import parse, usage_text
from hardbox.cli.report_file import ReportFile
from hardbox.engines.namespaces import Launch, Streams
from hardbox.errors import HardboxError, printable

if TYPE_CHECKING:
    from hardbox.cli.options import Request
    from hardbox.policy import Policy
    from hardbox.report import Result


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    request = parse("run", argv)
    if request.help:
        print(
            usage_text(
                "run", "Runs COMMAND in a sandbox; exit status: the command's own, or 124 time, 125 refused."
            )
        )
        return 0
    asked = [bind.partition(":")[0] for bind in request.values("filesystem.write")]
    out = ReportFile(request.report, asked) if request.report else None
    try:
        return _run(request, out)
    except HardboxError as error:
        if out is not None:
            out.write(report.refusal(error, request.command))
        raise


def _run(request: Request, out: ReportFile | None) -> int:
    policy = api.load_profile(request.profile, request.settings, request.reasons)
    prepared = api.prepare(policy, request.command, workdir=request.workdir)
    if out is not None:
        out.open([bind.source for bind in policy.filesystem.write])
    if not request.quiet:
        _say_weaker(policy)
    with api.Forwarding() as forward:
        launch = Launch(prepared.plan, dict(os.environ), Streams())
        forward.to(launch)
        result = api.finish(prepared, launch)
    if out is not None and (problem := out.write(result.to_json())):
        # Too late to refuse: the command has run, and its exit status is its own.
        _say(f"failed [HB607]: the report {request.report} is not complete: {problem}; the command was run")
    _say_problem(result, quiet=request.quiet)
    return result.exit_code


def _say_weaker(policy: Policy) -> None:
    """Print what the command line or an optional protection makes weaker: never silent."""
    for key, reason in policy.loosen.items():
        if policy.origin(key).startswith("-"):
            _say(f"loosened {key}: {reason}")
    for protection, reason in policy.optional.items():
        _say(f"optional {protection}: {reason}")


def _say_problem(result: Result, *, quiet: bool) -> None:
    name = result.argv[0] if result.argv else ""
    line = {
        "not-found": f"not found in the sandbox: {name}",
        "not-executable": f"cannot be executed in the sandbox: {name}",
        "limit": f"ended by its {result.limit} time limit after {result.seconds:.1f} s",
        "lost": "the sandbox was killed from outside",
    }.get(result.outcome)
    gaps = result.enforced.gaps()
    if gaps and result.start_seconds > 0:
        _say(f"not confirmed from /proc (is it mounted with hidepid=?): {', '.join(gaps)}")
    if line and (not quiet or result.outcome.startswith("not-")):
        _say(line)


def _say(text: str) -> None:
    print(printable(f"hardbox: {text}"), file=sys.stderr)
