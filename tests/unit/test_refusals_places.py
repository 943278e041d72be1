"""Which things a job may not be shown: file systems, sockets, places of its root.  Run by: pytest."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from support.refusing import FakeDisk, files, lift, names, reading, writing


@pytest.mark.parametrize(
    ("kind", "rule"),
    [("proc", "host-proc"), ("sysfs", "host-sys"), ("cgroup2", "cgroup-trees"), ("devtmpfs", "host-devices")],
)
def test_kernel_file_systems_wherever_they_are_mounted(kind: str, rule: str) -> None:
    disk = FakeDisk()
    disk.mounted = (("/srv/chroot/x", kind), ("/srv/plain", "ext4"))
    for path in ("/srv/chroot", "/srv/chroot/x", "/srv/chroot/x/below"):
        assert rule in names(reading(path), disk)
    assert names(reading("/srv/plain"), disk) == []
    assert names(reading("/srv/chroot/xy"), disk) == []


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("socket", "unix-sockets"),
        ("device", "host-devices"),
        ("fifo", "unusable-source"),
        ("missing", "unusable-source"),
    ],
)
def test_each_kind_that_cannot_be_shown(kind: str, rule: str) -> None:
    assert rule in names(reading("/srv/thing"), FakeDisk(kinds={"/srv/thing": kind}))


def test_directories_that_hold_sockets_or_keys() -> None:
    disk = FakeDisk()
    disk.names["/srv/a"] = {"plain": False, "agent.1": True}
    disk.names["/srv/b"] = {".ssh": False}
    disk.names["/srv/c"] = {"plain": False, "ssh": False}
    assert names(reading("/srv/a"), disk) == ["socket-directories"]
    assert names(reading("/srv/b"), disk) == ["credentials"]
    assert names(reading("/srv/c"), disk) == []


def test_a_directory_with_an_engines_socket_cannot_be_lifted() -> None:
    disk = FakeDisk(kinds={"/run/docker.sock": "socket"})
    assert "unix-sockets" in names(lift(reading("/run"), "socket-directories"), disk)


def test_swap_in_use_is_found_by_name() -> None:
    disk = FakeDisk()
    disk.swapped = ("/srv/big/page",)
    assert names(reading("/srv/big"), disk) == ["swap"]
    assert names(reading("/srv/big2"), disk) == []


@pytest.mark.parametrize(
    "dest",
    [
        "/",
        "/proc",
        "/proc/1",
        "/sys",
        "/dev",
        "/dev/null",
        "/etc",
        "/etc/passwd",
        "/usr",
        "/usr/bin",
        "/lib64",
        "//etc",
        "/x/../proc",
        "/usr/",
    ],
)
def test_places_that_hardbox_builds_are_no_destinations(dest: str) -> None:
    assert "system-destination" in names(reading("/srv/data", dest))
    assert "system-destination" in names(writing("/srv/data", dest))
    assert "system-destination" in names(files(scratch=MappingProxyType({dest: 4096})))


@pytest.mark.parametrize(
    "dest", ["/work", "/srv/data", "/home/box/x", "/process", "/etcetera", "/user", "/tmp/x"]
)
def test_other_places_are(dest: str) -> None:
    assert names(reading("/srv/data", dest)) == []
    assert names(writing("/srv/data", dest)) == []


def test_a_file_of_etc_at_its_own_place() -> None:
    assert names(reading("/etc/os-release", "/etc/os-release")) == []
    assert names(reading("/etc/hosts", "/etc/hosts")) == ["system-destination"]


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/", "host-root"),
        ("/proc", "host-proc"),
        ("/home", "host-homes"),
        ("/run", "socket-directories"),
        ("/etc", "host-etc"),
        ("/dev", "host-devices"),
        ("/var", "host-state"),
    ],
)
def test_shown_directories_are_guarded_too(path: str, rule: str) -> None:
    assert rule in names(files(show=(path,)))


@pytest.mark.parametrize(
    ("root", "rule"),
    [
        ("dir:/", "host-root"),
        ("dir:/etc/..", "host-root"),
        ("dir:/etc", "host-etc"),
        ("dir:/proc/1/root", "host-proc"),
        ("dir:/home/me", "whole-home"),
        ("dir:relative", "root-directory"),
        ("dir:", "root-directory"),
        ("image:x", "root-directory"),
        ("dir:/srv/missing", "root-directory"),
        ("dir:/srv/file", "root-directory"),
    ],
)
def test_roots_that_are_refused(root: str, rule: str) -> None:
    disk = FakeDisk(kinds={"/srv/missing": "missing", "/srv/file": "file"})
    assert rule in names(files(root=root), disk)


def test_a_root_of_its_own() -> None:
    disk = FakeDisk()
    disk.mounted = (("/srv/rootfs/proc", "proc"),)
    assert names(files(root="dir:/srv/rootfs"), disk) == []
    assert "host-proc" in names(files(root="dir:/srv/rootfs", show=("/usr", "/proc")), disk)
