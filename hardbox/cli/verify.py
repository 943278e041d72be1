"""`hardbox verify`: attack a profile on this host, and show that it holds.

Run by: cli/main.py. Exit status 0 if nothing escaped, 1 if something did, 125 if it could not run.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox.cli.line import Line
from hardbox.errors import SetupFailed, Usage, printable
from hardbox.profile import Setting
from hardbox.verify import table
from hardbox.verify.check import TITLES
from hardbox.verify.examine import examine
from hardbox.words import hint

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_ESCAPED: Final = 1
_HELP: Final = f"""\
usage: hardbox verify [--profile NAME|FILE] [--class NAME,...] [--network MODE]
                      [--json] [--html FILE] [--verbose]

Attacks a profile on this host, as this user. Every attack is first shown to work outside of
the sandbox (its control); then it is tried inside, and canaries outside are looked at.

  held      it works outside and not inside
  allowed   it works inside, and the profile says that it may
  vacuous   it works neither outside nor inside: this host cannot show anything
  escaped   it works inside, and no profile may allow it: report this

  --profile   what to attack (default: strict)
  --class     only these: {", ".join(TITLES)}
  --network   another network mode than the profile's, such as none
  --json      everything as JSON (schema hardbox.verify/1, docs/verify.md)
  --html      write a page of its own that can be filed
  --verbose   every check, not only what was vacuous or escaped

Exit status: 0 if nothing escaped, 1 if something did, 125 if it could not run.
"""


@dataclass(slots=True)
class _Request:
    profile: str = "strict"
    classes: list[str] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    html: str = ""
    json: bool = False
    verbose: bool = False


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    if any(word in ("-h", "--help") for word in argv):
        print(_HELP, end="")
        return 0
    request = _parse(argv)
    file = _open(request.html) if request.html else -1
    # An interrupt must come as an exception, so that canaries are taken away again.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    progress = _Progress(shown=sys.stderr.isatty())
    try:
        found = examine(
            request.profile,
            settings=request.settings,
            classes=request.classes,
            progress=progress.show,
        )
    finally:
        progress.clear()
    if request.html:
        from hardbox.verify.page import page  # noqa: PLC0415 (only with --html)

        _write(file, request.html, page(found))
    if request.json:
        import json  # noqa: PLC0415 (only with --json)

        print(json.dumps(found.to_json(), indent=2))
    else:
        for line in table.lines(found, verbose=request.verbose):
            print(printable(line))
    return 0 if found.held() else EXIT_ESCAPED


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


class _Progress:
    """How far it is, as one line on a terminal."""

    def __init__(self, *, shown: bool) -> None:
        self._line = Line(2 if shown else -1)

    def show(self, stage: str, done: int, all_: int) -> None:
        """Show how far a stage is; every hundredth part of it."""
        self._line.show(f"{stage}: {100 * done // max(all_, 1)} %")

    def clear(self) -> None:
        """Take the line away."""
        self._line.clear()


def _parse(argv: list[str]) -> _Request:
    request = _Request()
    seen: set[str] = set()
    for name, value in _options(argv):
        if name in seen:
            raise _usage(name, "an option is given twice")
        seen.add(name)
        if name == "--profile":
            request.profile = value
        elif name == "--class":
            request.classes = _classes(value)
        elif name == "--network":
            request.settings.append(Setting("network.mode", value, name))
        elif name == "--html":
            request.html = value
        else:
            setattr(request, name.removeprefix("--"), True)
    return request


def _options(argv: list[str]) -> Iterator[tuple[str, str]]:
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in ("--json", "--verbose") and not equals:
            yield name, ""
        elif name in ("--profile", "--class", "--network", "--html"):
            given = value if equals else next(words, "")
            if not given:
                raise _usage(word, "an option lacks its value")
            yield name, given
        else:
            raise _usage(word, "verify takes no such argument")


def _classes(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in TITLES:
            raise Usage(
                "HB001",
                "there is no such class of checks",
                value=f"--class {name}",
                instead=hint(name, TITLES),
            )
    return names


def _usage(value: str, what: str) -> Usage:
    return Usage("HB001", what, value=value, instead="hardbox verify --help")


def _open(path: str) -> int:
    """Open the page's file before anything else: what cannot be filed need not run."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def _write(file: int, path: str, text: str) -> None:
    try:
        with os.fdopen(file, "w", encoding="utf-8") as target:
            target.truncate()
            target.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: Exception) -> SetupFailed:
    return SetupFailed(
        "HB604",
        f"the page cannot be written: {getattr(error, 'strerror', None) or error}",
        value=path,
        origin="--html",
        instead="name a file in a directory that you may write",
    )
