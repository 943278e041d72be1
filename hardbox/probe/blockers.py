"""From a failed namespace to the obstacle that stands in the way, and its narrowest fix.

Run by: the probes; reads files, and tries one thing more only to recognise a chroot.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.host import read_bytes
from hardbox.probe import libc
from hardbox.probe.check import APPARMOR
from hardbox.probe.children import Outcome, in_child

if TYPE_CHECKING:
    from hardbox.probe.check import Place
    from hardbox.probe.children import At

_DENIED: Final = (errno.EPERM, errno.EACCES)
_PLACEHOLDER: Final = "/usr/bin/hardbox-launch"


@dataclass(frozen=True, slots=True)
class Blocker:
    """An obstacle: its short name, what it looks like here, what to do."""

    name: str
    found: str
    fix: str


def diagnose(outcome: Outcome, place: Place) -> Blocker:
    """Name the most likely obstacle behind a failed attempt to make a namespace."""
    if not place.text("/proc/self/status"):
        return Blocker("no-proc", "/proc is not mounted", "mount -t proc proc /proc")
    user = "user namespace" in outcome.step
    if outcome.error in (errno.ENOSPC, errno.EUSERS):
        return _count(place)
    if outcome.error in (errno.EINVAL, errno.ENOSYS) and user:
        return _unbuilt(place)
    if outcome.error in _DENIED:
        for look in (_unmapped, _debian, _chroot, _outer_seccomp, _ubuntu, _selinux):
            found = look(place)
            if found is not None:
                return found
    return Blocker(
        "unknown",
        f"{outcome.say()}; no known blocker stands out (a chroot onto a mount point looks like this)",
        "look at the kernel log and the security module's audit log for a denial at this moment",
    )


def _count(place: Place) -> Blocker:
    limit = place.text("/proc/sys/user/max_user_namespaces")
    if limit == "0":
        return Blocker(
            "max_user_namespaces",
            "user.max_user_namespaces is 0",
            "as root, in this user namespace: sysctl -w user.max_user_namespaces=1024"
            " (keep it in /etc/sysctl.d);"
            " inside a sandbox that set it to 0 on purpose, run hardbox outside instead",
        )
    return Blocker(
        "namespace-count",
        f"a limit on namespaces is reached (user.max_user_namespaces is {limit or 'unreadable'} here;"
        " an outer namespace's own limit, or the depth of 32, counts too)",
        "end what holds namespaces (lsns), or raise the one user.max_*_namespaces sysctl that is low",
    )


def _unbuilt(place: Place) -> Blocker:
    if place.text("/proc/self/uid_map"):
        return Blocker(
            "clone-filtered",
            "the call is answered as if it did not exist, though the kernel has user namespaces",
            _OUTER_FIX,
        )
    return Blocker(
        "no-user-namespaces",
        "this kernel is built without user namespaces",
        "a kernel with CONFIG_USER_NS=y; every distribution's own has it",
    )


def unmapped(place: Place, first: int, count: int = 1) -> bool:
    """Tell whether some of these ids do not exist in the user namespace that this process is in."""
    rows = [row.split() for row in place.text("/proc/self/uid_map").splitlines()]
    known = [(int(row[0]), int(row[2])) for row in rows if len(row) == 3]  # noqa: PLR2004 (inside, outside, count)
    return bool(known) and not any(start <= first and first + count <= start + size for start, size in known)


def _unmapped(place: Place) -> Blocker | None:
    uid = place.facts.uid
    if not unmapped(place, uid):
        return None
    return Blocker(
        "unmapped-id",
        f"uid {uid} is not mapped in the user namespace that hardbox was started in",
        "start hardbox as an id that /proc/self/uid_map names",
    )


def _debian(place: Place) -> Blocker | None:
    if place.facts.uid == 0 or place.text("/proc/sys/kernel/unprivileged_userns_clone") != "0":
        return None
    return Blocker(
        "unprivileged_userns_clone",
        "kernel.unprivileged_userns_clone is 0 (Debian): ordinary users may make none",
        "run hardbox as root, or: sysctl -w kernel.unprivileged_userns_clone=1"
        " (the switch is for all programs; Debian has no narrower one)",
    )


def is_chroot(place: Place) -> bool:
    """Tell whether the root directory is not the mount namespace's root.

    A directory that is no mount point leaves mountinfo without a line for "/"
    (proc_pid_mountinfo(5)); the kernel refuses user namespaces from there (clone(2), EPERM).
    """
    mounts = place.text("/proc/self/mountinfo")
    if "/" not in [line.split(" ")[4] for line in mounts.splitlines()]:
        return bool(place.text("/proc/self/status"))
    if place.root or place.facts.uid != 0:
        return False
    # A chroot onto a mount point has its line; only root can look at the namespace from its root.
    outside = in_child(_mounts_from_the_root)
    return bool(outside) and len(outside.text.splitlines()) > len(mounts.splitlines())


def _mounts_from_the_root(at: At) -> str:
    at("enter the own mount namespace again")  # setns(2): this leads to its root directory
    libc.setns(os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), libc.CLONE_NEWNS)
    return read_bytes("/proc/self/mountinfo").decode("utf-8", "replace")


def _chroot(place: Place) -> Blocker | None:
    if not is_chroot(place):
        return None
    return Blocker(
        "chroot",
        "this process lives in a chroot, where the kernel makes no user namespace (clone(2))",
        "enter the tree with pivot_root instead: unshare --mount and pivot_root, systemd-nspawn, or hardbox's"
        ' own filesystem.root = "dir:/path" from outside',
    )


_OUTER_FIX: Final = (
    "run hardbox outside that container; else give this one container a seccomp profile that adds clone,"
    " clone3, unshare, mount, umount2, pivot_root, fsopen, fsconfig, fsmount, move_mount, open_tree and"
    " mount_setattr to the runtime's default, not one that is unconfined"
)


def status_field(place: Place, name: str) -> str:
    """Give one value of /proc/self/status, "" if it is missing."""
    for line in place.text("/proc/self/status").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def _outer_seccomp(place: Place) -> Blocker | None:
    if status_field(place, "Seccomp") != "2":
        return None
    return Blocker(
        "outer-seccomp",
        "an outer container's seccomp filter is loaded on this process and refuses it",
        _OUTER_FIX,
    )


def apparmor_profile(launcher: str) -> str:
    """Give the AppArmor profile that lets this one program make user namespaces, and no other."""
    return f"""abi <abi/4.0>,
include <tunables/global>

profile hardbox-launch "{launcher}" flags=(unconfined) {{
  userns,
  include if exists <local/hardbox-launch>
}}
"""


def _ubuntu(place: Place) -> Blocker | None:
    if place.facts.uid == 0 or place.text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != "1":
        return None
    launcher = place.launcher or _PLACEHOLDER
    return Blocker(
        APPARMOR,
        "kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu): only programs with a profile may",
        "as root, write this to /etc/apparmor.d/hardbox-launch, then:"
        " apparmor_parser -r /etc/apparmor.d/hardbox-launch\n" + apparmor_profile(launcher),
    )


def _selinux(place: Place) -> Blocker | None:
    if place.text("/sys/fs/selinux/enforce") != "1":
        return None
    return Blocker(
        "selinux",
        "SELinux is enforcing, and may deny user_namespace create to this domain",
        "look for it with: ausearch -m avc -c hardbox-launch; allow it for that domain alone (audit2allow)",
    )
