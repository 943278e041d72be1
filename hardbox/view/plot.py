"""A curve as inline SVG: axes with units, the limit as a line; drawn by Python, still without a script.

Run by: view/html.py; pure. Curves differ by their dashes, not by colour alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.view import amounts
from hardbox.view.page import text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STYLE: Final = """
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1.2rem 2.5rem; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: .95rem; margin-bottom: .2rem; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font: 12px "DejaVu Sans", system-ui, sans-serif; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .curve { fill: none; stroke: var(--fair); stroke-width: 2; stroke-linejoin: round; }
svg .second { stroke-dasharray: 6 4; stroke: var(--ink); }
svg .area { fill: var(--fair); opacity: .12; }
svg .dot { fill: var(--fair); }
svg .limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 2 3; }
svg .limit-name { fill: var(--bad); }
@media print { .plots { grid-template-columns: 1fr 1fr; gap: 1rem; } }
"""
_WIDTH, _HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 14, 24, 40
_TICKS: Final = 4
# A limit this many times above the curve is drawn at the top, or the curve would be a flat line.
_FAR: Final = 12
_MOST_POINTS: Final = 700


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: its name, and (seconds, amount) in order of time."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot.

    write:  an amount as text, for the axis.
    binary: its ticks are powers of two.
    limit, limit_name: where the line is, and what is written at it.
    """

    title: str
    about: str
    curves: tuple[Curve, ...]
    write: Callable[[float], str]
    binary: bool = False
    limit: float | None = None
    limit_name: str = ""


def figure(plot: Plot) -> str:
    """Give the plot with its caption."""
    label = text(f"{plot.title}: {plot.about}")
    return (
        f'<figure><figcaption><b>{text(plot.title)}</b> <span class="soft">{text(plot.about)}</span></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{_drawn(plot)}</svg></figure>'
    )


def step(most: float, *, binary: bool) -> float:
    """Give the distance of ticks: about four of them, at round amounts."""
    if most <= 0:
        return 1.0
    rough = most / _TICKS
    if binary:
        return float(2.0 ** math.ceil(math.log2(rough)))
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next((power * part for part in (1, 2, 5) if power * part >= rough), power * 10)


def _drawn(plot: Plot) -> str:
    end = max((x for curve in plot.curves for x, _ in curve.points), default=0.0) or 1.0
    peak = max((y for curve in plot.curves for _, y in curve.points), default=0.0)
    far = plot.limit is not None and plot.limit > _FAR * max(peak, 0.0) > 0
    most = max(peak, 0.0 if plot.limit is None or far else plot.limit) or 1.0
    tick = step(most, binary=plot.binary)
    top = tick * max(1, math.ceil(most * 1.02 / tick))

    def across(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / end

    def up(y: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(max(y, 0.0), top) / top

    return "".join(
        (
            _levels(plot, tick, top, up),
            _times(end, across),
            *(_curve(curve, number, across, up) for number, curve in enumerate(plot.curves) if curve.points),
            _limit(plot, up(top) if far else up(plot.limit), far=far) if plot.limit is not None else "",
            _legend(plot.curves) if len(plot.curves) > 1 else "",
        )
    )


def _levels(plot: Plot, tick: float, top: float, up: Callable[[float], float]) -> str:
    found = []
    for number in range(round(top / tick) + 1):
        y = up(number * tick)
        kind = "grid" if number else "axis"
        found.append(
            f'<line class="{kind}" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text(plot.write(number * tick))}</text>'
        )
    return "".join(found)


def _times(end: float, across: Callable[[float], float]) -> str:
    """Draw the ticks of the time axis, in the unit that fits."""
    unit, name = next(
        ((unit, name) for unit, name in ((3600.0, "hours"), (60.0, "minutes")) if end >= 3 * unit),
        (1.0, "seconds"),
    )
    tick = step(end / unit, binary=False) * unit
    base = _HEIGHT - _BOTTOM
    marks = "".join(
        f'<line class="axis" x1="{across(at):.1f}" y1="{base}" x2="{across(at):.1f}" y2="{base + 4}"/>'
        f'<text x="{across(at):.1f}" y="{base + 17}" text-anchor="middle">{amounts.short(at / unit)}</text>'
        for at in (number * tick for number in range(math.floor(end / tick + 1e-9) + 1))
    )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        f'{marks}<text x="{middle:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">{name} since the start</text>'
    )


def _curve(curve: Curve, number: int, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    stride = max(1, math.ceil(len(curve.points) / _MOST_POINTS))
    points = (*curve.points[::stride], *(curve.points[-1:] if stride > 1 else ()))
    places = [f"{across(x):.1f},{up(y):.1f}" for x, y in points]
    if len(places) == 1:
        x, y = places[0].split(",")
        return f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"/>'
    line = f'<polyline class="curve{" second" if number else ""}" points="{" ".join(places)}"/>'
    if number:
        return line
    base = f"{up(0):.1f}"
    first, last = places[0].split(",")[0], places[-1].split(",")[0]
    area = f'<polygon class="area" points="{first},{base} {" ".join(places)} {last},{base}"/>'
    return area + line


def _limit(plot: Plot, y: float, *, far: bool) -> str:
    name = f"{plot.limit_name}, far above this plot" if far else plot.limit_name
    return (
        f'<line class="limit" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        f'<text class="limit-name" x="{_WIDTH - _RIGHT}" y="{y - 5:.1f}" text-anchor="end">{text(name)}</text>'
    )


def _legend(curves: Sequence[Curve]) -> str:
    found = []
    for number, curve in enumerate(curves):
        x = _LEFT + 110 * number
        kind = "curve second" if number else "curve"
        found.append(
            f'<line class="{kind}" x1="{x}" y1="10" x2="{x + 28}" y2="10"/>'
            f'<text x="{x + 34}" y="14">{text(curve.name)}</text>'
        )
    return "".join(found)
