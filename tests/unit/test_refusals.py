from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox import profile, refusals
from hardbox.errors import Refused
from hardbox.host import HostFacts, IdRange
from hardbox.plan.trees import look_all
from hardbox.policy import UNLIMITED, Bind, Filesystem, Limits, Origin, Policy
from hardbox.rules import BY_CODE, RULES

if TYPE_CHECKING:
    from pathlib import Path

FACTS = HostFacts(uid=1000, gid=1000, own_paths=("/opt/hardbox", "/home/me/.cache/hardbox"))
LIMITS = Limits(
    memory=1 << 29, tasks=64, cpu=1, cpu_time=300, wall=300_000, file_size=1 << 26, open_files=256
)
FINE = Policy(
    name="fine",
    filesystem=Filesystem(
        show=("/usr", "/etc/ssl"), scratch=MappingProxyType({"/tmp": 1 << 26, "/dev/shm": 1 << 20})
    ),
    limits=LIMITS,
    refuse=MappingProxyType({rule.name: rule.ids for rule in RULES.values()}),
    origins=MappingProxyType({"filesystem.read": Origin("command line", "--read")}),
    sources=("ci.toml", "strict"),
    files=("/home/me/ci.toml",),
)


class FakeDisk(refusals.Disk):
    """A file system in which every path is there, and what is named is otherwise."""

    def __init__(self, links: dict[str, str] | None = None, kinds: dict[str, str] | None = None) -> None:
        self.links = links or {}
        self.kinds = kinds or {}
        self.names: dict[str, dict[str, bool]] = {}
        self.closed: set[str] = set()
        self.mounted: tuple[tuple[str, str], ...] = ()
        self.swapped: tuple[str, ...] = ()
        self.twins: dict[str, str] = {}
        self.privileged = ""
        self.stated = "/home/me"
        self.redirects: dict[str, str] = {}

    def real(self, path: str) -> str:
        plain = "/" + os.path.normpath("/" + path).lstrip("/")
        for link, target in self.links.items():
            if plain == link or plain.startswith(link + "/"):
                return target + plain[len(link) :]
        return plain

    def look(self, path: str) -> refusals.PathFact:
        return refusals.PathFact(self.kind(path), self.real(path))

    def kind(self, path: str) -> str:
        return self.kinds.get(
            path, "missing" if path.endswith((".sock", "_socket", "-sock", "d.socket", "private")) else "dir"
        )

    def open_to_all(self, path: str) -> bool:
        return path not in self.closed

    def same(self, path: str, other: str) -> bool:
        return self.twins.get(path) == other

    def entries(self, path: str) -> frozenset[str]:
        return frozenset(self.names.get(path, {}))

    def survey(self, top: str, *, write: bool) -> dict[str, str]:
        sockets = [name for name, is_socket in self.names.get(top, {}).items() if is_socket]
        found = {"socket": f"{top}/{sockets[0]}"} if sockets else {}
        return found | ({"privileged": f"{top}/{self.privileged}"} if write and self.privileged else {})

    def walk(self, path: str) -> tuple[str, str]:
        return self.redirects.get(path, ""), self.real(path)

    def home(self, uid: int) -> str:
        return "/root" if uid == 0 else "/home/me"

    def stated_home(self) -> str:
        return self.stated

    def mounts(self) -> tuple[tuple[str, str], ...]:
        return self.mounted

    def swaps(self) -> tuple[str, ...]:
        return self.swapped


def _files(policy: Policy = FINE, **changes: Any) -> Policy:  # noqa: ANN401 (as dataclasses.replace)
    return replace(policy, filesystem=replace(policy.filesystem, **changes))


def _read(path: str, dest: str = "/in") -> Policy:
    return _files(read=(Bind(path, dest),))


def _write(path: str, dest: str = "/out") -> Policy:
    return _files(write=(Bind(path, dest),))


def _names(policy: Policy, disk: refusals.Disk | None = None, facts: HostFacts = FACTS) -> list[str]:
    return [BY_CODE[refused.code].name for refused in _broken(policy, disk or FakeDisk(), facts)]


