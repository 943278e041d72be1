"""A real C build: zlib from Debian's sources, `make -j2` in profile `build` against bare.

Run by: bench/main.py (`make bench`). The sources are fetched by apt; without it the row says so.
"""

from __future__ import annotations

import glob
import os
import resource
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from measure import HARDBOX, HERE, Figures, MissingError, Row, System, alternate, environment, row, said

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.append(os.path.join(os.path.dirname(HERE), "tests"))
from support import debian_source

ROWS = ("build", "build-cpu")
PACKAGE: Final = "zlib"
SOURCES: Final = "HARDBOX_BENCH_SOURCES"
_BARE, _INSIDE = "bare", "hardbox run --profile build"
_ABOUT = "a C build (zlib, `make -j2`), `hardbox run --profile build --write .` against bare"
_GOAL = 1.03


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure seconds; `folder` is ours."""
    try:
        tree = _tree(folder)
    except (RuntimeError, OSError) as error:
        return [Row(name, _ABOUT, _GOAL, unit="s", missing=str(error)) for name in ROWS]
    make = ("make", "-j2", "-s")
    shown = ("--profile", "build", "--write", tree, "--workdir", tree)
    cpu: dict[str, list[float]] = {_BARE: [], _INSIDE: []}
    times = max(3, rounds // 20)
    figures = alternate(
        [
            System(_BARE, _makes(tree, cpu[_BARE], *make), "s"),
            System(_INSIDE, _makes(tree, cpu[_INSIDE], HARDBOX, "run", *shown, "--", *make)),
        ],
        times,
        warm_up=1,
        what="build:",
    )
    # The clock counts what others do on this machine, CPU time does not.
    known = {name: cpu[name][-times:] for name in figures.values}
    used = Figures(known, figures.missing, "s")
    return [
        row("build", _ABOUT, _GOAL, figures, _INSIDE, _BARE),
        row("build-cpu", f"{_ABOUT}: CPU time", _GOAL, used, _INSIDE, _BARE),
    ]


def _makes(tree: str, cpu: list[float], *argv: str) -> Callable[[], float]:
    def launch() -> float:
        said(("make", "-s", "clean"), cwd=tree)
        before = _children()
        began = time.perf_counter()
        said(argv, cwd=tree)
        taken = time.perf_counter() - began
        cpu.append(_children() - before)
        if not os.path.exists(os.path.join(tree, "libz.a")):
            message = "the build made no libz.a"
            raise MissingError(message)
        return taken

    return launch


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(folder: str) -> str:
    """Unpack and configure the sources."""
    files = fetched(os.path.join(folder, "debian"))
    tree = os.path.join(folder, PACKAGE)
    shutil.rmtree(tree, ignore_errors=True)
    said(("dpkg-source", "--no-check", "-x", files[0], tree), cwd=folder)
    subprocess.run(["./configure"], cwd=tree, check=True, stdout=subprocess.DEVNULL, env=environment())
    return tree


def fetched(folder: str) -> tuple[str, ...]:
    """Give the files of the source package, the .dsc first: those that root has fetched, or our own."""
    given = os.environ.get(SOURCES)
    if given:
        found = sorted(
            glob.glob(os.path.join(given, PACKAGE, "*")), key=lambda path: not path.endswith(".dsc")
        )
        return tuple(found)
    return debian_source.fetch(PACKAGE, folder)
