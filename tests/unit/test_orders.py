"""Each key's order is an order, and says what it should. Run by: pytest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.profile_values import PATIENT, VALUES, layer

from hardbox.policy import UNLIMITED, Bind
from hardbox.profile import merge, orders, schema


@st.composite
def triples(draw: st.DrawFn) -> tuple[str, list[object]]:
    key = draw(st.sampled_from(sorted(VALUES)))
    found = [draw(VALUES[key]) for _ in range(3)]
    table, _, name = key.partition(".")
    read = [layer({table: {name: value}} if name else {key: value}).values[key] for value in found]
    return key, read


def test_every_key_has_a_reader_an_order_and_a_default() -> None:
    assert list(schema.READERS) == list(orders.ORDERS) == list(VALUES)
    assert set(merge.DEFAULTS) == set(orders.ORDERS)


@PATIENT
@given(triples())
def test_orders_are_reflexive_and_transitive(case: tuple[str, list[object]]) -> None:
    key, (a, b, c) = case
    assert orders.at_most(key, a, a)
    if orders.at_most(key, a, b) and orders.at_most(key, b, c):
        assert orders.at_most(key, a, c)


# Where two different values may give the same: ids (only 0 counts), names, lists in another order.
_PREORDERS = (
    *("network.allow", "network.bridge", "network.log", "network.subnet"),
    *("summary", "identity.user", "identity.group", "identity.hostname", "environment.set"),
    "seccomp.denials",
)


@PATIENT
@given(triples())
def test_orders_are_antisymmetric_where_values_are_canonical(case: tuple[str, list[object]]) -> None:
    key, (a, b, _) = case
    if key not in _PREORDERS and orders.at_most(key, a, b) and orders.at_most(key, b, a):
        assert a == b or (isinstance(a, tuple) and isinstance(b, tuple) and set(a) == set(b))


@pytest.mark.parametrize(
    ("key", "less", "more"),
    [
        ("identity.user", 1000, 0),
        ("identity.group", 5, 0),
        ("identity.ids", "single", "range"),
        ("filesystem.mode", "read-only", "ephemeral"),
        ("filesystem.changes", 1, 2),
        ("filesystem.show", ("/a",), ("/a", "/b")),
        ("filesystem.read", (), (Bind("/a", "/a"),)),
        ("filesystem.write", (), (Bind("/a", "/a"),)),
        ("filesystem.scratch", {"/a": 1}, {"/a": 2}),
        ("filesystem.scratch", {}, {"/a": 1}),
        ("filesystem.exec", "shown", "anywhere"),
        ("filesystem.grants", "none", "read"),
        ("filesystem.grants", "read", "any"),
        ("network.mode", "none", "loopback"),
        ("network.mode", "loopback", "allow"),
        ("network.allow", ("x.example.org:443",), ("*.example.org:443",)),
        ("network.allow", ("10.0.3.7:443",), ("10.0.0.0/8:*",)),
        ("network.from_lockfile", (), ("/a/uv.lock",)),
        ("network.grants", "none", "any"),
        ("network.sni", "match", "off"),
        ("network.join", "", "team"),
        ("network.bytes", 1, UNLIMITED),
        ("network.mode", "allow", "bridge"),
        ("network.allow", (), ("a.example:1",)),
        ("capabilities.keep", (), ("CHOWN",)),
        ("seccomp.filter", "strict", "baseline"),
        ("seccomp.filter", "build", "inspect"),
        ("seccomp.add", (), ("tracing",)),
        ("seccomp.refuse", ("memfd",), ()),
        *((key, 1, 2) for key in schema.LIMITS),
        ("limits.grace", 1, 2),
        ("limits.locked", 0, 1),
        ("limits.cpu_bandwidth", 10, UNLIMITED),
        ("limits.swap", 0, 1),
        ("limits.scratch_files", 1, UNLIMITED),
        ("environment.pass", (), ("LANG",)),
        ("refuse.host-etc", ("CIS-5.6",), None),
    ],
)
def test_the_direction_of_each_order(key: str, less: object, more: object) -> None:
    assert orders.at_most(key, less, more)
    assert not orders.at_most(key, more, less)
    assert orders.compare(key, less, more) == "weaker"
    assert orders.compare(key, more, less) == "stricter"


@pytest.mark.parametrize(
    ("key", "a", "b"),
    [
        ("filesystem.root", "host", "dir:/a"),
        ("filesystem.show", ("/usr/lib",), ("/usr",)),
        ("filesystem.read", (Bind("/a", "/x"),), (Bind("/a", "/y"),)),
        ("filesystem.scratch", {"/a": 1}, {"/b": 1}),
        ("seccomp.filter", "strict", "/f/a.toml"),
    ],
)
def test_incomparable_values_need_a_reason_both_ways(key: str, a: object, b: object) -> None:
    assert orders.compare(key, a, b) == orders.compare(key, b, a) == "incomparable"


def test_a_key_without_an_order_passes_nothing() -> None:
    with pytest.raises(KeyError):
        orders.at_most("filesystem.new", 1, 1)
