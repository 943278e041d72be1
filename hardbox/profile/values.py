"""Values of a Policy as text: what `profile show`, `diff` and the messages print.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import Final

from hardbox.policy import UNLIMITED, Bind, cpus_text
from hardbox.profile import units
from hardbox.toml_text import toml

_BYTES: Final = (
    *("limits.memory", "limits.swap", "limits.file_size", "limits.locked", "limits.output"),
    *("filesystem.changes", "network.bytes"),
)
_MILLISECONDS: Final = ("limits.wall", "limits.grace", "network.idle")


def plain(key: str, value: object) -> object:  # noqa: PLR0911 (one return per unit)
    """Give a canonical value as TOML would state it: "512M", ["/src:/dest"], ..."""
    if isinstance(value, int) and value == UNLIMITED:
        return "unlimited"
    if key in _BYTES and isinstance(value, int):
        return units.size_text(value) if value else 0
    if key in _MILLISECONDS and isinstance(value, int):
        return units.duration_text(value)
    if key == "limits.cpu_bandwidth" and isinstance(value, int):
        return cpus_text(value)
    if key == "limits.cpu_time" and isinstance(value, int):
        return units.duration_text(value * 1000)
    if key == "filesystem.scratch" and isinstance(value, dict):
        return {path: units.size_text(size) for path, size in value.items()}
    if isinstance(value, tuple):
        return [_bind(item) if isinstance(item, Bind) else item for item in value]
    return value


def _bind(bind: Bind) -> str:
    return bind.source if bind.source == bind.dest else f"{bind.source}:{bind.dest}"


def show(key: str, value: object) -> str:
    """Give one line: the value as TOML, shortened."""
    return toml(plain(key, value))
