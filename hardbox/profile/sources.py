"""Reading a profile's bytes: once, by descriptor, and only if nobody else can change them.

Run by: the Python front. The way to the file is walked name by name, as the kernel does it:
every directory and every symlink on it has to belong to root or to the caller, and no
directory may let others rename what is in it (a sticky one, such as /tmp, does not).
"""

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING, Final

from hardbox import rules
from hardbox.errors import ProfileError

if TYPE_CHECKING:
    from hardbox.errors import HardboxError

MOST_BYTES: Final = 1 << 20
MOST_LINKS: Final = 40
_OTHERS_WRITE: Final = 0o022


class Found:
    """A profile's text and its identity.

    place:  the path with symlinks resolved: relative names in the file start from its directory.
    key:    device and inode, by which a cycle of `extends` is found.
    table:  the TOML document.
    """

    __slots__ = ("key", "place", "table")

    def __init__(self, place: str, key: tuple[int, int], table: dict[str, object]) -> None:
        """Keep the three."""
        self.place = place
        self.key = key
        self.table = table


def read(path: str, *, origin: str = "", trusted: bool = False) -> Found:
    """Read one profile; `trusted` skips the look at owners, for files of the installation itself.

    Raises ProfileError HB402..HB406, or Refused HB230 (writable-profile).
    """
    try:
        place = path if trusted else _walk(path, origin)
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            _regular(found, path, origin)
            if not trusted:
                only_mine(found, place, origin)
            content = _content(descriptor, path, origin)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "it contains a NUL or no valid text"
        raise ProfileError(
            "HB402",
            f"the profile cannot be read: {words}",
            value=path,
            origin=origin,
            instead="name a file that you may read; `hardbox profile list` shows those that ship",
        ) from error
    return Found(place, (found.st_dev, found.st_ino), _parse(content, path, origin))


def _content(descriptor: int, path: str, origin: str) -> bytes:
    chunks: list[bytes] = []
    total = 0
    # One byte more than allowed tells a file that is too large, even if it grows meanwhile.
    while chunk := os.read(descriptor, MOST_BYTES + 1 - total):
        chunks.append(chunk)
        total += len(chunk)
    if total > MOST_BYTES:
        raise ProfileError(
            "HB404",
            "a profile has at most 1 MiB",
            value=path,
            origin=origin,
            instead="a profile is written by hand and read by people; is this the right file?",
        )
    return b"".join(chunks)


def _parse(content: bytes, path: str, origin: str) -> dict[str, object]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError(
            "HB405",
            "the profile is not UTF-8",
            value=path,
            origin=origin,
            why=f"byte {error.start} is {content[error.start]:#04x}",
            instead="save it as UTF-8",
        ) from error
    try:
        return tomllib.loads(text)
    except (ValueError, OverflowError, RecursionError) as error:
        # RecursionError: brackets nested thousands deep. ValueError: also numbers of 5000 digits.
        raise ProfileError(
            "HB406",
            "the profile is not TOML",
            value=path,
            origin=origin,
            why=str(error)[:300] or "it is nested too deeply",
            instead="mend the line; each key may stand once (https://toml.io)",
        ) from error


def _regular(found: os.stat_result, path: str, origin: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ProfileError(
            "HB403",
            "a profile is a regular file",
            value=path,
            origin=origin,
            why="a directory, pipe or device may hang, or tell each reader something else",
            instead="save the profile to a file",
        )


def _walk(path: str, origin: str) -> str:
    """Follow a path as the kernel does, looking at each step; gives it without symlinks."""
    here, links = "/", 0
    # The current directory may be gone; an absolute path does not need it.
    names = (path if path.startswith("/") else os.path.join(os.getcwd(), path)).split("/")[::-1]
    only_mine(os.lstat("/"), "/", origin)
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = os.path.join(here, name)
        found = os.lstat(step)
        only_mine(found, step, origin)
        if not stat.S_ISLNK(found.st_mode):
            here = step
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(40, "Too many levels of symbolic links", path)
        target = os.readlink(step)
        names += target.split("/")[::-1]
        here = "/" if target.startswith("/") else here
    _regular(os.lstat(here), path, origin)
    return here


def only_mine(found: os.stat_result, path: str, origin: str) -> None:
    """Refuse what somebody else than root and the caller can change or replace."""
    problem = ""
    if found.st_uid not in (0, os.geteuid()):
        problem = f"owned by user {found.st_uid}"
    elif stat.S_ISLNK(found.st_mode):
        return
    elif found.st_mode & _OTHERS_WRITE and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        problem = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if problem:
        raise _refused(path, problem, origin)


def _refused(path: str, problem: str, origin: str) -> HardboxError:
    kind = "the way to the profile" if os.path.isdir(path) else "the profile"
    return rules.refuse(
        "writable-profile",
        value=f"{path}: {problem}",
        origin=origin,
        what=f"{kind} can be changed by others",
    )
