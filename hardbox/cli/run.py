"""`hardbox run`: run a command in a sandbox.

Run by: cli/main.py. Decides nothing; exit status as in docs/errors.md.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hardbox import api, network_report, report, runs, seals
from hardbox.audit import Trail
from hardbox.cli import ended, weaker
from hardbox.cli.options import parse, usage_text
from hardbox.cli.report_file import ReportFile
from hardbox.engines.forwarding import Forwarding
from hardbox.engines.namespaces import Streams, programs
from hardbox.errors import HardboxError, SetupFailed, printable
from hardbox.plan.walls import capability_mask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hardbox.cli.options import Request
    from hardbox.cli.progress import Progress
    from hardbox.policy import Policy
    from hardbox.report import Result
    from hardbox.runs import Prepared


def main(argv: list[str], seal: str = "", began: int = 0) -> int:
    """Run the verb; gives the exit status.

    seal, began: see `hardbox.seals.keep`.
    """
    request = parse("run", argv)
    if request.help:
        print(
            usage_text(
                "run",
                "Runs COMMAND in a sandbox; exit status: the command's own, or 124 time or output,"
                " 125 refused, 137 memory (and signal 9).",
            )
        )
        return 0
    asked = [bind.partition(":")[0] for bind in request.values("filesystem.write")]
    out = ReportFile(request.report, asked) if request.report else None
    if out is not None and request.audit and os.path.realpath(out.path) == os.path.realpath(request.audit):
        raise _one_file(out.path)  # before anything is written to it
    trail = Trail(request.command, request.audit, asked)
    try:
        return _run(request, out, trail, seal, began)
    except HardboxError as error:
        for problem in trail.refused(error):
            _say(f"failed [HB650]: the audit log has no line about this: {problem}")
        if out is not None and (problem := out.write(report.refusal(error, request.command))):
            _say(f"failed [HB604]: the report {request.report} cannot be written: {problem}")
        raise
    except BaseException:
        for problem in trail.lost():
            _say(f"failed [HB652]: the audit log has no line about this run: {problem}")
        raise


def _run(request: Request, out: ReportFile | None, trail: Trail, seal: str, began: int) -> int:
    policy = api.load_profile(request.profile, request.settings, request.reasons)
    trail.open(policy)
    prepared = api.prepare(policy, request.command, workdir=request.workdir, explain=request.explain)
    if out is not None:
        if trail.holds(out.path):
            out.refuse()
            raise _one_file(out.path)
        out.open([bind.source for bind in policy.filesystem.write])
    weaker.say(prepared, request.reasons)
    progress = _progress(request, policy) if request.progress else None
    with Forwarding() as forward:
        launch = runs.start(prepared, Streams(), samples=out is not None or progress is not None)
        forward.to(launch)
        if seal and out is None and not (request.explain or request.audit or request.progress):
            seals.keep(seal, policy, prepared.plan, prepared.paths, programs(), began)
        try:
            result = runs.finish(prepared, launch, progress.watch if progress else None)
        finally:
            if progress:
                progress.close()
    # As below: the exit status stays the command's.
    problems = [
        f"failed [HB652]: the audit log has no line about this run: {problem}; the command was run"
        for problem in trail.ended(result)
    ]
    if out is not None and (problem := out.write(result.to_json())):
        # Too late to refuse: the command has run, and its exit status is its own.
        problems.append(
            f"failed [HB607]: the report {request.report} is not complete: {problem}; the command was run"
        )
    if result.denials or result.denials_dropped or out is not None or result.outcome == "limit":
        from hardbox.cli import last  # noqa: PLC0415 (most runs have nothing to tell)

        last.keep(result.to_json())
    try:
        _tell(request, prepared, result, problems)
    except OSError:
        # Nobody can read it; what is still in the buffer would fail once more, with a status of Python's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return result.exit_code


def _tell(request: Request, prepared: Prepared, result: Result, problems: Iterable[str]) -> None:
    """Say on stderr what the exit status does not. Raises OSError."""
    for problem in problems:
        _say(problem)
    _say_unconfirmed(result, prepared)
    if result.network is not None and not result.network.complete:
        why = f": {result.network.problem}" if result.network.problem else ""
        _say(f"failed [HB663]: the process that kept the job's network ended before the job{why}")
    if result.network is not None and not request.quiet:
        for text in network_report.failures(result.network):
            _say(text)
    for line in ended.lines(result, prepared.policy, quiet=request.quiet):
        _say(line)
    if result.denials and not request.quiet:
        from hardbox import denials  # noqa: PLC0415 (most runs have nothing to tell)
        from hardbox.cli import denied  # noqa: PLC0415 (as above)

        denied.say(denials.lines(result.denials, result.denials_dropped, result.profile))


def _progress(request: Request, policy: Policy) -> Progress | None:
    """Prepare the line of --progress, or say why there is none."""
    from hardbox.cli.progress import Progress  # noqa: PLC0415 (only with --progress)

    progress = Progress(policy.limits)
    if progress.terminal >= 0:
        return progress
    if not request.quiet and os.isatty(1):
        _say("--progress is not shown where the job's output goes to the terminal: redirect stdout")
    return None


def _one_file(path: str) -> SetupFailed:
    return SetupFailed(
        "HB654",
        "the report and the audit log are one file",
        value=path,
        origin="--report",
        why="a report replaces what stands in its file, and an audit log is never rewritten",
        instead="name another file for the report",
    )


def _say_unconfirmed(result: Result, prepared: Prepared) -> None:
    """Say where the read-back does not bear out the plan; also with --quiet."""
    if result.start_seconds <= 0:
        return
    if gaps := result.enforced.gaps():
        _say(f"not confirmed from /proc (is it mounted with hidepid=?): {', '.join(gaps)}")
    if wrong := result.enforced.contradictions(capability_mask(prepared.policy.capabilities.keep)):
        _say(f"failed [HB609]: the job ran weaker than planned: {', '.join(wrong)}; please report this")


def _say(text: str) -> None:
    print(printable(f"hardbox: {text}"), file=sys.stderr, flush=True)
