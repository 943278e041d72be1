"""Which paths a job may not read or change.  Run by: pytest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.refusing import FACTS, FINE, HERE, FakeDisk, check, names, reading, writing

from hardbox import profile, refusals

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plain_policy_breaks_no_rule() -> None:
    assert names(FINE) == []
    check(FINE, FakeDisk())


FORBIDDEN_TO_READ = [
    ("/", "host-root"),
    ("/etc", "host-etc"),
    ("/etc/shadow", "host-etc"),
    ("/etc/gshadow-", "host-etc"),
    ("/etc/sudoers", "host-etc"),
    ("/etc/sudoers.d/x", "host-etc"),
    ("/etc/ssh", "host-etc"),
    ("/etc/ssh/ssh_host_ed25519_key", "host-etc"),
    ("/etc/ssl/private", "host-etc"),
    ("/etc/krb5.keytab", "host-etc"),
    ("/proc", "host-proc"),
    ("/proc/1/root", "host-proc"),
    ("/proc/self/fd/3", "host-proc"),
    ("/sys", "host-sys"),
    ("/sys/kernel/debug", "host-sys"),
    ("/sys/fs/cgroup", "cgroup-trees"),
    ("/sys/fs/cgroup/memory", "cgroup-trees"),
    ("/dev", "host-devices"),
    ("/dev/sda", "host-devices"),
    ("/dev/shm", "host-devices"),
    ("/boot", "host-boot"),
    ("/boot/vmlinuz", "host-boot"),
    ("/lib/modules", "kernel-modules"),
    ("/usr/lib/modules/6.1", "kernel-modules"),
    ("/root", "host-homes"),
    ("/root/project", "host-homes"),
    ("/home", "host-homes"),
    ("/home/other", "host-homes"),
    ("/home/other/src", "host-homes"),
    ("/home/me", "whole-home"),
    ("/home/me/.ssh", "credentials"),
    ("/home/me/.ssh/id_ed25519", "credentials"),
    ("/home/me/.gnupg", "credentials"),
    ("/home/me/.aws/credentials", "credentials"),
    ("/home/me/.kube", "credentials"),
    ("/home/me/.docker/config.json", "credentials"),
    ("/home/me/.netrc", "credentials"),
    ("/home/me/.config", "credentials"),
    ("/home/me/.config/gh", "credentials"),
    ("/home/me/.npmrc", "credentials"),
    ("/srv/ci/.ssh", "credentials"),
    ("/run/secrets/token", "credentials"),
    ("/run", "socket-directories"),
    ("/var/run", "socket-directories"),
    ("/run/user/1000", "socket-directories"),
    ("/run/user/1000/gnupg", "socket-directories"),
    ("/tmp", "socket-directories"),
    ("/tmp/.X11-unix", "socket-directories"),
    ("/var/run/docker.sock", "unix-sockets"),
    ("/run/docker.sock", "unix-sockets"),
    ("/run/containerd/containerd.sock", "unix-sockets"),
    ("/run/podman/podman.sock", "unix-sockets"),
    ("/run/crio/crio.sock", "unix-sockets"),
    ("/run/dbus/system_bus_socket", "unix-sockets"),
    ("/run/user/1000/bus", "unix-sockets"),
    ("/run/user/1000/wayland-0", "unix-sockets"),
    ("/tmp/.X11-unix/X0", "unix-sockets"),
    ("/var", "host-state"),
    ("/var/lib", "host-state"),
    ("/var/lib/docker", "host-state"),
    ("/var/lib/containerd/x", "host-state"),
    ("/var/spool/cron/root", "host-state"),
    ("/var/backups", "host-state"),
    ("/swapfile", "swap"),
]


@pytest.mark.parametrize(("path", "rule"), FORBIDDEN_TO_READ)
def test_a_guarded_path_is_refused(path: str, rule: str) -> None:
    assert rule in names(reading(path))


@pytest.mark.parametrize(("path", "rule"), FORBIDDEN_TO_READ)
def test_a_guarded_path_is_refused_through_a_symlink(path: str, rule: str) -> None:
    assert rule in names(reading("/srv/innocent"), FakeDisk(links={"/srv/innocent": path}))


@given(
    st.sampled_from(FORBIDDEN_TO_READ),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["//", "/./", "/x/../"])), max_size=4),
)
def test_no_spelling_of_a_guarded_path_gets_through(
    row: tuple[str, str], noise: list[tuple[int, str]]
) -> None:
    path, rule = row
    for where, text in noise:
        slashes = [at for at, char in enumerate(path) if char == "/"]
        at = slashes[where % len(slashes)]
        path = path[:at] + text + path[at + 1 :]
    for spelling in (path, path + "/", "/." + path, "/nowhere/.." + path):
        assert rule in names(reading(spelling))


FORBIDDEN_TO_WRITE = [
    ("/usr/local", "system-trees"),
    ("/bin", "system-trees"),
    ("/opt/tool", "system-trees"),
    ("/etc/cron.d", "host-etc"),
    ("/etc/myapp.conf", "host-etc"),
    ("/home/me/.bashrc", "startup-files"),
    ("/home/me/.local", "startup-files"),
    ("/home/me/.local/bin", "startup-files"),
    ("/home/me/.config/autostart", "startup-files"),
    ("/home/me/.cargo", "startup-files"),
    ("/home/me/bin", "startup-files"),
    ("/opt/hardbox", "own-files"),
    ("/opt/hardbox/bin/hardbox-launch", "own-files"),
    ("/opt", "own-files"),
    ("/home/me/.cache", "own-files"),
    ("/home/me/ci.toml", "own-files"),
]


@pytest.mark.parametrize(("path", "rule"), FORBIDDEN_TO_WRITE)
def test_what_may_not_be_changed(path: str, rule: str) -> None:
    assert rule in names(writing(path))
    assert rule in names(writing(path + "/"))
    assert rule in names(writing("/srv/x"), FakeDisk(links={"/srv/x": path}))


@pytest.mark.parametrize("path", ["/srv/ci", "/srv/ci/own-filter.toml", "/srv/ci/link.toml", "/srv"])
def test_files_that_decide_the_policy_may_not_be_changed(path: str) -> None:
    policy = replace(
        writing(path), files=("/srv/ci/link.toml", "/srv/ci/own-filter.toml"), sources=("./x.toml",)
    )
    assert names(policy) == ["own-files"]
    assert names(replace(policy, filesystem=reading(path).filesystem)) == []


@pytest.mark.parametrize("name", ["./x.toml", "x.toml", "../here/x.toml", "child.toml", "link.toml"])
def test_a_profile_in_the_tree_that_the_job_may_change_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the profile is named, and also where only its parent, or a symlink to it, is in the tree."""
    here, away = tmp_path / "here", tmp_path / "away"
    for folder in (tmp_path, here, away):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    monkeypatch.chdir(here)
    (here / "x.toml").write_text('extends = "strict"\n')
    (away / "child.toml").write_text('extends = "../here/x.toml"\n')
    (away / "plain.toml").write_text('extends = "strict"\n')
    (here / "link.toml").symlink_to("../away/plain.toml")
    for file in (here / "x.toml", away / "child.toml", away / "plain.toml"):
        file.chmod(0o644)
    path = str(away / "child.toml") if name == "child.toml" else name
    policy = profile.load(path, [profile.Setting("filesystem.write", [str(here)], "--write", append=True)])
    assert "own-files" in names(policy, refusals.Disk(), HERE)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/home/me/project",
            "/home/me/project/.github",
            "/srv/data",
            "/mnt/disk",
            "/opt/tool",
            "/usr/share/doc",
        ),
        *(
            "/etcetera",
            "/procfs",
            "/systems",
            "/develop",
            "/boots",
            "/homes/x",
            "/rooted",
            "/runner",
            "/variable",
        ),
        *(
            "/etc/os-release",
            "/etc/myapp.conf",
            "/etc/ssh/ssh_config",
            "/tmp/mine",
            "/var/log/x",
            "/var/lib/mine",
        ),
        *("/home/me/.cache/pip", "/home/me/ssh", "/home/me/.bashrc", "/var/www"),
    ],
)
def test_near_misses_may_be_read(path: str) -> None:
    assert names(reading(path)) == []


