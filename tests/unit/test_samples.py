"""What a job uses, from records and from /proc.  Run by: pytest."""

from __future__ import annotations

import os
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.report import Record
from hardbox.samples import Use, look, sample


def test_a_sample_is_read() -> None:
    payload = struct.pack("<QQQIQQ", 10**9, 5 << 20, 7, 3, 1, 2)
    assert sample(Record(8, payload)) == Use(5 << 20, 3)
    assert sample(Record(7, payload)) is None


@given(st.integers(0, 20), st.binary(max_size=80))
def test_any_record_is_a_sample_or_none(kind: int, payload: bytes) -> None:
    assert (sample(Record(kind, payload)) is None) == (kind != 8 or len(payload) != 44)


@pytest.mark.parametrize("count", [0, 3])
def test_proc_says_how_many_there_are(count: int) -> None:
    """A shell for the launcher, one for init, and `count` tasks."""
    sleeps = "sleep 60 & " * count
    script = f"sh -c '{sleeps} echo ready; read x; kill $(jobs -p)'; true"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        found = look(child.pid)
        child.communicate(b"\n")
    assert found.tasks == count
    assert found.memory > os.sysconf("SC_PAGESIZE")


def test_what_has_ended_counts_as_nothing() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert look(child.pid) == Use(0, 0)
