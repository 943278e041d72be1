"""System call numbers by name, from the kernel's headers and for calls newer than them.

Run by: the attack tests.
"""

from __future__ import annotations

from functools import cache
from typing import Final

_HEADERS: Final = {
    "probe64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "probe32": "/usr/include/x86_64-linux-gnu/asm/unistd_32.h",
}
# The same on every architecture since 5.1; Debian 12's headers are of 6.1.
_NEWER: Final = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}


@cache
def _known(build: str) -> dict[str, int]:
    found = dict(_NEWER)
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
