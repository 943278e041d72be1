from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox import habits
from hardbox.errors import Refused, Usage
from hardbox.rules import BY_CODE

FLAGS = [
    ("--pid", "host", "host-pid"),
    ("--ipc", "host", "host-ipc"),
    ("--net", "host", "host-network"),
    ("--network", "host", "host-network"),
    ("--uts", "host", "host-uts"),
    ("--userns", "host", "host-user"),
    ("--cgroupns", "host", "host-cgroup"),
    ("--pid", "container:x", "joined-namespace"),
    ("--net", "container:x", "joined-namespace"),
    ("--net", "/proc/1/ns/net", "joined-namespace"),
    ("--network", "ns:/run/netns/x", "joined-namespace"),
    ("--userns", "ns:/proc/1/ns/user", "joined-namespace"),
    ("--ipc", "1234", "joined-namespace"),
    ("--userns", "12", "joined-namespace"),
    ("--volumes-from", "x", "joined-namespace"),
    ("--privileged", None, "privileged"),
    ("--privileged", "true", "privileged"),
    ("--cap-add", "SYS_ADMIN", "powerful-capabilities"),
    ("--cap-add", "cap_net_admin", "powerful-capabilities"),
    ("--cap-add", "all", "powerful-capabilities"),
    ("--cap-add", "CHOWN,SYS_PTRACE", "powerful-capabilities"),
    ("--cap-add", "CHOWN", "added-capabilities"),
    ("--device", "/dev/sda", "host-devices"),
    ("--gpus", "all", "host-devices"),
    ("--dev-bind", "/dev", "host-devices"),
    ("--security-opt", "seccomp=unconfined", "seccomp-unconfined"),
    ("--security-opt", "seccomp:unconfined", "seccomp-unconfined"),
    ("--security-opt", "apparmor=unconfined", "lsm-unconfined"),
    ("--security-opt", "label=disable", "lsm-unconfined"),
    ("--security-opt", "label:type:spc_t", "lsm-unconfined"),
    ("--security-opt", "no-new-privileges=false", "new-privileges"),
    ("--security-opt", "no-new-privileges:false", "new-privileges"),
    ("--security-opt", "systempaths=unconfined", "unmasked-proc"),
    ("--security-opt", "unmask=ALL", "unmasked-proc"),
    ("-v", "/var/run/docker.sock:/var/run/docker.sock", "unix-sockets"),
    ("-v", "/run/containerd/containerd.sock:/x", "unix-sockets"),
    ("-v", "/:/host", "host-root"),
    ("-v", "//:/host:ro", "host-root"),
    ("-v", "/./../:/host", "host-root"),
    ("-v/:/host", None, "host-root"),
    ("-v", "/etc:/etc:ro", "host-etc"),
    ("-v", "/etc/../etc/shadow:/x", "host-etc"),
    ("-v", "/proc:/host/proc", "host-proc"),
    ("-v", "/sys:/sys:ro", "host-sys"),
    ("-v", "/dev:/dev", "host-devices"),
    ("-v", "/root/.ssh:/k:ro", "credentials"),
    ("-v", "~:/home", "whole-home"),
    ("-v", "/usr/local:/l", "system-trees"),
    ("-v", "/src:/src:rshared", "shared-propagation"),
    ("--volume", "/boot:/boot", "host-boot"),
    ("--mount", "type=bind,source=/,target=/host", "host-root"),
    ("--mount", "type=bind,src=/var/run/docker.sock,dst=/s", "unix-sockets"),
    ("--mount", "type=bind,src=/src,dst=/s,bind-propagation=rshared", "shared-propagation"),
    ("--ro-bind", "/", "host-root"),
    ("--bind", "/", "host-root"),
    ("--user", "0", "root-inside"),
    ("--user", "root", "root-inside"),
    ("--user", "0:0", "root-inside"),
    ("--user", "1000:0", "root-group"),
    ("-u", "0", "root-inside"),
    ("-u0", None, "root-inside"),
    ("--gid", "0", "root-group"),
    ("-p", "8080:80", "published-ports"),
    ("-p8080:80", None, "published-ports"),
    ("-P", None, "published-ports"),
    ("--publish", "80", "published-ports"),
    ("--sysctl", "kernel.msgmax=1", "sysctls"),
    ("--cgroup-parent", "/x", "cgroup-parent"),
    ("--runtime", "kata", "host-helpers"),
    ("--share-net", None, "host-network"),
    ("--noprofile", None, "seccomp-unconfined"),
    ("--disable_clone_newnet", None, "host-network"),
    ("--disable_clone_newuser", None, "host-user"),
    ("--disable_clone_newpid", None, "host-pid"),
    ("--disable_no_new_privs", None, "new-privileges"),
]


def _rule(error: object) -> str:
    assert isinstance(error, Refused)
    return BY_CODE[error.code].name


@pytest.mark.parametrize(("name", "value", "rule"), FLAGS)
def test_a_habit_is_refused_by_its_rule(name: str, value: str | None, rule: str) -> None:
    assert _rule(habits.flag(name, value)) == rule


