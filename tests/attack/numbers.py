"""System call numbers by name, from the kernel's headers and for calls newer than them.

Run by: the attack tests.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from hardbox.filters.syscall_names import NEWER

_HEADERS: Final = {
    "probe64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "probe32": "/usr/include/x86_64-linux-gnu/asm/unistd_32.h",
}


@cache
def _known(build: str) -> dict[str, int]:
    found = dict(NEWER)
    with open(_HEADERS[build], encoding="ascii") as header:
        for line in header:
            words = line.split()
            if len(words) == 3 and words[0] == "#define" and words[1].startswith("__NR_"):
                found[words[1].removeprefix("__NR_")] = int(words[2])
    return found


def number(name: str, build: str = "probe64") -> int:
    """Give the number of a system call. Raises KeyError for a name that does not exist."""
    return _known(build)[name]


def names(build: str = "probe64") -> dict[int, str]:
    """Give the name of every number."""
    return {number_: name for name, number_ in _known(build).items()}
