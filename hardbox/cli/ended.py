"""How a run ended, where its exit status alone does not say it, and what helps.

Run by: cli/run.py. The words are those of ends.py, and launch/outcome.c says the same where there is no
Python; what concerns host paths, which only a request that
is never sealed names, is said here alone.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from hardbox import ends
from hardbox.errors import EXIT_CANNOT_EXECUTE
from hardbox.places import within
from hardbox.profile.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.policy import Policy
    from hardbox.report import Result

_SIGSYS: Final = 31
_EXECUTABLE: Final = 0o111


def lines(result: Result, policy: Policy, *, quiet: bool) -> Iterator[str]:
    """Say it, in lines without "hardbox: " in front; nothing of a command that ended by itself.

    quiet: only say why nothing was run.
    """
    name = result.argv[0] if result.argv else ""
    if result.outcome == "not-found":
        yield f"not found in the sandbox: {name}"
        yield from _where_it_is(name, policy)
    elif result.outcome == "not-executable":
        yield f"cannot be executed in the sandbox: {name}"
        yield from _why_not_executable(name, policy)
    elif quiet:
        return
    elif result.outcome == "limit":
        yield _limit_of(result)
    elif result.outcome == "lost":
        yield ends.LOST
    elif result.signal == _SIGSYS:
        yield ends.SIGSYS
    elif result.exit_code == EXIT_CANNOT_EXECUTE and policy.filesystem.write:
        yield from _written(policy)


def _where_it_is(name: str, policy: Policy) -> Iterator[str]:
    outside = _mode(name)
    if "/" in name:
        place = _shown_at(name, policy)
        if outside is not None and place and place != name:
            yield f"it is shown as {place}: name it so, or start there with --workdir"
        elif outside is not None:
            yield "it exists on the host: show it with --read, or the interpreter that its first line names"
    elif outside is not None:
        yield "such a file stands in this directory: --read . shows it, and it is named with ./ in front"
    else:
        yield "only the profile's PATH, in what the profile shows, is searched; --read DIR shows more"


def _why_not_executable(name: str, policy: Policy) -> Iterator[str]:
    """Say it for a file in what the caller shows; the host's own programs have their modes."""
    files = policy.filesystem
    # The job starts in the caller's directory, where that is shown.
    path = os.path.normpath(os.path.join(_here(), name))
    for bind in (*files.write, *files.read):
        inside = bind.source + path.removeprefix(bind.dest) if within(path, bind.dest) else path
        if not within(inside, bind.source):
            continue
        mode = _mode(inside)
        if mode is not None and not mode & _EXECUTABLE:
            yield "the file may not be executed: chmod +x, or name its interpreter: sh FILE"
        elif bind in files.write:
            yield from _written(policy)
        return


def _shown_at(name: str, policy: Policy) -> str:
    """Give where in the sandbox the caller's file stands, "" if nowhere."""
    path = os.path.normpath(os.path.join(_here(), name))
    for bind in (*policy.filesystem.write, *policy.filesystem.read):
        if within(path, bind.source):
            return bind.dest + path.removeprefix(bind.source)
    return ""


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"


def _written(policy: Policy) -> Iterator[str]:
    if policy.filesystem.exec == "shown":
        yield (
            "what a job may write cannot be executed under this profile:"
            " show it with --read, or use --profile build"
        )


def _limit_of(result: Result) -> str:
    """Say which limit ended the job."""
    size = means = ""
    if result.limit == "memory":
        limit = next(limit for limit in result.limits if limit.key == "limits.memory")
        means = "watched" if limit.means.startswith("watched") else limit.means
        most = limit.detail.partition("; ")[0]
        means += f"; {most}" if most.startswith("most: ") else ""
        size = size_text(limit.value)
    return ends.LIMITS[result.limit or ""].format(seconds=result.seconds, size=size, means=means)


def _mode(path: str) -> int | None:
    """Give the mode of a regular file that the caller sees, None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mode if stat.S_ISREG(found.st_mode) else None
