"""What every measurement shares: launches, peers, interleaved rounds, medians, and a row of the table.

Run by: the other files of bench/. Nothing here knows what is measured.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BIN: Final = os.path.join(sys.prefix, "bin")
HERE: Final = os.path.dirname(os.path.abspath(__file__))
HARDBOX: Final = os.path.join(BIN, "hardbox")
LAUNCH: Final = os.path.join(BIN, "hardbox-launch")
TRUE: Final = "/usr/bin/true"
NOBODY: Final = 65534
BWRAP: Final = (
    *("bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc"),
    *("--dev", "/dev", "--tmpfs", "/tmp"),  # noqa: S108 (inside)
)
WARM_UP: Final = 3
_SAID: Final = 300


class MissingError(Exception):
    """What is measured is not there, or does not run here; the text says why."""


@dataclass(frozen=True)
class System:
    """One thing to measure: its name, and one launch of it.

    launch: does it once; what it gives is the figure, None means that the harness takes the time. Raises
            OSError, MissingError or RuntimeError if it does not run here.
    unit:   of the figure.
    """

    name: str
    launch: Callable[[], float | None]
    unit: str = "ms"


@dataclass(frozen=True)
class Figures:
    """What a run has measured: the values of each system by round, and why one was left out."""

    values: dict[str, list[float]]
    missing: dict[str, str]
    unit: str = "ms"

    def median(self, name: str) -> float:
        """Give the median. Raises MissingError with the reason if there is none."""
        if name not in self.values:
            raise MissingError(self.missing.get(name, f"{name} was not measured"))
        return statistics.median(self.values[name])

    def ratio(self, name: str, to: str) -> tuple[float, float, float]:
        """Give the ratio of the medians, and the middle half of the ratios by round."""
        ratio = self.median(name) / self.median(to)
        pairs = zip(self.values[name], self.values[to], strict=False)
        low, high = middle([ours / theirs for ours, theirs in pairs])
        return ratio, low, high


@dataclass(frozen=True)
class Row:
    """One figure with its goal.

    name:     as in `--only`.
    about:    what was measured, and against what.
    goal:     the bound of `value`; at least, or at most. None: a figure to know, without one.
    value:    None if it was not measured: `missing` says why.
    low, high: the middle half of the value.
    figures:  name -> median in `unit`, of all that was measured for it.
    spread:   name -> its middle half.
    others:   what was not measured beside it, and why.
    note:     what a reader has to know.
    curves:   name -> points, for plots.
    """

    name: str
    about: str
    goal: float | None
    at_least: bool = False
    value: float | None = None
    low: float | None = None
    high: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    unit: str = "ms"
    missing: str = ""
    others: dict[str, str] = field(default_factory=dict)
    note: str = ""
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Say "met", "missed" or "not measured"."""
        if self.value is None:
            return "not measured"
        if self.goal is None:
            return ""
        return "met" if (self.value >= self.goal if self.at_least else self.value <= self.goal) else "missed"


def row(  # noqa: PLR0913 (each is one cell)
    name: str,
    about: str,
    goal: float | None,
    figures: Figures,
    ours: str,
    theirs: str,
    *,
    at_least: bool = False,
    note: str = "",
) -> Row:
    """Make the row of one ratio; where it could not be measured, the row says why."""
    medians = {known: statistics.median(values) for known, values in figures.values.items()}
    spread = {known: middle(values) for known, values in figures.values.items()}
    rest: Mapping[str, object] = {
        "at_least": at_least,
        "figures": medians,
        "spread": spread,
        "unit": figures.unit,
        "others": figures.missing,
        "note": note,
    }
    try:
        value, low, high = figures.ratio(ours, theirs)
    except MissingError as error:
        return Row(name, about, goal, missing=str(error), **rest)  # type: ignore[arg-type]
    return Row(name, about, goal, value=value, low=low, high=high, **rest)  # type: ignore[arg-type]


def middle(values: Sequence[float]) -> tuple[float, float]:
    """Give the middle half: first and third quartile."""
    if len(values) < 2:  # noqa: PLR2004 (quantiles needs two)
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def alternate(systems: Sequence[System], rounds: int, *, warm_up: int = WARM_UP, what: str = "") -> Figures:
    """Measure everything in turn, `rounds` times after some that do not count."""
    values: dict[str, list[float]] = {system.name: [] for system in systems}
    missing: dict[str, str] = {}
    for number in range(-warm_up, rounds):
        progress(f"{what} round {max(0, number + 1)} of {rounds}")
        for system in systems:
            if system.name in missing:
                continue
            began = time.perf_counter_ns()
            try:
                figure = system.launch()
            except (OSError, RuntimeError, ValueError, MissingError) as error:
                missing[system.name] = str(error)
                del values[system.name]
                continue
            if number >= 0:
                taken = (time.perf_counter_ns() - began) / 1e6
                values[system.name].append(taken if figure is None else figure)
    progress("")
    return Figures(values, missing, systems[0].unit)


def progress(text: str) -> None:
    """Show how far it is, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def environment() -> dict[str, str]:
    """Give what a measured program gets: nothing of the caller's but its home, for the cache."""
    return {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": os.environ.get("HOME", "/"), "LANG": "C"}


def spawn(*argv: str) -> Callable[[], None]:
    """Give a launch that starts a program and waits for it."""
    path = shutil.which(argv[0]) or argv[0]
    words = environment()

    def launch() -> None:
        if not os.path.exists(path):
            message = f"{argv[0]} is not installed"
            raise MissingError(message)
        pid = os.posix_spawn(path, argv, words)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            message = f"{os.path.basename(argv[0])}: exit status {os.waitstatus_to_exitcode(status)}"
            raise RuntimeError(message)

    return launch


def said(argv: Sequence[str], *, timeout: float = 120, **more: object) -> str:
    """Run a program and give what it prints. Raises RuntimeError with its own words if it fails."""
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            argv, capture_output=True, text=True, check=False, timeout=timeout, env=environment(), **more
        )
    except subprocess.TimeoutExpired as error:
        message = f"{os.path.basename(argv[0])}: not done after {timeout:.0f} s"
        raise RuntimeError(message) from error
    if done.returncode:
        words = " / ".join(line.strip() for line in done.stderr.splitlines()[:3])
        message = f"{os.path.basename(argv[0])}: exit status {done.returncode}: {words[:_SAID]}"
        raise RuntimeError(message)
    return str(done.stdout)


def build(folder: str, name: str, *options: str) -> str:
    """Compile one of the C programs of bench/; give the program's path."""
    target = os.path.join(folder, name)
    source = os.path.join(HERE, f"{name}.c")
    subprocess.run(["gcc", "-O2", "-static", *options, "-o", target, source], check=True)
    return target


def compiled(folder: str, name: str, *words: str) -> str:
    """Seal a plan with `hardbox compile`; give its path. Raises RuntimeError if it is refused."""
    plan = os.path.join(folder, f"{name}.plan")
    said([HARDBOX, "compile", "-o", plan, *words])
    return plan


def who() -> str:
    """Say as whom this process measures."""
    return "root" if os.geteuid() == 0 else "ordinary user"
