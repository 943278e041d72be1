"""`hardbox serve`: keep sandboxes ready for the commands of this user.

Run by: cli/main.py. Exit status 0 once it was told to stop, 125 if it could not serve.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Final

from hardbox import denials
from hardbox.cli import ended, last
from hardbox.errors import Usage, printable
from hardbox.pool import Pool
from hardbox.pool.server import Server
from hardbox.profile import shipped
from hardbox.words import hint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.policy import Policy
    from hardbox.report import Result

_HELP: Final = """\
usage: hardbox serve --socket PATH [--profile NAME] [--size N] [--idle SECONDS]

Keeps sandboxes ready, each for one command, and serves `hardbox run` of the same user that has
HARDBOX_SOCKET=PATH in its environment. Stops at SIGTERM or SIGINT; then every command that it runs ends.

  --socket    where it is found: an absolute path, in a directory that nobody else may enter (it is made)
  --profile   a shipped profile (default: strict); other profiles are decided as usual
  --size      how many wait, and how many commands run at once (default: 8, at most 1024)
  --idle      seconds that one may wait for a command (default: 300)

Served is what names no more than the profile: hardbox run [--profile NAME] [--] COMMAND, with no terminal on
descriptors 0-2. Everything else is decided as usual; docs/pool.md has the rest.
"""
_NAMES: Final = ("--socket", "--profile", "--size", "--idle")


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    if any(word in ("-h", "--help") for word in argv):
        print(_HELP, end="")
        return 0
    wanted = dict(_options(argv))
    if "--socket" not in wanted:
        raise _usage("", "serve has no socket to be found at")
    profile = wanted.get("--profile", "strict")
    if profile not in shipped():
        raise Usage(
            "HB002",
            "serve takes a profile that ships",
            value=f"--profile {profile}",
            why="a client names the profile, and a file may be another one where the client stands",
            instead=hint(profile, shipped()),
        )
    pool = Pool(
        profile=profile,
        size=_number("--size", wanted.get("--size", "8")),
        idle=_number("--idle", wanted.get("--idle", "300")),
    )
    try:
        server = Server(pool, profile, wanted["--socket"], lambda result: _told(result, pool.policy))
    except BaseException:
        pool.close()
        raise
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: server.stop())
    print(
        f"hardbox: serving profile {profile} at {printable(wanted['--socket'])}", file=sys.stderr, flush=True
    )
    server.serve()
    return 0


def _options(argv: list[str]) -> Iterator[tuple[str, str]]:
    words = iter(argv)
    seen: set[str] = set()
    for word in words:
        name, equals, value = word.partition("=")
        if name not in _NAMES:
            raise _usage(word, "serve takes no such argument")
        if name in seen:
            raise _usage(name, "an option is given twice")
        seen.add(name)
        given = value if equals else next(words, "")
        if not given:
            raise _usage(word, "an option lacks its value")
        yield name, given


def _number(name: str, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004 (2^30 has ten digits)
        return int(text)
    wrong = f"{name} {text}"
    raise _usage(wrong, "a number is needed")


def _usage(value: str, what: str) -> Usage:
    return Usage("HB001", what, value=value, instead="hardbox serve --help")


def _told(result: Result, policy: Policy) -> str:
    """Give what `hardbox run` would say on stderr of a run."""
    rows = [f"hardbox: {printable(line)}" for line in ended.lines(result, policy, quiet=False)]
    if result.denials or result.denials_dropped or result.outcome == "limit":
        last.keep(result.to_json())
    if result.denials:
        first, *more = denials.lines(result.denials, result.denials_dropped, result.profile)
        rows += [f"hardbox: {printable(first)}", *map(printable, more)]
    return "".join(f"{row}\n" for row in rows)
