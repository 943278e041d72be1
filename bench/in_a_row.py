"""Ten thousand launches in a row: time and memory as curves, and what is left of them.

Run by: bench/main.py (`make bench`). Samples are of the whole machine, with what others do on it.
"""

from __future__ import annotations

import os
import time
from typing import Final

from measure import LAUNCH, TRUE, Row, compiled, middle, progress, spawn
from scale import EVERY, attempt, left, sample, settled

ROWS = ("in-a-row",)
# An ordinary user does the same with less: the curve is what counts, and it takes a minute.
IN_A_ROW: Final = 10_000 if os.geteuid() == 0 else 3_000


def measure(folder: str, _rounds: int) -> list[Row]:
    """Measure milliseconds; `folder` is ours."""
    about = f"{IN_A_ROW:,} launches in a row: the last tenth against the first"
    return [attempt(Row("in-a-row", about, 1.2), lambda: in_a_row(folder))]


def in_a_row(folder: str) -> Row:
    """Launch IN_A_ROW times, with samples between."""
    launch = spawn(LAUNCH, compiled(folder, "row", "--profile", "strict", "--", TRUE))
    for _ in range(EVERY):
        launch()
    before = sample()
    times: list[float] = []
    curves: dict[str, list[tuple[float, float]]] = {"ms": []}
    for number in range(IN_A_ROW):
        began = time.perf_counter_ns()
        launch()
        times.append((time.perf_counter_ns() - began) / 1e6)
        if (number + 1) % EVERY == 0:
            progress(f"{number + 1} launches")
            curves["ms"].append((number + 1, sorted(times[-EVERY:])[EVERY // 2]))
            for kind, value in sample().items():
                curves.setdefault(kind, []).append((number + 1, value))
    progress("")
    tenth = max(1, len(times) // 10)
    first, last = (sorted(part)[len(part) // 2] for part in (times[:tenth], times[-tenth:]))
    low, high = middle([ours / first for ours in times[-tenth:]])
    return Row(
        "in-a-row",
        f"{IN_A_ROW:,} launches in a row: the last tenth against the first",
        1.2,
        value=last / first,
        low=low,
        high=high,
        figures={"first tenth": first, "last tenth": last},
        note=left(before, settled(before)),
        curves=curves,
    )
