"""Reading a kept plan: what was encoded, and an error for everything else.  Run by: pytest."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.test_steps import STEPS

from hardbox.plan import HEADER, MAGIC, VERSION, LaunchPlan, Template
from hardbox.plan import steps as s
from hardbox.plan.decoded import decode


def sealed(body: bytes, count: int) -> bytes:
    """Give the bytes of a plan with a right digest and length."""
    size = HEADER.size + len(body)
    return HEADER.pack(MAGIC, VERSION, size, hashlib.sha256(body).digest(), count, 0) + body


@given(st.lists(STEPS, min_size=1, max_size=8))
def test_what_was_encoded_is_read(steps: list[s.Step]) -> None:
    plan = LaunchPlan((s.PolicyName("mine", "d1"), *steps), "mine", "d1")
    assert decode(plan.encode()) == plan


@given(st.lists(STEPS, min_size=1, max_size=4), st.integers(0), st.integers(0, 255))
def test_changed_steps_give_a_plan_or_an_error(steps: list[s.Step], at: int, byte: int) -> None:
    body = bytearray(b"".join(step.encode() for step in steps))
    body[at % len(body)] = byte
    try:
        decode(sealed(bytes(body), len(steps)))
    except ValueError as error:
        assert str(error)  # noqa: PT017 (either is right)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "size"),
        (sealed(b"", 1)[:-1], "size"),
        (b"X" + sealed(s.Exec().encode(), 1)[1:], "not a hardbox plan"),
        (sealed(s.Exec().encode(), 1)[:-1], "cut short"),
        (sealed(s.Exec().encode(), 1) + b"x", "appended"),
        (sealed(s.Exec().encode(), 0), "number of steps"),
        (sealed(s.Exec().encode(), 2), "malformed"),
        (sealed(s.Exec().encode() * 2, 1), "behind its last step"),
        (sealed(b"\xff" * 8, 1), "malformed"),
    ],
)
def test_what_is_no_plan_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode(data)


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1, max_size=5))
def test_a_template_gives_the_plan_of_any_command(argv: list[str]) -> None:
    def plan(words: list[str], workdir: str) -> LaunchPlan:
        steps = (
            s.Search("/bin"),
            *(s.Arg(word) for word in words),
            s.Securebits(),
            s.Chdir(workdir),
            s.Exec(),
        )
        return LaunchPlan(steps, "p", "d")

    template = Template(plan(["first", "command"], "/a"))
    for workdir in (None, "/b"):
        filled = template.filled(tuple(argv), workdir)
        wanted = plan(argv, workdir or "/a")
        assert filled == wanted
        assert filled.encode() == wanted.encode()
