"""Programs of the host that network mode "bridge" runs: nft, pasta.

Run by: hardbox.net.bridge, in the keeper's process. They are found at fixed paths, never through PATH, and
get a plain environment.
"""

from __future__ import annotations

import os
import stat
import subprocess
from typing import Final

from hardbox.net.trouble import Trouble

__all__ = ("NFT", "PASTA", "check", "nft")

NFT: Final = "/usr/sbin/nft"
PASTA: Final = "/usr/bin/pasta"
ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_PACKAGES: Final = {NFT: "nftables", PASTA: "passt"}  # codespell:ignore passt
_PATIENCE: Final = 60  # seconds
_SHOWN: Final = 400


def check(path: str) -> None:
    """Raise Trouble if a program is not installed, or could be somebody else's."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise Trouble(
            what=f"{path} is not installed",
            why="without it the sandbox's network has no rules, and so it gets none",
            instead=f"install Debian's package {_PACKAGES[path]}",
        ) from None
    if not stat.S_ISREG(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise Trouble(
            what=f"{path} is not a program of root's that only root may change",
            instead=f"install Debian's package {_PACKAGES[path]} anew",
        )
    if not os.access(path, os.X_OK):
        raise Trouble(what=f"{path} may not be executed by this user")


def nft(text: str) -> str:
    """Load rules: all of the text or nothing of it. Gives nft's own words, mostly none. Raises Trouble."""
    return _run(["-f", "-"], text)


def nft_table(family: str, name: str) -> str:
    """Give a table as JSON, "" if it is not there. Raises Trouble."""
    tables = _run(["list", "tables", family], "")
    if f"table {family} {name}" not in tables.splitlines():
        return ""
    return _run(["--json", "list", "table", family, name], "")


def _run(words: list[str], text: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (a fixed program; words are ours)
            [NFT, *words],
            input=text,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=_PATIENCE,
            check=False,
            start_new_session=True,  # away from the terminal's signals
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(what="nft cannot be run", why=str(error)) from error
    if done.returncode:
        raise Trouble(
            what="nft has refused the sandbox's rules", why=said(done.stderr) or f"status {done.returncode}"
        )
    return done.stdout


def said(text: str) -> str:
    """Give a program's words as one line of bounded length."""
    return " ".join(text.split())[:_SHOWN]
