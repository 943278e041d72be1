"""System calls that are newer than the oldest libseccomp we compile with (2.5.4: Linux 5.17).

Run by: filters/__init__.py. Since Linux 5.0 a new call has the same number on every architecture
(Documentation/process/adding-syscalls.rst), so one table serves x86_64 and aarch64.
"""

from __future__ import annotations

from typing import Final

NEWER: Final = {
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
    "listns": 470,
}