@pytest.mark.parametrize(
    "path", ["/home/me/project", "/srv/data", "/tmp/mine", "/var/cache/mine", "/home/me/src/.config"]
)
def test_near_misses_may_be_changed(path: str) -> None:
    assert names(writing(path)) == []


def test_roots_own_home_is_its_own() -> None:
    root = replace(FACTS, uid=0, gid=0)
    assert names(reading("/root/project"), facts=root) == []
    assert "whole-home" in names(reading("/root"), facts=root)
    assert "host-homes" in names(reading("/home/me/project"), facts=root)


def test_a_file_of_etc_that_is_not_for_everybody() -> None:
    disk = FakeDisk(kinds={"/etc/myapp.conf": "file"})
    assert names(reading("/etc/myapp.conf"), disk) == []
    disk.closed.add("/etc/myapp.conf")
    assert names(reading("/etc/myapp.conf"), disk) == ["host-etc"]


def test_other_names_of_guarded_directories_and_files() -> None:
    disk = FakeDisk(kinds={"/srv/hard": "file"})
    disk.twins = {"/srv/alias": "/etc", "/srv/hard": "/etc/shadow"}
    assert "host-etc" in names(reading("/srv/alias"), disk)
    assert "host-etc" in names(reading("/srv/hard"), disk)
