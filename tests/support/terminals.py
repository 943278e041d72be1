"""Programs on a terminal, for the tests: as root and as an ordinary user, who owns the terminal.

Run by: tests/system/test_terminal*.py and tests/attack.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

import pexpect

from support import faults, patience

if TYPE_CHECKING:
    from support.callers import Caller

# What readline and others switch on and off around a prompt.
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07")


def start(
    caller: Caller, *argv: str, size: tuple[int, int] = (30, 100), environment: dict[str, str] | None = None
) -> pexpect.spawn:
    """Start a program as the session leader of a new terminal of the caller's."""
    # A moment before the program: the terminal becomes the caller's, as after a login.
    words = [
        "sh",
        "-c",
        'chown "$0" "$(tty)" && exec "$@"',
        f"{caller.uid}:{caller.gid}",
        *caller.prefix,
        *argv,
    ]
    return pexpect.spawn(
        words[0],
        words[1:],
        env=caller.environment(TERM="xterm", **(environment or {})),
        cwd=caller.home,
        encoding="utf-8",
        codec_errors="replace",
        timeout=faults.PATIENCE,
        dimensions=size,
    )


def shell(caller: Caller, **more: str) -> pexpect.spawn:
    """Start an interactive shell with job control, and wait for its prompt."""
    child = start(caller, "sh", "-i", environment={"PS1": "$ ", "ENV": "", **more})
    child.expect_exact("$ ")
    return child


def say(child: pexpect.spawn, line: str, prompt: str = "$ ") -> str:
    """Type a line, and give what is written until the next prompt."""
    child.sendline(line)
    child.expect_exact(prompt)
    return plain(str(child.before)).partition("\n")[2]


def plain(text: str) -> str:
    """Take out what only steers the terminal."""
    return _ESCAPES.sub("", text).replace("\r", "")


def name(child: pexpect.spawn) -> str:
    """Give the name of the terminal that a program was started on."""
    return os.readlink(f"/proc/{child.pid}/fd/0")


def pause(seconds: float) -> None:
    """Wait for what nobody says: that a program has come to the foreground."""
    time.sleep(patience.spent(seconds))
