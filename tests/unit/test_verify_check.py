"""The judge of `hardbox verify`: held, allowed, vacuous, escaped.

Run by: pytest.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import plans

from hardbox import filters
from hardbox.policy import Filesystem, Limits, Network, Policy, Seccomp
from hardbox.verify.check import (
    ALLOWED,
    CALLER,
    CLASSES,
    ESCAPED,
    FILTERED,
    HELD,
    NEEDS_ROOT,
    NO_KNOWN_REASON,
    ROOT,
    VACUOUS,
    WORKED,
    Check,
    Facts,
    Outcome,
    judge,
)
from hardbox.verify.corpus import CHECKS
from hardbox.verify.promise import PERMITS, Promise, filter_allows
from hardbox.verify.standards import ITEMS, NAMES, supported_by

FACTS: Final = Facts()
CHECK: Final = Check("K1-x", "x", ("sys", "@mount", "bad"), FILTERED, "x", control=(CALLER,))
REFUSED, DONE = Outcome("EPERM"), Outcome("EFAULT")


def promise(policy: Policy, name: str = "strict", refuse: tuple[str, ...] = ("memfd",)) -> Promise:
    rules = filters.compile_filter(Seccomp(name), refuse=refuse, machine="x86_64").rules
    return Promise(policy, plans.build(plans.policy(), plans.USER), rules)


@pytest.mark.parametrize(
    ("outside", "inside", "word"),
    [(DONE, REFUSED, HELD), (REFUSED, REFUSED, VACUOUS), (DONE, DONE, ESCAPED), (REFUSED, DONE, ESCAPED)],
)
def test_verdicts(outside: Outcome, inside: Outcome, word: str) -> None:
    assert judge(CHECK, {CALLER: outside}, inside, FACTS, FACTS).word == word


def test_no_control_no_hold() -> None:
    assert judge(CHECK, {}, REFUSED, FACTS, FACTS).word == VACUOUS


def test_a_control_elsewhere_does_not_count() -> None:
    assert judge(CHECK, {ROOT: DONE}, REFUSED, FACTS, FACTS).word == VACUOUS


def test_reasons_of_vacuous_rows() -> None:
    assert NO_KNOWN_REASON in judge(CHECK, {CALLER: REFUSED}, REFUSED, FACTS, FACTS).reason
    for_root = replace(CHECK, control=(CALLER, ROOT))
    assert NEEDS_ROOT in judge(for_root, {CALLER: REFUSED}, REFUSED, FACTS, FACTS).reason
    known = replace(CHECK, vacuous="no such device")
    assert "no such device" in judge(known, {CALLER: REFUSED}, REFUSED, FACTS, FACTS).reason


def test_what_was_seen_is_judged_by_its_own_world() -> None:
    def names_host(text: str, facts: Facts) -> str:
        return text if facts.host_name in text else ""

    check = replace(CHECK, refused=frozenset(), saw=names_host)
    here, there = Facts(host_name="outer"), Facts(host_name="outer")
    outside, inside = Outcome(WORKED, "outer"), Outcome(WORKED, "inner")
    assert judge(check, {CALLER: outside}, inside, here, there).word == HELD
    assert judge(check, {CALLER: outside}, outside, here, there).word == ESCAPED


@given(st.integers(0, 200), st.integers(0, 31))
def test_outcomes_have_names(number: int, signal: int) -> None:
    outcome = Outcome.of(number, signal, "")
    assert outcome.word
    assert (outcome.word == WORKED) == (number == 0 and signal == 0)


def test_the_filter_of_strict_allows_no_attack() -> None:
    strict = promise(Policy("strict"))
    calls = [check for check in CHECKS if check.attempt[0] in ("sys", "clone") and check.section in "IK"]
    assert len(calls) > 100
    wrong = [
        check.id for check in calls if filter_allows(check.attempt, strict) and check.refused == FILTERED
    ]
    # The kernel, not the filter, refuses these: their arguments are no attack by themselves.
    assert [name for name in wrong if not name.startswith(("K18-number", "K20"))] == []


def test_a_looser_filter_allows_what_it_says() -> None:
    loose = promise(Policy("inspect"), "inspect", ())
    attempt = ("thread", "sys", "@ptrace", "0x4206", "-1", "0", "0")
    assert "allows ptrace" in filter_allows(attempt, loose)
    assert filter_allows(attempt, promise(Policy("strict"))) == ""
    check = replace(CHECK, attempt=attempt)
    assert judge(check, {CALLER: DONE}, DONE, FACTS, FACTS, loose).word == ALLOWED
    assert judge(check, {CALLER: DONE}, DONE, FACTS, FACTS, promise(Policy("strict"))).word == ESCAPED


def test_a_file_is_never_the_filters_matter() -> None:
    """unlink is allowed by every filter; a file of the host may not go for all that."""
    check = replace(CHECK, attempt=("sys", "@unlink", "s:/usr/bin/env"), refused=frozenset({"EROFS"}))
    done = Outcome(WORKED)
    assert judge(check, {CALLER: done}, done, FACTS, FACTS, promise(Policy("strict"))).word == ESCAPED


@pytest.mark.parametrize(
    ("permit", "policy"),
    [
        ("exec", Policy("x", filesystem=Filesystem(exec="anywhere"))),
        ("ephemeral", Policy("x", filesystem=Filesystem(mode="ephemeral"))),
        ("loopback", Policy("x", network=Network("loopback"))),
        ("tasks", Policy("x", limits=Limits(tasks=5000))),
    ],
)
def test_permits(permit: str, policy: Policy) -> None:
    assert PERMITS[permit](cast("Promise", SimpleNamespace(policy=policy, plan=None)))


def test_listening_without_a_wall_that_knows_tcp() -> None:
    """Before Landlock's fourth ABI; the job's network is its own all the same."""
    for facts, allowed in ((plans.USER, False), (plans.ROOT, True)):
        found = Promise(Policy("strict"), plans.build(plans.policy(), facts), promise(Policy("strict")).rules)
        assert bool(PERMITS["loopback"](found)) is allowed


def test_strict_has_no_permit() -> None:
    for permit in ("exec", "ephemeral", "loopback", "tasks"):
        assert PERMITS[permit](promise(Policy("strict", limits=Limits(tasks=64)))) == ""


def test_rows_name_permits_that_exist() -> None:
    assert {check.permit for check in CHECKS} - {""} <= set(PERMITS)


def test_every_row_can_be_judged() -> None:
    for check in CHECKS:
        assert check.refused or check.saw, check.id
        assert check.section in CLASSES, check.id
        assert check.expects
        assert check.observed
        assert check.what
        assert check.source
        assert check.control or check.vacuous, check.id


def test_every_class_supports_items_of_known_standards() -> None:
    assert set(ITEMS) == {name for name, _title in CLASSES.values()}
    for items in ITEMS.values():
        assert all(item.partition("-")[0] in NAMES for item in items)
    assert supported_by(("uts", "ipc"))["CIS-5.17"] == ("ipc",)
    assert next(iter(supported_by(("caps", "net")))) == "800-190-4.4.2"
