"""The table at the end: held, vacuous, escaped, per section and caller.

Run by: tests/attack/conftest.py; the tests enter their verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TITLES: Final = {letter: title for letter, (_name, title) in CLASSES.items()}
PROPERTY: Final = "attack"
WORDS: Final = ("held", "vacuous", "escaped")


@dataclass(frozen=True, slots=True)
class Entry:
    """One verdict on one attack by one caller."""

    check: str
    caller: str
    word: str
    reason: str


def lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Give the table, then every vacuous and escaped row with its reason."""
    rows = list(dict.fromkeys(entries))
    callers = sorted({row.caller for row in rows})
    yield f"{'section':<26}" + "".join(f"{c + ' ' + w:>16}" for c in callers for w in WORDS)
    for section in sorted({row.check[0] for row in rows}):
        counts = [
            sum(1 for row in rows if (row.check[0], row.caller, row.word) == (section, caller, word))
            for caller in callers
            for word in WORDS
        ]
        yield f"{section + ' ' + TITLES[section]:<26}" + "".join(f"{count:>16}" for count in counts)
    for word in ("vacuous", "escaped"):
        for row in sorted((r for r in rows if r.word == word), key=lambda r: (r.check, r.caller)):
            yield f"{word}: {row.check} ({row.caller}): {row.reason}"
