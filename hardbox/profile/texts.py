"""Readers of plain strings, which every other reader of a string starts from.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hardbox.profile.spots import Spot

LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
DIGITS: Final = "0123456789"
LETTERS: Final = LOWER + LOWER.upper()


def text(spot: Spot) -> str:
    """Read a string that the kernel can take: no NUL, encodable."""
    value = spot.value
    if not isinstance(value, str):
        raise spot.error("HB408", f"{spot.key} is a string", instead=f'{spot.key} = "..."')
    if "\0" in value:
        raise spot.error("HB409", f"{spot.key} contains a NUL", why="the kernel would end the text there")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise spot.error("HB409", f"{spot.key} contains a character that no file name has") from error
    return value


def label(name: str) -> bool:
    """Say whether `name` is one label of a host name (RFC 1123 section 2.1)."""
    return (
        0 < len(name) <= 63  # noqa: PLR2004 (RFC 1123)
        and all(c in LETTERS or c in DIGITS or c == "-" for c in name)
        and name[0] != "-"
        and name[-1] != "-"
    )
