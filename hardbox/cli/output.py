"""What a verb gives out: the file of -o or --html, and lines on a terminal.

The file is whole or not at all, and never in place of a device, a symlink or a directory.

Run by: cli/compile.py, cli/explain.py, cli/report.py, cli/seccomp.py.
"""

from __future__ import annotations

import os
import stat
import sys

from hardbox.errors import SetupFailed, printable


def shown(line: str) -> str:
    """Make a line printable, and fit for a terminal without Unicode."""
    encoding = sys.stdout.encoding or "ascii"
    return printable(line).encode(encoding, "backslashreplace").decode(encoding)


def write(path: str, content: bytes, noun: str, *, mode: int, replace: bool, origin: str = "-o") -> None:
    """Write a new file.

    noun:    what it is, for the message.
    mode:    permissions of the file.
    replace: whether a regular file may stand there already.
    origin:  the option that names it, for the message.
    Raises SetupFailed HB606; then nothing has changed.
    """
    try:
        if os.path.lexists(path):
            _replaceable(path, replace=replace)
        temporary = f"{path}.{os.getpid()}" if replace else path
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
            if replace:
                os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except (OSError, ValueError) as error:
        raise SetupFailed(
            "HB606",
            f"the {noun} cannot be written: {getattr(error, 'strerror', None) or error}",
            value=path,
            origin=origin,
            instead="name a file in a directory that you may write",
        ) from error


def _replaceable(path: str, *, replace: bool) -> None:
    # What is renamed over is gone: `-o /dev/null` as root would take the device away.
    if not stat.S_ISREG(os.lstat(path).st_mode):
        message = "something else than a file stands there"
        raise ValueError(message)
    if not replace:
        message = "a file stands there, and is not overwritten"
        raise ValueError(message)