def _broken(policy: Policy, disk: refusals.Disk, facts: HostFacts = FACTS) -> tuple[Refused, ...]:
    return refusals.broken(policy, facts, look_all(policy, disk), disk)


def _check(policy: Policy, disk: refusals.Disk) -> None:
    refusals.check(policy, FACTS, look_all(policy, disk), disk)


def test_a_plain_policy_breaks_no_rule() -> None:
    assert _names(FINE) == []
    _check(FINE, FakeDisk())


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
    assert rule in _names(_read(path))


@pytest.mark.parametrize(("path", "rule"), FORBIDDEN_TO_READ)
def test_a_guarded_path_is_refused_through_a_symlink(path: str, rule: str) -> None:
    assert rule in _names(_read("/srv/innocent"), FakeDisk(links={"/srv/innocent": path}))


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
        assert rule in _names(_read(spelling))


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
    assert rule in _names(_write(path))
    assert rule in _names(_write(path + "/"))
    assert rule in _names(_write("/srv/x"), FakeDisk(links={"/srv/x": path}))


@pytest.mark.parametrize("path", ["/srv/ci", "/srv/ci/own-filter.toml", "/srv/ci/link.toml", "/srv"])
def test_files_that_decide_the_policy_may_not_be_changed(path: str) -> None:
    policy = replace(
        _write(path), files=("/srv/ci/link.toml", "/srv/ci/own-filter.toml"), sources=("./x.toml",)
    )
    assert _names(policy) == ["own-files"]
    assert _names(replace(policy, filesystem=_read(path).filesystem)) == []


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
    assert "own-files" in _names(policy, refusals.Disk(), HERE)


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
    assert _names(_read(path)) == []


@pytest.mark.parametrize(
    "path", ["/home/me/project", "/srv/data", "/tmp/mine", "/var/cache/mine", "/home/me/src/.config"]
)
def test_near_misses_may_be_changed(path: str) -> None:
    assert _names(_write(path)) == []


def test_roots_own_home_is_its_own() -> None:
    root = replace(FACTS, uid=0, gid=0)
    assert _names(_read("/root/project"), facts=root) == []
    assert "whole-home" in _names(_read("/root"), facts=root)
    assert "host-homes" in _names(_read("/home/me/project"), facts=root)


def test_a_file_of_etc_that_is_not_for_everybody() -> None:
    disk = FakeDisk(kinds={"/etc/myapp.conf": "file"})
    assert _names(_read("/etc/myapp.conf"), disk) == []
    disk.closed.add("/etc/myapp.conf")
    assert _names(_read("/etc/myapp.conf"), disk) == ["host-etc"]


def test_other_names_of_guarded_directories_and_files() -> None:
    disk = FakeDisk(kinds={"/srv/hard": "file"})
    disk.twins = {"/srv/alias": "/etc", "/srv/hard": "/etc/shadow"}
    assert "host-etc" in _names(_read("/srv/alias"), disk)
    assert "host-etc" in _names(_read("/srv/hard"), disk)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [("proc", "host-proc"), ("sysfs", "host-sys"), ("cgroup2", "cgroup-trees"), ("devtmpfs", "host-devices")],
)
def test_kernel_file_systems_wherever_they_are_mounted(kind: str, rule: str) -> None:
    disk = FakeDisk()
    disk.mounted = (("/srv/chroot/x", kind), ("/srv/plain", "ext4"))
    for path in ("/srv/chroot", "/srv/chroot/x", "/srv/chroot/x/below"):
        assert rule in _names(_read(path), disk)
    assert _names(_read("/srv/plain"), disk) == []
    assert _names(_read("/srv/chroot/xy"), disk) == []


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
    assert rule in _names(_read("/srv/thing"), FakeDisk(kinds={"/srv/thing": kind}))


def test_directories_that_hold_sockets_or_keys() -> None:
    disk = FakeDisk()
    disk.names["/srv/a"] = {"plain": False, "agent.1": True}
    disk.names["/srv/b"] = {".ssh": False}
    disk.names["/srv/c"] = {"plain": False, "ssh": False}
    assert _names(_read("/srv/a"), disk) == ["socket-directories"]
    assert _names(_read("/srv/b"), disk) == ["credentials"]
    assert _names(_read("/srv/c"), disk) == []


