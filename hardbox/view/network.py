"""The part of a report about the job's network, read for people: every field checked.

Run by: view/run.py, view/terminal.py, view/html.py; pure. Hosts are the job's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.destinations import place
from hardbox.network_report import ALLOWED, DENIED, FAILED
from hardbox.view import amounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Rows of a table that people still look at.
_MOST_ROWS: Final = 500
_ORDER: Final = (DENIED, FAILED, ALLOWED)


@dataclass(frozen=True, slots=True)
class Contact:
    """One row.

    verdict: "denied", "failed" or "allowed".
    place:   where to: "b.example.org:443", or less if that is all that is known.
    via:     the way that was taken.
    count:   how often.
    moved:   bytes both ways in words; "" for none.
    why:     the reason and what more is known; "" if it was allowed.
    """

    verdict: str
    place: str
    via: str
    count: int
    moved: str
    why: str


@dataclass(frozen=True, slots=True)
class Network:
    """What a job did with its network.

    facts:    names and values, as text.
    lost:     why, if the process that kept it ended before the job; else "".
    contacts: denied ones first.
    more:     contacts that are not among them.
    """

    facts: dict[str, str]
    lost: str
    contacts: tuple[Contact, ...]
    more: int


LOST: Final = (
    "the process that kept the network ended before the job: from then on nothing was reached, "
    "and what it had seen is not known"
)


def read(table: object) -> Network | None:
    """Read the part of a report; None if the job had no such network, or the report does not tell."""
    if not isinstance(table, dict):
        return None
    rows = table.get("contacts")
    listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    contacts = sorted(map(_contact, listed[:_MOST_ROWS]), key=_rank)
    return Network(
        dict(_facts(table)),
        _lost(table) if table.get("complete") is not True else "",
        tuple(contacts),
        _count(table, "dropped") + len(listed) - len(contacts),
    )


def _lost(table: Mapping[str, object]) -> str:
    problem = str(table.get("problem") or "")
    return f"{LOST} ({problem})" if problem else LOST


def _rank(contact: Contact) -> int:
    return _ORDER.index(contact.verdict) if contact.verdict in _ORDER else len(_ORDER)


def _facts(table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "mode", str(table.get("mode", ""))
    connections, most = _count(table, "connections"), _count(table, "most")
    # The kernel does not count a bridge's.
    if table.get("mode") != "bridge":
        yield "connections", f"{connections}, at most {most} at once" if connections else "none"
    yield "moved", _moved(table) or "nothing"


def _contact(row: Mapping[str, object]) -> Contact:
    host, port = str(row.get("host", "")), _count(row, "port")
    why = ": ".join(part for part in (str(row.get("reason", "")), str(row.get("detail", ""))) if part)
    return Contact(
        str(row.get("verdict", "")),
        place(host, port) or "not known yet",
        str(row.get("via", "")),
        _count(row, "count"),
        _moved(row),
        why,
    )


def _moved(table: Mapping[str, object]) -> str:
    sent, received = _count(table, "sent"), _count(table, "received")
    if not sent and not received:
        return ""
    return f"{amounts.size(sent)} sent, {amounts.size(received)} received"


def _count(table: Mapping[str, object], name: str) -> int:
    found = amounts.number(table.get(name))
    return max(int(found), 0) if found is not None else 0
