"""docs/bench/README.md from the figures: the table of goals, and what was measured for each.

Run by: bench/main.py. `bench/page.py [DIR]` writes it anew from DIR/figures.json.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

USERS: Final = ("root", "ordinary user")
_BEGIN, _END = "<!-- goals: written by bench/page.py -->", "<!-- end of goals -->"
_PLOTS: Final = (
    ("goals.svg", "each figure against its goal"),
    ("launches.svg", "launch times"),
    ("scale.svg", "scale"),
)


def written(kept: Mapping[str, Any], folder: str) -> str:
    """Write the page and the plots; give the table of goals."""
    try:
        import draw  # noqa: PLC0415 (matplotlib takes a second, and need not be there)

        draw.plots(kept, folder)
    except ImportError as error:
        print(f"no plots: {error}", file=sys.stderr)
    goals = "\n".join(_goals(kept["rows"]))
    plots = [f"![{text}]({name})" for name, text in _PLOTS if os.path.exists(os.path.join(folder, name))]
    lines = [
        "# Figures of `make bench`",
        "",
        "Written by `bench/page.py`, not by hand. Medians; in brackets the middle half. All take turns in",
        "one run: ratios hold better than figures. `strict` with nothing switched off, unless said.",
        "",
        *(f"* {name}: {value}" for name, value in kept["machine"].items()),
        "",
        "## Goals",
        "",
        goals,
        "",
        *plots,
        "",
        "## What was measured",
        *_details(kept["rows"]),
    ]
    with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    _put_between(os.path.join(folder, "..", "performance.md"), goals)
    return goals


def _put_between(path: str, goals: str) -> None:
    """Put the table of goals into docs/performance.md, between its two marks, where there is one."""
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if begin and end:
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{before}{begin}\n{goals}\n{end}{after}")


def _goals(rows: Mapping[str, Any]) -> Iterator[str]:
    users = [user for user in USERS if user in rows]
    yield "| figure | goal | " + " | ".join(f"as {user}" for user in users) + " |"
    yield "|---|---|" + "---|" * len(users)
    for name in _names(rows):
        known = next(rows[user][name] for user in users if name in rows[user])
        goal = "" if known["goal"] is None else f"{'≥' if known['at_least'] else '≤'} {known['goal']:g}"
        cells = [_cell(rows[user].get(name)) for user in users]
        yield f"| {known['about']} (`{name}`) | {goal} | {' | '.join(cells)} |"


def _names(rows: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for user in USERS for name in rows.get(user, {})))


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["value"] is None:
        return f"not measured: {row['missing']}"
    return f"**{row['value']:.2f}** ({row['low']:.2f}..{row['high']:.2f}) {row['verdict']}".strip()


def _details(rows: Mapping[str, Any]) -> Iterator[str]:
    """Give a table for each measurement; rows of the same one share it."""
    groups: list[tuple[list[str], list[tuple[str, Any]]]] = []
    for name in _names(rows):
        known = [(user, rows[user][name]) for user in USERS if name in rows.get(user, {})]
        same = groups and [row["figures"] for _, row in groups[-1][1]] == [row["figures"] for _, row in known]
        if same and known[0][1]["figures"]:
            groups[-1][0].append(name)
        else:
            groups.append(([name], known))
    for names, known in groups:
        yield from ("", f"### {', '.join(names)}", "")
        yield f"| {known[0][1]['unit']} | " + " | ".join(f"as {user}" for user, _ in known) + " |"
        yield "|---|" + "---|" * len(known)
        every = dict.fromkeys(system for _, row in known for system in (*row["figures"], *row["others"]))
        for system in every:
            yield f"| {system} | " + " | ".join(_figure(row, system) for _, row in known) + " |"
        yield ""
        for user, row in known:
            note = f"; {row['note']}" if row["note"] else ""
            yield f"* as {user}: {row['date']}, load {row['load']}{note}"


def _figure(row: Mapping[str, Any], system: str) -> str:
    if system not in row["figures"]:
        return str(row["others"].get(system, "-"))[:200].replace("|", "/")
    text = f"{row['figures'][system]:.2f}"
    if system in row["spread"]:
        text += " ({:.2f}..{:.2f})".format(*row["spread"][system])
    return text


if __name__ == "__main__":
    DIRECTORY = (
        sys.argv[1]
        if len(sys.argv) > 1
        else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "bench")
    )
    with open(os.path.join(DIRECTORY, "figures.json"), encoding="utf-8") as source:
        print(written(json.load(source), DIRECTORY))
