"""What did happen, from the launcher's bytes.  Run by: pytest."""

from __future__ import annotations

import errno
import json
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import plans

from hardbox import enforced, report

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = plans.samples()["user"]
POLICY = plans.policy()
FAILED, READ, STARTED, NO_EXEC, ENDED, STREAMS = 1, 2, 3, 4, 5, 10
STATUS = b"""Name:\thardbox-init
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000400
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t3
"""


def record(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload


def ended(status: int, cause: int = 0) -> bytes:
    return record(ENDED, struct.pack("<iIQQQQ", status, cause, 2_500_000_000, 1_000_000, 500_000, 2048))


def result(data: bytes) -> report.Result:
    records = report.parse_records(data)
    return report.result(POLICY, PLAN, ("cmd", "x"), records, report.start_seconds(records))


BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(st.integers(0, 11), st.binary(max_size=90)), max_size=6).map(
        lambda rows: b"".join(record(kind, payload) for kind, payload in rows)
    ),
)


@pytest.mark.parametrize(
    "read",
    [report.failure, report.no_exec, report.start_seconds, report.read_enforced],
    ids=lambda read: read.__name__,
)
@given(data=BYTES)
def test_no_bytes_raise_anything_but_value_error(
    read: Callable[[tuple[report.Record, ...]], object], data: bytes
) -> None:
    try:
        records = report.parse_records(data)
        read(records)
    except ValueError:
        return
    # Once the command may have run, what comes behind a bad record is left out; a short one has no kind.
    again = b"".join(record(each.kind, each.payload) for each in records)
    assert len(again) == len(data) if not report.may_have_run(records) else len(again) <= len(data)


@given(BYTES)
def test_no_bytes_break_the_result(data: bytes) -> None:
    try:
        found = result(data)
    except ValueError:
        return
    assert 0 <= found.exit_code <= 255
    json.dumps(found.to_json())


@given(
    st.lists(st.tuples(st.integers(100, 2**32 - 1), st.binary(max_size=40)), max_size=5), st.integers(1, 7)
)
def test_whole_records_are_taken_and_cut_ones_are_not(rows: list[tuple[int, bytes]], cut: int) -> None:
    data = b"".join(record(kind, payload) for kind, payload in rows)

    assert [(each.kind, each.payload) for each in report.parse_records(data)] == rows
    with pytest.raises(ValueError, match="cut short"):
        report.parse_records(data + record(100, b"12345678")[:-cut])


@pytest.mark.parametrize(
    ("data", "outcome", "code", "signal", "limit"),
    [
        (ended(0), "exited", 0, None, None),
        (ended(7 << 8), "exited", 7, None, None),
        (ended(9), "signaled", 137, 9, None),
        (ended(15, cause=1), "limit", 124, 15, "wall"),
        (ended(0, cause=1), "limit", 124, None, "wall"),
        (ended(9, cause=4), "limit", 137, 9, "memory"),
        (ended(3 << 8, cause=4), "limit", 137, 9, "memory"),
        (ended(25), "limit", 153, 25, "file_size"),
        (ended(9, cause=2), "lost", 137, 9, None),
        (ended(9, cause=3), "lost", 137, 9, None),
        (record(NO_EXEC, struct.pack("<i", errno.ENOENT)) + ended(125 << 8), "not-found", 127, None, None),
        (record(NO_EXEC, struct.pack("<i", errno.ENOTDIR)) + ended(125 << 8), "not-found", 127, None, None),
        (
            record(NO_EXEC, struct.pack("<i", errno.EACCES)) + ended(125 << 8),
            "not-executable",
            126,
            None,
            None,
        ),
        (
            record(NO_EXEC, struct.pack("<i", errno.ENOEXEC)) + ended(125 << 8),
            "not-executable",
            126,
            None,
            None,
        ),
    ],
)
def test_an_end_has_its_outcome(
    data: bytes, outcome: str, code: int, signal: int | None, limit: str | None
) -> None:
    found = result(data)

    assert (found.outcome, found.exit_code, found.signal, found.limit) == (outcome, code, signal, limit)


PID = record(READ, b"pid\x0042")
BEGUN = record(STARTED, struct.pack("<Q", 4_000_000))


