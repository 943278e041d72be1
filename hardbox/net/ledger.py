"""What the broker reports in the end: rows of what was denied, allowed and failed, and totals; all bounded.

Run by: the broker; pure. Hosts come from the job and are hostile text: they are cut, and only printable ASCII
stays as it is. Also the one place that counts bytes against the limit of a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hardbox.net import wire
from hardbox.network_report import ALLOWED, DENIED, FAILED

if TYPE_CHECKING:
    from hardbox.network_report import Reason, Verdict

MOST_ROWS: Final = 512
_MOST_TEXT: Final = 255


@dataclass(frozen=True, slots=True)
class ContactKey:
    """What rows are grouped by. host and detail are cleaned by `Ledger.add`."""

    verdict: Verdict
    host: str
    port: int
    via: str
    reason: Reason = ""
    detail: str = ""


class Ledger:
    """Counts. Nothing here grows with what a job does: at most MOST_ROWS rows, of bounded length."""

    def __init__(self, log: str, most_bytes: int) -> None:
        """Start at nothing.

        log:        "off", "denied" (and failed) or "all".
        most_bytes: of both directions together.
        """
        self._kept = {"off": (), "denied": (DENIED, FAILED), "all": (ALLOWED, DENIED, FAILED)}[log]
        self._rows: dict[ContactKey, list[int]] = {}
        self._dropped = 0
        self._left = most_bytes
        self._open = 0
        self._connections = 0
        self._most = 0
        self._sent = 0
        self._received = 0

    def add(self, seen: ContactKey, sent: int = 0, received: int = 0) -> None:
        """Count one thing; in a row of its own if there is room for one."""
        if seen.verdict not in self._kept:
            return
        key = ContactKey(seen.verdict, clean(seen.host), seen.port, seen.via, seen.reason, clean(seen.detail))
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MOST_ROWS:
                self._dropped += 1
                return
            row = self._rows[key] = [0, 0, 0]
        row[0] += 1
        row[1] += sent
        row[2] += received

    @property
    def open(self) -> int:
        """How many connections are open."""
        return self._open

    def opened(self) -> None:
        """Count a connection that begins."""
        self._connections += 1
        self._open += 1
        self._most = max(self._most, self._open)

    def closed(self) -> None:
        """Count its end."""
        self._open -= 1

    @property
    def left(self) -> int:
        """How many bytes the run may still move."""
        return self._left

    def moved(self, sent: int, received: int) -> None:
        """Count bytes that were read from the job or from outside to be handed on."""
        self._sent += sent
        self._received += received
        self._left = max(0, self._left - sent - received)

    def end(self) -> dict[str, Any]:
        """Give the end event."""
        rows = [
            {
                "verdict": seen.verdict,
                "host": seen.host,
                "port": seen.port,
                "via": seen.via,
                "reason": seen.reason,
                "detail": seen.detail,
                "count": count,
                "sent": sent,
                "received": received,
            }
            for seen, (count, sent, received) in self._rows.items()
        ]
        return wire.end(
            rows,
            dropped=self._dropped,
            connections=self._connections,
            most=self._most,
            sent=self._sent,
            received=self._received,
        )


def clean(text: str) -> str:
    """Give hostile text as one line of printable ASCII, at most 255 characters."""
    cut = text[:_MOST_TEXT]
    if cut.isascii() and cut.isprintable():
        return cut
    plain = cut.encode("unicode_escape", "backslashreplace").decode("ascii")
    return plain[:_MOST_TEXT]
