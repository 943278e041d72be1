"""What the process that kept a job's network says of it, as frozen values.

Run by: the Python front; pure. hardbox/net/ledger.py writes it, engines/keeper.py reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from hardbox.errors import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

ALLOWED: Final = "allowed"
DENIED: Final = "denied"
FAILED: Final = "failed"
Verdict = Literal["allowed", "denied", "failed"]
VERDICTS: Final[tuple[Verdict, ...]] = (ALLOWED, DENIED, FAILED)
# Why something was denied; docs/network.md says what each one means.
Denial = Literal[
    "not-allowed",
    "spelling",
    "unfit-address",
    "server-name",
    "host-header",
    "protocol",
    "limit-connections",
    "limit-rate",
    "limit-bytes",
    "limit-idle",
    "limit-names",
]
# Why something that was allowed did not work; "protocol" too, if it was the server's fault, or our own.
Failure = Literal["unresolved", "unreachable"]
# "" of what was allowed and worked.
Reason = Literal[Denial, Failure, ""]
DENIALS: Final[tuple[Denial, ...]] = get_args(Denial)
FAILURES: Final[tuple[Failure, ...]] = get_args(Failure)
REASONS: Final[tuple[Reason, ...]] = (*DENIALS, *FAILURES)
_MOST_PORT: Final = 65535
# Bytes and counts of one run are less; a report is read by programs that have no longer numbers.
_MOST: Final = (1 << 63) - 1
# Lines that a person still reads.
_MOST_TOLD: Final = 5
_TEXTS: Final = ("verdict", "host", "via", "reason", "detail")
_NUMBERS: Final = ("port", "count", "sent", "received")
_TOTALS: Final = ("connections", "most", "sent", "received", "dropped")


@dataclass(frozen=True, slots=True)
class Contact:
    """Attempts of one kind to reach one destination.

    verdict:  "allowed", "denied" or "failed" (allowed, and it did not work).
    host, port: as the job asked for it; "" and 0 where that was not known yet. Port 0 also where only
              the name was asked for, and of packets without ports.
    via:      "connect", "http", "socks", "transparent", "dns"; of mode bridge "bridge" or "pasta".
    reason:   why not, one of REASONS; "" if it was allowed.
    detail:   one line more, or "".
    count:    how often.
    sent, received: bytes, as the job sees it.
    """

    verdict: str
    host: str
    port: int
    via: str
    reason: str
    detail: str
    count: int
    sent: int
    received: int

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        texts = {name: plain(getattr(self, name)) for name in _TEXTS}
        return texts | {name: getattr(self, name) for name in _NUMBERS}


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """How a job has used its network.

    mode:        "allow" or "bridge".
    complete:    False if the process that kept it ended early: from then on nothing was reached.
    problem:     why it did, in its own words, "" if it said nothing.
    contacts:    as far as network.log says.
    connections: how many there were; most: at one time.
    sent, received: bytes, as the job sees it.
    dropped:     contacts beyond those that are listed.
    """

    mode: str
    complete: bool
    contacts: tuple[Contact, ...] = ()
    connections: int = 0
    most: int = 0
    sent: int = 0
    received: int = 0
    dropped: int = 0
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        totals = {name: getattr(self, name) for name in _TOTALS}
        rows = [contact.to_json() for contact in self.contacts]
        told = {"mode": self.mode, "complete": self.complete, "problem": plain(self.problem)}
        return {**told, **totals, "contacts": rows}


def failures(use: NetworkUse) -> list[str]:
    """Say what was allowed and did not work, one line each, for the first few."""
    from hardbox.destinations import place  # noqa: PLC0415 (only with a network)

    failed = [contact for contact in use.contacts if contact.verdict == "failed"]
    found = [
        f"allowed, and it did not work: {place(contact.host, contact.port)}"
        f" ({': '.join(part for part in (contact.reason, contact.detail) if part)})"
        for contact in failed[:_MOST_TOLD]
    ]
    return found + ([f"... and {len(failed) - _MOST_TOLD} more"] if len(failed) > _MOST_TOLD else [])


def read(mode: str, event: Mapping[str, object] | None, problem: str = "") -> NetworkUse:
    """Read the last word of the keeper; None: there was none. Raises ValueError if it is none of ours.

    problem: what it said went wrong.
    """
    if event is None:
        return NetworkUse(mode, complete=False, problem=problem)
    rows = event.get("rows")
    if not isinstance(rows, list):
        message = "the keeper of the network named no rows"
        raise ValueError(message)  # noqa: TRY004 (one kind of error for whatever is wrong with it)
    return NetworkUse(
        mode,
        complete=not problem,
        problem=problem,
        contacts=tuple(_contact(row) for row in rows),
        **{name: _number(event, name) for name in _TOTALS},
    )


def _contact(row: object) -> Contact:
    if not isinstance(row, dict):
        message = "a row of the keeper's is no table"
        raise ValueError(message)  # noqa: TRY004 (one kind of error for whatever is wrong with it)
    texts = {name: row.get(name) for name in _TEXTS}
    # The keeper writes nothing else, and it speaks with the job: what is more is not its own word any more.
    if not all(isinstance(text, str) and text.isascii() and text.isprintable() for text in texts.values()):
        message = "a row of the keeper's lacks a plain text"
        raise ValueError(message)
    numbers = {name: _number(row, name) for name in _NUMBERS}
    if texts["verdict"] not in VERDICTS or numbers["port"] > _MOST_PORT:
        message = "a row of the keeper's is of no known kind"
        raise ValueError(message)
    return Contact(**cast("dict[str, Any]", texts | numbers))


def _number(table: Mapping[str, object], name: str) -> int:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        message = f"the keeper's {name} is no number"
        raise ValueError(message)
    return value
