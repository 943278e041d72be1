"""Sizes, durations and counts, as people write them in profiles and flags.

Run by: the Python front; pure. Readers raise ValueError with a sentence for the reader;
`schema.py` adds the key and the origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.policy import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SIZES: Final = (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))
# Milliseconds, largest first: the order in which a duration is written.
_DURATIONS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
# The same in the words of other tools, in lower case, for a message.
_SIZE_WORDS: Final = {
    unit.lower() + more: factor for unit, factor in (*_SIZES, ("", 1)) for more in ("", "b", "i", "ib")
}
_TIME_WORDS: Final = {
    **dict(_DURATIONS),
    **dict.fromkeys(("", "sec", "secs", "second", "seconds"), 1000),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60_000),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("day", "days"), 86_400_000),
}
_DIGITS: Final = "0123456789"
# More digits than any number below 2^63 has: int() of a megabyte of digits is slow.
_MOST_DIGITS: Final = 19
# Digits behind the point of a number of CPUs.
_THIRD: Final = 3


def _number(text: str) -> int:
    digits = text.lstrip("0")
    if len(digits) > _MOST_DIGITS:
        message = "the number is above 2^63-1"
        raise ValueError(message)
    return int(digits or "0")


def _split(text: str) -> tuple[str, str]:
    """Split "512M" into leading ASCII digits and the rest."""
    end = 0
    while end < len(text) and text[end] in _DIGITS:
        end += 1
    return text[:end], text[end:]


def _finite(value: int, what: str) -> int:
    if value <= 0:
        message = f"{what} is above zero"
        raise ValueError(message)
    if value >= UNLIMITED:
        message = f"{what} is below 2^63-1"
        raise ValueError(message)
    return value


def whole(value: object, least: int, most: int) -> int:
    """Read a whole number, "64" or 64, in least..most. Raises ValueError."""
    if isinstance(value, str):
        digits, rest = _split(value)
        value = _number(digits) if digits and not rest else None
    if isinstance(value, bool) or not isinstance(value, int):
        message = "a whole number is needed"
        raise ValueError(message)  # noqa: TRY004 (one kind of error for every bad value)
    if not least <= value <= most:
        message = f"the number is in {least}..{most}"
        raise ValueError(message)
    return value


def size(value: object) -> int:
    """Read bytes: "512M" (binary: K, M, G, T), "4096" or 4096; 1..2^63-2. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _finite(value, "a size")
    if isinstance(value, str):
        digits, unit = _split(value)
        factor = dict(_SIZES).get(unit, 1 if not unit else 0)
        if digits and factor:
            return _finite(_number(digits) * factor, "a size")
    message = 'a size is a whole number of bytes or "512M" (K, M, G, T)'
    raise ValueError(message + _meant(value, _SIZE_WORDS, size_text))


def cpus(value: object) -> int:
    """Read thousandths of a CPU: 2, 1.5 or "1.5"; above zero. Raises ValueError."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    whole, point, part = text.partition(".") if isinstance(text, str) else ("", "", "")
    digits = all(c in _DIGITS for c in whole + part)
    if (
        not (digits and whole and len(whole) <= _MOST_DIGITS and bool(part) == bool(point))
        or len(part) > _THIRD
    ):
        message = 'CPUs are a number such as 2 or "1.5", with up to three digits behind the point'
        raise ValueError(message)
    return _finite(int(whole) * 1000 + int(part.ljust(_THIRD, "0")), "a number of CPUs")


def duration(value: object) -> int:
    """Read milliseconds: "500ms", "30s", "5m", "1h30m", "2d"; above zero. Raises ValueError.

    A bare number is refused: it does not say whether seconds or milliseconds are meant.
    """
    message = 'a duration is written "500ms", "30s", "5m", "1h30m" or "2d"'
    message += _meant(value, _TIME_WORDS, duration_text)
    if not isinstance(value, str):
        raise ValueError(message)  # noqa: TRY004 (one kind of error for every bad value)
    rest, total = value, 0
    units: tuple[tuple[str, int], ...] = _DURATIONS
    while rest:
        digits, rest = _split(rest)
        name = "ms" if rest.startswith("ms") else rest[:1]
        # Each unit once, and larger ones first: "30s1h" is more likely a slip than meant.
        at = next((i for i, unit in enumerate(units) if unit[0] == name), None)
        if not digits or at is None:
            raise ValueError(message)
        total += _number(digits) * units[at][1]
        units = units[at + 1 :]
        rest = rest[len(name) :]
    if not value:
        raise ValueError(message)
    return _finite(total, "a duration")


def _meant(value: object, words: Mapping[str, int], write: Callable[[int], str]) -> str:
    """Give '; did you mean "512M"?' for a value in the spelling of other tools, such as "512mb", else ""."""
    text = str(value).strip().lower() if isinstance(value, str) or _short(value) else ""
    end = 0
    while end < len(text) and text[end] in _DIGITS + ".":
        end += 1
    whole, _, part = text[:end].partition(".")
    factor = words.get(text[end:].strip(), 0)
    if not factor or not 0 < len(whole) <= _MOST_DIGITS or len(part) > _MOST_DIGITS or "." in part:
        return ""
    total, rest = divmod(int(whole + part) * factor, 10 ** len(part))
    return f'; did you mean "{write(total)}"?' if 0 < total < UNLIMITED and not rest else ""


def _short(value: object) -> bool:
    return isinstance(value, int) and 0 < value < UNLIMITED


def size_text(value: int) -> str:
    """Write bytes as `size` reads them: "512M", "4097"."""
    for unit, factor in _SIZES:
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def duration_text(value: int) -> str:
    """Write milliseconds as `duration` reads them: "1h30m"."""
    text = ""
    for unit, factor in _DURATIONS:
        count, value = divmod(value, factor)
        text += f"{count}{unit}" if count else ""
    return text or "0ms"
