"""Host paths as people type them: --read, --write and their like in Python.

Run by: the Python front; looks at the file system, changes nothing.
"""

from __future__ import annotations

import os

from hardbox.errors import Usage
from hardbox.profile import Setting


def grant(key: str, text: str, flag: str) -> Setting:
    """Read "P[:DEST]" of --read and --write; relative host paths count from here.

    key:  "filesystem.read" or "filesystem.write".
    Raises Usage HB008, HB009.
    """
    given: object = text
    if not isinstance(given, str):
        raise Usage("HB008", f"{flag} needs host paths", value=repr(given)[:120], instead=f'{flag} "./src"')
    source, _, dest = text.partition(":")
    if not source or "\0" in text:
        raise Usage("HB008", f"{flag} needs a host path", value=f"{flag} {text}", instead=f"{flag} ./src")
    if problem := _misread(text, source, dest):
        what, instead = problem
        raise Usage("HB008", what, value=f"{flag} {text}", instead=instead)
    path = source if source.startswith("/") else os.path.join(_here(flag, text), source)
    path = _without_dots(path, flag, text)
    return Setting(key, [f"{path}:{dest}" if dest else path], flag, append=True)


def _misread(text: str, source: str, dest: str) -> tuple[str, str] | None:
    """Say what is wrong with a "P[:DEST]" that would be read otherwise than it is meant, and what to do."""
    if ":" in dest or (text != source and not dest.startswith("/") and os.path.lexists(text)):
        return "a colon cannot stand in a path of --read or --write", "name the directory above it"
    if text != source and not dest.startswith("/"):
        return "DEST, behind the colon, begins with /", f"{source}:/work/{dest or 'src'}"
    if (source[0] == "~" or "$" in source) and not os.path.lexists(source):
        return "~ and $VARIABLES are not expanded here", "the path itself; unquoted, the shell expands it"
    return None


def _without_dots(path: str, flag: str, text: str) -> str:
    """Take ".." out as the kernel would; behind a symlink it means another place than its text says."""
    here = "/"
    for name in path.split("/"):
        if name == ".." and os.path.islink(here):
            raise Usage(
                "HB008",
                f'".." stands behind the symlink {here}',
                value=f"{flag} {text}",
                why="an earlier job may have put the symlink there, to lead this one elsewhere",
                instead=f"{flag} {os.path.realpath(path)}",
            )
        here = os.path.dirname(here) if name == ".." else os.path.normpath(os.path.join(here, name))
    return here


def _here(flag: str, text: str) -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise Usage(
            "HB009",
            "a relative path, and the working directory is gone",
            value=f"{flag} {text}",
            why="the directory that this shell stands in was deleted",
            instead="cd to a directory that exists, or give an absolute path",
        ) from error


def cwd() -> str:
    """Give the working directory, "" if it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
