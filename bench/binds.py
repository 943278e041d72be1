"""Two thousand directories shown, against bwrap with the same; and what the launcher's own limit is.

Run by: bench/main.py (`make bench`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from measure import BWRAP, HARDBOX, LAUNCH, TRUE, Row, System, alternate, compiled, row, spawn

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = ("binds", "binds-run")
MANY: Final = 2000
# As root every tree is cloned outside and handed over. A plan has room for 256; under `strict` there is less,
# as init holds them all as descriptors while `limits.open_files` is in force.
ROOTS_MOST: Final = 200
_PLAN, _RUN = "hardbox-launch FILE.plan", "hardbox run --read ..."
_GOAL = 0.1


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure launches with many binds; `folder` is ours. As root with as many as there is room for."""
    found = _measure(folder, MANY, rounds)
    if all(one.value is None for one in found):
        fewer = _measure(folder, ROOTS_MOST, rounds)
        return [
            Row(
                one.name,
                one.about,
                one.goal,
                missing=one.missing,
                others=less.others,
                figures=less.figures,
                spread=less.spread,
                note=f"the figures are of {ROOTS_MOST} directories: {less.value or 0:.2f} of bwrap",
            )
            for one, less in zip(found, fewer, strict=True)
        ]
    return found


def _measure(folder: str, count: int, rounds: int) -> list[Row]:
    paths = [os.path.join(folder, "many", f"d{number}") for number in range(count)]
    for path in paths:
        os.makedirs(path, exist_ok=True)
    ours = [word for path in paths for word in ("--read", f"{path}:/data/{os.path.basename(path)}")]
    theirs = [word for path in paths for word in ("--ro-bind", path, f"/data/{os.path.basename(path)}")]
    figures = alternate(
        [
            System(f"bwrap, {count} times --ro-bind", spawn(*BWRAP, *theirs, "--", TRUE)),
            System(_PLAN, _sealed(folder, ours)),
            System(_RUN, spawn(HARDBOX, "run", "--profile", "strict", *ours, "--", TRUE)),
        ],
        max(2, rounds // 20),
        warm_up=0,
        what=f"{count} binds:",
    )
    bwrap = f"bwrap, {count} times --ro-bind"
    return [
        row("binds", f"{MANY} binds, a compiled plan against bwrap", _GOAL, figures, _PLAN, bwrap),
        row(
            "binds-run",
            f"{MANY} binds, `hardbox run`, which decides anew, against bwrap",
            _GOAL,
            figures,
            _RUN,
            bwrap,
        ),
    ]


def _sealed(folder: str, words: list[str]) -> Callable[[], None]:
    try:
        plan = compiled(folder, "binds", "--profile", "strict", *words, "--", TRUE)
    except RuntimeError as error:
        reason = str(error)

        def refused() -> None:
            raise RuntimeError(reason)

        return refused
    return spawn(LAUNCH, plan)
