"""I: user namespace and ids.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, FILTERED, ROOT, SHUT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts


def _maps_host_root(text: str, _facts: Facts) -> str:
    for line in text.splitlines():
        _inside, outside, count = (int(word) for word in line.split())
        if outside <= 0 < outside + count:
            return f"host id 0 is mapped: {line.strip()}"
    return "" if text.strip() else "no map"


def _map_is_wide(text: str, _facts: Facts) -> str:
    ids = sum(int(line.split()[2]) for line in text.splitlines())
    return f"{ids} ids are mapped, and the profile says one" if ids != 1 else ""


def _shared_namespaces(text: str, facts: Facts) -> str:
    shared = [line for line in text.split() if line in facts.namespaces]
    return f"shared with the host: {shared}" if shared else ""


def _is_root_inside(text: str, _facts: Facts) -> str:
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("Uid", "Gid") and "0" in value.split():
            return line
    return ""


def _became(text: str, _facts: Facts) -> str:
    """Look whether it is somebody else now: the inside user may have the caller's number."""
    return "" if text.strip() == "already" else "became another"


_NEW: Final = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
_COMBINED: Final = {
    "user-mnt": _NEW["user"] | _NEW["mnt"],
    "user-net": _NEW["user"] | _NEW["net"],
    "user-pid-mnt": _NEW["user"] | _NEW["pid"] | _NEW["mnt"],
    "all": sum(_NEW.values()),
}
_ONLY_ROOT: Final = "an ordinary user has this id already, and only root could come to it"
_REFUSED_ID: Final = frozenset({"EPERM", "EINVAL", "ENOSYS", "SIGSYS"})

CHECKS: Final = (
    *(
        Check(
            f"I1-{name}",
            "host id 0 in a map",
            ("read", f"/proc/self/{name}"),
            frozenset(),
            "amicontained; runc advisory on a mapped host root",
            saw=_maps_host_root,
        )
        for name in ("uid_map", "gid_map")
    ),
    *(
        Check(
            f"I1-{name}-width",
            "more ids than the profile says",
            ("read", f"/proc/self/{name}"),
            frozenset(),
            "runtime-tools linux_uid_mappings",
            saw=_map_is_wide,
        )
        for name in ("uid_map", "gid_map")
    ),
    Check(
        "I1-not-root",
        "id 0 inside",
        ("ids",),
        frozenset(),
        "PSS runAsNonRoot",
        saw=_is_root_inside,
        control=(CALLER, THROWAWAY),
    ),
    Check(
        "I2-namespaces",
        "a namespace that is shared with the caller",
        ("namespaces",),
        frozenset(),
        "am-i-isolated rootns.rs; gVisor posture",
        saw=_shared_namespaces,
        control=(CALLER,),
    ),
    *(
        Check(
            f"I3-become-{name}",
            f"become user {uid}",
            ("become", uid),
            _REFUSED_ID,
            "moby TestUserNoEffectiveCapabilitiesSetuid",
            saw=_became,
            control=(CALLER, THROWAWAY, ROOT),
            vacuous=_ONLY_ROOT if name == "host-user" else "",
        )
        for name, uid in (("root", "0"), ("host-user", "{uid}"), ("nobody", "65534"), ("daemon", "1"))
    ),
    *(
        Check(
            f"I3-join-{name}",
            f"join group {gid}",
            ("join-group", gid),
            _REFUSED_ID,
            "moby TestUserNoEffectiveCapabilitiesSetgid",
            saw=_became,
            control=(CALLER, THROWAWAY, ROOT),
            vacuous=_ONLY_ROOT if name == "host-group" else "",
        )
        for name, gid in (
            ("root", "0"),
            ("host-group", "{gid}"),
            ("adm", "4"),
            ("disk", "6"),
            ("shadow", "42"),
        )
    ),
    *(
        Check(
            f"I4-write-{name}",
            "write the map of ids again",
            ("user-namespace", how, f"0 {{{source}}} 1"),
            SHUT | {"ENOSYS"},
            "user_namespaces(7)",
            control=(CALLER,),
            outside=("user-namespace", "unshare", f"0 {{{source}}} 1"),
        )
        for name, how, source in (("uid-map", "none", "uid"), ("own-namespace", "unshare", "uid"))
    ),
    Check(
        "I5-raise-2",
        "raise the limit on user namespaces, then make one",
        ("raise-limit-and-unshare", "2"),
        FILTERED,
        "bubblewrap nested userns",
        control=(THROWAWAY,),
    ),
    Check(
        "I5-raise-100",
        "raise the limit on user namespaces, then make one",
        ("raise-limit-and-unshare", "100"),
        FILTERED,
        "bubblewrap nested userns",
        control=(THROWAWAY,),
    ),
    Check(
        "I5-limit-open",
        "open the limit on user namespaces for writing",
        ("open", "/proc/sys/user/max_user_namespaces", "wr"),
        SHUT,
        "bubblewrap nested userns",
        control=(THROWAWAY, ROOT),
    ),
    *(
        Check(
            f"I6-unshare-{name}",
            f"unshare: {name}",
            ("sys", "@unshare", hex(flags)),
            FILTERED,
            "firejail namespaces.exp; moby DenyUnshareUserns",
        )
        for name, flags in (_NEW | _COMBINED).items()
    ),
    *(
        Check(
            f"I6-clone-{name}",
            f"clone: {name}",
            ("clone", hex(flags)),
            FILTERED,
            "moby DenyCloneUserns",
        )
        for name, flags in (_NEW | _COMBINED).items()
    ),
    *(
        Check(
            f"I6-clone3-{name}",
            f"clone3: {name}",
            ("clone3", hex(flags)),
            frozenset({"ENOSYS"}),
            "flatpak CVE-2021-41133",
        )
        for name, flags in (_NEW | _COMBINED | {"plain": 0, "time": 0x80}).items()
    ),
    *(
        Check(
            f"I6-int80-unshare-{name}",
            f"unshare by the i386 door: {name}",
            ("int80", "@32:unshare", hex(flags)),
            frozenset({"SIGSYS"}),
            "firejail namespaces-32.exp",
            vacuous="kernels without IA32 emulation",
        )
        for name, flags in (_NEW | _COMBINED).items()
    ),
    Check(
        "I6-unshare-high",
        "unshare with rubbish in the upper half of the register",
        ("sys", "@unshare", "0x12310000000"),
        FILTERED | {"EINVAL"},
        "CVE-2019-10063 class",
        control=(CALLER, ROOT),
        vacuous="the kernel itself may look at all bits",
    ),
    Check(
        "I6-clone-high",
        "clone with rubbish in the upper half of the register",
        ("clone", "0x12310000000"),
        FILTERED,
        "CVE-2019-10063 class",
    ),
)
