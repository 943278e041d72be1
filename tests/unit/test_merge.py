"""Merging never weakens unless [loosen] names the key. Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.profile_values import KEYS, LIFTABLE, PATIENT, REASON, VALUES, layer, tables

from hardbox import rules
from hardbox.errors import ProfileError, Refused
from hardbox.profile import layers, merge, orders

if TYPE_CHECKING:
    from hardbox.profile.merge import State


def _parent(table: dict[str, object]) -> State:
    """A parent state; collisions of places in it are not the matter here."""
    return merge.put(None, layer({**table, "loosen": {}}, "parent.toml"))


def _weaker(before: State, after: State) -> set[str]:
    found = {key for key in orders.ORDERS if not orders.at_most(key, after.values[key], before.values[key])}
    return found | {
        f"refuse.{name}" for name in rules.RULES if name in before.refuse and name not in after.refuse
    }


def _gate(problems: list[object]) -> list[object]:
    return [p for p in problems if isinstance(p, ProfileError) and p.code in ("HB417", "HB418")]


@PATIENT
@given(tables(full=True, reasons=False), tables())
def test_a_child_is_never_weaker_where_no_reason_is_given(
    parent: dict[str, object], child: dict[str, object]
) -> None:
    before = _parent(parent)
    on_top = layer(child)
    after = merge.put(before, on_top)
    unexplained = _weaker(before, after) - set(on_top.reasons)
    assert bool(unexplained) == bool(_gate(list(on_top.problems)))
    assert set(after.loosened) >= _weaker(before, after)


@PATIENT
@given(tables(full=True, reasons=False), tables(reasons=False))
def test_reasons_for_just_the_weaker_keys_let_it_load(
    parent: dict[str, object], child: dict[str, object]
) -> None:
    before = _parent(parent)
    weaker = _weaker(before, merge.put(before, layer(child)))
    on_top = layer({**child, "loosen": dict.fromkeys(weaker, REASON)})
    after = merge.put(before, on_top)
    # Where two things meet at one place, the rules that one of them breaks are told too.
    told = {p.code for p in on_top.problems if not isinstance(p, Refused)}
    assert told <= {"HB423", "HB425", "HB430"}
    assert {key: reason for key, (reason, _) in after.loosened.items()} == dict.fromkeys(weaker, REASON)


@PATIENT
@given(tables(full=True, reasons=False), tables())
def test_a_reason_without_a_weaker_value_is_stale(
    parent: dict[str, object], child: dict[str, object]
) -> None:
    before = _parent(parent)
    on_top = layer(child)
    after = merge.put(before, on_top)
    stale = {p.value.split('"')[1] for p in on_top.problems if p.code == "HB420"}
    assert stale == set(on_top.reasons) - _weaker(before, after)


@PATIENT
@given(
    tables(full=True, reasons=False),
    tables(reasons=False),
    tables(reasons=False),
    st.sets(st.sampled_from(KEYS)),
)
def test_three_generations_are_never_weaker_without_a_reason(
    first: dict[str, object], second: dict[str, object], third: dict[str, object], reasons: set[str]
) -> None:
    top = _parent(first)
    middle_layer = layer({**second, "loosen": dict.fromkeys(reasons, REASON)})
    middle = merge.put(top, middle_layer)
    bottom_layer = layer(third)
    bottom = merge.put(middle, bottom_layer)
    if not _gate([*middle_layer.problems, *bottom_layer.problems]):
        assert _weaker(top, bottom) <= set(bottom.loosened)


@PATIENT
@given(tables(full=True, reasons=False), st.sampled_from(sorted(merge.GRANTED)), st.data())
def test_the_command_line_adds_as_far_as_the_profile_grants(
    parent: dict[str, object], key: str, data: st.DataObject
) -> None:
    before = _parent(parent)
    table, _, name = key.partition(".")
    value = layer({table: {name: data.draw(VALUES[key])}}).values[key]
    line = layers.Layer(layers.COMMAND_LINE)
    after = merge.put(before, line, {key: value})
    grants, values = merge.GRANTED[key]
    granted = before.values[grants] in values
    changed = after.values[key] != before.values[key]
    assert bool(_gate(list(line.problems))) == (changed and not granted)
    others = {other for other in orders.ORDERS if after.values[other] != before.values[other]} - {key}
    if key == "environment.pass":  # the caller's value of a variable takes the place of the profile's
        old, new = before.values["environment.set"], after.values["environment.set"]
        assert isinstance(old, dict)
        assert isinstance(new, dict)
        assert isinstance(value, tuple)
        assert set(old) - set(new) <= set(value)
        others.discard("environment.set")
    assert not others


@pytest.mark.parametrize(
    ("key", "grants"),
    [
        *(("filesystem.read", g) for g in ("read", "any")),
        ("filesystem.write", "any"),
        *(("environment.set", g) for g in ("read", "any")),
        *(("environment.pass", g) for g in ("read", "any")),
        ("network.allow", "any"),
        ("network.from_lockfile", "any"),
    ],
)
def test_what_each_grant_allows(key: str, grants: str) -> None:
    assert grants in merge.GRANTED[key][1]
    assert "none" not in merge.GRANTED[key][1]
    assert "read" not in merge.GRANTED["filesystem.write"][1]


def test_a_tightened_value_forgets_its_reason() -> None:
    strict = _parent({"limits": {"memory": "512M"}})
    child = layer({"limits": {"memory": "1G"}, "loosen": {"limits.memory": REASON}})
    weaker = merge.put(strict, child)
    assert weaker.loosened["limits.memory"] == (REASON, 512 << 20)
    grandchild = layer({"limits": {"memory": "256M"}})
    assert "limits.memory" not in merge.put(weaker, grandchild).loosened
    assert grandchild.problems == []
    half = merge.put(weaker, layer({"limits": {"memory": "800M"}}))
    assert half.loosened["limits.memory"][0] == REASON


@pytest.mark.parametrize("name", sorted(name for name, rule in rules.RULES.items() if rule.floor))
def test_no_profile_lifts_a_rule_of_the_floor(name: str) -> None:
    found = layers.from_table({"refuse": {name: False}, "loosen": {f"refuse.{name}": REASON}}, "c.toml", "")
    assert isinstance(found.problems[0], Refused)
    assert found.problems[0].code == rules.RULES[name].code
    assert name not in found.refuse


@pytest.mark.parametrize("name", LIFTABLE)
def test_other_rules_are_lifted_with_a_reason_only(name: str) -> None:
    before = _parent({})
    bare = layer({"refuse": {name: False}})
    merge.put(before, bare)
    assert [p.code for p in bare.problems] == ["HB417"]
    explained = layer({"refuse": {name: False}, "loosen": {f"refuse.{name}": REASON}})
    after = merge.put(before, explained)
    assert explained.problems == []
    assert name not in after.refuse
    assert after.loosened[f"refuse.{name}"][0] == REASON
    back = merge.put(after, layer({"refuse": {name: []}}))
    assert back.refuse[name] == rules.RULES[name].ids
    assert f"refuse.{name}" not in back.loosened


def test_a_child_adds_its_own_ids_to_a_rule() -> None:
    after = merge.put(_parent({}), layer({"refuse": {"host-devices": ["ACME-7", "CIS-5.18"]}}))
    assert after.refuse["host-devices"] == (*rules.RULES["host-devices"].ids, "ACME-7")


def test_a_profile_of_its_own_lifts_no_rule_by_silence() -> None:
    assert set(_parent({}).refuse) == set(rules.RULES)
