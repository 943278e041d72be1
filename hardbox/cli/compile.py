"""`hardbox compile`: write a plan to a file, for hardbox-launch.

Run by: cli/main.py.
"""

from __future__ import annotations

from hardbox import api
from hardbox.cli import output, weaker
from hardbox.cli.options import parse, usage_text
from hardbox.errors import SetupFailed, Usage, printable
from hardbox.plan.network import kept


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    request = parse("compile", argv)
    if request.help:
        print(usage_text("compile", "Writes the plan to FILE, for hardbox-launch FILE -- COMMAND."))
        return 0
    if not request.output:
        raise Usage(
            "HB005", "compile needs a file to write", instead="hardbox compile -o FILE.plan -- COMMAND"
        )
    policy = api.load_profile(request.profile, request.settings, request.reasons)
    if policy.audit.file:
        raise SetupFailed(
            "HB653",
            "a compiled plan keeps no audit log, and the profile asks for one",
            value=f"audit.file = {policy.audit.file}",
            origin=policy.origin("audit.file"),
            why="hardbox-launch writes no line, so runs of the plan would be missing from the log",
            instead="hardbox run, or a profile without audit.file",
        )
    if kept(policy):
        raise SetupFailed(
            "HB662",
            "a compiled plan has nobody who keeps the job's network",
            value=f'network.mode = "{policy.network.mode}"',
            origin=policy.origin("network.mode"),
            why="hardbox-launch runs alone: without the process that serves it the job would have no network",
            instead="hardbox run, or --network none",
        )
    prepared = api.prepare(policy, request.command, workdir=request.workdir, elsewhere=True)
    plan = prepared.plan
    weaker.say(prepared, request.reasons)
    output.write(request.output, plan.encode(), "plan", mode=0o600, replace=True)
    print(printable(f"{request.output}: {len(plan.steps)} steps, sha256 {plan.digest()}"))
    return 0
