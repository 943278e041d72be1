"""Denial: one thing that a job was refused, in words.

Run by: the Python front; pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardbox.errors import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"


@dataclass(frozen=True, slots=True)
class Denial:
    """One thing that was refused.

    kind:    "syscall", "file", "network", "capability", "signal" or "limit".
    what:    the call, in words.
    count:   how often.
    process: name of the thread that was first, "" if it is not known.
    where:   the file and group, or the key, that refused it.
    why:     the reason that stands there.
    allow:   the smallest change that allows it.
    risk:    what that change costs: "low", "medium" or "high", and why; "" if there is no change.
    sure:    "certain", "likely" or "possible".
    """

    kind: str
    what: str
    count: int
    process: str
    where: str
    why: str
    allow: str
    risk: str
    sure: str

    @classmethod
    def from_json(cls, row: Mapping[str, object]) -> Denial:
        """Read it from a report; whatever is missing is empty."""
        count = row.get("count")
        texts = [str(row.get(name, "")) for name in ("process", "where", "why", "allow", "risk", "sure")]
        kind, what = str(row.get("kind", "")), str(row.get("what", ""))
        return cls(kind, what, count if isinstance(count, int) else 1, *texts)

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        texts = ("kind", "what", "process", "where", "why", "allow", "risk", "sure")
        return {name: plain(getattr(self, name)) for name in texts} | {"count": self.count}
