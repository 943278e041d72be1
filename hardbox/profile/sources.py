"""Reading a profile: the bytes of its file as a TOML document.

Run by: the Python front. Which files are read, and which are not trusted, is `files.py`.
"""

from __future__ import annotations

import tomllib

from hardbox import files
from hardbox.errors import ProfileError


class Found:
    """A profile's text and its identity.

    place:  the path with symlinks resolved: relative names in the file start from its directory.
    key:    device and inode, by which a cycle of `extends` is found.
    table:  the TOML document.
    way:    every name that decides which file this is; () for files of the installation.
    """

    __slots__ = ("key", "place", "table", "way")

    def __init__(
        self, place: str, key: tuple[int, int], table: dict[str, object], way: tuple[str, ...]
    ) -> None:
        """Keep the four."""
        self.place = place
        self.key = key
        self.table = table
        self.way = way


def read(path: str, *, origin: str = "", trusted: bool = False) -> Found:
    """Read one profile; `trusted` skips the look at owners, for files of the installation itself.

    Raises ProfileError HB402..HB406, or Refused HB230 (writable-profile).
    """
    found = files.read(path, "profile", origin, trusted=trusted)
    return Found(found.place, found.key, _parse(found.content, path, origin), found.way)


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
