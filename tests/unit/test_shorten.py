"""A shorter program answers every call as the longer one does, and calls that are plainly allowed stay cheap.

Run by: pytest.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit import bpf_interpreter

from hardbox import filters
from hardbox.filters import bpf
from hardbox.filters import model as filter_model
from hardbox.filters.bpf import Instruction
from hardbox.filters.shorten import AND, JUMP_ANY, JUMP_MORE, shorten

X86 = bpf.AUDIT_ARCHITECTURES["x86_64"]
TESTS = (bpf.JUMP_EQUAL, bpf.JUMP_AT_LEAST, JUMP_MORE, JUMP_ANY)
# Few values, so that tests agree and contradict each other often.
VALUES = (0, 1, 2, 3, 7, 0xFFFF_FFFF, X86)


@st.composite
def programs(draw: st.DrawFn) -> list[Instruction]:
    length = draw(st.integers(0, 30))
    whole = []
    for here in range(length):
        code = draw(st.sampled_from((*TESTS, *TESTS, bpf.LD_WORD, bpf.LD_WORD, AND, bpf.JUMP, bpf.RETURN)))
        reach = st.integers(0, length - here - 1)
        if code in TESTS:
            whole.append(Instruction(code, draw(reach), draw(reach), draw(st.sampled_from(VALUES))))
        elif code == bpf.LD_WORD:
            whole.append(Instruction(code, 0, 0, draw(st.sampled_from((0, 0, 4, 16, 24)))))
        elif code == bpf.JUMP:
            whole.append(Instruction(code, 0, 0, draw(reach)))
        else:
            whole.append(Instruction(code, 0, 0, draw(st.sampled_from(VALUES))))
    return [*whole, Instruction(bpf.RETURN, 0, 0, 9)]


@given(programs(), st.lists(st.tuples(*(st.sampled_from(VALUES) for _ in range(4))), min_size=8, max_size=8))
def test_the_shorter_program_gives_the_same_answers(
    program: list[Instruction], calls: list[tuple[int, int, int, int]]
) -> None:
    shorter = shorten(program)
    assert len(shorter) <= len(program)
    before, after = (bpf_interpreter.load(bpf.pack(one)) for one in (program, shorter))
    for number, arch, first, second in calls:
        words = bpf_interpreter.data(number, arch, (first, second, 0, 0, 0, 0))
        assert bpf_interpreter.run(after, words) == bpf_interpreter.run(before, words)


def test_what_is_known_is_not_asked_again() -> None:
    head = [Instruction(bpf.LD_WORD, 0, 0, 4), Instruction(bpf.JUMP_EQUAL, 1, 0, X86), ret(1)]
    number = [Instruction(bpf.LD_WORD, 0, 0, 0), Instruction(bpf.JUMP_EQUAL, 1, 0, 5), ret(2)]
    found = Instruction(bpf.JUMP_EQUAL, 0, 1, 5)
    assert shorten([*head, *number, *head, *number, ret(3)]) == [*head, number[0], found, ret(3), ret(2)]


def test_a_target_that_is_too_far_is_jumped_to() -> None:
    """The two ways from the first test share nothing, and each is longer than a conditional jump reaches."""
    chain = [
        instruction
        for n in range(200)
        for instruction in (Instruction(bpf.LD_WORD, 0, 0, 16), Instruction(bpf.JUMP_EQUAL, 0, 1, n), ret(n))
    ]
    program = [
        Instruction(bpf.LD_WORD, 0, 0, 24),
        Instruction(bpf.JUMP_EQUAL, 0, 1, 1),
        Instruction(bpf.JUMP, 0, 0, len(chain) + 1),
        *chain,
        ret(1000),
        *(one._replace(k=one.k + 4) if one.code == bpf.LD_WORD else one for one in chain),
        ret(2000),
    ]
    shorter = bpf_interpreter.load(bpf.pack(shorten(program)))
    longer = bpf_interpreter.load(bpf.pack(program))
    for second in (0, 1):
        for value in (0, 1, 100, 198, 199, 200):
            words = bpf_interpreter.data(0, 0, (value, second, 0, 0, 0, 0))
            assert bpf_interpreter.run(shorter, words) == bpf_interpreter.run(longer, words)


def test_an_instruction_that_no_filter_has_is_refused() -> None:
    with pytest.raises(ValueError, match="0x7"):
        shorten([Instruction(0x07, 0, 0, 0), ret(0)])


@pytest.mark.parametrize("name", ["strict", "baseline", "build", "inspect"])
def test_calls_that_their_number_allows_read_no_argument(name: str) -> None:
    """Such calls are in the kernel's own table (seccomp_cache_prepare): it runs no program for them."""
    rules = filter_model.effective(filter_model.load(name, filters.read_filter), add=(), refuse=(), keep=())
    program = bpf.unpack(filters.compile_rules(rules, "x86_64"))
    argued = {row.call for row in (*rules.refuse_when, *rules.allow_when)}
    plain = [filters.number(call, "x86_64") for call in rules.allow - argued]
    assert len(plain) > 100
    for number in plain:
        assert number < 0 or read(program, number) <= {0, 4}, number


def read(program: list[Instruction], number: int) -> set[int]:
    """Follow one call; give the offsets of the words that are loaded."""
    words = bpf_interpreter.data(number, X86, (0,) * 6)
    found = set()
    here = accumulator = 0
    while program[here].code != bpf.RETURN:
        code, jt, jf, k = program[here]
        here += 1
        if code == bpf.LD_WORD:
            found.add(k)
            accumulator = words[k >> 2]
        elif code == bpf.JUMP:
            here += k
        else:
            assert code in (bpf.JUMP_EQUAL, bpf.JUMP_AT_LEAST), code
            here += jt if (accumulator == k if code == bpf.JUMP_EQUAL else accumulator >= k) else jf
    assert program[here].k == bpf.RET_ALLOW
    return found


def ret(value: int) -> Instruction:
    return Instruction(bpf.RETURN, 0, 0, value)
