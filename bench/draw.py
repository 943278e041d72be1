"""The plots of docs/bench/: goals, launch times, and the curves of scale; SVG, drawn by matplotlib.

Run by: bench/page.py. The same figures give the same bytes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = {"root": "#1f5fa8", "ordinary user": "#d98200"}
_MARKS: Final = {"root": "o", "ordinary user": "D"}
# Those that take ten times as long would press the others into a corner.
_LEFT_OUT: Final = ("firejail", "runc")
mpl.rcParams.update(
    {
        "svg.hashsalt": "hardbox",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def plots(kept: Mapping[str, Any], folder: str) -> None:
    """Draw what there are figures for."""
    rows = kept["rows"]
    _keep(_goals(rows), folder, "goals.svg")
    if any("plan" in of_user for of_user in rows.values()):
        _keep(_launches(rows), folder, "launches.svg")
    if any(of_user.get("in-a-row", {}).get("curves") for of_user in rows.values()):
        _keep(_scale(rows), folder, "scale.svg")


def _keep(figure: Figure, folder: str, name: str) -> None:
    figure.savefig(os.path.join(folder, name), metadata={"Date": None})
    plt.close(figure)


def _goals(rows: Mapping[str, Any]) -> Figure:
    """Draw each value over its goal: left of the line is met."""
    names = list(
        dict.fromkeys(name for of_user in rows.values() for name, row in of_user.items() if row["goal"])
    )
    figure, axes = plt.subplots(figsize=(7.5, 0.32 * len(names) + 1.2), layout="constrained")
    for user, of_user in rows.items():
        for y, name in enumerate(names):
            row = of_user.get(name)
            if row is None or row["value"] is None:
                continue
            share = row["goal"] / row["value"] if row["at_least"] else row["value"] / row["goal"]
            axes.plot(
                share,
                y,
                _MARKS[user],
                color=_COLOURS[user],
                label=f"as {user}",
                fillstyle="full" if share <= 1 else "none",
            )
    axes.axvline(1, color="#b00020", linestyle=":")
    axes.set(
        xscale="log",
        yticks=range(len(names)),
        yticklabels=names,
        xlabel="figure / goal; at most 1 is met (hollow: missed)",
    )
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    _legend(axes)
    return figure


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    if known:
        axes.legend(list(known.values()), list(known), frameon=False)


def _launches(rows: Mapping[str, Any]) -> Figure:
    found = {user: of_user["plan"] for user, of_user in rows.items() if "plan" in of_user}
    systems = [
        name
        for name in dict.fromkeys(name for row in found.values() for name in row["figures"])
        if not name.startswith(_LEFT_OUT)
    ]
    figure, axes = plt.subplots(figsize=(7.5, 0.45 * len(systems) + 1), layout="constrained")
    width = 0.8 / len(found)
    for number, (user, row) in enumerate(found.items()):
        known = [(place, name) for place, name in enumerate(systems) if name in row["figures"]]
        middles = [row["figures"][name] for _, name in known]
        errors = [
            [
                max(0, middle - row["spread"][name][0])
                for middle, (_, name) in zip(middles, known, strict=True)
            ],
            [
                max(0, row["spread"][name][1] - middle)
                for middle, (_, name) in zip(middles, known, strict=True)
            ],
        ]
        places = [place + (number - (len(found) - 1) / 2) * width for place, _ in known]
        axes.barh(
            places, middles, width, xerr=errors, color=_COLOURS[user], label=f"as {user}", ecolor="#444"
        )
    axes.set(
        yticks=range(len(systems)), yticklabels=systems, xlabel="ms for one launch of `true`, middle half"
    )
    axes.invert_yaxis()
    _legend(axes)
    return figure


def _scale(rows: Mapping[str, Any]) -> Figure:
    plans = (
        ("in-a-row", ("ms",), "launches in a row", "ms for one launch (median of 100)"),
        (
            "in-a-row",
            ("memory in use, MiB", "slab that cannot be reclaimed, MiB"),
            "launches in a row",
            "MiB of the machine",
        ),
        (
            "in-a-row",
            ("processes", "mounts", "cgroups", "descriptors"),
            "launches in a row",
            "count, of the machine",
        ),
        ("alive", ("ms until it runs",), "sandboxes alive", "ms until the next one runs"),
        ("alive", ("MiB for each",), "sandboxes alive", "MiB for each"),
    )
    figure, grid = plt.subplots(3, 2, figsize=(9, 9), layout="constrained")
    styles = ("-", "--", ":", "-.")
    for axes, (name, curves, across, up) in zip(grid.flat, plans, strict=False):
        for user, of_user in rows.items():
            for style, curve in zip(styles, curves, strict=False):
                points = of_user.get(name, {}).get("curves", {}).get(curve, [])
                label = f"as {user}" + (f": {curve.partition(',')[0]}" if len(curves) > 1 else "")
                if points:
                    axes.plot(
                        *zip(*points, strict=True), style, color=_COLOURS[user], label=label, linewidth=1
                    )
        axes.set(xlabel=across, ylabel=up)
        axes.set_ylim(bottom=0)
        _legend(axes)
    grid.flat[-1].set_axis_off()
    return figure
