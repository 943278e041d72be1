"""From a failed step to an error that helps: what it was, why it may be, what to do.

Run by: the Python front; pure.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from hardbox.errors import HardboxError, HostUnfit, Refused, SetupFailed
from hardbox.rules import RULES

if TYPE_CHECKING:
    from hardbox.plan import LaunchPlan
    from hardbox.report import Failure

_ANY: Final = -1
# (kind, errno or _ANY) -> (why, instead)
_CAUSES: Final = {
    ("namespaces", errno.EPERM): (
        "user namespaces are closed to this caller: a sysctl, AppArmor, an outer container or a chroot",
        "hardbox doctor names the blocker and the narrowest fix",
    ),
    ("namespaces", errno.ENOSPC): (
        "a limit on namespaces is reached (/proc/sys/user/max_*_namespaces), or nesting is forbidden here",
        "hardbox doctor; inside a hardbox sandbox no further sandbox can be made",
    ),
    ("proc", errno.EPERM): (
        "the /proc of this host or container has parts hidden, and the kernel then allows no new one",
        "run outside the container, or give the container an unmasked /proc",
    ),
    ("id-lease", errno.EBUSY): (
        "every range of host ids is taken by a live sandbox",
        "wait for one to end, or give user hardbox a longer range in /etc/subuid and /etc/subgid",
    ),
    ("map-helpers", errno.EPERM): (
        "newuidmap or newgidmap has refused, and has said why on stderr",
        "check this user's lines in /etc/subuid and /etc/subgid, and that both programs are set-user-ID",
    ),
    ("map-uid", errno.EPERM): (
        "the kernel does not let this caller map ids: an outer container or a security module forbids it",
        "hardbox doctor names the blocker and the narrowest fix",
    ),
    ("map-gid", errno.EPERM): (
        "the kernel does not let this caller map ids: an outer container or a security module forbids it",
        "hardbox doctor names the blocker and the narrowest fix",
    ),
    ("overlay", errno.EINVAL): (
        "mounts below the directory may not be taken apart here, or its file system cannot be a lower layer",
        'filesystem.mode = "read-only", or show the directories below it one by one',
    ),
    ("tree", errno.EINVAL): (
        "the tree's file system does not support idmapped mounts (mount_setattr(2))",
        "put the tree on ext4, xfs, btrfs or (from Linux 6.3) tmpfs, or run as an ordinary user",
    ),
    ("make-dir", errno.EROFS): (
        "the destination lies inside a tree that is shown read-only, and does not exist there",
        "choose a destination outside the shown directories, such as /work",
    ),
    ("chdir", errno.ENOENT): (
        "the working directory does not exist inside the sandbox",
        "--workdir with a directory that the job can see, or show it with --read or --write",
    ),
    ("chdir", _ANY): ("the working directory cannot be entered", "--workdir with another directory"),
    ("bind", errno.ELOOP): (
        "a symlink stands in the path now: it was changed, or the root directory is hostile",
        "name the path that the symlink leads to",
    ),
    ("bind", errno.EACCES): (
        "the caller may not reach the path",
        "check the permissions of the directories above it",
    ),
    ("host", errno.EXDEV): (
        "the plan was made for another user or another kernel",
        "make it again here: hardbox compile",
    ),
    ("seccomp", errno.EBUSY): (
        "an outer container's supervisor hears its system calls, and the kernel allows one such listener",
        "--set seccomp.denials=silent (the filter is the same, its refusals are not explained)",
    ),
    ("seccomp", errno.ENOTSUP): (
        "the filter does not allow sendmsg(2), by which the supervisor is given its listener",
        "allow it in the filter, or --set seccomp.denials=silent",
    ),
    ("seccomp", _ANY): (
        "the kernel did not take the filter",
        "hardbox doctor; CONFIG_SECCOMP_FILTER is needed",
    ),
    ("cgroup", errno.ENOMEM): (
        "the command did not fit into its memory limit before it had even started",
        "a larger limits.memory: --memory 64M",
    ),
    ("cgroup", errno.ENOENT): (
        "the folder for the sandbox's cgroup is gone: we have been moved to another cgroup",
        "run it again",
    ),
    ("cgroup", _ANY): (
        "no cgroup can be made where one could be made a moment ago, or the process may not be moved there",
        "hardbox doctor says what it finds",
    ),
    ("cgroup-limit", errno.EINVAL): (
        "the kernel does not take this limit; CPU bandwidth may not be more than that of a cgroup around us",
        "a smaller value of the limit; hardbox doctor says what it finds",
    ),
    ("cgroup-limit", _ANY): (
        "the kernel does not take this limit",
        "another value of the limit; hardbox doctor says what it finds",
    ),
    ("watch", _ANY): (
        "there is no cgroup for it, and /proc hides the job from a watch (is it mounted with hidepid=?)",
        "mount -o remount,hidepid=0 /proc, or run where a cgroup is delegated",
    ),
    ("terminal", errno.ENOSPC): (
        "the host has no more pseudo-terminals (/proc/sys/kernel/pty/max)",
        "end what holds them, or start the job without a terminal: ... < /dev/null 2>&1 | cat",
    ),
    **dict.fromkeys(
        (("listen", errno.ECONNRESET), ("listen", errno.EPIPE)),
        (
            "the process outside that keeps the job's network ended before the job began",
            "run it again; if it happens again, see what ends processes here (out of memory, an operator)",
        ),
    ),
    ("listen", errno.EPROTO): (
        "the process outside that keeps the job's network is not the one of this installation",
        "install hardbox again: make build, or pip install --force-reinstall hardbox",
    ),
    ("listen", errno.ETIMEDOUT): (
        "the process that keeps the job's network does not get ready",
        "look at what it waits for: another run's keeper that is stopped, a name server, nft",
    ),
    ("listen", _ANY): (
        "the process that keeps the job's network has ended, or a socket for it cannot be made",
        "hardbox doctor (network-allow, network-bridge); --network none runs the job without any network",
    ),
    ("local-route", _ANY): (
        "the kernel does not make these addresses the sandbox's own",
        "hardbox doctor (network-allow); is IPv6 switched off in new networks only (sysctl net.ipv6.conf)?",
    ),
    ("device", errno.ENODEV): (
        "the device node of the host is not what its name says",
        "look at /dev on the host: something has replaced a node",
    ),
}
# What a step of each kind calls that older kernels, or the filter of an outer container, do not
# have: (calls, the Linux that brought the last of them).
_MOUNT_API: Final = ("fsopen(2), fsconfig(2), fsmount(2), move_mount(2) and openat2(2)", "5.6")
_CLONES: Final = ("openat2(2), open_tree(2), mount_setattr(2) and move_mount(2)", "5.12")
_LOOKUP: Final = ("openat2(2)", "5.6")
_LANDLOCK: Final = ("landlock(7)", "5.13 with CONFIG_SECURITY_LANDLOCK")
_CALLS: Final = {
    "namespaces": ("clone3(2)", "5.5"),
    **dict.fromkeys(("new-root", "tmpfs", "proc", "devpts", "stage", "overlay"), _MOUNT_API),
    **dict.fromkeys(("bind", "tree", "attach", "device", "mask", "attributes"), _CLONES),
    **dict.fromkeys(("make-dir", "symlink", "write-file", "sysctl"), _LOOKUP),
    **dict.fromkeys(("landlock", "landlock-path", "landlock-stdio", "landlock-enforce"), _LANDLOCK),
    "terminal": ("openat2(2)", "5.6"),
    "keyring": ("keyctl(2)", "any Linux with CONFIG_KEYS"),
    "seccomp": ("seccomp(2)", "3.17 with CONFIG_SECCOMP_FILTER"),
    "close-fds": ("close_range(2)", "5.9"),
}
_PRCTL: Final = ("no-new-privs", "securebits", "drop-bounding-set", "set-caps", "normalise", "set-ids")


# What streams.c refuses: errno -> (what, why).
_STREAMS: Final = {
    errno.EISDIR: ("a directory", 'a directory descriptor leads out of any root (openat(2) with "..")'),
    errno.EPROTONOSUPPORT: ("a socket pair", 'streams.sockets = "refuse" in the profile'),
    errno.ENOTSUP: (
        "something that leads out of the sandbox",
        "block devices, host devices, named sockets and O_PATH descriptors are the host's",
    ),
}
_SILENT: Final = (
    "init ended without a word: a filter of one's own lacks calls that init needs, or it was stopped",
    'a filter of your own extends a shipped one: extends = "strict"; else hardbox doctor',
)


def _missing(kind: str, number: int) -> tuple[str, str] | None:
    """Say which system call this kernel lacks; None if that is not what went wrong."""
    if number == errno.ENOSYS:
        calls, since = _CALLS.get(kind, ("close_range(2) or another new system call", "5.12"))
        since = since if since.startswith("any") else f"Linux {since}"
        why = f"the step needs {calls}: {since}; this kernel, or a container's filter around us, lacks it"
    elif number == errno.EINVAL and kind in ("", *_PRCTL):
        why = "the step needs a prctl(2) that this kernel, or a container's filter around us, lacks"
    else:
        return None
    return why, "a newer kernel (5.13 has all), or a container whose seccomp profile allows the calls"


def set_up_failed(plan: LaunchPlan, failed: Failure) -> HardboxError:
    """Give the error for a failed step."""
    word = errno.errorcode.get(failed.errno, str(failed.errno))
    text = os.strerror(failed.errno)
    if not 1 <= failed.step <= len(plan.steps):
        interrupted = failed.errno == errno.EINTR
        missing = _SILENT if failed.errno == errno.ECHILD else _missing("", failed.errno)
        return SetupFailed(
            "HB603" if interrupted else "HB602",
            "interrupted before the command started"
            if interrupted
            else f"outside of any step: {text} ({word})",
            why="a signal arrived, or the sandbox was killed from outside"
            if interrupted
            else (missing or ("",))[0],
            instead="" if interrupted else missing[1] if missing else "hardbox doctor",
        )
    step = plan.steps[failed.step - 1]
    if step.kind == "stdio" and failed.errno in _STREAMS:
        return _stream_refused(failed.errno)
    why, instead = (
        _CAUSES.get((step.kind, failed.errno))
        or _missing(step.kind, failed.errno)
        or _CAUSES.get((step.kind, _ANY))
        or ("", "hardbox doctor")
    )
    kind = HostUnfit if step.kind == "namespaces" else SetupFailed
    codes = {("seccomp", errno.EBUSY): "HB630", ("seccomp", errno.ENOTSUP): "HB631"}
    return kind(
        "HB510" if kind is HostUnfit else codes.get((step.kind, failed.errno), "HB601"),
        f"step {failed.step} of {len(plan.steps)}, {step.kind}: {text} ({word})",
        value=step.describe(),
        why=why,
        instead=instead,
    )


def _stream_refused(number: int) -> Refused:
    what, why = _STREAMS[number]
    return Refused(
        "HB210",
        f"{what} stands on descriptor 0, 1 or 2",
        why=why,
        rule=RULES["leaking-descriptors"].cite(),
        instead="redirect from a file, a pipe or /dev/null",
    )
