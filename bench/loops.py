"""System calls in a loop, inside against outside, with the kernel's own part, bwrap and runsc beside it.

Run by: bench/main.py (`make bench`). Everything is pinned to one CPU: `strict` gives one.
"""

from __future__ import annotations

import os
import shutil
import struct
from typing import TYPE_CHECKING, Final

from measure import BWRAP, LAUNCH, System, alternate, build, compiled, row, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from measure import Row

# Name -> how many calls take some 10 ms.
COUNTS: Final = {"getpid": 200_000, "read": 100_000, "openat": 20_000, "futex": 100_000, "fork": 60}
ROWS: Final = tuple(f"loop-{call}" for call in COUNTS)
_OUTSIDE, _INSIDE, _LEAST = "outside", "hardbox strict", "outside, under a filter of one instruction"
_ALLOW: Final = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
_GOAL = 1.05
_SLOWER: Final = 10  # how many times fewer calls runsc is asked for


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure nanoseconds for each call; `folder` is ours."""
    program = build(folder, "loops")
    least = os.path.join(folder, "least.bpf")
    with open(least, "wb") as file:
        file.write(_ALLOW)
    plan = compiled(folder, "loops", "--profile", "strict", "--read", folder, "--", program)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        return [_row(call, program, plan, least, max(7, rounds // 5)) for call in COUNTS]
    finally:
        os.sched_setaffinity(0, before)


def _row(call: str, program: str, plan: str, least: str, rounds: int) -> Row:
    folder = os.path.dirname(program)
    count = COUNTS[call]

    def asks(*prefix: str, more: tuple[str, ...] = (), number: int = count) -> Callable[[], float]:
        return lambda: float(said((*prefix, program, call, str(number), *more)))

    systems = [
        System(_OUTSIDE, asks(), "ns"),
        System(_INSIDE, asks(LAUNCH, plan, "--")),
        System(_LEAST, asks(more=(least,))),
        System("bwrap --unshare-all", asks(*BWRAP, "--ro-bind", folder, folder, "--")),
    ]
    figures = alternate(systems, rounds, warm_up=1, what=f"{call}:")
    # It takes seconds to start, so it has rounds of its own.
    state = os.path.join(folder, "runsc")
    slow = asks(
        *("runsc", "--root", state, "--network=none", "--ignore-cgroups"),
        *(("do",) if os.geteuid() == 0 else ("--rootless", "do")),
        number=max(10, count // _SLOWER),
    )
    other = alternate([System("runsc do", slow if shutil.which("runsc") else _no_runsc)], 3, warm_up=0)
    figures.values.update(other.values)
    figures.missing.update(other.missing)
    name = {"openat": "openat and close", "fork": "fork and exec"}.get(call, call)
    note = "the kernel's part: a filter of one instruction, which allows everything, and nothing else"
    return row(
        f"loop-{call}",
        f"{name} in a loop, inside against outside",
        _GOAL,
        figures,
        _INSIDE,
        _OUTSIDE,
        note=note,
    )


def _no_runsc() -> None:
    message = "runsc is not installed"
    raise RuntimeError(message)
