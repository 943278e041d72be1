"""Seed plans for the fuzzer: whole ones, and ones that are wrong in one way each.

Run by: tests/fuzz/test_fuzz_plan.py, into a temporary directory. Made from the planner itself,
so that seeds never lag behind the format; tests/fuzz/corpus holds what fuzzing found beyond.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from support import plans

from hardbox.plan import LaunchPlan
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER = 56


def seeds() -> Iterator[tuple[str, bytes]]:
    """Give name and bytes of every seed."""
    for name, plan in plans.samples().items():
        yield name, plan.encode()
    plan = plans.samples()["user"]
    for number, step in enumerate(plan.steps):
        if step.kind not in ("make-dir", "write-file", "symlink", "landlock-path", "mask", "rlimit"):
            yield f"without-{number}-{step.kind}", _with(plan, plan.steps[:number] + plan.steps[number + 1 :])
    yield "twice", _with(plan, plan.steps[:-2] + plan.steps[-2:] * 2)
    yield "backwards", _with(plan, plan.steps[::-1])
    yield "all-empty", _with(plan, tuple(_empty(kind) for kind in s.KINDS.values()))
    data = plan.encode()
    yield "empty", b""
    yield "header", data[:_HEADER]
    yield "cut", data[:-5]
    yield "appended", data + b"\0"
    yield "count", data[:48] + struct.pack("<I", 16385) + data[52:]
    yield "length", data[: _HEADER + 4] + b"\xff\xff\xff\xff" + data[_HEADER + 8 :]


def _with(plan: LaunchPlan, steps: tuple[s.Step, ...]) -> bytes:
    return LaunchPlan(steps, plan.policy_name, plan.policy_digest).encode()


def _empty(kind: type[s.Step]) -> s.Step:
    return kind(*("" if letter == "s" else b"" if letter == "b" else 0 for letter in kind.layout))


def write(folder: Path) -> int:
    """Write the seeds into a folder; gives how many."""
    count = 0
    for name, data in seeds():
        (folder / name).write_bytes(data)
        count += 1
    return count
