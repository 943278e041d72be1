"""What docs/filters.md says a filter answers, worked out from the TOML itself.

Run by: tests of the filters. Shares no code with hardbox: it reads the files with tomllib and
the kernel's headers for the numbers, and follows the five steps literally.
"""

from __future__ import annotations

import errno
import functools
import itertools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

KILL = 0x8000_0000
ALLOW = 0x7FFF_0000
ERRNO = 0x0005_0000
ARCHES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
# Every architecture that a filter may meet: ours, i386, arm, x32's own id, mips64, none.
ALL_ARCHES = (0xC000_003E, 0xC000_00B7, 0x4000_0003, 0x4000_0028, 0x4000_003E, 0x8000_0008, 0)
_HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}
# Linux 6.2 to 6.18, include/uapi/asm-generic/unistd.h.
_NEWER = [
    "cachestat",
    "fchmodat2",
    "map_shadow_stack",
    "futex_wake",
    "futex_wait",
    "futex_requeue",
    "statmount",
    "listmount",
    "lsm_get_self_attr",
    "lsm_set_self_attr",
    "lsm_list_modules",
    "mseal",
    "setxattrat",
    "getxattrat",
    "listxattrat",
    "removexattrat",
    "open_tree_attr",
    "file_getattr",
    "file_setattr",
    "listns",
]


@functools.cache
def numbers(machine: str) -> dict[str, int]:
    header = next(Path(path) for path in _HEADERS[machine] if Path(path).exists())
    text = header.read_text()
    found = {
        name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)$", text, re.MULTILINE)
    }
    if machine == "aarch64":
        wide = {name: int(number) for name, number in re.findall(r"#define __NR3264_(\w+) (\d+)", text)}
        renamed = {"fadvise64": "fadvise64", "fstatat": "newfstatat"}
        found |= {renamed.get(name, name): number for name, number in wide.items()}
        for name in ("arch_specific_syscall", "syscalls", "sync_file_range2", "renameat"):
            # arm64 takes renameat (38) and sync_file_range (84); the generic header has both spellings.
            found.pop(name, None)
        found |= {"renameat": 38, "sync_file_range": 84}
    return found | {name: 451 + index for index, name in enumerate(_NEWER)}


class Oracle:
    """The answer of one filter under one choice of groups."""

    def __init__(
        self,
        chain: list[dict[str, Any]],
        machine: str,
        *,
        add: Collection[str] = (),
        refuse: Collection[str] = (),
        keep: Collection[str] = (),
    ) -> None:
        self.machine = machine
        self.names = {number: name for name, number in numbers(machine).items()}
        groups = {name: group for file in reversed(chain) for name, group in file["group"].items()}
        self.groups = {
            name: group
            for name, group in groups.items()
            if (not group.get("optional") or name in refuse)
            and group.get("with_capability") in (None, "", *keep)
        }
        self.add = add
        self.refuse = refuse
        self._seen: dict[str, dict[str, Any]] = {}

    def answer(self, arch: int, number: int, args: tuple[int, ...]) -> int:
        if arch != ARCHES[self.machine]:
            return KILL
        if self.machine == "x86_64" and 0x4000_0000 <= number < 0x8000_0000:
            return KILL
        call = self.names.get(number)
        if call is None:
            return ERRNO | errno.ENOSYS
        return self._by_name(call, args)

    def _by_name(self, call: str, args: tuple[int, ...]) -> int:
        if call not in self._seen:
            self._seen[call] = {name: group for name, group in self.groups.items() if call in _calls(group)}
        named = rows = allowed = False
        error = errno.EPERM
        for name, group in self._seen[call].items():
            if name in self.add:
                allowed |= call in group["refuse"]
                continue
            if any(_matches(row, call, args) for row in group.get("refuse_when", ())):
                return ERRNO | errno.EPERM
            mine = [row for row in group.get("allow_when", ()) if row["call"] == call]
            listed = call in group.get("allow", ())
            if name in self.refuse and (mine or listed):
                return ERRNO | errno.EPERM
            if call in group.get("refuse", ()):
                named = True
                error = getattr(errno, group.get("errno", "EPERM"))
            rows |= bool(mine)
            allowed |= listed or any(_matches(row, call, args) for row in mine)
        if allowed:
            return ALLOW
        if named:
            return ERRNO | error
        return ERRNO | (errno.EPERM if rows else errno.ENOSYS)

    def interesting(self) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Every architecture, every number, and the edges of every compared argument."""
        odd = (-1, 1 << 31, (1 << 31) + 1, 0x4000_0000 - 1, 0x7FFF_FFFF, 601, 1000, 0xFFFF, 1 << 16)
        some = [0, 1, 41, 101, 165, 220, 321, 452, 600]
        for arch in ALL_ARCHES:
            for number in itertools.chain(range(601), odd, (0x4000_0000 | n for n in range(601))):
                yield arch, number & 0xFFFF_FFFF, (0,) * 6
                if arch == ARCHES[self.machine]:
                    yield arch, number & 0xFFFF_FFFF, ((1 << 64) - 1,) * 6
            for number in some:
                yield arch, number | 0x8000_0000, (0,) * 6
        known = numbers(self.machine)
        for call, edges in self._edges().items():
            if call not in known:
                continue
            for chosen in itertools.product(*edges.values()):
                for rest in (0, 0xFFFF_FFFF_FFFF_FFFF):
                    args = [rest] * 6
                    for place, value in zip(edges, chosen, strict=True):
                        args[place] = value
                    yield ARCHES[self.machine], known[call], tuple(args)

    def _edges(self) -> dict[str, dict[int, list[int]]]:
        found: dict[str, dict[int, set[int]]] = {}
        for group in self.groups.values():
            for row in (*group.get("allow_when", ()), *group.get("refuse_when", ())):
                for prefix in ("", "and_"):
                    if prefix + "arg" in row:
                        values = found.setdefault(row["call"], {}).setdefault(row[prefix + "arg"], set())
                        values |= _around(row[prefix + "mask"], row[prefix + "value"])
        return {call: {arg: sorted(values) for arg, values in args.items()} for call, args in found.items()}


def _calls(group: Mapping[str, Any]) -> set[str]:
    rows = (*group.get("allow_when", ()), *group.get("refuse_when", ()))
    return {*group.get("allow", ()), *group.get("refuse", ()), *(row["call"] for row in rows)}


def _around(mask: int, value: int) -> set[int]:
    """The value, its neighbours, each with a bit of the mask flipped, noise outside it and above."""
    lowest = mask & -mask
    highest = 1 << (mask.bit_length() - 1) if mask else 0
    near = {0, value, value - 1, value + 1, value ^ lowest, value ^ highest, value | ~mask, mask}
    near = {number & 0xFFFF_FFFF for number in near}
    return near | {value | 0x0000_0123_0000_0000, value | 0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF_FFFF_FFFF}


def _matches(row: Mapping[str, Any], call: str, args: tuple[int, ...]) -> bool:
    if row["call"] != call:
        return False
    low = args[row["arg"]] & 0xFFFF_FFFF
    if low & row["mask"] != row["value"]:
        return False
    if "and_arg" not in row:
        return True
    return bool(args[row["and_arg"]] & 0xFFFF_FFFF & row["and_mask"] == row["and_value"])


def chain(folder: Path, name: str) -> list[dict[str, Any]]:
    files = [tomllib.loads((folder / f"{name}.toml").read_text())]
    while parent := files[-1].get("extends"):
        files.append(tomllib.loads((folder / f"{parent}.toml").read_text()))
    return files
