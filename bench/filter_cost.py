"""What the filter alone costs: the same loop under strict's program, under the shortest one, and under none.

Run by: bench/main.py (`make bench`). There is no sandbox: bench/loops.c loads the programs. A call that its
number alone allows is in the kernel's own table; for a call with rules about arguments the program runs.
"""

from __future__ import annotations

import os
import platform
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from measure import System, alternate, build, row, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from measure import Row

ALLOW: Final = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
# Name -> the word of loops.c, and how many calls take some milliseconds.
CALLS: Final = {
    "filter-getpid": ("getpid", 30_000, "`getpid`, allowed by its number, under strict's filter"),
    "filter-fcntl": ("xfcntl", 30_000, "`fcntl`, allowed but for some arguments, under strict's filter"),
    "filter-load": ("load", 40, "loading strict's filter"),
}
ROWS: Final = tuple(CALLS)
_NONE, _LEAST, _STRICT = "no filter", "a filter of one instruction", "strict's filter"


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure nanoseconds; `folder` is ours."""
    import hardbox.profile  # noqa: PLC0415 (the thing that is measured)
    from hardbox import filters  # noqa: PLC0415 (as above)

    program = build(folder, "loops")
    made = filters.compile_filter(hardbox.profile.load("strict").seccomp, machine=platform.machine())
    files = {"least": ALLOW, "strict": made.bpf}
    for name, code in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(code)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    found = []
    try:
        for name, (call, count, about) in CALLS.items():

            def asks(*more: str, call: str = call, count: int = count) -> Callable[[], float]:
                return lambda: float(said((program, call, str(count), *more)))

            systems = [
                System(_STRICT, asks(os.path.join(folder, "strict")), "ns"),
                System(_LEAST, asks(os.path.join(folder, "least"))),
            ]
            if call != "load":
                systems.append(System(_NONE, asks()))
            figures = alternate(systems, rounds, what=f"{name}:")
            note = f"strict's filter has {len(made.bpf) // 8} instructions"
            one = row(
                name,
                f"{about}, against a filter of one instruction",
                1.05,
                figures,
                _STRICT,
                _LEAST,
                note=note,
            )
            # Only for the first there is a goal: that the kernel's own table is used.
            found.append(one if call == "getpid" else replace(one, goal=None))
    finally:
        os.sched_setaffinity(0, before)
    return found