def test_a_directory_with_an_engines_socket_cannot_be_lifted() -> None:
    disk = FakeDisk(kinds={"/run/docker.sock": "socket"})
    assert "unix-sockets" in _names(_lift(_read("/run"), "socket-directories"), disk)


def test_swap_in_use_is_found_by_name() -> None:
    disk = FakeDisk()
    disk.swapped = ("/srv/big/page",)
    assert _names(_read("/srv/big"), disk) == ["swap"]
    assert _names(_read("/srv/big2"), disk) == []


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
    assert "system-destination" in _names(_read("/srv/data", dest))
    assert "system-destination" in _names(_write("/srv/data", dest))
    assert "system-destination" in _names(_files(scratch=MappingProxyType({dest: 4096})))


@pytest.mark.parametrize(
    "dest", ["/work", "/srv/data", "/home/box/x", "/process", "/etcetera", "/user", "/tmp/x"]
)
def test_other_places_are(dest: str) -> None:
    assert _names(_read("/srv/data", dest)) == []
    assert _names(_write("/srv/data", dest)) == []


def test_a_file_of_etc_at_its_own_place() -> None:
    assert _names(_read("/etc/os-release", "/etc/os-release")) == []
    assert _names(_read("/etc/hosts", "/etc/hosts")) == ["system-destination"]


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
    assert rule in _names(_files(show=(path,)))


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
    assert rule in _names(_files(root=root), disk)


def test_a_root_of_its_own() -> None:
    disk = FakeDisk()
    disk.mounted = (("/srv/rootfs/proc", "proc"),)
    assert _names(_files(root="dir:/srv/rootfs"), disk) == []
    assert "host-proc" in _names(_files(root="dir:/srv/rootfs", show=("/usr", "/proc")), disk)


@pytest.mark.parametrize("mode", ["host", "HOST", "container:x", "/proc/1/ns/net", "slirp", ""])
def test_networks_of_others(mode: str) -> None:
    policy = replace(FINE, network=replace(FINE.network, mode=mode))
    assert set(_names(policy)) <= {"host-network", "joined-namespace"}
    assert _names(policy)


@pytest.mark.parametrize("mode", ["none", "loopback"])
def test_networks_of_its_own(mode: str) -> None:
    assert _names(replace(FINE, network=replace(FINE.network, mode=mode))) == []


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("SYS_ADMIN", "powerful-capabilities"),
        ("CAP_SYS_ADMIN", "powerful-capabilities"),
        ("sys_ptrace", "powerful-capabilities"),
        ("ALL", "powerful-capabilities"),
        ("CHOWN", "added-capabilities"),
        ("cap_setuid", "added-capabilities"),
    ],
)
def test_capabilities(name: str, rule: str) -> None:
    assert _names(replace(FINE, capabilities=replace(FINE.capabilities, keep=(name,)))) == [rule]


def test_the_one_capability_that_a_profile_may_keep() -> None:
    assert _names(replace(FINE, capabilities=replace(FINE.capabilities, keep=("NET_BIND_SERVICE",)))) == []


@pytest.mark.parametrize("name", ["unconfined", "", "None", " off "])
def test_no_filter(name: str) -> None:
    assert _names(replace(FINE, seccomp=replace(FINE.seccomp, filter=name))) == ["seccomp-unconfined"]


@pytest.mark.parametrize(
    ("field", "number", "rule"),
    [
        ("user", 0, "root-inside"),
        ("group", 0, "root-group"),
        ("user", -1, "id-out-of-range"),
        ("user", 65535, "id-out-of-range"),
        ("group", 2**32 - 1, "id-out-of-range"),
    ],
)
def test_ids(field: str, number: int, rule: str) -> None:
    identity = replace(FINE.identity, **{field: number})  # type: ignore[arg-type]
    assert _names(replace(FINE, identity=identity)) == [rule]


def test_ids_at_the_edges() -> None:
    for number in (1, 65534):
        assert _names(replace(FINE, identity=replace(FINE.identity, user=number, group=number))) == []


