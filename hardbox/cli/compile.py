"""`hardbox compile`: write a plan to a file, for hardbox-launch.

Run by: cli/main.py.
"""

from __future__ import annotations

import os

from hardbox import api
from hardbox.cli.options import parse
from hardbox.errors import SetupFailed, Usage


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    request = parse("compile", argv)
    if not request.output:
        raise Usage(
            "HB005", "compile needs a file to write", instead="hardbox compile -o FILE.plan -- COMMAND"
        )
    policy = api.load_profile(request.profile, request.settings, request.reasons)
    plan = api.prepare(policy, request.command, workdir=request.workdir).plan
    temporary = f"{request.output}.{os.getpid()}"
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(plan.encode())
        os.replace(temporary, request.output)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise SetupFailed(
            "HB606",
            f"the plan cannot be written: {error.strerror}",
            value=request.output,
            origin="-o",
            instead="name a file in a directory that you may write",
        ) from error
    print(f"{request.output}: {len(plan.steps)} steps, sha256 {plan.digest()}")
    return 0
