"""The last word of a network's keeper, read and written.  Run by: pytest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox import network_report
from hardbox.net import keeper_wire, wire
from hardbox.net.ledger import ContactKey, Ledger

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

ROW: Final[dict[str, Any]] = {
    "verdict": "denied",
    "host": "b.example.org",
    "port": 443,
    "via": "connect",
    "reason": "not-allowed",
    "detail": "",
    "count": 3,
    "sent": 10,
    "received": 20,
}
END: Final[dict[str, Any]] = {
    "event": "end",
    "rows": [ROW],
    "dropped": 1,
    "connections": 7,
    "most": 2,
    "sent": 100,
    "received": 200,
}


def test_it_is_written_as_it_was_read() -> None:
    use = network_report.read("allow", END)
    assert (use.complete, use.connections, use.most, use.sent, use.received, use.dropped) == (
        *(True, 7, 2, 100, 200, 1),
    )
    rest = {name: value for name, value in END.items() if name not in ("event", "rows")}
    assert use.to_json() == {"mode": "allow", "complete": True, "problem": "", "contacts": [ROW], **rest}


def test_no_word_is_an_end_before_its_time() -> None:
    use = network_report.read("bridge", None)
    assert (use.mode, use.complete, use.contacts, use.connections) == ("bridge", False, (), 0)


def test_what_did_not_work_is_named_as_a_rule_names_it() -> None:
    failed = ROW | {"verdict": "failed", "reason": "connect", "detail": "ECONNREFUSED"}
    rows = [failed | {"host": "2001:db8::1"}, failed, ROW, failed, failed]
    assert network_report.failures(network_report.read("allow", END | {"rows": rows}))[:2] == [
        "allowed, and it did not work: [2001:db8::1]:443 (connect: ECONNREFUSED)",
        "allowed, and it did not work: b.example.org:443 (connect: ECONNREFUSED)",
    ]


def test_what_the_broker_and_the_bridge_say_is_understood() -> None:
    ledger = Ledger("denied", 1 << 40)
    ledger.opened()
    ledger.add(ContactKey(network_report.DENIED, "b.example.org", 443, "socks", "not-allowed", "x"), 1, 2)
    ledger.moved(5, 6)
    use = network_report.read("allow", json.loads(json.dumps(ledger.end())))
    assert (use.connections, use.sent, use.contacts[0].via, use.contacts[0].received) == (1, 5, "socks", 2)
    said = wire.end([keeper_wire.row("192.0.2.1", 0, "icmp", 9, "bridge")], sent=3, received=4)
    use = network_report.read("bridge", json.loads(json.dumps(said)))
    assert (use.received, use.contacts[0].count, use.contacts[0].port) == (4, 9, 0)


def changed(table: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    return {key: each for key, each in table.items() if key != name} | ({} if value is ... else {name: value})


@pytest.mark.parametrize("name", [name for name in END if name != "event"])
@pytest.mark.parametrize("value", [..., None, "1", -1, 1.5, True, {}], ids=repr)
def test_a_malformed_end_is_none_of_ours(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="keeper"):
        network_report.read("allow", changed(END, name, value))


@pytest.mark.parametrize("name", ROW)
@pytest.mark.parametrize("value", [..., None, [], True, -1, 0.5], ids=repr)
def test_a_malformed_row_is_none_of_ours(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="keeper"):
        network_report.read("allow", END | {"rows": [ROW, changed(ROW, name, value)]})


@pytest.mark.parametrize("row", [None, "x", [ROW], 1])
def test_a_row_is_a_table(row: object) -> None:
    with pytest.raises(ValueError, match="no table"):
        network_report.read("allow", END | {"rows": [row]})


@pytest.mark.parametrize(
    "more",
    [
        {"host": "\ud800"},
        {"host": "\x1b]0;x\x07"},
        {"detail": "a\nb"},
        {"reason": "\u202e"},
        {"verdict": "maybe"},
        {"port": 65536},
        {"count": 1 << 63},
        {"sent": 10**300},
    ],
    ids=str,
)
def test_what_no_keeper_writes_is_none_of_ours(more: dict[str, Any]) -> None:
    """It speaks with the job: whoever has got into it must not reach whoever reads the report."""
    with pytest.raises(ValueError, match="keeper"):
        network_report.read("allow", END | {"rows": [ROW | more]})


LEAF: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON: Final[SearchStrategy[object]] = st.recursive(
    LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*END, *ROW]) | st.text(), inner)
)


@given(st.dictionaries(st.sampled_from([*END, *ROW]), JSON))
def test_whatever_is_said_is_read_or_refused(event: dict[str, object]) -> None:
    try:
        use = network_report.read("allow", event)
    except ValueError:
        return
    assert use.complete
    json.dumps(use.to_json(), ensure_ascii=False).encode()
