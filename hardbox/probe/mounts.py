"""Probes of the mounts that build a root: each one is really made, in a child.

Run by: hardbox.probe.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from hardbox.host import LEASE_SIZE
from hardbox.probe import libc
from hardbox.probe.blockers import diagnose
from hardbox.probe.check import Check, Place
from hardbox.probe.children import enter_user_namespace, in_child, write
from hardbox.probe.namespaces import waiting_child

if TYPE_CHECKING:
    from hardbox.probe.children import At, Outcome

_BASES: Final = ("/tmp", "/var", "/usr")  # noqa: S108 (a mount point in a throw-away namespace)


def probe(place: Place) -> tuple[Check, ...]:
    """Try the mount API, /proc, devpts, overlays and idmapped mounts."""
    return (_api(place), _proc(place), _devpts(place), _overlay(place), _idmapped(place))


def _scratch(at: At) -> str:
    """Put a small tmpfs on an existing directory of a private mount namespace; give its path."""
    base = next(path for path in _BASES if os.path.isdir(path))
    at("fsopen tmpfs")
    context = libc.fsopen("tmpfs")
    at("fsconfig tmpfs")
    libc.fsconfig_string(context, "size", "65536")
    libc.fsconfig_create(context)
    at("fsmount tmpfs")
    mounted = libc.fsmount(context)
    at("move_mount tmpfs")
    libc.move_mount(mounted, base)
    return base


def _api_attempt(at: At) -> str:
    enter_user_namespace(at, libc.CLONE_NEWNS)
    base = _scratch(at)
    at("open_tree")
    tree = libc.open_tree("/usr")
    at("mount_setattr")
    libc.mount_setattr(tree, libc.MOUNT_ATTR_RDONLY)
    at("move_mount of the tree")
    os.mkdir(f"{base}/usr")
    libc.move_mount(tree, f"{base}/usr")
    at("read-only check")
    try:
        os.mkdir(f"{base}/usr/hardbox-probe")
    except OSError as error:
        if error.errno == errno.EROFS:
            return ""
        raise
    raise OSError(errno.EPROTO, "a read-only tree took a directory")


def _failed(
    place: Place, name: str, why: str, outcome: Outcome, *, required: bool, missing: str = ""
) -> Check:
    """Make the Check of a failure. missing: the fix where the kernel itself lacks the thing."""
    absent = outcome.error in (errno.ENOSYS, errno.ENODEV, errno.EINVAL)
    if absent and missing and "namespace" not in outcome.step:
        return Check(name, ok=False, found=outcome.say(), why=why, fix=missing, required=required)
    blocker = diagnose(outcome, place)
    found = f"{outcome.say()}: {blocker.found}"
    return Check(name, False, found, why, blocker.fix, required, blocker.name)  # noqa: FBT003 (fields)


def _api(place: Place) -> Check:
    name, why = "new-mount-api", "fsopen, open_tree, mount_setattr: a recursive read-only view of the host"
    outcome = in_child(_api_attempt)
    if outcome:
        found = "fsopen, fsmount, move_mount, open_tree and mount_setattr work in a user namespace"
        return Check(name, ok=True, found=found, why=why, required=True)
    missing = "a kernel of 5.12 or later (mount_setattr(2))"
    return _failed(place, name, why, outcome, required=True, missing=missing)


def _instance(kind: str, more: int) -> Outcome:
    def inner(at: At) -> str:
        at(f"fsopen {kind}")
        context = libc.fsopen(kind)
        at(f"fsconfig {kind}")
        libc.fsconfig_create(context)
        at(f"fsmount {kind}")
        libc.fsmount(context)
        return ""

    def attempt(at: At) -> str:
        enter_user_namespace(at, libc.CLONE_NEWNS | more)
        outcome = in_child(inner)  # a new pid namespace begins with the next child
        at(outcome.step)
        if not outcome:
            raise OSError(outcome.error, outcome.text)
        return ""

    return in_child(attempt)


def hidden_in_proc(place: Place) -> tuple[str, ...]:
    """Name what is mounted over parts of /proc, as container engines do."""
    rows = [line.split(" ") for line in place.text("/proc/self/mountinfo").splitlines()]
    return tuple(row[4] for row in rows if len(row) > 4 and row[4].startswith("/proc/"))  # noqa: PLR2004 (proc_pid_mountinfo(5))


def judge_proc(outcome: Outcome, place: Place) -> Check:
    """Judge the attempt to mount a new /proc."""
    name, why = "proc-mount", "the job gets a /proc of its own pid namespace"
    if outcome:
        return Check(name, ok=True, found="a new /proc can be mounted", why=why, required=True)
    hidden = hidden_in_proc(place)
    if outcome.error == errno.EPERM and "namespace" not in outcome.step and hidden:
        return Check(
            name,
            ok=False,
            found=f"{outcome.say()}: parts of /proc are hidden here ({', '.join(hidden[:4])}), and the kernel"
            ' then allows no new one ("VFS: Mount too revealing")',
            why=why,
            fix="run outside the container; else give this one container an unmasked /proc: podman"
            " --security-opt unmask=/proc/*, docker --security-opt systempaths=unconfined",
            required=True,
            blocker="masked-proc",
        )
    return _failed(place, name, why, outcome, required=True)


def _proc(place: Place) -> Check:
    return judge_proc(_instance("proc", libc.CLONE_NEWPID), place)


def _devpts(place: Place) -> Check:
    name, why = "devpts", "terminals of the job's own, none of the host's"
    outcome = _instance("devpts", 0)
    if outcome:
        return Check(name, ok=True, found="a new instance can be mounted", why=why, required=True)
    missing = "a kernel with CONFIG_UNIX98_PTYS=y, 4.7 or later"
    return _failed(place, name, why, outcome, required=True, missing=missing)


def _overlay_attempt(at: At) -> str:
    enter_user_namespace(at, libc.CLONE_NEWNS)
    base = _scratch(at)
    at("make directories")
    for letter in "luwm":
        os.mkdir(f"{base}/{letter}")
    write_new(f"{base}/l/file")
    at("mount overlay")
    options = f"userxattr,lowerdir={base}/l,upperdir={base}/u,workdir={base}/w"
    libc.mount("overlay", f"{base}/m", "overlay", 0, options)
    at("copy up")
    write(f"{base}/m/file", "changed")
    at("remove in the overlay")
    os.unlink(f"{base}/m/file")
    return ""


def write_new(path: str) -> None:
    """Make an empty file."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _overlay(place: Place) -> Check:
    name, why = "overlay", 'filesystem.mode = "ephemeral": writes that are thrown away'
    outcome = in_child(_overlay_attempt)
    if outcome:
        found = "overlayfs with a tmpfs upper layer (userxattr) works in a user namespace"
        return Check(name, ok=True, found=found, why=why)
    missing = 'a kernel of 5.11 or later with the overlay module (modprobe overlay); or mode = "read-only"'
    return _failed(place, name, why, outcome, required=False, missing=missing)


def _idmapped(place: Place) -> Check:
    name, why = "idmapped-mounts", "--write trees appear owned by the inside user when root starts the job"
    if place.facts.uid != 0:
        return Check(name, ok=None, found="not needed: an ordinary user's own id is the job's id", why=why)
    first, count = place.facts.lease_ids().start, LEASE_SIZE

    def attempt(at: At) -> str:
        with waiting_child(libc.CLONE_NEWUSER, at) as pid:
            for kind in ("uid_map", "gid_map"):
                at(f"write {kind}")
                write(f"/proc/{pid}/{kind}", f"0 {first} {count}")
            at("open its user namespace")
            namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            at("open_tree of the current directory")
            tree = libc.open_tree(".")
            at("mount_setattr with an id map")
            libc.mount_setattr(tree, libc.MOUNT_ATTR_IDMAP, namespace, flags=0)
        return ""

    outcome = in_child(attempt)
    if outcome:
        return Check(name, ok=True, found="work on the current directory's file system", why=why)
    missing = (
        "put --write trees on ext4 or xfs (kernel 5.12 or later), btrfs (5.15) or tmpfs (6.3);"
        " or start hardbox as an ordinary user"
    )
    return _failed(place, name, why, outcome, required=False, missing=missing)
