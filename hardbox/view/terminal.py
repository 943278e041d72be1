"""A report on a terminal: what ran, how it ended, what held, what was denied, what was used.

Run by: cli/report.py, which makes every line printable; pure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from hardbox.denials import shown
from hardbox.view import amounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hardbox.limit_report import Sample
    from hardbox.view.run import Run

_SHOWN: Final = 400
_BARS: Final = "▁▂▃▄▅▆▇█"
_WIDTH: Final = 48


def lines(run: Run, *, drawn: bool) -> Iterator[str]:
    """Give the lines, not yet printable.

    drawn: the terminal can show block characters: the course of what was used is drawn in them.
    """
    command = run.command()
    yield command if len(command) <= _SHOWN else f"{command[:_SHOWN]}... ({len(run.argv)} arguments)"
    yield f"  {run.outcome}; {run.status}"
    if run.error:
        yield ""
        yield from (f"  {name:<8} {value}" for name, value in run.error.items())
        return
    yield ""
    width = max(map(len, run.facts), default=0)
    yield from (f"  {name:<{width}}  {value}" for name, value in run.facts.items() if value)
    yield from (f"  {key}: {reason}" for key, reason in run.weaker.items())
    yield from _walls(run)
    yield from _denials(run)
    yield from _network(run)
    yield from _limits(run)
    if drawn and run.samples:
        yield from _course(run)
    if run.missing:
        yield ""
        yield "not in this report"
        yield from (f"  {line}" for line in run.missing)


def _walls(run: Run) -> Iterator[str]:
    if not run.walls:
        return
    yield ""
    yield "enforced, as read back from the running job"
    width = max(len(wall.name) for wall in run.walls)
    for wall in run.walls:
        yield f"  {'yes' if wall.held else 'NO':<4} {wall.name:<{width}}  {wall.detail}"


def _denials(run: Run) -> Iterator[str]:
    if not run.denials and not run.denials_dropped:
        if not any(line.startswith("denials") for line in run.missing):
            yield ""
            yield "denied: nothing"
        return
    yield ""
    yield f"denied: {amounts.things(len(run.denials))}"
    for denial in run.denials:
        yield from shown(denial)
    if run.denials_dropped:
        yield f"  and {run.denials_dropped} more, which were counted only"


def _network(run: Run) -> Iterator[str]:
    if run.network is None:
        return
    yield ""
    yield "network: " + "; ".join(f"{name} {value}" for name, value in run.network.facts.items() if value)
    if run.network.lost:
        yield f"  {run.network.lost}"
    rows = [
        (
            contact.verdict,
            contact.place,
            contact.via,
            amounts.times(contact.count),
            "; ".join(part for part in (contact.why, contact.moved) if part),
        )
        for contact in run.network.contacts
    ]
    yield from _columns(rows)
    if run.network.more:
        yield f"  and {run.network.more} more, which are not listed"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Give rows of cells, each but the last as wide as the widest of its column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  " + "  ".join((*cells, row[-1])).rstrip()


def _limits(run: Run) -> Iterator[str]:
    if not run.limits:
        return
    yield ""
    yield "limits"
    rows = [
        (
            limit.key.removeprefix("limits."),
            limit.value_text(),
            limit.means,
            f"used {limit.peak_text()}" if limit.peak is not None else "",
            f"MET {amounts.times(limit.hits)}" if limit.hits else "",
            limit.detail,
        )
        for limit in run.limits
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  " + "  ".join((*cells, *row[4:])).rstrip()


def _course(run: Run) -> Iterator[str]:
    """Draw each curve in one line: its highest value in each part of the time."""
    yield ""
    last = run.samples[-1]
    yield f"course over {amounts.duration(last.t)}"
    rows: tuple[tuple[str, list[float], Callable[[float], str]], ...] = (
        ("memory", [sample.memory for sample in run.samples], amounts.size),
        ("CPUs", [busy for _, busy in cpus(run.samples)], amounts.short),
        ("tasks", [sample.tasks for sample in run.samples], amounts.short),
    )
    for name, values, write in rows:
        if values:
            yield f"  {name:<7} {_bars(values)}  at most {write(max(values))}"
    yield f"  I/O     {amounts.size(last.read)} read, {amounts.size(last.written)} written"


def cpus(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Give how many CPUs were busy between samples: (seconds, CPUs)."""
    found = []
    for before, after in pairwise(samples):
        if after.t > before.t:
            found.append((after.t, max(after.cpu - before.cpu, 0.0) / (after.t - before.t)))
    return found


def _bars(values: Sequence[float]) -> str:
    most = max(values) or 1.0
    width = min(_WIDTH, len(values))
    parts = (
        values[
            len(values) * part // width : max(
                len(values) * (part + 1) // width, len(values) * part // width + 1
            )
        ]
        for part in range(width)
    )
    return "".join(_BARS[round((len(_BARS) - 1) * max(part) / most)] for part in parts)