@pytest.mark.parametrize(("name", "value", "rule"), [row for row in FLAGS if row[0].startswith("--")])
def test_case_and_underscores_do_not_count(name: str, value: str | None, rule: str) -> None:
    for spelling in (name.upper(), name.title(), "--" + name[2:].replace("-", "_")):
        assert _rule(habits.flag(spelling, value)) == rule


@pytest.mark.parametrize("word", ["pid", "ipc", "net", "uts", "userns", "cgroupns"])
@pytest.mark.parametrize("value", ["host", "HOST", " Host ", "'host'"])
def test_host_in_any_spelling(word: str, value: str) -> None:
    assert isinstance(habits.flag(f"--{word}", value), Refused)


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("-v", "/src:/work:ro", "--read /src:/work"),
        ("-v", "/src:/work", "--write /src:/work"),
        ("-v", "data:/work", "--write data:/work"),
        ("--mount", "type=bind,source=/src,target=/work,readonly", "--read /src:/work"),
        ("--ro-bind", "/src", "--read /src:DST"),
        ("--bind", "/src", "--write /src:DST"),
        ("--net", "none", "--network none"),
        ("--net", "slirp4netns", "--network none"),
        ("-m", "256m", "--memory 256M"),
        ("--memory-limit", "256MiB", "--memory 256M"),
        ("-m", "lots", "--memory SIZE"),
        ("-e", "K=V", "--env K=V"),
        ("-e", "K", "--env K"),
        ("--setenv", "K", "--env K=VALUE"),
        ("-w", "/src", "--workdir /src"),
        ("--chdir", "/src", "--workdir /src"),
        ("--cwd", "/src", "--workdir /src"),
        ("--pids-limit", "7", "--tasks 7"),
        ("--cpus", "1.5", "--set limits.cpu=2"),
        ("--cpus", "2", "--set limits.cpu=2"),
        ("--cpus", "two", "--set limits.cpu=N"),
        ("--time-limit", "30", "--timeout 30s"),
        ("--ulimit", "nofile=64:64", "--set limits.open_files=64"),
        ("--ulimit", "memlock=65536", "--set limits.locked=65536"),
        ("--ulimit", "stack=1", "--set limits.open_files=N"),
        ("--user", "1001", "--set identity.user=1001"),
        ("--user", "1001:7", "--set identity.user=1001 --set identity.group=7"),
        ("--user", "joe", "--set identity.user=1000"),
        ("--uid", "5", "--set identity.user=5"),
        ("--shm-size", "64m", '"/dev/shm" = "64M"'),
        ("--tmpfs", "/run/x:size=5m", '"/run/x" = "64M"'),
        ("--ro", "/src", "--read /src"),
        ("--rw", "/src", "--write /src"),
        ("--init", "ls", "leave it out"),
        ("--dns", "192.0.2.1", "leave it out"),
        ("--platform", "linux/arm64", "leave it out"),
        ("--pull", "always", "leave it out"),
        ("--restart", "always", "leave it out"),
        ("--env-file", "x.env", "--env NAME"),
        ("--entrypoint", "sh", "hardbox run -- sh"),
        ("--pid", "private", "leave it out"),
        ("--user", "1000:1000", "identity.user"),
        ("--rm", None, "leave it out"),
        ("--unshare-all", None, "leave it out"),
        ("--dev", "/dev", "leave it out"),
        ("--proc", "/proc", "leave it out"),
        ("--cap-drop", "ALL", "leave it out"),
        ("--cap-add", "NET_BIND_SERVICE", "NET_BIND_SERVICE"),
        ("--security-opt", "no-new-privileges", "leave it out"),
        ("--tmpfs", "/tmp", "scratch"),
    ],
)
def test_what_is_allowed_is_answered_with_hardboxs_own_word(
    name: str, value: str | None, instead: str
) -> None:
    answer = habits.flag(name, value)
    assert isinstance(answer, Usage)
    assert instead in answer.instead
    assert "{" not in answer.instead.partition("scratch")[0]


def test_a_profile_is_answered_in_the_words_of_profiles() -> None:
    answer = habits.key("network.mode", "private", "ci.toml")
    assert answer is not None
    assert answer.instead.startswith("network.mode = ")


@pytest.mark.parametrize("name", ["--frobnicate", "-x", "--pidx", "--privilege", "--", "-", "--set"])
def test_words_that_mean_nothing_are_left_to_the_parser(name: str) -> None:
    assert habits.flag(name, "host") is None


