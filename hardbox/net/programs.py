"""Programs of the host that network mode "bridge" runs: nft, pasta.

Run by: hardbox.net.veth and hardbox.net.pasta, in the keeper's process. They are found at fixed paths,
never through PATH, and get a plain environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import subprocess
from typing import TYPE_CHECKING, Final

from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("NFT", "PASTA", "check", "end_with_keeper", "nft", "nft_table", "said")

NFT: Final = "/usr/sbin/nft"
PASTA: Final = "/usr/bin/pasta"
ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_PACKAGES: Final = {NFT: "nftables", PASTA: "passt"}  # codespell:ignore passt
_NO_TABLE: Final = "No such file or directory"  # strerror(ENOENT), untranslated
_PATIENCE: Final = 60  # seconds
_SHOWN: Final = 400
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


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
    return _heard(_run(["-f", "-"], text))


def nft_table(family: str, name: str) -> str:
    """Give a table as JSON with protocols by number, "" if it is not there. Raises Trouble."""
    done = _run(["--json", "--numeric-protocol", "list", "table", family, name], "")
    if done.returncode and _NO_TABLE in done.stderr:
        return ""
    return _heard(done)


def _heard(done: subprocess.CompletedProcess[str]) -> str:
    """Give what nft has printed. Raises Trouble if it failed."""
    if done.returncode:
        why = said(done.stderr) or f"status {done.returncode}"
        raise Trouble(what="nft has refused the sandbox's rules", why=why)
    return done.stdout


def _run(words: list[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 (a fixed program; words are ours)
            [NFT, *words],
            input=text,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=_PATIENCE,
            check=False,
            start_new_session=True,  # away from the terminal's signals
            preexec_fn=end_with_keeper(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(what="nft cannot be run", why=str(error)) from error


def end_with_keeper() -> Callable[[], None]:
    """Give what a child does between fork and exec to be killed when this process ends (prctl(2)).

    A late nft would change the rules of whoever has the address by then; pasta would stay for good.
    """
    keeper = os.getpid()

    def tie() -> None:
        if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
            os._exit(1)
        # Of a parent that ended between fork and prctl there is no signal any more.
        if os.getppid() != keeper:
            os._exit(1)

    return tie


def said(text: str) -> str:
    """Give a program's words as one line of bounded length."""
    return " ".join(text.split())[:_SHOWN]
