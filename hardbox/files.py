"""Reading a file that decides what a sandbox may do.

Run by: the Python front, for filters (and profiles) given by path.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from hardbox.errors import ProfileError

MAX_BYTES: Final = 1 << 20


def read_trusted(path: str, *, missing: str, unsafe: str, noun: str) -> bytes:
    """Read a regular file that only root or the caller can write, through one descriptor.

    missing, unsafe: codes for a file that cannot be read, and for one that is not trusted.
    noun:            "filter" or "profile", for the message.
    Raises ProfileError with one of the two codes.
    """
    try:
        # O_NONBLOCK: a FIFO would wait for a writer, for ever.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProfileError(
            missing,
            f"the {noun} file cannot be read: {reason}",
            value=path,
            instead=f"give a {noun} that exists, or the name of one that ships",
        ) from error
    try:
        found = os.fstat(file)
        wrong = _wrong(found)
        if wrong:
            raise ProfileError(
                unsafe,
                f"the {noun} file {wrong}",
                value=path,
                why=f"whoever can change the {noun} decides what the sandbox allows",
                instead="a regular file of your own or root's: chmod go-w FILE",
            )
        chunks = []
        while chunk := os.read(file, MAX_BYTES):
            chunks.append(chunk)
            if sum(map(len, chunks)) > MAX_BYTES:
                raise ProfileError(unsafe, f"the {noun} file is larger than {MAX_BYTES} bytes", value=path)
        return b"".join(chunks)
    except OSError as error:
        raise ProfileError(
            missing, f"the {noun} file cannot be read: {error.strerror}", value=path
        ) from error
    finally:
        os.close(file)


def _wrong(found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_uid not in (0, os.geteuid()):
        return f"belongs to another user (uid {found.st_uid})"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""
