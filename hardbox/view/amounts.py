"""Amounts as people read them: bytes, times, counts.

Run by: view/*; pure.
"""

from __future__ import annotations

import math
from typing import Final

_KIB: Final = 1024
_SIZES: Final = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# Beyond any real amount; a report is somebody's file.
_MOST: Final = 1e18
_TEN: Final = 10
_HUNDRED: Final = 100
_BYTES: Final = ("memory", "swap", "file_size", "output", "locked")


def number(value: object) -> float | None:
    """Give a JSON number as one that can be drawn; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Not by float(): an integer of a hundred digits has none.
    return float(value) if -_MOST < value < _MOST and math.isfinite(value) else None


def size(count: float) -> str:
    """Give bytes: "310 MiB"."""
    if not count:
        return "0"
    unit = 0
    while count >= _KIB and unit < len(_SIZES) - 1:
        count /= _KIB
        unit += 1
    return f"{short(count)} {_SIZES[unit]}"


def duration(seconds: float) -> str:
    """Give a time: "2.5 s", "5 min", "1.5 h"."""
    for length, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * length or seconds == length:
            return f"{short(seconds / length)} {unit}"
    return f"{short(seconds)} s" if seconds >= 1 or seconds == 0 else f"{short(seconds * 1000)} ms"


def times(count: int) -> str:
    """Give how often something happened."""
    return "once" if count == 1 else f"{count} times"


def things(count: int) -> str:
    """Give how many: "1 thing"."""
    return "1 thing" if count == 1 else f"{count} things"


def of_key(key: str, value: float) -> str:
    """Give the value of a limit, in the unit that its key has (policy.Limits)."""
    name = key.removeprefix("limits.")
    if name in _BYTES or key.startswith("filesystem."):
        return size(value)
    if name == "cpu_bandwidth":
        return f"{short(value / 1000)} CPUs"
    if name in ("wall", "grace"):
        return duration(value / 1000)
    return duration(value) if name == "cpu_time" else short(value)


def short(value: float) -> str:
    """Give three digits, or all before the point."""
    if value == int(value) or value >= _HUNDRED:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= _TEN else f"{value:.2f}".rstrip("0").rstrip(".")
