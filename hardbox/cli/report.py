"""`hardbox report`: what happened in a run, on the terminal or as a page of its own.

Run by: cli/main.py. Reads one file of `hardbox run --report`; starts nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from hardbox.cli import output
from hardbox.errors import SetupFailed, Usage
from hardbox.view import run as view

if TYPE_CHECKING:
    from collections.abc import Iterator

_HELP: Final = """\
usage: hardbox report FILE [--html OUT]

Shows what happened in a run, from the file of `hardbox run --report FILE`: what ran and how it
ended, what was enforced, what was denied and what would allow it, and what was used of the limits.

  --html OUT   write one page that needs nothing else, with plots, in place of the text
"""


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status. Raises Usage, or SetupFailed HB606, HB655."""
    if any(word in ("-h", "--help") for word in argv):
        print(_HELP, end="")
        return 0
    path, html = _parse(argv)
    if html and os.path.exists(html) and os.path.exists(path) and os.path.samefile(html, path):
        raise Usage(
            "HB002",
            "the page would replace the report that it is made from",
            value=f"--html {html}",
            instead=f"hardbox report {path} --html {path}.html",
        )
    try:
        run = view.read(view.load(path))
    except view.NoReportError as error:
        raise SetupFailed(
            "HB655",
            "this is no report of hardbox",
            value=path,
            why=str(error),
            instead="hardbox run --report FILE -- COMMAND writes one",
        ) from error
    if html:
        from hardbox.view.html import render  # noqa: PLC0415 (only with --html)

        content = render(run).encode("utf-8", "replace")
        output.write(html, content, "page", mode=0o644, replace=True, origin="--html")
        return 0
    for line in shown(run):
        print(output.shown(line))
    return 0


def shown(run: view.Run) -> Iterator[str]:
    """Give the lines for this terminal, not yet printable."""
    from hardbox.view.terminal import lines  # noqa: PLC0415 (not with --html)

    return lines(run, drawn=(sys.stdout.encoding or "").lower().replace("-", "") == "utf8")


def _parse(argv: list[str]) -> tuple[str, str]:
    files: list[str] = []
    html = ""
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--html":
            if html:
                raise _usage("HB004", "--html is given twice", word)
            html = value if equals else next(words, "")
            if not html or html.startswith("-"):
                raise _usage("HB002", "--html needs a file", f"{name} {html}".rstrip())
        elif word == "--":
            files += words
        elif word.startswith("-"):
            raise _usage("HB001", "report takes no such option", word)
        else:
            files.append(word)
    if len(files) != 1:
        raise _usage("HB004" if files else "HB003", "report takes one file", " ".join(files))
    return files[0], html


def _usage(code: str, what: str, value: str) -> Usage:
    return Usage(code, what, value=value, instead="hardbox report run.json --html run.html")
