"""Throughput: four launches at a time, beside bwrap and the kernel's floor.

Run by: bench/main.py (`make bench`). The launches are made by a C program (bench/many.c), so that no
interpreter stands between them.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from measure import BWRAP, HARDBOX, LAUNCH, TRUE, Figures, System, alternate, build, compiled, row, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from measure import Row

ROWS = ("parallel",)
WORKERS, COUNT = 4, 120
_BWRAP = "bwrap --unshare-all"
_PLAN = "hardbox-launch FILE.plan"


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure launches for each second; `folder` is ours."""
    many = build(folder, "many")
    floor = build(folder, "floor")
    plan = compiled(folder, "parallel", "--profile", "strict", "--", "true")

    def each(*argv: str) -> Callable[[], float]:
        words = (many, str(WORKERS), str(COUNT), shutil.which(argv[0]) or argv[0], *argv[1:])
        return lambda: 1e6 / float(said(words))

    figures: Figures = alternate(
        [
            System(_BWRAP, each(*BWRAP, "--", TRUE), "launches/s"),
            System(_PLAN, each(LAUNCH, plan, "--", TRUE)),
            System("hardbox run --profile strict", each(HARDBOX, "run", "--profile", "strict", "--", TRUE)),
            System("floor: six namespaces, a bind, no walls", each(floor, TRUE)),
        ],
        max(5, rounds // 8),
        warm_up=1,
        what="in parallel:",
    )
    about = f"throughput, {WORKERS} in parallel, of `hardbox-launch FILE.plan` against bwrap"
    return [row("parallel", about, 1.7, figures, _PLAN, _BWRAP, at_least=True)]
