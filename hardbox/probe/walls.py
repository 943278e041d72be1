"""Probes of what is taken from the job: Landlock, seccomp, no_new_privs, process calls.

Run by: hardbox.probe. Each is really applied, in a child that then tries to break it.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import struct
from typing import TYPE_CHECKING, Final

from hardbox.probe import libc
from hardbox.probe.check import Check, Place
from hardbox.probe.children import in_child

if TYPE_CHECKING:
    from hardbox.probe.children import At

# landlock(7): what each ABI added.
ABI_ADDED: Final = (
    "files",
    "renames and links between directories",
    "truncation",
    "TCP bind and connect",
    "device ioctls",
    "abstract sockets and signals",
    "audit of denials",
)
_NEWEST_USED: Final = 6  # plan/walls.py handles nothing later than scopes
_READ_FILE: Final = 1 << 2  # LANDLOCK_ACCESS_FS_READ_FILE
_MARK: Final = errno.EXDEV  # an errno that openat2(2) does not give for what is asked here
_UNUSED_FD: Final = 1 << 20


def probe(place: Place) -> tuple[Check, ...]:
    """Try the walls one by one."""
    return (_landlock(place), _filter(), _notify(), _no_new_privs(), _process_calls(), _into_cgroup())


def _landlock_attempt(at: At) -> str:
    at("no_new_privs")
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    at("landlock_create_ruleset")
    ruleset = libc.landlock_create(_READ_FILE)
    at("landlock_restrict_self")
    libc.landlock_restrict(ruleset)
    at("denied read")
    try:
        os.close(os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EACCES:
            return ""
        raise
    raise OSError(errno.EPROTO, "a read that Landlock forbids went through")


def _landlock(place: Place) -> Check:
    name, why = "landlock", "a second wall that repeats the view of files, and scopes signals and sockets"
    abi = place.facts.landlock_abi
    outcome = in_child(_landlock_attempt)
    if abi > 0 and outcome:
        lacking = ABI_ADDED[abi:_NEWEST_USED]
        found = f"ABI {abi}: " + ", ".join(ABI_ADDED[:abi])
        found += f"; without {', '.join(lacking)}" if lacking else ""
        fix = "a later kernel adds the rest; the namespaces hold meanwhile" if lacking else ""
        return Check(name, ok=True, found=found, why=why, fix=fix, required=True)
    fix = (
        "boot with landlock added to the lsm= list (cat /sys/kernel/security/lsm shows it), with a kernel of"
        ' 5.13 or later; or [optional] landlock = "reason" in a profile of your own'
    )
    return Check(name, ok=False, found=f"ABI {abi}; {outcome.say()}", why=why, fix=fix, required=True)


def _instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, k)  # struct sock_filter


def _filter_attempt(at: At) -> str:
    at("no_new_privs")
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    at("seccomp: load a filter")
    program = (
        _instruction(0x20, 0)  # load the syscall number
        + _instruction(0x15, libc.SYS_OPENAT2, 0, 1)
        + _instruction(0x06, libc.SECCOMP_RET_ERRNO | _MARK)
        + _instruction(0x06, libc.SECCOMP_RET_ALLOW)
    )
    libc.seccomp_load(program)
    at("refused call")
    try:
        os.close(libc.openat2("/", os.O_RDONLY, 0))
    except OSError as error:
        if error.errno == _MARK:
            return ""
        raise
    raise OSError(errno.EPROTO, "a call that the filter refuses went through")


def _filter() -> Check:
    name, why = "seccomp-filter", "default-deny on system calls; loaded last, before exec"
    outcome = in_child(_filter_attempt)
    if outcome:
        return Check(name, ok=True, found="a filter can be loaded, and holds", why=why, required=True)
    fix = "a kernel with CONFIG_SECCOMP_FILTER=y; in a container, one whose filter allows seccomp(2)"
    return Check(name, ok=False, found=outcome.say(), why=why, fix=fix, required=True)


def _notify() -> Check:
    name, why = (
        "seccomp-notify",
        "calls can be decided outside the job (supervision is to come; unused today)",
    )

    def attempt(at: At) -> str:
        at("seccomp: action kill-process")
        libc.seccomp_has_action(libc.SECCOMP_RET_KILL_PROCESS)
        at("seccomp: action user-notify")
        libc.seccomp_has_action(libc.SECCOMP_RET_USER_NOTIF)
        at("seccomp: sizes")
        return "/".join(str(size) for size in libc.seccomp_notify_sizes())

    outcome = in_child(attempt)
    if outcome:
        return Check(name, ok=True, found=f"available, structures of {outcome.text} bytes", why=why)
    fix = "a kernel of 5.0 or later; in a container, one whose filter allows seccomp(2)"
    return Check(name, ok=False, found=outcome.say(), why=why, fix=fix)


def _no_new_privs_attempt(at: At) -> str:
    try:
        prctl = importlib.import_module("prctl")
    except ImportError:  # the extra "doctor" is not installed: the same calls by ctypes
        at("prctl PR_SET_NO_NEW_PRIVS")
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
        at("prctl PR_GET_NO_NEW_PRIVS")
        held = libc.prctl(libc.PR_GET_NO_NEW_PRIVS) == 1
    else:
        at("prctl PR_SET_NO_NEW_PRIVS")
        prctl.set_no_new_privs(1)
        at("prctl PR_GET_NO_NEW_PRIVS")
        held = prctl.get_no_new_privs() == 1
    if not held:
        raise OSError(errno.EPROTO, "no_new_privs did not hold")
    return ""


def _no_new_privs() -> Check:
    name, why = "no-new-privs", "set-user-ID programs give the job nothing"
    outcome = in_child(_no_new_privs_attempt)
    if outcome:
        return Check(name, ok=True, found="can be set, and stays set", why=why, required=True)
    return Check(name, ok=False, found=outcome.say(), why=why, fix="a kernel of 3.5 or later", required=True)


def _process_calls_attempt(at: At) -> str:
    at("clone3")
    number = libc.clone3_errno(0)
    if number != errno.EINVAL:  # size 0 is refused as too small, if the call exists
        raise OSError(number, "clone3")
    at("pidfd_open")
    pidfd = os.pidfd_open(os.getpid())
    at("pidfd_send_signal")
    signal.pidfd_send_signal(pidfd, 0)
    at("close_range")
    libc.close_range(_UNUSED_FD, _UNUSED_FD)
    at("openat2")
    os.close(libc.openat2("/", os.O_PATH, 0))
    return ""


def _process_calls() -> Check:
    name, why = "process-calls", "clone3, pidfd, close_range, openat2: how the launcher starts, kills, opens"
    outcome = in_child(_process_calls_attempt)
    if outcome:
        return Check(name, ok=True, found="all there", why=why, required=True)
    fix = "a kernel of 5.9 or later; in a container, one whose filter allows these calls"
    return Check(name, ok=False, found=outcome.say(), why=why, fix=fix, required=True)


def _into_cgroup() -> Check:
    name, why = (
        "clone-into-cgroup",
        "a job born in its own cgroup (limits by cgroup are to come; unused today)",
    )

    def attempt(at: At) -> str:
        at("clone3 with CLONE_INTO_CGROUP")
        number = libc.clone3_errno(88, libc.CLONE_INTO_CGROUP, _UNUSED_FD)
        if number != errno.EBADF:  # the flag is known, the descriptor is not
            raise OSError(number, "clone3")
        return ""

    outcome = in_child(attempt)
    if outcome:
        return Check(name, ok=True, found="known to the kernel", why=why)
    return Check(name, ok=False, found=outcome.say(), why=why, fix="a kernel of 5.7 or later")
