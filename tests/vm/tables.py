"""Two runs of the same tests, read from JUnit files, side by side.

Run by: tests/vm/__main__.py; pure but for reading the files. The attack tests enter each verdict
as a property of the test's record: (check, caller, word, reason).
"""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Final

from attack.ledger import PROPERTY, TITLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

COUNTED: Final = ("passed", "failed", "skipped")
# In this order, as far as they occur.
WORDS: Final = ("held", "allowed", "vacuous", "escaped")
_ENDS: Final = {"failure": "failed", "error": "failed", "skipped": "skipped"}


@dataclass(frozen=True, slots=True)
class Row:
    """A verdict on one attack by one caller."""

    check: str
    caller: str
    word: str
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """What one kernel said.

    kernel: as `uname -r` gives it.
    tests:  id -> "passed", "failed", "skipped".
    said:   id -> why it did not pass, one line.
    rows:   one for each attack and caller.
    """

    kernel: str
    tests: Mapping[str, str]
    said: Mapping[str, str]
    rows: tuple[Row, ...]

    def failures(self) -> list[str]:
        """Give what must not be: failed tests, escapes."""
        failed = [f"{name}: {self.said[name]}" for name, end in self.tests.items() if end == "failed"]
        return failed + [f"escaped: {text}" for text in self.of("escaped").values()]

    def of(self, word: str) -> dict[str, str]:
        """Give the attacks with this verdict: id -> id, callers and reason."""
        callers: dict[str, list[str]] = {}
        reasons: dict[str, str] = {}
        for row in sorted((row for row in self.rows if row.word == word), key=lambda row: row.caller):
            callers.setdefault(row.check, []).append(row.caller)
            reasons[row.check] = row.reason
        return {
            check: f"{check} ({', '.join(callers[check])}): {reasons[check]}" for check in sorted(callers)
        }

    def skipped(self) -> list[str]:
        """Give the tests that were skipped, with the reasons."""
        return [f"{name}: {self.said[name]}" for name, end in self.tests.items() if end == "skipped"]


def read(paths: Iterable[str], kernel: str) -> Run:
    """Read the JUnit files that pytest wrote on one kernel.

    Raises OSError, or xml.etree.ElementTree.ParseError if a run ended before its file was written.
    """
    tests: dict[str, str] = {}
    said: dict[str, str] = {}
    rows: dict[Row, None] = {}
    for path in paths:
        for case in ET.parse(path).getroot().iter("testcase"):  # noqa: S314 (written by our own run)
            name = f"{case.get('classname', '')}::{case.get('name', '')}"
            # A test whose fixture fails while it is taken down has two records: the worse counts.
            if tests.get(name) != "failed":
                tests[name], said[name] = _end(case)
            for entry in case.iter("property"):
                if entry.get("name") == PROPERTY:
                    rows[Row(*ast.literal_eval(entry.get("value", "")))] = None
    return Run(kernel, tests, said, tuple(rows))


def _end(case: ET.Element) -> tuple[str, str]:
    for tag, end in _ENDS.items():
        part = case.find(tag)
        if part is not None:
            return end, (part.get("message") or part.text or "").strip().partition("\n")[0][:300]
    return "passed", ""


def _suite(name: str) -> str:
    """Give "system/test_api" for "tests.system.test_api::test_x"."""
    return name.partition("::")[0].removeprefix("tests.").replace(".", "/")


def _side_by_side(
    title: str, names: list[str], columns: list[str], cells: Mapping[str, list[int]]
) -> Iterator[str]:
    width = max(len(name) for name in [title, *names]) + 2
    yield f"{title:<{width}}" + "".join(f"{column:>10}" for column in columns)
    for name in names:
        yield f"{name:<{width}}" + "".join(f"{count or '-':>10}" for count in cells[name])


def _table(
    title: str, runs: tuple[Run, ...], counts: tuple[Counter[tuple[str, str]], ...], words: tuple[str, ...]
) -> Iterator[str]:
    names = sorted({name for count in counts for name, _ in count})
    cells = {name: [count[name, word] for count in counts for word in words] for name in names}
    columns = list(words) * len(runs)
    cells["all"] = [sum(cells[name][column] for name in names) for column in range(len(columns))]
    width = max(len(name) for name in [title, *names]) + 2
    # A name that is wider than its columns is cut: the lines below give it whole.
    room = 10 * len(words)
    yield f"{'':<{width}}" + "".join(f"{('Linux ' + run.kernel)[: room - 2]:>{room}}" for run in runs)
    yield from _side_by_side(title, [*names, "all"], columns, cells)


def lines(runs: tuple[Run, ...], left_out: Mapping[str, str]) -> Iterator[str]:
    """Give both tables, then everything that a number hides.

    runs: side by side, of one kernel or two.
    """
    tests = tuple(Counter((_suite(name), end) for name, end in run.tests.items()) for run in runs)
    yield from _table("tests", runs, tests, COUNTED)
    yield ""
    verdicts = tuple(
        Counter(
            (f"{row.check[0]} {TITLES.get(row.check[0], '')}, as {row.caller}", row.word) for row in run.rows
        )
        for run in runs
    )
    words = tuple(word for word in WORDS if any(row.word == word for run in runs for row in run.rows))
    if words:
        yield from _table("attacks", runs, verdicts, words)
        yield ""
    for path, why in left_out.items():
        yield f"left out: {path}: {why}"
    yield from _vacuous(runs)
    for run in runs:
        yield from (f"skipped on {run.kernel}: {text}" for text in run.skipped())
    yield from wrong(runs)


def _vacuous(runs: tuple[Run, ...]) -> Iterator[str]:
    """Name each attack that was not live somewhere: where, by whom, and why."""
    rows = [(run.kernel, run.of("vacuous")) for run in runs]
    for check in sorted({check for _, found in rows for check in found}):
        said: dict[str, list[str]] = {}
        for kernel, found in rows:
            if check in found:
                said.setdefault(found[check], []).append(kernel)
        alone = " alone" if sum(check in found for _, found in rows) < len(rows) else ""
        for text, kernels in said.items():
            yield f"vacuous on {'both' if len(kernels) > 1 else kernels[0] + alone}: {text}"


def wrong(runs: tuple[Run, ...]) -> list[str]:
    """Give what must not be: failures, escapes, and a test that only one kernel has run."""
    found = [f"FAILED on {run.kernel}: {text}" for run in runs for text in run.failures()]
    for here, there in permutations(runs, 2):
        found += [f"NOT RUN on {there.kernel}: {name}" for name in here.tests if name not in there.tests]
    return found
