"""Reading a file that decides what a sandbox may do: once, and only if nobody else can change it.

Run by: the Python front, for profiles and filters. The way to the file is walked name by name, as the
kernel does it: every directory and every symlink on it has to belong to root or to the caller, and no
directory may let others rename what is in it (a sticky one, such as /tmp, does not).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox.errors import ProfileError
from hardbox.rules import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.errors import HardboxError

MOST_BYTES: Final = 1 << 20
MOST_LINKS: Final = 40
_ELOOP: Final = 40
_OTHERS_WRITE: Final = 0o022


class Found(NamedTuple):
    """A file's content and its identity.

    content: all of it.
    place:   the path with symlinks resolved.
    key:     device and inode, by which a file is known under any name.
    way:     see `way`; () for a file of the installation.
    links:   how many names it has.
    """

    content: bytes
    place: str
    key: tuple[int, int]
    way: tuple[str, ...]
    links: int


def read(path: str, noun: str, origin: str = "", *, trusted: bool = False, most: int = MOST_BYTES) -> Found:
    """Read one file through one descriptor.

    noun:    "profile" or "filter", for the messages.
    trusted: skips the look at owners, for files of the installation itself.
    most:    bytes that it may have: what people write has less than 1 MiB.
    Raises ProfileError HB402 (cannot be read), HB403 (no regular file) or HB404 (too large), or
    Refused HB230 (writable-profile).
    """
    try:
        names = (path,) if trusted else _walk(path, noun, origin)
        place = names[-1]
        # O_NONBLOCK: a FIFO would wait for a writer, for ever.
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            _regular(found, path, noun, origin)
            if not trusted:
                only_mine(found, place, noun, origin)
            content = _content(descriptor, most)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "it contains a NUL or no valid text"
        raise ProfileError(
            "HB402",
            f"the {noun} cannot be read: {words}",
            value=path,
            origin=origin,
            instead=f"name a file that you may read, or a {noun} that ships",
        ) from error
    if len(content) > most:
        raise ProfileError(
            "HB404",
            f"a {noun} has at most {most >> 20} MiB",
            value=path,
            origin=origin,
            instead="is this the right file?",
        )
    return Found(content, place, (found.st_dev, found.st_ino), () if trusted else names, found.st_nlink)


def way(path: str) -> tuple[str, ...]:
    """Give every name whose change would put another file in this place: the symlinks, and the end.

    All are absolute and without symlinks above their last component. What is not there is named
    as far as the way goes: whoever makes it decides.
    """
    found: list[str] = []
    end = "/"
    try:
        for end, step in _steps(path):
            if stat.S_ISLNK(step.st_mode):
                found.append(end)
    except (OSError, ValueError):
        found.append(os.path.realpath(path) if "\0" not in path else path)
    return tuple(dict.fromkeys((*found, end)))


def only_mine(found: os.stat_result, path: str, noun: str, origin: str = "") -> None:
    """Refuse what somebody else than root and the caller can change or replace."""
    problem = ""
    if found.st_uid not in (0, os.geteuid()):
        problem = f"owned by user {found.st_uid}"
    elif stat.S_ISLNK(found.st_mode):
        return
    elif found.st_mode & _OTHERS_WRITE and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        problem = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if problem:
        raise _refused(path, problem, noun, origin)


def _content(descriptor: int, most: int) -> bytes:
    """Give what a file holds, and one byte more than `most` if there is more, even if it grows meanwhile."""
    chunks: list[bytes] = []
    total = 0
    while chunk := os.read(descriptor, most + 1 - total):
        chunks.append(chunk)
        total += len(chunk)
    return b"".join(chunks)


def _regular(found: os.stat_result, path: str, noun: str, origin: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ProfileError(
            "HB403",
            f"a {noun} is a regular file",
            value=path,
            origin=origin,
            why="a directory, pipe or device may hang, or tell each reader something else",
            instead=f"save the {noun} to a file",
        )


def _walk(path: str, noun: str, origin: str) -> tuple[str, ...]:
    """Follow a path, judging each step; gives the symlinks on it, and at last where it ends."""
    here, links = "/", []
    for here, found in _steps(path):
        only_mine(found, here, noun, origin)
        if stat.S_ISLNK(found.st_mode):
            links.append(here)
    _regular(os.lstat(here), path, noun, origin)
    return (*links, here)


def _steps(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Follow a path as the kernel does; gives each name on the way, and at last where it ends."""
    here, links = "/", 0
    # The current directory may be gone; an absolute path does not need it.
    names = (path if path.startswith("/") else os.path.join(os.getcwd(), path)).split("/")[::-1]
    yield here, os.lstat(here)
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = os.path.join(here, name)
        found = os.lstat(step)
        yield step, found
        if not stat.S_ISLNK(found.st_mode):
            here = step
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(_ELOOP, "Too many levels of symbolic links", path)
        target = os.readlink(step)
        names += target.split("/")[::-1]
        here = "/" if target.startswith("/") else here
    yield here, os.lstat(here)


def _refused(path: str, problem: str, noun: str, origin: str) -> HardboxError:
    kind = f"the way to the {noun}" if os.path.isdir(path) else f"the {noun}"
    return refuse(
        "writable-profile",
        value=f"{path}: {problem}",
        origin=origin,
        what=f"{kind} can be changed by others",
    )
