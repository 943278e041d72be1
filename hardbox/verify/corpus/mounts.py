"""M: mounts.

Run by: hardbox/verify/corpus/__init__.py; data only. Propagation and left-overs are test_mounts.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, FILTERED, ROOT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts


def _propagates(text: str, _facts: Facts) -> str:
    for line in text.splitlines():
        optional = line.partition(" - ")[0].split()[6:]
        if optional:
            return line
    return ""


_EACH: Final = (
    ("M1", ("remount", "remount-bind", "setattr", "shared", "bind", "open-tree")),
    ("M2", ("umount", "detach", "force", "expire")),
)
_NEW_MOUNTS: Final = (
    ("tmpfs", ("none", "/tmp", "tmpfs", "0", "size=64k")),
    ("proc", ("none", "/tmp", "proc", "0", "")),
    ("sysfs", ("none", "/tmp", "sysfs", "0", "")),
    ("mqueue", ("none", "/tmp", "mqueue", "0", "")),
    ("devpts", ("none", "/tmp", "devpts", "0", "newinstance")),
    ("cgroup-v1", ("none", "/tmp", "cgroup", "0", "rdma")),
    ("cgroup-v2", ("none", "/tmp", "cgroup2", "0", "")),
    ("bpf", ("none", "/tmp", "bpf", "0", "")),
    ("bind-root", ("/", "/tmp", "", "0x1000", "")),
    ("bind-recursive", ("/", "/tmp", "", "0x5000", "")),
    ("overlay", ("none", "/tmp", "overlay", "0", "lowerdir=/usr:/etc")),
    ("move", ("/proc", "/tmp", "", "0x2000", "")),
    ("private", ("none", "/", "", "0x44000", "")),
)

CHECKS: Final = (
    *(
        Check(
            f"{row}-{how}",
            f"{how} on every mount there is",
            ("each-mount", how),
            FILTERED,
            "LK unprivileged-remount-test.c; moby; gVisor TestUnmount",
            control=(THROWAWAY,),
        )
        for row, hows in _EACH
        for how in hows
    ),
    *(
        Check(
            f"M3-nested-{how}",
            f"{how} on every mount, from a namespace of the own making",
            ("nested", how),
            FILTERED,
            "LK unprivileged-remount-test.c; crun",
            control=(CALLER, THROWAWAY),
            vacuous="only a mount of the own namespace can be remounted" if how == "remount" else "",
        )
        for _row, hows in _EACH
        for how in hows
    ),
    *(
        Check(
            f"M1-mount-{name}",
            f"mount {name}",
            ("mount", *words),
            FILTERED,
            "moby TestRunUnprivilegedCannotMount; CVE-2022-0492",
            control=(THROWAWAY,),
            vacuous="not built into every kernel" if name in ("cgroup-v1", "bpf", "mqueue") else "",
        )
        for name, words in _NEW_MOUNTS
    ),
    *(
        Check(
            f"M1-new-api-{name}",
            f"mount {name} by fsopen and move_mount",
            ("mount-new-api", name),
            FILTERED,
            "flatpak CVE-2021-41133",
            control=(THROWAWAY,),
        )
        for name in ("tmpfs", "proc", "sysfs", "cgroup2")
    ),
    Check(
        "M5-propagation",
        "a mount that receives or sends mounts of the host",
        ("read", "/proc/self/mountinfo"),
        frozenset(),
        "runtime-tools linux_rootfs_propagation; CIS-5.20",
        saw=_propagates,
        control=(CALLER, ROOT),
        vacuous="a host without shared mounts; test_mounts.py makes one",
    ),
)
