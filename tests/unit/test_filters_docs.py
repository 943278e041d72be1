"""docs/filters.md lists the groups of strict as they are."""

from __future__ import annotations

from pathlib import Path

from hardbox import filters
from hardbox.filters import model as filter_model

PAGE = Path(__file__).parents[2] / "docs" / "filters.md"


def table() -> str:
    lines = ["| group | | why |", "|---|---|---|"]
    for group in filter_model.load("strict", filters.read_filter).groups:
        marks = [mark for mark in ("addable", "optional") if getattr(group, mark)]
        marks += [f"with {group.with_capability}"] if group.with_capability else []
        lines.append(f"| `{group.name}` | {', '.join(marks)} | {group.why} |")
    return "\n".join(lines)


def test_the_page_lists_the_groups_of_strict() -> None:
    assert table() in PAGE.read_text(), f"put this between the marks of {PAGE.name}:\n{table()}"


def test_the_page_explains_every_key_of_a_group() -> None:
    text = PAGE.read_text()
    assert not [key for key in filter_model.GROUP_KEYS if f"`{key}`" not in text]
