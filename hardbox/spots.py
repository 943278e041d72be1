"""One value on its way from a file or flag into a Policy, and the errors it can cause.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.errors import HardboxError, ProfileError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hardbox.policy import Origin

_SHOWN: Final = 120
_WORD_SIZE: Final = 64


class Spot:
    """A value where it was found.

    key:    its dotted key, "limits.memory".
    value:  as TOML or the flag gave it, unchecked.
    origin: file and key, or flag.
    folder: directory against which a path may be relative; "" where it must be absolute.
    """

    __slots__ = ("folder", "key", "origin", "value")

    def __init__(self, key: str, value: object, origin: Origin, folder: str = "") -> None:
        """Keep the four."""
        self.key = key
        self.value = value
        self.origin = origin
        self.folder = folder

    def error(self, code: str, what: str, *, why: str = "", instead: str = "") -> HardboxError:
        """Make the error; a value that is a known bad habit becomes the refusal that it deserves."""
        from hardbox import habits  # noqa: PLC0415 (only when something is wrong)

        habit = habits.key(self.key, self.value, str(self.origin))
        return habit or self.misspelt(code, what, why=why, instead=instead)

    def misspelt(self, code: str, what: str, *, why: str = "", instead: str = "") -> ProfileError:
        """Make the error for what cannot be a habit."""
        return ProfileError(
            code,
            what,
            value=f"{self.key} = {toml(self.value)}",
            origin=str(self.origin),
            why=why,
            instead=instead,
        )


def nearest(word: str, names: Iterable[str]) -> str:
    """Give 'did you mean "x"?' with the nearest valid name, or the whole list if none is near."""
    import difflib  # noqa: PLC0415 (only when something is wrong; imports re)

    known = sorted(names)
    found = difflib.get_close_matches(word[:_SHOWN], known, 1, 0.6)
    return f'did you mean "{found[0]}"?' if found else "one of: " + ", ".join(known)


def toml(value: object, depth: int = 3) -> str:
    """Write a value as TOML does, shortened, for messages; never fails."""
    text = _toml(value, depth)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _toml(value: object, depth: int) -> str:  # noqa: PLR0911 (one return per TOML type)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # str() of a number with more than 4300 digits is refused by Python.
        return str(value) if value.bit_length() <= _WORD_SIZE else f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        return '"' + value[: _SHOWN + 1].replace("\\", "\\\\").replace('"', '\\"') + '"'
    if depth == 0:
        return "..."
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item, depth - 1) for item in value[:_SHOWN]) + "]"
    if isinstance(value, dict):
        items = list(value.items())[:_SHOWN]
        inside = ", ".join(f"{_key(str(k))} = {_toml(v, depth - 1)}" for k, v in items)
        return "{ " + inside + " }" if inside else "{}"
    return str(value)[:_SHOWN] if value is not None else "nothing"


def _key(name: str) -> str:
    bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if bare else _toml(name, 1)
