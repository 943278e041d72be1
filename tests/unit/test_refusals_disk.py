"""The rules on the real file system, and what HOME says.  Run by: pytest."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.refusing import FakeDisk, names, reading, writing

from hardbox import refusals

if TYPE_CHECKING:
    from pathlib import Path


def test_real_links_pipes_sockets_and_missing_paths(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "far").symlink_to(tmp_path / "link")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").mkdir()
    assert "host-etc" in names(reading(str(tmp_path / "link")), refusals.Disk())
    assert "host-etc" in names(reading(str(tmp_path / "far") + "/shadow"), refusals.Disk())
    assert "unusable-source" in names(reading(str(tmp_path / "loop")), refusals.Disk())
    assert "unusable-source" in names(reading(str(tmp_path / "pipe")), refusals.Disk())
    assert "unusable-source" in names(reading(str(tmp_path / "absent")), refusals.Disk())
    assert names(reading(str(tmp_path / "plain")), refusals.Disk()) == []
    assert "host-proc" in names(reading("/proc/self/root"), refusals.Disk())
    assert "host-proc" in names(reading("/proc/1/root/etc"), refusals.Disk())


def test_a_real_socket_and_the_directory_that_holds_it() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        assert names(reading(folder), refusals.Disk()) == []
        server.bind(folder + "/s")
        assert names(reading(folder + "/s"), refusals.Disk()) == ["unix-sockets"]
        assert names(reading(folder), refusals.Disk()) == ["socket-directories"]


@given(
    st.lists(st.sampled_from(["/../", "//", "/./", "/d/../"]), max_size=5),
    st.sampled_from(["/etc", "/proc", "/dev", "/sys", "/boot"]),
)
def test_real_symlinks_in_odd_spellings(noise: list[str], target: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(folder + "/d")
        os.symlink(target, folder + "/l")
        path = folder + "".join(step for step in noise if step != "/../") + "/l/" + "./" * len(noise)
        assert names(reading(path), refusals.Disk())[0].startswith("host-")


def test_the_real_disk_reads_mounts_and_homes() -> None:
    disk = refusals.Disk()
    assert ("/proc", "proc") in disk.mounts()
    assert disk.home(2**31 - 7) == ""
    assert disk.home(0) == os.path.realpath("/root")
    assert disk.kind("/dev/null") == "device"
    assert disk.kind("/\0") == "missing"


def test_a_writable_tree_with_a_privileged_file_is_refused() -> None:
    disk = FakeDisk()
    disk.privileged = "bin/helper"
    assert "privileged-files" in names(writing("/srv/x"), disk)
    assert "privileged-files" not in names(reading("/srv/x"), disk)


def test_a_redirected_path_is_refused() -> None:
    disk = FakeDisk()
    disk.redirects = {"/srv/x/out": "/srv/x/out"}
    assert "redirected-source" in names(writing("/srv/x/out"), disk)
    assert "redirected-source" in names(reading("/srv/x/out"), disk)
    assert "redirected-source" not in names(writing("/srv/x/in"), disk)


def test_a_tree_is_looked_through_to_the_bottom(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "plain").write_text("")
    disk = refusals.Disk()
    assert disk.survey(str(tmp_path), write=True) == {}
    os.mkfifo(deep / "pipe")
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(deep / "s"))
    (deep / "tool").write_text("")
    (deep / "tool").chmod(0o2755)
    (deep / "link").symlink_to("/usr/bin/su")
    found = {"fifo": str(deep / "pipe"), "socket": str(deep / "s")}
    assert disk.survey(str(tmp_path), write=False) == found
    assert disk.survey(str(tmp_path), write=True) == {**found, "privileged": str(deep / "tool")}


def test_a_symlink_counts_wherever_it_stands_in_the_path(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    disk = refusals.Disk()
    assert disk.walk(f"{tmp_path}/link")[0] == f"{tmp_path}/link"
    assert disk.walk(f"{tmp_path}/link/sub")[0] == f"{tmp_path}/link"
    assert disk.walk(f"{tmp_path}/real/sub") == ("", f"{tmp_path}/real/sub")
    assert disk.walk("/bin/sh") == ("", os.path.realpath("/bin/sh"))  # the system's own


@pytest.mark.parametrize(
    ("path", "write", "rule"),
    [
        ("/srv/ci", False, "whole-home"),
        ("/srv", False, "whole-home"),
        ("/srv/ci/.npmrc", False, "credentials"),
        ("/srv/ci/.bashrc", True, "startup-files"),
    ],
)
def test_what_home_says_is_guarded_too(path: str, write: bool, rule: str) -> None:  # noqa: FBT001 (a row)
    disk = FakeDisk()
    wanted = writing(path) if write else reading(path)
    assert rule not in names(wanted, disk)
    disk.stated = "/srv/ci"
    assert rule in names(wanted, disk)


def test_nothing_is_allowed_because_of_what_home_says() -> None:
    disk = FakeDisk()
    for path in ("/home/other/project", "/root/project", "/home/me", "/home/me/.ssh"):
        before = names(reading(path), disk)
        assert before
        for stated in ("/home/other", "/root", "/", "/home", "", "/srv"):
            disk.stated = stated
            assert set(before) <= set(names(reading(path), disk))
        disk.stated = "/home/me"
