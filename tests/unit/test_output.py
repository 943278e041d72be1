"""The file of `-o`: whole or not at all, and nothing but a file is replaced.  Run by: pytest."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from hardbox.cli import output, seccomp
from hardbox.errors import SetupFailed

if TYPE_CHECKING:
    from pathlib import Path


def put(path: object, *, replace: bool) -> str:
    """Write; gives the code and message of the refusal, "" if there is none."""
    try:
        output.write(str(path), b"content", "plan", mode=0o640, replace=replace)
    except SetupFailed as error:
        return f"{error.code}: {error.what}"
    return ""


@pytest.mark.parametrize("replace", [False, True])
def test_a_new_file_is_whole_and_has_its_mode(tmp_path: Path, replace: bool) -> None:  # noqa: FBT001 (a table)
    assert put(tmp_path / "new", replace=replace) == ""
    assert (tmp_path / "new").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["new"]


def test_a_file_is_replaced_only_where_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    assert "not overwritten" in put(tmp_path / "old", replace=False)
    assert (tmp_path / "old").read_bytes() == b"old"
    assert put(tmp_path / "old", replace=True) == ""
    assert (tmp_path / "old").read_bytes() == b"content"


@pytest.mark.parametrize("replace", [False, True])
def test_nothing_else_than_a_file_is_replaced(tmp_path: Path, replace: bool) -> None:  # noqa: FBT001 (a table)
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("none")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    if os.geteuid() == 0:  # a copy of /dev/null: were it replaced, the host's own would not suffer
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    before = {entry.name: entry.lstat() for entry in tmp_path.iterdir()}
    for name in before.keys() - {"target"}:
        assert "something else than a file" in put(tmp_path / name, replace=replace), name
    assert {entry.name: entry.lstat() for entry in tmp_path.iterdir()} == before
    assert (tmp_path / "target").read_bytes() == b"old"


def test_what_cannot_be_named_or_reached_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "x", f"{tmp_path}/a\0b", ""):
        assert put(path, replace=True).startswith("HB606: the plan cannot be written: ")
        assert put(path, replace=False).startswith("HB606: the plan cannot be written: ")


def test_convert_does_not_replace_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(SetupFailed):
        seccomp.main(["convert", "strict", "-o", str(tmp_path / "x.json")])
    assert stat.S_ISFIFO((tmp_path / "x.json").lstat().st_mode)