def test_host_id_zero_is_never_mapped() -> None:
    ranged = replace(FINE, identity=replace(FINE.identity, ids="range"))
    bad, good = (IdRange(0, 65536),), (IdRange(100000, 65536),)
    assert _names(FINE, facts=replace(FACTS, gid=0)) == ["host-root-mapped"]
    assert _names(ranged, facts=replace(FACTS, subuid=bad, subgid=good)) == ["host-root-mapped"]
    assert _names(ranged, facts=replace(FACTS, subuid=good, subgid=bad)) == ["host-root-mapped"]
    assert _names(ranged, facts=replace(FACTS, subuid=good, subgid=good)) == []
    assert _names(FINE, facts=replace(FACTS, subuid=bad)) == []
    assert _names(FINE, facts=replace(FACTS, uid=0, gid=0)) == []


def test_an_id_mode_that_makes_no_map() -> None:
    assert _names(replace(FINE, identity=replace(FINE.identity, ids="host"))) == ["host-user"]


@pytest.mark.parametrize("field", ["memory", "tasks", "cpu", "cpu_time", "wall", "file_size", "open_files"])
def test_every_limit_is_needed_and_above_zero(field: str) -> None:
    for number, rule in (
        (UNLIMITED, "missing-limits"),
        (0, "limit-out-of-range"),
        (-1, "limit-out-of-range"),
    ):
        limits = replace(LIMITS, **{field: number})
        assert _names(replace(FINE, limits=limits)) == [rule]
    assert _names(replace(FINE, limits=replace(LIMITS, **{field: 1}))) == []


@pytest.mark.parametrize("field", ["locked", "swap"])
def test_limits_that_may_be_zero_are_numbers_too(field: str) -> None:
    for number, rules in ((UNLIMITED, ["missing-limits"]), (-1, ["limit-out-of-range"]), (0, []), (1, [])):
        assert _names(replace(FINE, limits=replace(LIMITS, **{field: number}))) == rules


@pytest.mark.parametrize("field", ["cpu_bandwidth", "scratch_files"])
def test_limits_that_need_not_be_stated_are_above_zero(field: str) -> None:
    for number, rules in (
        (UNLIMITED, []),
        (-1, ["limit-out-of-range"]),
        (0, ["limit-out-of-range"]),
        (1, []),
    ):
        assert _names(replace(FINE, limits=replace(LIMITS, **{field: number}))) == rules


def test_scratch_and_changes_are_limited_too() -> None:
    assert _names(_files(scratch=MappingProxyType({"/tmp": UNLIMITED}))) == ["missing-limits"]
    assert _names(_files(scratch=MappingProxyType({"/tmp": 0}))) == ["limit-out-of-range"]
    assert _names(_files(mode="ephemeral", changes=0)) == ["limit-out-of-range"]
    assert _names(_files(mode="ephemeral", changes=1 << 20)) == []


def _lift(policy: Policy, *names: str) -> Policy:
    return replace(
        policy,
        refuse=MappingProxyType({k: v for k, v in policy.refuse.items() if k not in names}),
        loosen=MappingProxyType({f"refuse.{name}": "a reviewer's reason" for name in names}),
    )


def test_lifting_needs_both_the_absence_and_the_reason() -> None:
    policy = _read("/home/me/.kube")
    assert _names(_lift(policy, "credentials")) == []
    absent = {k: v for k, v in FINE.refuse.items() if k != "credentials"}
    assert _names(replace(policy, refuse=MappingProxyType(absent))) == ["credentials"]
    assert _names(replace(policy, loosen=MappingProxyType({"refuse.credentials": "x"}))) == ["credentials"]
    assert _names(replace(policy, refuse=MappingProxyType({}))) == ["credentials"]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES.values() if rule.floor])
def test_the_floor_is_not_lifted(rule: str) -> None:
    assert not refusals.lifted(_lift(FINE, rule), RULES[rule])


def test_lifting_one_rule_leaves_the_others() -> None:
    policy = _lift(_read("/home/other/.ssh"), "credentials")
    assert _names(policy) == ["host-homes"]


