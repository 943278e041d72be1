"""The launcher's interpreter, and filters that tell: the same decision as the file states, for every input.

Run by: pytest; needs a C compiler.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit import bpf_interpreter
from unit.filter_oracle import ARCHES, Oracle, chain, numbers
from unit.test_filters_exhaustive import Choice, choices

from hardbox import data, filters
from hardbox.filters import floor
from hardbox.filters import model as filter_model
from hardbox.filters.observed import OBSERVED
from hardbox.filters.quiet import QUIET
from hardbox.policy import Seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Input = tuple[int, int, Sequence[int]]

LAUNCH = Path(__file__).parents[2] / "hardbox" / "launch"
NOTIFY, ERRNO, ALLOW, KILL = 0x7FC0_0000, 0x0005_0000, 0x7FFF_0000, 0x8000_0000
LD, AND, JA, JEQ, JGT, JGE, JSET, RET = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x45, 0x06


@pytest.fixture(scope="module")
def interpret(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[bytes, Sequence[Input]], list[tuple[int, ...]]]:
    """The launcher's interpreter, with sanitizers: (result, action, words looked at) for each input."""
    binary = tmp_path_factory.mktemp("bpf") / "bpf_dump"
    subprocess.run(
        [
            *("cc", "-std=c17", "-D_GNU_SOURCE", "-O1", "-fsanitize=address,undefined"),
            *("-fno-sanitize-recover=all", f"-I{LAUNCH}", str(Path(__file__).parent / "bpf_dump.c")),
            *(str(LAUNCH / "bpf.c"), "-o", str(binary)),
        ],
        check=True,
    )

    def run(program: bytes, inputs: Sequence[Input]) -> list[tuple[int, ...]]:
        given = [struct.pack("<I", len(program)), program]
        given += [
            struct.pack("<IIQ6Q", number & 0xFFFF_FFFF, arch, 0x1234, *(arg % 2**64 for arg in args))
            for arch, number, args in inputs
        ]
        done = subprocess.run([binary], input=b"".join(given), capture_output=True, check=False)
        assert done.stderr == b""
        assert done.returncode == 0
        return list(struct.iter_unpack("<iII", done.stdout))

    return run


