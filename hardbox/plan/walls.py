"""The part of a plan that takes everything from the job before it runs.

Run by: the Python front; pure. Identity, limits, Landlock, capabilities, filter, in the
order in which the kernel allows them.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from hardbox.errors import HostUnfit
from hardbox.host import LEASE_SIZE
from hardbox.plan import steps as s
from hardbox.plan.network import network_steps
from hardbox.policy import CAPABILITIES

if TYPE_CHECKING:
    from hardbox.host import HostFacts
    from hardbox.policy import Policy

LEASE_FILE: Final = "/run/hardbox.ids"
_RLIMIT_CPU, _RLIMIT_FSIZE, _RLIMIT_DATA, _RLIMIT_CORE = 0, 1, 2, 4
_RLIMIT_NPROC, _RLIMIT_NOFILE, _RLIMIT_MEMLOCK, _RLIMIT_SIGPENDING, _RLIMIT_MSGQUEUE = 6, 7, 8, 11, 12
# Timers and queued signals are counted for the host user too.
_SIGPENDING: Final = 1024
_MSGQUEUE: Final = 819200

# landlock(7), access rights on files and the ABI that brought them.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
_FILE_ONLY: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_NETWORK_ABI, _SCOPE_ABI = 4, 6
_BIND_CONNECT_TCP: Final = 3
_ABSTRACT_AND_SIGNALS: Final = 3


def capability_mask(names: tuple[str, ...]) -> int:
    """Give the bit mask of capability names, which profile/ has checked."""
    return sum(1 << CAPABILITIES.index(name) for name in names)


def identity_steps(policy: Policy, facts: HostFacts) -> tuple[s.Step, ...]:
    """Give the outside steps that map ids. Host uid and gid 0 are never mapped."""
    user, group = policy.identity.user, policy.identity.group
    if facts.uid == 0:
        ids = facts.lease_ids()
        lease = s.IdLease(LEASE_FILE, ids.start, LEASE_SIZE, ids.count // LEASE_SIZE)
        if policy.identity.ids == "single":
            return (lease, s.MapUid(user, user, 1, 1), s.MapGid(group, group, 1, 1))
        return (lease, s.MapUid(0, 0, LEASE_SIZE, 1), s.MapGid(0, 0, LEASE_SIZE, 1))
    if policy.identity.ids == "single":
        return (s.MapUid(user, facts.uid, 1, 0), s.MapGid(group, facts.gid, 1, 0))
    return _range_maps(policy, facts)


def _range_maps(policy: Policy, facts: HostFacts) -> tuple[s.Step, ...]:
    if not (facts.newuidmap and facts.newgidmap and facts.subuid and facts.subgid):
        raise HostUnfit(
            "HB520",
            "a range of ids needs subordinate ids, and this caller has none",
            value='identity.ids = "range"',
            origin=policy.origin("identity.ids"),
            why="newuidmap, newgidmap and lines in both /etc/subuid and /etc/subgid are needed (subuid(5))",
            instead='identity.ids = "single", or as root: usermod --add-subuids 100000-165535'
            " --add-subgids 100000-165535 USER, and the package uidmap",
        )
    steps: list[s.Step] = [s.MapHelpers(facts.newuidmap, facts.newgidmap)]
    for kind, own, inside, ranges in (
        (s.MapUid, facts.uid, policy.identity.user, facts.subuid),
        (s.MapGid, facts.gid, policy.identity.group, facts.subgid),
    ):
        first, count = ranges[0].start, min(ranges[0].count, LEASE_SIZE)
        # The caller's own id becomes the inside user; subordinate ids fill in around it.
        if inside > 0:
            steps.append(kind(0, first, min(inside, count), 0))
        steps.append(kind(inside, own, 1, 0))
        if count > inside + 1:
            steps.append(kind(inside + 1, first + inside + 1, count - inside - 1, 0))
    return tuple(steps)


def limit_steps(policy: Policy) -> tuple[s.Step, ...]:
    """Give the limits of every process; init counts as one task of its own."""
    limits = policy.limits
    rows = (
        (_RLIMIT_CPU, limits.cpu_time),
        (_RLIMIT_FSIZE, limits.file_size),
        (_RLIMIT_DATA, limits.memory + limits.swap),
        (_RLIMIT_CORE, 0),
        (_RLIMIT_NPROC, limits.tasks + 1),
        (_RLIMIT_NOFILE, limits.open_files),
        (_RLIMIT_MEMLOCK, limits.locked),
        (_RLIMIT_SIGPENDING, _SIGPENDING),
        (_RLIMIT_MSGQUEUE, _MSGQUEUE),
    )
    return (*(s.Rlimit(which, value, value) for which, value in rows), s.Cpus(limits.cpu))


def _writable(policy: Policy, everything: int) -> int:
    execute = 0 if policy.filesystem.exec == "shown" else EXECUTE
    return everything & ~(MAKE_CHAR | MAKE_BLOCK | EXECUTE) | execute


def landlock_steps(policy: Policy, facts: HostFacts, shown: dict[str, str]) -> tuple[s.Step, ...]:
    """Give the second wall: the same view of files, and TCP, abstract sockets and signals.

    shown: what stands in the root, path -> "read", "write", "device", "read-file"...
    """
    if facts.landlock_abi == 0:
        if "landlock" in policy.optional:
            return ()
        raise HostUnfit(
            "HB501",
            "this kernel has no Landlock, which the profile relies on as a second wall",
            why="CONFIG_SECURITY_LANDLOCK is off or landlock is not in the lsm= list",
            instead='enable Landlock, or [optional] landlock = "reason" in a profile of your own',
        )
    everything = (1 << (13 + min(facts.landlock_abi - 1, 2))) - 1
    if facts.landlock_abi >= 5:  # noqa: PLR2004 (the ABI that brought LANDLOCK_ACCESS_FS_IOCTL_DEV)
        everything |= IOCTL_DEV
    read = (EXECUTE | READ_FILE | READ_DIR) & everything
    device = (READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV) & everything
    rights = {
        "list": READ_DIR,
        "read": read,
        "read-file": read & _FILE_ONLY,
        "data": READ_FILE | READ_DIR,
        "write": _writable(policy, everything),
        "write-file": _writable(policy, everything) & _FILE_ONLY,
        "device": device,
        "terminals": device | READ_DIR,
    }
    network = facts.landlock_abi >= _NETWORK_ABI and policy.network.mode == "none"
    steps: list[s.Step] = [
        s.Landlock(
            everything,
            _BIND_CONNECT_TCP if network else 0,
            _ABSTRACT_AND_SIGNALS if facts.landlock_abi >= _SCOPE_ABI else 0,
        )
    ]
    steps += [s.LandlockPath(path, rights[how]) for path, how in shown.items()]
    steps += [s.LandlockStdio(device), s.LandlockEnforce()]
    return tuple(steps)


def visible(policy: Policy, root: tuple[s.Step, ...], trees: tuple[str, ...]) -> dict[str, str]:
    """Derive Landlock's view from the steps that built the root: path -> kind of access.

    trees: kinds ("dir" or "file") of the slots, for trees that the supervisor cloned.
    """
    shown: dict[str, str] = {"/": "list"}
    for step in root:
        if isinstance(step, s.BindMount | s.Attach):
            is_dir = (
                bool(step.flags & s.RECURSIVE) if isinstance(step, s.BindMount) else trees[step.slot] == "dir"
            )
            how = "read" if step.attributes & s.RDONLY else "write"
            shown[step.dest] = how if is_dir else f"{how}-file"
        elif isinstance(step, s.Tmpfs | s.Overlay):
            shown[step.dest] = "write"
            # A writable layer over a shown directory stays executable.
            if isinstance(step, s.Tmpfs) and posixpath.dirname(step.dest) == step.dest:
                shown[step.dest] = "list"
        elif isinstance(step, s.Device):
            shown[step.dest] = "device"
        elif isinstance(step, s.Devpts):
            shown[step.dest] = "terminals"
        elif isinstance(step, s.Proc):
            shown[step.dest] = "data"
        elif isinstance(step, s.WriteFile) and step.content:
            shown.setdefault(posixpath.dirname(step.path), "data")
    if policy.filesystem.mode == "ephemeral":
        shown["/"] = "write"
    return shown


def drop_steps(
    policy: Policy, facts: HostFacts, workdir: str, landlock: tuple[s.Step, ...]
) -> tuple[s.Step, ...]:
    """Give everything between the new root and the filter."""
    keep = capability_mask(policy.capabilities.keep)
    groups = s.DROP_GROUPS if facts.uid == 0 or policy.identity.ids == "range" else 0
    steps: list[s.Step] = [s.Hostname(policy.identity.hostname)]
    steps += network_steps(policy, facts)
    steps += [s.Keyring(), s.Normalise(), *limit_steps(policy), s.NoNewPrivs(), *landlock]
    steps += [
        s.Securebits(),
        s.DropBoundingSet(keep),
        s.SetIds(policy.identity.user, policy.identity.group, groups),
        s.SetCaps(keep),
        s.Chdir(workdir),
        s.CloseFds(),
    ]
    return tuple(steps)
