"""Joining programs: jumps, limits, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit import bpf_interpreter

from hardbox.filters import bpf
from hardbox.filters.bpf import Instruction


def ret(value: int) -> Instruction:
    return Instruction(bpf.RETURN, 0, 0, value)


def test_going_on_becomes_a_jump_to_the_next_program() -> None:
    first = [
        Instruction(bpf.LD_WORD, 0, 0, 0),
        Instruction(bpf.JUMP_EQUAL, 0, 1, 7),
        ret(0x50001),
        ret(bpf.GO_ON),
    ]
    joined = bpf.join([first, [ret(bpf.RET_ALLOW)]])
    program = bpf_interpreter.load(bpf.pack(joined))
    assert bpf_interpreter.run(program, bpf_interpreter.data(7, 0, (0,) * 6)) == 0x50001
    assert bpf_interpreter.run(program, bpf_interpreter.data(8, 0, (0,) * 6)) == bpf.RET_ALLOW
    assert all(instruction.k != bpf.GO_ON for instruction in joined)


def test_the_last_program_must_not_go_on() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        bpf.join([[ret(bpf.RET_ALLOW)], [ret(bpf.GO_ON)]])


def test_a_jump_out_of_its_program_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves"):
        bpf.join([[Instruction(bpf.JUMP_EQUAL, 9, 0, 1), ret(0)], [ret(0)]])


def test_what_the_kernel_would_not_take_is_refused() -> None:
    assert len(bpf.join([[ret(0)] * 4096])) == 4096
    with pytest.raises(ValueError, match="4097"):
        bpf.join([[ret(0)] * 4097])


def test_packing_and_unpacking_are_inverse() -> None:
    program = bpf.entry("x86_64")
    assert bpf.unpack(bpf.pack(program)) == program
    with pytest.raises(ValueError, match="7 bytes"):
        bpf.unpack(b"1234567")


def test_a_program_without_a_check_of_the_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="architecture"):
        bpf.retarget([ret(0), ret(0)], 1, "x86_64")


NUMBERS = st.dictionaries(st.integers(0, 60), st.sampled_from([0x50001, bpf.RET_ALLOW, bpf.RET_KILL_PROCESS]))


def answer(program: list[Instruction], number: int) -> int:
    loaded = bpf_interpreter.load(bpf.pack(program))
    return bpf_interpreter.run(loaded, bpf_interpreter.data(number, 0, (0,) * 6))


@given(NUMBERS)
def test_a_search_gives_each_number_its_action_and_all_others_the_default(actions: dict[int, int]) -> None:
    program = bpf.by_number(actions, 0x50026)

    for number in (*range(70), 2**30, 2**31, 2**32 - 1):
        assert answer(program, number) == actions.get(number, 0x50026)


def test_a_search_reaches_further_than_a_jump() -> None:
    actions = {number: 0x50001 + number % 2 for number in range(1000)}
    program = bpf.by_number(actions, bpf.RET_KILL_PROCESS)

    assert any(step.code == bpf.JUMP for step in program)
    for number in range(1001):
        assert answer(program, number) == actions.get(number, bpf.RET_KILL_PROCESS)


def test_neighbours_with_one_action_are_one_leaf() -> None:
    program = bpf.by_number(dict.fromkeys(range(100), bpf.RET_ALLOW), 0x50026)

    assert len(program) == 4
