"""`hardbox plan`: print the steps that `hardbox run` would execute; starts nothing.

Run by: cli/main.py.
"""

from __future__ import annotations

from hardbox import api
from hardbox.cli import planned, weaker
from hardbox.cli.options import parse, usage_text
from hardbox.errors import Usage, printable
from hardbox.report import absent


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    if file := planned.named(argv):
        return planned.main(file, as_json="--json" in argv)
    request = parse("plan", argv)
    if request.help:
        print(
            usage_text(
                "plan",
                "Prints the steps that `hardbox run` would take; starts nothing, needs no privilege.\n"
                "hardbox plan [--json] FILE.plan shows a compiled one, and whether it fits here.",
            )
        )
        return 0
    before = argv[: argv.index("--")] if "--" in argv else argv
    if request.command and request.command[0].endswith(planned.SUFFIX) and request.command[0] in before:
        # Whoever reviews one plan must not be shown another.
        raise Usage(
            "HB002",
            "a compiled plan is shown by itself",
            value=request.command[0],
            why="options and further words would make another plan of it",
            instead=f"hardbox plan {request.command[0]}; for a command of that name: -- in front of it",
        )
    policy = api.load_profile(request.profile, request.settings, request.reasons)
    prepared = api.prepare(policy, request.command, workdir=request.workdir)
    plan = prepared.plan
    weaker.say(prepared, request.reasons)
    if request.json:
        import json  # noqa: PLC0415 (only with --json)

        more = {"loosened": dict(policy.loosen), "optional": absent(policy, plan)}
        print(json.dumps(planned.document(plan, {}, more), indent=2))
        return 0
    print(f"profile {plan.policy_name} (sha256 {plan.policy_digest[:16]}), plan sha256 {plan.digest()[:16]}")
    for key, reason in policy.loosen.items():
        print(printable(f"loosened {key}: {reason}"))
    for line in plan.lines():
        print(printable(line))
    return 0
