"""What verify found: rows, counts, the exit status, JSON.

Run by: verify/examine.py, cli/verify.py; pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.verify.check import ALLOWED, ESCAPED, TITLES, VACUOUS, VERDICTS
from hardbox.verify.standards import ITEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = "hardbox.verify/1"
_SHOWN_REASONS: Final = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One check and what came of it.

    control: the place and outcome of the live control, "" if none was live.
    outcome: what came out inside.
    word:    "held", "allowed", "vacuous" or "escaped".
    """

    id: str
    group: str
    what: str
    source: str
    expects: str
    observed: str
    control: str
    outcome: str
    word: str
    reason: str

    def to_json(self) -> dict[str, object]:
        """Give the row for JSON."""
        return {
            "id": self.id,
            "class": self.group,
            "what": self.what,
            "source": self.source,
            "standards": list(ITEMS[self.group]),
            "expects": self.expects,
            "observed": self.observed,
            "control": self.control,
            "outcome": self.outcome,
            "verdict": self.word,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that one `hardbox verify` found.

    host:    facts by name, as text.
    profile: name, policy and plan digest...
    changed: what the controls harmed among their canaries: the proof that damage is seen.
    """

    rows: tuple[Row, ...]
    profile: Mapping[str, str]
    host: Mapping[str, str]
    seconds: float
    changed: tuple[str, ...] = ()

    def groups(self) -> tuple[str, ...]:
        """Give the classes that there are rows of, in the catalogue's order."""
        present = {row.group for row in self.rows}
        return tuple(group for group in TITLES if group in present)

    def count(self, word: str, group: str = "") -> int:
        """Count the rows with a verdict."""
        return sum(row.word == word and group in ("", row.group) for row in self.rows)

    def of(self, word: str) -> tuple[Row, ...]:
        """Give the rows with a verdict."""
        return tuple(row for row in self.rows if row.word == word)

    def held(self) -> bool:
        """Whether nothing escaped."""
        return not self.count(ESCAPED)

    def reasons(self, word: str) -> tuple[tuple[str, int], ...]:
        """Give why rows are vacuous or allowed, most frequent first, each with a count."""
        counts: dict[str, int] = {}
        for row in self.of(word):
            text = row.reason.partition(" (controls:")[0]
            counts[text] = counts.get(text, 0) + 1
        return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def summary(self) -> str:
        """Give the last line: what held, and what was vacuous and why."""
        live = len(self.rows) - self.count(VACUOUS)
        text = f"{live} live checks: " + ", ".join(
            f"{self.count(word)} {word}" for word in VERDICTS if word != VACUOUS
        )
        for word in (ALLOWED, VACUOUS):
            reasons = self.reasons(word)
            if reasons:
                shown = "; ".join(f"{count} {why}" for why, count in reasons[:_SHOWN_REASONS])
                more = (
                    f"; and {len(reasons) - _SHOWN_REASONS} more reasons"
                    if len(reasons) > _SHOWN_REASONS
                    else ""
                )
                text += f"\n{word}: {self.count(word)} ({shown}{more})"
        return text

    def to_json(self) -> dict[str, object]:
        """Give the document."""
        return {
            "schema": SCHEMA,
            "profile": dict(self.profile),
            "host": dict(self.host),
            "seconds": round(self.seconds, 3),
            "nothing_escaped": self.held(),
            "counts": {
                group: {word: self.count(word, group) for word in VERDICTS} for group in self.groups()
            },
            "controls_harmed": list(self.changed),
            "checks": [row.to_json() for row in self.rows],
        }
