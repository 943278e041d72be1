"""The audit log's lines, its files, and its failures.  Run by: pytest."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import faults, plans

import hardbox
from hardbox import audit, enforced, report
from hardbox.denials.denial import Denial
from hardbox.errors import SetupFailed, Usage
from hardbox.policy import Audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardbox.policy import Policy

SCHEMA = faults.read_json(str(Path(__file__).parents[2] / "docs" / "audit.schema.json"))
POLICY = replace(plans.policy(), digest="ab" * 32)
RESULT = report.Result(
    argv=("x",),
    outcome="exited",
    exit_code=3,
    signal=None,
    limit=None,
    profile="made-up",
    profile_sha256="ab" * 32,
    plan_sha256="cd" * 32,
    enforced=enforced.Enforced(),
    seconds=1.5,
    start_seconds=0.1,
    user_seconds=1.0,
    system_seconds=0.1,
    max_rss_bytes=1,
)


def checked(line: bytes) -> dict[str, Any]:
    """One line: bounded, printable, valid."""
    assert len(line) <= audit.MOST_BYTES
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    found: dict[str, Any] = json.loads(line)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [checked(line) for line in path.read_bytes().splitlines(keepends=True)]


def log(
    path: Path, argv: Sequence[str] = ("x", "secret"), policy: Policy = POLICY, result: report.Result = RESULT
) -> dict[str, Any]:
    trail = audit.Trail(argv, str(path))
    trail.open(policy)
    assert trail.ended(result) == ()
    return lines(path)[-1]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_line_says_who_what_and_how_it_ended(tmp_path: Path) -> None:
    found = log(tmp_path / "a")
    assert found["who"]["uid"] == os.getuid()
    assert found["who"]["pid"] == os.getpid()
    assert found["host"] == os.uname().nodename
    assert found["command"] == {"program": "x", "sha256": hashlib.sha256(b"x\0secret\0").hexdigest()}
    assert found["profile"] == {"name": "made-up", "sha256": "ab" * 32}
    assert found["plan"] == {"sha256": "cd" * 32}
    assert (found["outcome"], found["exit_code"], found["seconds"]) == ("exited", 3, 1.5)
    assert found["denials"] == 0
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_arguments_stand_in_the_line_only_if_asked_for(tmp_path: Path) -> None:
    assert "secret" not in json.dumps(log(tmp_path / "a"))
    found = log(tmp_path / "a", policy=replace(POLICY, audit=Audit(argv=True)))
    assert found["command"]["argv"] == ["x", "secret"]


def test_denials_are_counted(tmp_path: Path) -> None:
    rows = tuple(Denial("syscall", f"{count}", count, *[""] * 6) for count in (3, 4))
    result = replace(RESULT, denials=rows, denials_dropped=2)
    assert log(tmp_path / "a", result=result)["denials"] == 9


@given(st.lists(st.text() | st.text(alphabet="\udcff\ud800\U0001f600\n\0", max_size=3000), max_size=50))
def test_any_arguments_make_one_line(argv: list[str]) -> None:
    for whole in (False, True):
        command = audit._command(tuple(argv), whole=whole)  # noqa: SLF001 (without a file)
        record: dict[str, object] = {
            "command": command,
            "schema": audit.SCHEMA,
            "name": "\U0001f600" * 300,
            "host": "é" * 300,
        }
        line = audit._line(record)  # noqa: SLF001
        assert len(line) <= audit.MOST_BYTES
        assert line.count(b"\n") == 1
        found = json.loads(line)
        assert found["command"]["sha256"] == command["sha256"]
        assert found["schema"] == audit.SCHEMA


def test_a_long_line_is_cut_and_says_so(tmp_path: Path) -> None:
    argv = ("\x1b" * 5000, *(f"argument-{number}" for number in range(9000)))
    found = log(tmp_path / "a", argv, replace(POLICY, audit=Audit(argv=True)))
    assert found["cut"] is True
    assert found["time"].endswith("Z")
    words = b"".join(word.encode() + b"\0" for word in argv)
    assert found["command"]["sha256"] == hashlib.sha256(words).hexdigest()
    assert 0 < len(found["command"]["argv"]) < 9001


def test_flag_and_profile_both_get_a_line(tmp_path: Path) -> None:
    policy = replace(POLICY, audit=Audit(str(tmp_path / "b")))
    log(tmp_path / "a", policy=policy)
    assert len(lines(tmp_path / "a")) == len(lines(tmp_path / "b")) == 1
    log(tmp_path / "b", policy=policy)
    assert len(lines(tmp_path / "b")) == 2, "one file, one line"


def test_a_refusal_before_the_policy_is_known_has_its_line(tmp_path: Path) -> None:
    trail = audit.Trail(("x",), str(tmp_path / "a"))
    assert trail.refused(Usage("HB001", "w")) == ()
    (found,) = lines(tmp_path / "a")
    assert (found["outcome"], found["code"], found["profile"]) == ("refused", "HB001", None)


def test_a_run_that_an_exception_ends_has_its_line_and_one_only(tmp_path: Path) -> None:
    trail = audit.Trail(("x",), str(tmp_path / "a"))
    trail.open(POLICY)
    before = len(os.listdir("/proc/self/fd"))
    assert trail.lost() == ()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert trail.lost() == trail.ended(RESULT) == ()
    (found,) = lines(tmp_path / "a")
    assert (found["outcome"], found["exit_code"], found["plan"]) == ("lost", 137, None)
    assert audit.Trail(("x",), str(tmp_path / "b")).lost() == ()
    assert lines(tmp_path / "b")[0]["profile"] is None


def test_a_file_that_the_job_may_change_is_refused_and_not_made(tmp_path: Path) -> None:
    policy = plans.policy(write=(str(tmp_path),))
    trail = audit.Trail(("x",), str(tmp_path / "a"))
    with pytest.raises(SetupFailed) as caught:
        trail.open(policy)
    assert caught.value.code == "HB651"
    assert trail.refused(caught.value) == ()
    assert audit.Trail(("x",), str(tmp_path / "a"), [str(tmp_path)]).refused(caught.value) != ()
    assert os.listdir(tmp_path) == []


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "fifo")
    for path in (
        "/dev/null",
        "/dev/full",
        tmp_path,
        tmp_path / "fifo",
        tmp_path / "link",
        tmp_path / "no" / "x",
    ):
        with pytest.raises(SetupFailed) as caught:
            audit.Trail(("x",), str(path)).open(POLICY)
        assert caught.value.code == "HB650", path
    assert (tmp_path / "target").read_bytes() == b""


def test_no_room_for_a_line_is_a_refusal(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "a").write_bytes(b"x" * 5000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, hard))
    try:
        with pytest.raises(SetupFailed) as caught:
            audit.Trail(("x",), str(tmp_path / "a")).open(POLICY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "ulimit -f" in caught.value.what


def test_a_line_that_is_cut_short_is_taken_back(tmp_path: Path) -> None:
    log(tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    trail = audit.Trail(("x",), str(tmp_path / "a"))
    trail.open(POLICY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        problems = trail.ended(RESULT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(problems) == 1
    assert (tmp_path / "a").read_bytes() == before
    log(tmp_path / "a")


def test_a_lock_that_another_holds_does_not_stop_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_PATIENCE", 0.02)
    with open(tmp_path / "a", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        log(tmp_path / "a")


def test_python_callers_leave_lines_too(tmp_path: Path) -> None:
    settings = {"audit.file": str(tmp_path / "a")}
    done = hardbox.run(["true"], settings=settings, capture=True)
    with pytest.raises(hardbox.HardboxError):
        hardbox.run(["true"], read=["/etc"], settings=settings)
    with pytest.raises(Usage):
        hardbox.run("true", settings=settings)
    found = lines(tmp_path / "a")
    assert [row["outcome"] for row in found] == ["exited", "refused", "refused"][: len(found)]
    assert found[0]["plan"]["sha256"] == done.plan_sha256
    assert len(found) == 3
