"""The vocabulary of plans: the same in Python and in C.  Run by: pytest."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.plan import steps as s

KINDS_H = Path(__file__).parents[2] / "hardbox" / "launch" / "kinds.h"
ROW = re.compile(r'KIND\((\d+), (\w+), "([a-z-]+)", "([uqsb]*)", (OUTSIDE|DATA|INSIDE)\)')
RANGES = {"OUTSIDE": range(1, 20), "DATA": range(20, 40), "INSIDE": range(40, 100)}
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
# What a file name or an argument may be: any bytes but NUL.
TEXT = st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
VALUES = {"u": U32, "q": U64, "s": TEXT, "b": st.binary(max_size=40)}
STEPS = st.sampled_from(sorted(s.KINDS.values(), key=lambda kind: kind.number)).flatmap(
    lambda kind: st.tuples(*(VALUES[letter] for letter in kind.layout)).map(lambda values: kind(*values))
)


def rows() -> dict[int, tuple[str, str, str, str]]:
    return {int(row[0]): row[1:] for row in ROW.findall(KINDS_H.read_text())}


def test_every_row_of_kinds_h_is_read() -> None:
    listed = [line for line in KINDS_H.read_text().splitlines() if line.startswith("\tKIND(")]

    assert len(rows()) == len(listed) > 50


@pytest.mark.parametrize("number", sorted(rows() | s.KINDS))
def test_a_kind_is_the_same_in_python_and_in_c(number: int) -> None:
    _, text, fields, phase = rows()[number]
    kind = s.KINDS[number]

    assert (kind.number, kind.kind, kind.layout) == (number, text, fields)
    assert number in RANGES[phase]
    assert len(kind.names) == len(fields) <= 6


@pytest.mark.parametrize("number", sorted(s.KINDS))
def test_a_c_name_follows_from_the_plan_name(number: int) -> None:
    name, text, _, _ = rows()[number]

    assert name.lower().replace("_", "-") == text


def unpack(kind: type[s.Step], payload: bytes) -> tuple[int | str | bytes, ...]:
    """Decode a payload as plan.h says, independently of steps.py."""
    values: list[int | str | bytes] = []
    at = 0
    for letter in kind.layout:
        form = "<Q" if letter == "q" else "<I"
        (number,) = struct.unpack_from(form, payload, at)
        at += struct.calcsize(form)
        if letter in "uq":
            values.append(number)
            continue
        data = payload[at : at + number]
        at += number
        if letter == "s":
            assert payload[at] == 0
            at += 1
            values.append(data.decode("utf-8", "surrogateescape"))
        else:
            values.append(data)
    assert at == len(payload)
    return tuple(values)


@given(STEPS)
def test_what_is_encoded_can_be_decoded(step: s.Step) -> None:
    data = step.encode()
    number, length = struct.unpack_from("<II", data)

    assert number == step.number
    assert length == len(data) - 8
    assert unpack(type(step), data[8:]) == step.values()


@given(STEPS)
def test_a_step_says_what_it_does_in_one_way(step: s.Step) -> None:
    assert isinstance(step.describe(), str)
    assert step == type(step)(*step.values())
    assert hash(step) == hash(type(step)(*step.values()))
    assert type(step).__name__ in repr(step)


@given(STEPS, STEPS)
def test_steps_are_equal_exactly_if_their_bytes_are(one: s.Step, other: s.Step) -> None:
    assert (one == other) == (one.encode() == other.encode())


def test_a_step_never_changes() -> None:
    step = s.Hostname("box")

    with pytest.raises(AttributeError, match="read-only"):
        step.name = "other"  # type: ignore[misc]
    assert step.values() == ("box",)


@pytest.mark.parametrize("values", [(), ("a", "b")])
def test_a_step_takes_exactly_its_fields(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="argument"):
        s.Hostname(*values)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_a_number_out_of_range_is_not_encoded(value: int) -> None:
    with pytest.raises(struct.error):
        s.Stdio(value).encode()


def test_attributes_are_named() -> None:
    assert s.attribute_words(s.RDONLY | s.NOSUID | s.NODEV | s.NOEXEC) == "read-only, nosuid, nodev, noexec"
    assert s.attribute_words(0) == ""
