"""The ledger: what is counted, and that it is bounded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.net.ledger import MOST_ROWS, ContactKey, Ledger, clean
from hardbox.network_report import ALLOWED, DENIED, FAILED


def test_rows_are_grouped_by_everything_but_the_counts() -> None:
    ledger = Ledger("all", 1000)
    ledger.add(ContactKey(ALLOWED, "a.example.org", 443, "connect"), sent=1, received=10)
    ledger.add(ContactKey(ALLOWED, "a.example.org", 443, "connect"), sent=2, received=20)
    ledger.add(ContactKey(ALLOWED, "a.example.org", 443, "socks"))
    rows = ledger.end()["rows"]
    assert [(row["via"], row["count"], row["sent"], row["received"]) for row in rows] == [
        ("connect", 2, 3, 30),
        ("socks", 1, 0, 0),
    ]


@pytest.mark.parametrize(
    ("log", "verdicts"), [("off", []), ("denied", [DENIED, FAILED]), ("all", [ALLOWED, DENIED, FAILED])]
)
def test_log_says_which_rows_there_are(log: str, verdicts: list[str]) -> None:
    ledger = Ledger(log, 1000)
    for verdict in (ALLOWED, DENIED, FAILED):
        ledger.add(ContactKey(verdict, "a.example.org", 443, "connect"))
    end = ledger.end()
    assert [row["verdict"] for row in end["rows"]] == verdicts
    assert end["dropped"] == 0


def test_rows_are_bounded_and_those_that_are_there_go_on_counting() -> None:
    ledger = Ledger("denied", 1000)
    for number in range(MOST_ROWS + 7):
        ledger.add(ContactKey(DENIED, f"{number}.example.org", 443, "dns", "not-allowed"))
    ledger.add(ContactKey(DENIED, "0.example.org", 443, "dns", "not-allowed"))
    end = ledger.end()
    assert (len(end["rows"]), end["dropped"], end["rows"][0]["count"]) == (MOST_ROWS, 7, 2)


def test_connections_and_bytes() -> None:
    ledger = Ledger("off", 100)
    ledger.opened()
    ledger.opened()
    ledger.closed()
    ledger.opened()
    ledger.moved(30, 0)
    assert ledger.left == 70
    ledger.moved(0, 80)
    assert ledger.left == 0
    end = ledger.end()
    assert (end["connections"], end["most"], end["sent"], end["received"]) == (3, 2, 30, 80)
    assert ledger.open == 2


@given(st.text())
def test_hostile_text_becomes_one_line_of_ascii(text: str) -> None:
    line = clean(text)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 255
    ledger = Ledger("all", 1)
    ledger.add(ContactKey(DENIED, text, 1, "dns", "spelling", text))
    assert "\n" not in json.dumps(ledger.end())


def test_plain_text_stays_as_it_is() -> None:
    assert clean("files.example.org") == "files.example.org"
    assert clean("a\nb") == "a\\nb"