KEYS = [
    ("network.mode", "host", "host-network"),
    ("network.mode", "HOST", "host-network"),
    ("network.mode", "container:x", "joined-namespace"),
    ("network.mode", "/proc/1/ns/net", "joined-namespace"),
    ("namespaces.pid", "host", "host-pid"),
    ("namespaces.pid", False, "host-pid"),
    ("namespaces.net", "/proc/1/ns/net", "joined-namespace"),
    ("namespaces.user", False, "host-user"),
    ("namespaces.cgroup", "host", "host-cgroup"),
    ("namespaces.time", "host", "host-time"),
    ("namespaces.mount", False, "host-mounts"),
    ("unshare.uts", False, "host-uts"),
    ("share.ipc", True, "host-ipc"),
    ("pid", "container:x", "joined-namespace"),
    ("identity.userns", "host", "host-user"),
    ("identity.ids", "host", "host-user"),
    ("privileged", True, "privileged"),
    ("security.Privileged", True, "privileged"),
    ("capabilities.keep", "SYS_ADMIN", "powerful-capabilities"),
    ("capabilities.keep", "ALL", "powerful-capabilities"),
    ("capabilities.add", ["cap_sys_ptrace"], "powerful-capabilities"),
    ("capabilities.add", ["CHOWN"], "added-capabilities"),
    ("cap_add", ["ALL"], "powerful-capabilities"),
    ("security.no_new_privs", False, "new-privileges"),
    ("no_new_privileges", False, "new-privileges"),
    ("allowPrivilegeEscalation", True, "new-privileges"),
    ("seccomp.filter", "unconfined", "seccomp-unconfined"),
    ("seccomp.filter", False, "seccomp-unconfined"),
    ("seccomp.filter", "Unconfined", "seccomp-unconfined"),
    ("securityContext.seccompProfile.type", "Unconfined", "seccomp-unconfined"),
    ("security_opt", ["seccomp=unconfined"], "seccomp-unconfined"),
    ("apparmor", "unconfined", "lsm-unconfined"),
    ("devices", ["/dev/sda"], "host-devices"),
    ("filesystem.devices", ["/dev/kvm"], "host-devices"),
    ("filesystem.propagation", "shared", "shared-propagation"),
    ("filesystem.propagation", "rshared", "shared-propagation"),
    ("filesystem.sockets", ["/run/x"], "unix-sockets"),
    ("sysctls", {"kernel.msgmax": "1"}, "sysctls"),
    ("host_network", True, "host-network"),
    ("hostNetwork", True, "host-network"),
    ("hostPID", True, "host-pid"),
    ("hostIPC", True, "host-ipc"),
    ("hostUsers", True, "host-user"),
    ("securityContext.privileged", True, "privileged"),
    ("securityContext.runAsUser", 0, "root-inside"),
    ("securityContext.runAsNonRoot", False, "root-inside"),
    ("securityContext.procMount", "Unmasked", "unmasked-proc"),
    ("cgroup_parent", "/x", "cgroup-parent"),
    ("ports", ["80:80"], "published-ports"),
    ("hooks.prestart", ["/x"], "host-helpers"),
    ("uid_map", [[0, 0, 1]], "host-root-mapped"),
    ("volumes", ["/:/host"], "host-root"),
]


@pytest.mark.parametrize(("dotted", "value", "rule"), KEYS)
def test_a_key_of_another_tool_is_refused_by_its_rule(dotted: str, value: object, rule: str) -> None:
    answer = habits.key(dotted, value, "ci.toml")
    assert _rule(answer) == rule
    assert answer is not None
    assert answer.origin == "ci.toml"


@pytest.mark.parametrize(("dotted", "value", "rule"), KEYS)
def test_keys_in_other_spellings(dotted: str, value: object, rule: str) -> None:
    for spelling in (dotted.upper(), dotted.lower(), dotted.replace("_", "-")):
        assert _rule(habits.key(spelling, value, "ci.toml")) == rule


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("network.mode", "nonne"),
        ("network.mode", 3),
        ("network.alow", ["x:1"]),
        ("limits.memory", "host"),
        ("limits.pid", "host"),
        ("privileged", False),
        ("hostPID", False),
        ("refuse.host-network", False),
        ("loosen.devices", "x"),
        ("environment.set.pid", "host"),
        ("identity.user", 70000),
        ("filesystem.show", "/usr"),
        ("capabilities.drop", ["ALL"]),
        ("capabilities.keep", []),
        ("devices", []),
        ("filesystem.propagation", "private"),
        ("frobnicate", None),
    ],
)
def test_near_misses_are_left_to_the_profile_reader(dotted: str, value: object) -> None:
    assert habits.key(dotted, value, "ci.toml") is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.text(max_size=30), _VALUES)
def test_no_key_and_value_raise(dotted: str, value: object) -> None:
    answer = habits.key(dotted, value, "x")
    assert answer is None or answer.render()


@given(st.sampled_from([row[0] for row in KEYS]), _VALUES)
def test_no_value_of_a_known_bad_key_raises(dotted: str, value: object) -> None:
    answer = habits.key(dotted, value, "x")
    assert answer is None or answer.render()


@given(st.text(max_size=30) | st.sampled_from([row[0] for row in FLAGS]), st.none() | st.text(max_size=30))
def test_no_flag_raises(name: str, value: str | None) -> None:
    answer = habits.flag(name, value)
    assert answer is None or answer.render()
