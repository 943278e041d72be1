"""The part "network" of a report, on the terminal and in the page.  Run by: pytest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import faults, reports

from hardbox import network_report
from hardbox.view import network, terminal
from hardbox.view import run as view
from hardbox.view.html import render

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA: Final = faults.read_json(f"{__file__.rpartition('/tests/')[0]}/docs/report.schema.json")


def text(report: dict[str, Any]) -> str:
    return "\n".join(terminal.lines(view.read(report), drawn=False))


def page(report: dict[str, Any]) -> str:
    """Give the words of the page, without its marks."""
    body = render(view.read(report)).partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def with_network(**changed: object) -> dict[str, Any]:
    return reports.full() | {"network": reports.network() | changed}


BOTH: Final = pytest.mark.parametrize("show", [text, page], ids=["terminal", "page"])


@BOTH
def test_everything_that_a_reader_needs_is_said(show: Callable[[dict[str, Any]], str]) -> None:
    said = show(reports.full())
    for wanted in (
        *("41, at most 6 at once", "89.1 KiB sent, 190 MiB received", "index.example.org:443"),
        *("tracker.example.net:443", "transparent", "not-allowed", "[2001:db8::7]:22", "not known yet"),
        *("metadata.example.net", "limit-rate", "unreachable: Connection refused", "2 more"),
        *("87.9 KiB sent, 189 MiB received", "failed"),
    ):
        assert wanted in said, wanted
    assert network.LOST not in said


@BOTH
def test_what_was_denied_stands_first(show: Callable[[dict[str, Any]], str]) -> None:
    said = show(reports.full())
    places = [
        said.index(name) for name in ("metadata.example.net", "old.example.org:80", "index.example.org")
    ]
    assert places == sorted(places)


@BOTH
def test_a_job_without_such_a_network_is_told_nothing_of_it(show: Callable[[dict[str, Any]], str]) -> None:
    assert "etwork" not in show(reports.old()).replace("not in this report", "")
    assert "etwork" not in show(reports.refused() | {"error": {"code": "HB103"}})


@BOTH
def test_a_keeper_that_was_lost_is_told(show: Callable[[dict[str, Any]], str]) -> None:
    lost = network_report.read("allow", None).to_json()
    assert network.LOST in show(reports.full() | {"network": lost})


@BOTH
def test_a_bridge_has_no_connections_to_count(show: Callable[[dict[str, Any]], str]) -> None:
    rows = [reports.contact("denied", "192.0.2.1", 0, "bridge", "not-allowed", "icmp, counted in packets", 9)]
    said = show(with_network(mode="bridge", connections=0, most=0, contacts=rows, dropped=0))
    assert "bridge" in said
    assert "192.0.2.1" in said
    assert "192.0.2.1:" not in said
    assert "at once" not in said
    assert "connections none" not in said


@BOTH
def test_nothing_reached_is_said(show: Callable[[dict[str, Any]], str]) -> None:
    said = show(with_network(connections=0, most=0, sent=0, received=0, contacts=[], dropped=0))
    assert re.search(r"connections\s+none", said)
    assert re.search(r"moved\s+nothing", said)
    assert "more" not in said.partition("moved")[2].partition("imits")[0]


def test_what_the_front_writes_is_valid_and_shown() -> None:
    event = {name: value for name, value in reports.network().items() if name not in ("mode", "complete")}
    event["rows"] = event.pop("contacts")
    for use in (network_report.read("allow", event), network_report.read("bridge", None)):
        report = reports.full() | {"network": use.to_json()}
        jsonschema.Draft202012Validator(SCHEMA).validate(report)
        assert use.mode in text(report)


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "none"},
        {"complete": None},
        {"sent": -1},
        {"contacts": [{}]},
        {"contacts": [reports.contact("maybe", "", 0, "", "", "")]},
        {"contacts": [reports.contact("denied", "", 65536, "", "", "")]},
    ],
    ids=str,
)
def test_the_schema_says_what_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(with_network(**changed))


def test_more_rows_than_people_look_at_are_counted() -> None:
    row = reports.contact("denied", "b.example.org", 443, "socks", "not-allowed", "")
    found = network.read({"contacts": [row] * 700, "dropped": 5})
    assert found is not None
    assert (len(found.contacts), found.more) == (500, 205)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_any_field_may_be_anything(data: st.DataObject) -> None:
    table = reports.network()
    part = table if data.draw(st.booleans()) else table["contacts"][0]
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    assert text(reports.full() | {"network": table})
    assert page(reports.full() | {"network": table})
