"""Every shipped filter, compiled, against what its TOML says: zero differences.

Over each architecture, each number of 0..600 and beyond, and each edge of each compared
argument; with every group that a profile can switch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit import bpf_interpreter
from unit.filter_oracle import Oracle, chain

from hardbox import data, filters
from hardbox.filters import model as filter_model

if TYPE_CHECKING:
    from collections.abc import Iterator

Choice = tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def choices() -> Iterator[Choice]:
    for name in ("strict", "baseline", "build", "inspect"):
        model = filter_model.load(name, filters.read_filter)
        yield "x86_64", name, (), (), ()
        for refuse in (("memfd",), ("wx-memory",), ("memfd", "wx-memory"), ("sockets", "socket-families")):
            yield "x86_64", name, (), refuse, ()
        for group in model.groups:
            if group.addable:
                yield "x86_64", name, (group.name,), ("memfd",), ()
        yield "x86_64", name, (), ("memfd",), ("NET_RAW",)
        yield "aarch64", name, (), ("memfd",), ()
    everything = tuple(
        group.name for group in filter_model.load("strict", filters.read_filter).groups if group.addable
    )
    yield "aarch64", "strict", everything, ("memfd", "wx-memory"), ("NET_RAW",)
    yield "x86_64", "strict", everything, ("memfd", "wx-memory"), ("NET_RAW",)


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(choice, id="-".join((*choice[:2], *choice[2], "no", *choice[3], *choice[4])))
        for choice in choices()
    ],
)
def test_the_program_answers_what_the_file_says(choice: Choice) -> None:
    machine, name, add, refuse, keep = choice
    model = filter_model.load(name, filters.read_filter)
    rules = filter_model.effective(model, add=add, refuse=refuse, keep=keep)
    program = bpf_interpreter.load(filters.compile_rules(rules, machine))
    oracle = Oracle(chain(Path(data.folder("seccomp")), name), machine, add=add, refuse=refuse, keep=keep)
    wrong = []
    count = 0
    for arch, number, args in oracle.interesting():
        count += 1
        expected = oracle.answer(arch, number, args)
        got = bpf_interpreter.run(program, bpf_interpreter.data(number, arch, args))
        if got != expected:
            wrong.append(f"arch {arch:#x} number {number:#x} args {args}: {got:#x}, not {expected:#x}")
    assert count > 10_000
    assert not wrong, "\n".join(wrong[:20])
