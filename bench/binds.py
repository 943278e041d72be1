"""Two thousand directories shown, against bwrap with the same.

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
_PLAN, _RUN = "hardbox-launch FILE.plan", "hardbox run --read ..."
_BWRAP = f"bwrap, {MANY} times --ro-bind"
_GOAL = 0.1


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure launches with many binds; `folder` is ours."""
    paths = [os.path.join(folder, "many", f"d{number}") for number in range(MANY)]
    for path in paths:
        os.makedirs(path, exist_ok=True)
    ours = [word for path in paths for word in ("--read", f"{path}:/data/{os.path.basename(path)}")]
    theirs = [word for path in paths for word in ("--ro-bind", path, f"/data/{os.path.basename(path)}")]
    figures = alternate(
        [
            System(_BWRAP, spawn(*BWRAP, *theirs, "--", TRUE)),
            System(_PLAN, _sealed(folder, ours)),
            System(_RUN, spawn(HARDBOX, "run", "--profile", "strict", *ours, "--", TRUE)),
        ],
        max(2, rounds // 20),
        warm_up=0,
        what=f"{MANY} binds:",
    )
    return [
        row("binds", f"{MANY} binds, a compiled plan against bwrap", _GOAL, figures, _PLAN, _BWRAP),
        row(
            "binds-run",
            f"{MANY} binds, `hardbox run`, which decides anew, against bwrap",
            _GOAL,
            figures,
            _RUN,
            _BWRAP,
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
