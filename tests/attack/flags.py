"""P on the command line: what is refused before anything starts. One row is one spelling.

Run by: tests/attack/test_policy.py; data only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Request:
    """One request that must be refused.

    words: of the command line, before "-- COMMAND"; {place} is a directory of the caller's.
    code:  how the code begins; "HB1" namespaces and privileges, "HB2" paths, "HB" any.
    """

    id: str
    words: tuple[str, ...]
    code: str
    source: str


def _rows(prefix: str, code: str, source: str, *spellings: tuple[str, ...]) -> tuple[Request, ...]:
    return tuple(
        Request(f"{prefix}-{number:02}", words, code, source) for number, words in enumerate(spellings, 1)
    )


_SHARED: Final = ("pid", "ipc", "net", "network", "uts", "userns", "cgroupns")
_FORBIDDEN_TREES: Final = (
    *("/", "/etc", "/proc", "/sys", "/dev", "/boot", "/root", "/lib/modules", "/usr/lib/modules", "/run"),
    *(
        "/var/run",
        "/home",
        "/sys/fs/cgroup",
        "/proc/self",
        "/proc/1/root",
        "/proc/self/root",
        "/proc/self/cwd",
    ),
    *("/proc/self/fd/0", "/dev/null", "/dev/shm", "/dev/pts", "/var/run/docker.sock", "/run/docker.sock"),
    *("/run/containerd/containerd.sock", "/run/dbus/system_bus_socket", "/tmp/.X11-unix", "/etc/shadow"),
    *(
        "//etc",
        "/etc/",
        "/usr/../etc",
        "/./etc",
        "/etc/.",
        "/../etc",
        "//",
        "/.",
        "/usr/..",
        "/proc/thread-self/root",
    ),
)
_FORBIDDEN_PLACES: Final = (
    *("/", "/proc", "/proc/self", "/proc/sys", "/proc/sys/kernel", "/sys", "/dev", "/dev/null", "/dev/pts"),
    *("/proc/../proc", "//proc", "/x/../proc", "/dev/fd", "/proc/1/root", "relative", ""),
)

REQUESTS: Final = (
    *(
        row
        for kind in _SHARED
        for row in _rows(
            f"P1-{kind}-host",
            "HB1",
            "CIS-5.10/16/17/21/31, PSS-hostNamespaces",
            (f"--{kind}=host",),
            (f"--{kind}", "host"),
            (f"--{kind.upper()}=host",),
            (f"--{kind}=HOST",),
            (f"--{kind}= host",),
            (f"--{kind}=Host",),
        )
    ),
    *(
        row
        for kind in ("pid", "ipc", "net", "network")
        for row in _rows(
            f"P1-{kind}-join",
            "HB1",
            "CIS-5.10/16/17, H9",
            (f"--{kind}=container:x",),
            (f"--{kind}", "container:x"),
            (f"--{kind}=ns:/proc/1/ns/{kind}",),
            (f"--{kind}=/proc/1/ns/{kind}",),
            (f"--{kind}=/proc/self/ns/{kind}",),
            (f"--{kind}=service:x",),
        )
    ),
    *_rows(
        "P2-privileges",
        "HB1",
        "CIS-5.4/5/22/26, PSS-privileged",
        ("--privileged",),
        ("--privileged=true",),
        ("--PRIVILEGED",),
        ("--privileged", "true"),
        ("--cap-add=SYS_ADMIN",),
        ("--cap-add", "SYS_ADMIN"),
        ("--cap-add=ALL",),
        ("--cap-add=CAP_SYS_ADMIN",),
        ("--cap-add=all",),
        ("--cap-add=sys_admin",),
        ("--security-opt=seccomp=unconfined",),
        ("--security-opt", "seccomp=unconfined"),
        ("--security-opt", "seccomp:unconfined"),
        ("--security-opt=no-new-privileges=false",),
        ("--security-opt", "no-new-privileges:false"),
        ("--security-opt", "apparmor=unconfined"),
        ("--security-opt", "label=disable"),
        ("--security-opt", "systempaths=unconfined"),
    ),
    *_rows(
        "P2-devices",
        "HB2",
        "CIS-5.18",
        ("--device=/dev/kvm",),
        ("--device", "/dev/kvm"),
        ("--device=/dev/sda:/dev/sda:rwm",),
        ("--device", "/dev/null"),
    ),
    *_rows(
        "P2-volumes",
        "HB2",
        "CIS-5.6/32, PSS-hostPathVolumes",
        ("-v", "/:/host"),
        ("-v", "/var/run/docker.sock:/s"),
        ("--volume=/:/host",),
        ("--volume", "/etc:/e"),
        ("-v/:/host",),
        ("-v", "/proc:/p:rw"),
    ),
    *_rows(
        "P3-spelling",
        "HB",
        "runtime-tools misc_props",
        ("--unknown",),
        ("--unknown=1",),
        ("--profil", "inspect"),
        ("--netw", "loopback"),
        ("--profile", "strict", "--profile", "inspect"),
        ("--network", "none", "--network", "loopback"),
        ("--profile", "nonesuch"),
        ("--profile", ""),
        ("--profile", "/nonexistent"),
        ("--profile", "../strict"),
        ("--profile", "/dev/zero"),
        ("--profile", "/"),
        ("--network", ""),
        ("--network", "NONE"),
        ("--network", "loopback"),
        ("--memory", "8G"),
        ("--tasks", "100000"),
        ("--timeout", "10h"),
        ("--memory", "-1"),
        ("--memory", "0"),
        ("--memory", "unlimited"),
        ("--memory", "18446744073709551616"),
        ("--memory", "9223372036854775809"),
        ("--tasks", "0"),
        ("--tasks", "-1"),
        ("--tasks", "1e3"),
        ("--tasks", "unlimited"),
        ("--timeout", "0"),
        ("--timeout", "-5s"),
        ("--timeout", "inf"),
        ("--hostname", "a b"),
        ("--hostname", "../x"),
        ("--hostname", ""),
        ("--env", "=x"),
        ("--env", ""),
        ("--workdir", "relative"),
    ),
    *_rows(
        "P3-set",
        "HB",
        "runtime-tools misc_props",
        ("--set", "network.mode=host"),
        ("--set", 'network.mode="host"'),
        ("--set", "Network.Mode=host"),
        ("--set", "network.mode=loopback"),
        ("--set", "network.mode"),
        ("--set", "=x"),
        ("--set", "a.b.c=1"),
        ("--set", "privileged=true"),
        ("--set", "pid=host"),
        ("--set", "namespaces.pid=host"),
        ("--set", "no_new_privs=false"),
        ("--set", "identity.user=0"),
        ("--set", "identity.group=0"),
        ("--set", "identity.ids=range"),
        ("--set", "identity.user=-1"),
        ("--set", "identity.user=4294967295"),
        ("--set", "identity.user=99999999999999999999"),
        ("--set", 'capabilities.keep=["SYS_ADMIN"]'),
        ("--set", 'capabilities.keep=["ALL"]'),
        ("--set", 'capabilities.keep=["NOPE"]'),
        ("--set", 'capabilities.keep=["CAP_CHOWN"]'),
        ("--set", 'capabilities.keep=["sys_admin"]'),
        ("--set", "capabilities.keep=SYS_ADMIN"),
        ("--set", "seccomp.filter=unconfined"),
        ("--set", "seccomp.filter=none"),
        ("--set", "seccomp.filter="),
        ("--set", "seccomp.filter=inspect"),
        ("--set", 'seccomp.add=["io-uring"]'),
        ("--set", 'seccomp.add=["nope"]'),
        ("--set", "filesystem.root=dir:/"),
        ("--set", "filesystem.root=/"),
        ("--set", "filesystem.mode=ephemeral"),
        ("--set", "filesystem.mode=rw"),
        ("--set", "filesystem.exec=anywhere"),
        ("--set", 'filesystem.show=["/"]'),
        ("--set", 'filesystem.show=["/etc"]'),
        ("--set", 'filesystem.show=["/root"]'),
        ("--set", 'filesystem.show=["/proc"]'),
        ("--set", 'filesystem.write=["/etc"]'),
        ("--set", 'filesystem.scratch={"/proc"="1M"}'),
        ("--set", 'filesystem.scratch={"/dev"="1M"}'),
        ("--set", 'filesystem.scratch={"/"="1M"}'),
        ("--set", 'filesystem.scratch={"/tmp"="100G"}'),
        ("--set", "limits.memory=8G"),
        ("--set", "limits.open_files=1000000"),
        ("--set", "limits.cpu=1024"),
        ("--set", "extends=inspect"),
        ("--set", "loosen.network=x"),
        ("--set", "refuse.host-network=false"),
        ("--set", 'environment.pass=["LD_PRELOAD"]'),
        ("--set", "optional.landlock=no"),
        ("--loosen", "network.mode=long enough a reason", "--set", "network.mode=host"),
        ("--loosen", "seccomp.filter=long enough a reason", "--set", "seccomp.filter=unconfined"),
        ("--loosen", "capabilities.keep=long enough a reason", "--set", 'capabilities.keep=["SYS_ADMIN"]'),
        ("--loosen", "identity.user=long enough a reason", "--set", "identity.user=0"),
        ("--loosen", "network.mode=", "--network", "loopback"),
        ("--loosen", "network.mode", "--network", "loopback"),
    ),
    *(
        Request(f"M8-read-{number:02}", ("--read", path), "HB", "CIS-5.6, PSS-hostPathVolumes")
        for number, path in enumerate(_FORBIDDEN_TREES, 1)
    ),
    *(
        Request(f"M8-write-{number:02}", ("--write", path), "HB", "CIS-5.6, PSS-hostPathVolumes")
        for number, path in enumerate((*_FORBIDDEN_TREES, "/usr", "/usr/bin", "/bin", "/var", "/lib"), 1)
    ),
    *(
        Request(
            f"B12-place-{number:02}", ("--read", f"{{place}}:{dest}"), "HB", "runc TestCheckMountDestInProc"
        )
        for number, dest in enumerate(_FORBIDDEN_PLACES, 1)
    ),
    *(
        Request(
            f"M7-link-{name}",
            ("--read", f"{{place}}/{name}"),
            "HB",
            "crun test_bind_mount_symlink_nofollow_procfs",
        )
        for name in ("link-etc", "link-root", "link-proc-root", "link-dev", "link-loop", "link-fd")
    ),
    *(
        Request(f"A21-source-{name}", ("--read", f"{{place}}/{name}"), "HB", "crun test_mount_fifo; CIS-5.32")
        for name in ("fifo", "socket", "missing", "with-socket", "no-such/x")
    ),
    *(
        Request(f"P2-relative-{number}", ("--read", path), "HB", "bubblewrap")
        for number, path in enumerate(("relative", "", "./x", ":/x", ":", "../../.."), 1)
    ),
)
