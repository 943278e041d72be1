"""The socket of `hardbox serve`, in a directory that nobody else may enter.  Run by: server.py."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

from hardbox.errors import SetupFailed, Usage


def listen(path: str) -> socket.socket:
    """Make the socket, in a directory that nobody else may enter. Raises Usage HB002 or SetupFailed HB674."""
    if not path.startswith("/"):
        raise Usage(
            "HB002",
            "--socket needs an absolute path",
            value=f"--socket {path}",
            why="HARDBOX_SOCKET is read in other directories than this one",
            instead="--socket ~/.hardbox/socket",
        )
    folder = os.path.dirname(path)
    listener = None
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            # Not chmod(1): it may be everybody's, or have other things in it.
            raise _no_socket(path, "its directory is not yours alone", f"--socket {path}.d/socket")
        _take_away_dead(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        listener.listen(128)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise _no_socket(path, error.strerror or str(error), "--socket ~/.hardbox/socket") from error
    return listener


def _take_away_dead(path: str) -> None:
    """Remove a socket of ours that nobody serves any more. Raises SetupFailed, OSError."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise _no_socket(path, "something else stands there", "another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as test:
        try:
            test.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise _no_socket(path, "another server answers there", "another path")


def _no_socket(path: str, why: str, instead: str) -> SetupFailed:
    return SetupFailed(
        "HB674", "the server's socket cannot be made", value=path, origin="--socket", why=why, instead=instead
    )