def program(*steps: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


ZERO: Input = (0, 0, (0,) * 6)
# Each instruction, taken both ways: what a program of it answers for argument 0 = 0x18.
PROGRAMS = {
    "load": ((LD, 0, 0, 16), (JEQ, 0, 1, 0x18), (RET, 0, 0, 1), (RET, 0, 0, 2)),
    "and": ((LD, 0, 0, 16), (AND, 0, 0, 0x10), (JEQ, 0, 1, 0x10), (RET, 0, 0, 1), (RET, 0, 0, 2)),
    "jump": ((JA, 0, 0, 1), (RET, 0, 0, 2), (RET, 0, 0, 1)),
    "equal-not": ((LD, 0, 0, 16), (JEQ, 0, 1, 0x19), (RET, 0, 0, 2), (RET, 0, 0, 1)),
    "greater": ((LD, 0, 0, 16), (JGT, 0, 1, 0x17), (RET, 0, 0, 1), (RET, 0, 0, 2)),
    "greater-not": ((LD, 0, 0, 16), (JGT, 0, 1, 0x18), (RET, 0, 0, 2), (RET, 0, 0, 1)),
    "at-least": ((LD, 0, 0, 16), (JGE, 0, 1, 0x18), (RET, 0, 0, 1), (RET, 0, 0, 2)),
    "at-least-not": ((LD, 0, 0, 16), (JGE, 0, 1, 0x19), (RET, 0, 0, 2), (RET, 0, 0, 1)),
    "set": ((LD, 0, 0, 16), (JSET, 0, 1, 0x08), (RET, 0, 0, 1), (RET, 0, 0, 2)),
    "set-not": ((LD, 0, 0, 16), (JSET, 0, 1, 0x07), (RET, 0, 0, 2), (RET, 0, 0, 1)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_instruction(interpret: Callable[..., list[tuple[int, ...]]], name: str) -> None:
    ((result, action, looked),) = interpret(program(*PROGRAMS[name]), [(0, 0, (0x18, 0, 0, 0, 0, 0))])

    assert (result, action) == (0, 1)
    assert looked == (0 if name == "jump" else 1 << 4)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((), id="empty"),
        pytest.param(((LD, 0, 0, 0),), id="no-return"),
        pytest.param(((JA, 0, 0, 5), (RET, 0, 0, 1)), id="jump-out"),
        pytest.param(((JA, 0, 0, 2**32 - 2), (RET, 0, 0, 1)), id="jump-back"),
        pytest.param(((JEQ, 255, 255, 1), (RET, 0, 0, 1)), id="branch-out"),
        pytest.param(((LD, 0, 0, 64), (RET, 0, 0, 1)), id="load-beyond"),
        pytest.param(((LD, 0, 0, 3), (RET, 0, 0, 1)), id="load-unaligned"),
        pytest.param(((0x30, 0, 0, 0), (RET, 0, 0, 1)), id="load-byte"),
        pytest.param(((0x80, 0, 0, 0), (RET, 0, 0, 1)), id="load-length"),
        pytest.param(((0x16, 0, 0, 0), (RET, 0, 0, 1)), id="return-accumulator"),
        pytest.param(((0x07, 0, 0, 0), (RET, 0, 0, 1)), id="tax"),
        pytest.param(((0x04, 0, 0, 1), (RET, 0, 0, 1)), id="add"),
        pytest.param(((0x1D, 0, 0, 1), (RET, 0, 0, 1)), id="compare-x"),
        pytest.param(((RET, 0, 0, 1),) * 4097, id="too-long"),
    ],
)
def test_anything_else_has_no_answer(
    interpret: Callable[..., list[tuple[int, ...]]], steps: tuple[tuple[int, int, int, int], ...]
) -> None:
    ((result, _, _),) = interpret(program(*steps), [ZERO])

    assert result == -1


def test_a_program_that_is_cut_short_has_no_answer(interpret: Callable[..., list[tuple[int, ...]]]) -> None:
    assert interpret(program((RET, 0, 0, 1))[:-1], [ZERO])[0][0] == -1


@settings(max_examples=60)
@given(st.binary(max_size=400), st.tuples(*(st.integers(0, 2**64 - 1) for _ in range(6))))
def test_hostile_programs_end(
    interpret: Callable[..., list[tuple[int, ...]]], raw: bytes, args: tuple[int, ...]
) -> None:
    assert len(interpret(raw, [(ARCHES["x86_64"], 1, args)])) == 1


def expected(oracle: Oracle, one: Input, tells: int) -> int:
    """What a filter that tells returns, out of what the file says is the answer."""
    arch, number, args = one
    answer = oracle.answer(arch, number, tuple(args))
    call = oracle.names.get(number, "") if arch == ARCHES[oracle.machine] else ""
    impossible = number >= 0x4000_0000
    if answer == ALLOW and tells == filters.WATCHING and call in OBSERVED:
        return NOTIFY
    if tells == filters.SILENT or answer in (ALLOW, KILL) or call in QUIET or impossible:
        return answer
    return NOTIFY | (answer & 0xFFFF)


@pytest.mark.parametrize("tells", [filters.SILENT, filters.TELLING, filters.WATCHING])
@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(choice, id="-".join((*choice[:2], *choice[2], "no", *choice[3], *choice[4])))
        for choice in choices()
    ],
)
def test_a_filter_that_tells_decides_as_the_file_says(
    interpret: Callable[..., list[tuple[int, ...]]], choice: Choice, tells: int
) -> None:
    machine, name, add, refuse, keep = choice
    model = filter_model.load(name, filters.read_filter)
    rules = filter_model.effective(model, add=add, refuse=refuse, keep=keep)
    made = filters.compile_rules(rules, machine, tells)
    oracle = Oracle(chain(Path(data.folder("seccomp")), name), machine, add=add, refuse=refuse, keep=keep)
    inputs = list(oracle.interesting())
    answers = interpret(made, inputs)
    wrong = [
        f"{one}: {got:#x}, not {expected(oracle, one, tells):#x}"
        for one, (result, got, _) in zip(inputs, answers, strict=True)
        if result != 0 or got != expected(oracle, one, tells)
    ]
    assert len(inputs) > 10_000
    assert not wrong, "\n".join(wrong[:20])
    # The kernel takes it: the reference interpreter is as strict as bpf_check_classic.
    assert bpf_interpreter.load(made)


def test_a_telling_filter_refuses_listeners_of_the_jobs_own(
    interpret: Callable[..., list[tuple[int, ...]]],
) -> None:
    """Of two listeners the kernel asks the newer one, which could let through what was refused."""
    call = numbers("x86_64")["seccomp"]
    asked = [(ARCHES["x86_64"], call, (1, flags, 0, 0, 0, 0)) for flags in (8, 9, 0x28, 8 | 1 << 40)]
    for name, add in (("strict", ("filters",)), ("build", ("filters",)), ("build", ())):
        telling = filters.compile_filter(Seccomp(name, add), machine="x86_64", tells=filters.TELLING)
        assert {action for _, action, _ in interpret(telling.bpf, asked)} == {NOTIFY | 1}
        assert floor.LISTENER in telling.rules.refuse_when
    silent = filters.compile_filter(Seccomp("strict", ("filters",)), machine="x86_64")
    assert {action for _, action, _ in interpret(silent.bpf, asked)} == {ALLOW}


def test_what_was_looked_at_is_what_the_rows_compare(interpret: Callable[..., list[tuple[int, ...]]]) -> None:
    made = filters.compile_filter(Seccomp("strict"), machine="x86_64", tells=filters.TELLING).bpf
    known = numbers("x86_64")
    inputs = [(ARCHES["x86_64"], known[call], (38, 5, 7, 9, 9, 9)) for call in ("keyctl", "socket", "ioctl")]
    looked = [words >> 4 for _, _, words in interpret(made, inputs)]

    assert looked[0] == 0
    assert looked[1] & 0b1
    assert not looked[1] & ~0b11_1111
    assert not looked[2] & ~0b1100
