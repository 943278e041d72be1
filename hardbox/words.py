"""The nearest known word to one that is not known, for messages.

Run by: the Python front, only when something is wrong; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of a word that is compared: the time grows with the square of its length.
_COMPARED: Final = 120
# How alike two words are, from 0 to 1, before one is offered for the other.
NEAR: Final = 0.6


def nearest(word: str, known: Iterable[str], near: float = NEAR) -> str:
    """Give the nearest known word, "" if none is near.

    near: how alike the two have to be; more where a wrong offer would do harm.
    """
    import difflib  # noqa: PLC0415 (imports re, which a run that goes well does not need)

    found = difflib.get_close_matches(word[:_COMPARED], sorted(known), 1, near)
    return found[0] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give 'did you mean "x"?', "" if no word is near."""
    found = nearest(word, known)
    return f'did you mean "{found}"?' if found else ""


def hint(word: str, known: Iterable[str]) -> str:
    """Give 'did you mean "x"?', or the whole list if no word is near."""
    names = sorted(known)
    return did_you_mean(word, names) or "one of: " + ", ".join(names)
