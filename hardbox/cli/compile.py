"""`hardbox compile`: write a plan to a file, for hardbox-launch.

Run by: cli/main.py.
"""

from __future__ import annotations

import os
import stat

from hardbox import api
from hardbox.cli.options import parse, usage_text
from hardbox.errors import SetupFailed, Usage, printable


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
    plan = api.prepare(policy, request.command, workdir=request.workdir).plan
    try:
        _write(request.output, plan.encode())
    except (OSError, ValueError) as error:
        raise SetupFailed(
            "HB606",
            f"the plan cannot be written: {getattr(error, 'strerror', None) or error}",
            value=request.output,
            origin="-o",
            instead="name a file in a directory that you may write",
        ) from error
    print(printable(f"{request.output}: {len(plan.steps)} steps, sha256 {plan.digest()}"))
    return 0


def _write(path: str, content: bytes) -> None:
    """Write a whole file or nothing. Raises OSError, ValueError."""
    # What is renamed over is gone: never a device (-o /dev/stdout) or a symlink.
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        message = "something else than a file stands there"
        raise ValueError(message)
    temporary = f"{path}.{os.getpid()}"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