@pytest.mark.parametrize("before", [PID, PID + BEGUN])
@pytest.mark.parametrize(
    "bad", [b"x", b"\xff" * 30, record(ENDED, b"short"), record(STARTED, b""), record(100, b"12345678")[:-1]]
)
def test_bad_bytes_behind_the_start_are_a_loss_and_no_failed_launch(before: bytes, bad: bytes) -> None:
    found = result(before + bad)
    assert (found.outcome, found.exit_code) == ("lost", 137)
    with pytest.raises(ValueError, match="cut short"):
        report.parse_records(bad)


@pytest.mark.parametrize("kind", [6, 7, 8, 9, 10])
def test_a_bad_record_that_only_tells_costs_what_it_tells(kind: int) -> None:
    for data in (BEGUN + record(kind, b"") + ended(7 << 8), record(kind, b"x") + BEGUN + ended(7 << 8)):
        found = result(data)
        assert (found.outcome, found.exit_code, found.start_seconds) == ("exited", 7, 0.004)
        assert (found.output, found.denials) == (None, ())


def test_nothing_fails_any_more_behind_the_exec() -> None:
    failed = record(FAILED, struct.pack("<Ii", 7, errno.EPERM))
    assert report.failure(report.parse_records(PID + failed)) is not None
    assert report.failure(report.parse_records(BEGUN + failed)) is None


def test_numbers_keep_their_units() -> None:
    found = result(record(STARTED, struct.pack("<Q", 4_000_000)) + ended(0))

    assert (found.seconds, found.user_seconds, found.system_seconds) == (2.5, 1.0, 0.5)
    assert found.max_rss_bytes == 2048 * 1024
    assert found.start_seconds == 0.004


def test_silence_is_not_success() -> None:
    with pytest.raises(ValueError, match="without a word"):
        result(b"")


def test_a_failed_step_is_found() -> None:
    records = report.parse_records(record(FAILED, struct.pack("<Ii", 7, errno.EPERM)))

    assert report.failure(records) == report.Failure(7, errno.EPERM)
    assert report.failure(()) is None


def test_what_was_read_back_is_understood() -> None:
    rows = {
        "host/ns/net": b"net:[1]",
        "ns/net": b"net:[2]",
        "host/ns/pid": b"pid:[3]",
        "ns/pid": b"pid:[3]",
        "ns/user": b"user:[4]",
        "status": STATUS,
        "uid_map": b"      1000       1234          1\n",
        "gid_map": b"",
    }

    seen = report.read_enforced(
        tuple(report.Record(READ, name.encode() + b"\0" + text) for name, text in rows.items())
    )

    assert seen.namespaces == ("net",)
    assert seen.uid_map == ((1000, 1234, 1),)
    assert seen.gid_map == ()
    assert seen.capabilities == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0x400, "CapAmb": 0}
    assert (seen.no_new_privs, seen.seccomp, seen.seccomp_filters) == (True, True, 3)


def test_what_was_not_read_back_counts_as_not_enforced() -> None:
    assert report.read_enforced(()) == enforced.Enforced()


def test_the_report_is_plain_json_whatever_the_arguments_are() -> None:
    records = report.parse_records(ended(0))
    found = report.result(POLICY, PLAN, ("a\udcff", "é"), records, 0.0)

    text = json.dumps(found.to_json())

    assert json.loads(text)["schema"] == "hardbox.report/1"
    assert json.loads(text)["argv"] == ["a\ufffd", "é"]


@pytest.mark.parametrize(
    ("terminals", "relayed", "terminal", "output"),
    [
        (0b111, 0, True, (5, 6)),
        (0b001, 0, True, (5, 6)),  # what is echoed
        (0, 0b110, False, (5, 6)),
        (0, 0b001, False, None),
    ],
)
def test_what_was_copied_is_told(
    terminals: int,
    relayed: int,
    terminal: bool,  # noqa: FBT001 (a table)
    output: tuple[int, int] | None,
) -> None:
    found = result(record(STREAMS, struct.pack("<IIQQ", terminals, relayed, 5, 6)) + ended(0))

    assert (found.terminal, found.output) == (terminal, report.Output(*output) if output else None)
    shown = found.to_json()
    assert shown["terminal"] is terminal
    assert shown["output"] == ({"stdout": 5, "stderr": 6} if output else None)


def test_nothing_is_copied_where_nobody_says_so() -> None:
    assert (result(ended(0)).terminal, result(ended(0)).output) == (False, None)


def test_too_much_output_is_a_limit() -> None:
    found = result(ended(0, 7))

    assert (found.outcome, found.limit, found.exit_code) == ("limit", "output", 124)