def test_check_raises_the_first_of_all_and_the_order_is_stable() -> None:
    policy = replace(_read("/etc"), limits=Limits())
    every = _broken(policy, FakeDisk())
    assert [one.code for one in every] == [one.code for one in _broken(policy, FakeDisk())]
    assert len(every) == 8
    with pytest.raises(Refused) as caught:
        _check(policy, FakeDisk())
    assert caught.value.render() == every[0].render()


def test_the_message_names_value_origin_and_what_the_path_leads_to() -> None:
    with pytest.raises(Refused) as caught:
        _check(_read("/srv/innocent"), FakeDisk(links={"/srv/innocent": "/etc"}))
    assert caught.value.render() == (
        "hardbox: refused [HB202]: the host's /etc, or a part of it that is not for everybody, is asked for\n"
        '  value    filesystem.read = "/srv/innocent" (leads to /etc)        (--read)\n'
        "  why      it holds password hashes, host keys and the configuration that root's programs obey\n"
        "  rule     host-etc: CIS-5.6, PSS-hostPathVolumes, 800-190-4.5.5\n"
        "  instead  show the one world-readable file that is needed: --read /etc/NAME.conf\n"
        "  nothing was run\n"
    )


# --- on the real file system ----------------------------------------------------------------------

HERE = HostFacts(uid=os.geteuid(), gid=os.getegid())


def test_real_links_pipes_sockets_and_missing_paths(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "far").symlink_to(tmp_path / "link")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").mkdir()
    assert "host-etc" in _names(_read(str(tmp_path / "link")), refusals.Disk())
    assert "host-etc" in _names(_read(str(tmp_path / "far") + "/shadow"), refusals.Disk())
    assert "unusable-source" in _names(_read(str(tmp_path / "loop")), refusals.Disk())
    assert "unusable-source" in _names(_read(str(tmp_path / "pipe")), refusals.Disk())
    assert "unusable-source" in _names(_read(str(tmp_path / "absent")), refusals.Disk())
    assert _names(_read(str(tmp_path / "plain")), refusals.Disk()) == []
    assert "host-proc" in _names(_read("/proc/self/root"), refusals.Disk())
    assert "host-proc" in _names(_read("/proc/1/root/etc"), refusals.Disk())


def test_a_real_socket_and_the_directory_that_holds_it() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        assert _names(_read(folder), refusals.Disk()) == []
        server.bind(folder + "/s")
        assert _names(_read(folder + "/s"), refusals.Disk()) == ["unix-sockets"]
        assert _names(_read(folder), refusals.Disk()) == ["socket-directories"]


@given(
    st.lists(st.sampled_from(["/../", "//", "/./", "/d/../"]), max_size=5),
    st.sampled_from(["/etc", "/proc", "/dev", "/sys", "/boot"]),
)
def test_real_symlinks_in_odd_spellings(noise: list[str], target: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(folder + "/d")
        os.symlink(target, folder + "/l")
        path = folder + "".join(step for step in noise if step != "/../") + "/l/" + "./" * len(noise)
        assert _names(_read(path), refusals.Disk())[0].startswith("host-")


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
    assert "privileged-files" in _names(_write("/srv/x"), disk)
    assert "privileged-files" not in _names(_read("/srv/x"), disk)


def test_a_redirected_path_is_refused() -> None:
    disk = FakeDisk()
    disk.redirects = {"/srv/x/out": "/srv/x/out"}
    assert "redirected-source" in _names(_write("/srv/x/out"), disk)
    assert "redirected-source" in _names(_read("/srv/x/out"), disk)
    assert "redirected-source" not in _names(_write("/srv/x/in"), disk)


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
    wanted = _write(path) if write else _read(path)
    assert rule not in _names(wanted, disk)
    disk.stated = "/srv/ci"
    assert rule in _names(wanted, disk)


def test_nothing_is_allowed_because_of_what_home_says() -> None:
    disk = FakeDisk()
    for path in ("/home/other/project", "/root/project", "/home/me", "/home/me/.ssh"):
        before = _names(_read(path), disk)
        assert before
        for stated in ("/home/other", "/root", "/", "/home", "", "/srv"):
            disk.stated = stated
            assert set(before) <= set(_names(_read(path), disk))
        disk.stated = "/home/me"
