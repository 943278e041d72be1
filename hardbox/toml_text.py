"""A value as TOML writes it, for messages.

Run by: the Python front; pure. tomlkit writes files; this never fails, and is short.
"""

from __future__ import annotations

from typing import Final

SHOWN: Final = 120
_WORD_SIZE: Final = 64


def toml(value: object, depth: int = 3) -> str:
    """Write a value as TOML does, shortened, for messages; never fails."""
    text = _toml(value, depth)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _toml(value: object, depth: int) -> str:  # noqa: PLR0911 (one return per TOML type)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # str() of a number with more than 4300 digits is refused by Python.
        return str(value) if value.bit_length() <= _WORD_SIZE else f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        return '"' + value[: SHOWN + 1].replace("\\", "\\\\").replace('"', '\\"') + '"'
    if depth == 0:
        return "..."
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item, depth - 1) for item in value[:SHOWN]) + "]"
    if isinstance(value, dict):
        items = list(value.items())[:SHOWN]
        inside = ", ".join(f"{_key(str(k))} = {_toml(v, depth - 1)}" for k, v in items)
        return "{ " + inside + " }" if inside else "{}"
    return str(value)[:SHOWN] if value is not None else "nothing"


def _key(name: str) -> str:
    bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if bare else _toml(name, 1)
