"""A reference interpreter of classic BPF as seccomp(2) uses it, written from the manual pages alone.

Run by: tests of the filters. Shares nothing with hardbox/bpf.py, so that a mistake there
shows. Stricter than the kernel: what a filter of ours never needs is an error.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WORD = 0xFFFF_FFFF
LONG = 0xFFFF_FFFF_FFFF_FFFF


def data(number: int, arch: int, args: Sequence[int], pointer: int = 0x7FFF_DEAD_BEEF) -> tuple[int, ...]:
    """Give struct seccomp_data as sixteen little-endian words."""
    raw = struct.pack("<IIQ6Q", number & WORD, arch, pointer, *(arg & LONG for arg in args))
    return struct.unpack("<16I", raw)


def load(raw: bytes) -> list[tuple[int, int, int, int]]:
    """Decode and check a program as the kernel does (bpf_check_classic, seccomp_check_filter)."""
    assert raw
    assert len(raw) % 8 == 0
    program = list(struct.iter_unpack("<HBBI", raw))
    assert len(program) <= 4096
    for here, (code, jt, jf, k) in enumerate(program):
        if code == 0x20:
            assert k % 4 == 0
            assert k < 64
        elif code == 0x05:
            assert here + 1 + k < len(program)
        elif code in (0x15, 0x25, 0x35, 0x45):
            assert here + 1 + max(jt, jf) < len(program)
        else:
            assert code in (0x06, 0x54), f"instruction {here}: {code:#x}"
    assert program[-1][0] == 0x06
    return program


def run(program: Sequence[tuple[int, int, int, int]], words: Sequence[int]) -> int:
    """Run a program over sixteen words; gives the action."""
    accumulator = 0
    here = 0
    while True:
        code, jt, jf, k = program[here]
        here += 1
        if code == 0x20:
            accumulator = words[k >> 2]
        elif code == 0x15:
            here += jt if accumulator == k else jf
        elif code == 0x35:
            here += jt if accumulator >= k else jf
        elif code == 0x25:
            here += jt if accumulator > k else jf
        elif code == 0x45:
            here += jt if accumulator & k else jf
        elif code == 0x54:
            accumulator &= k
        elif code == 0x05:
            here += k
        else:
            return k
