"""Which refusals nobody is told of: calls that ordinary programs try first and do without.

Run by: filters/__init__.py on a cache miss; data only. A filter that tells (see
docs/filters.md) answers these with a bare errno, as any other filter does: a notification costs
two context switches, and a list of what every program does by habit hides what matters.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Call -> who tries it, and what they do then.
QUIET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "clone3": "the C library, for every thread and posix_spawn(3); it falls back to clone",
        "get_mempolicy": "libnuma, as it is loaded (ps); it goes on as on a machine of one node",
        "openat2": "libraries that walk paths safely; they fall back to openat",
    }
)
