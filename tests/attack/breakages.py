"""Plans with one protection broken, and what verify says of them; "none" is no sandbox at all.

Run by: tests/attack/test_selftest.py, as a script of the caller's: breakages.py NAME prints JSON.
The edit is made to the plan's steps, before they are encoded; the launcher's floor refuses some.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import struct
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Final

from hardbox import filters
from hardbox.errors import SetupFailed
from hardbox.plan import steps as s
from hardbox.verify import examine, runner
from hardbox.verify.check import CLASSES, ESCAPED, judge, live_control
from hardbox.verify.corpus import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hardbox.plan import LaunchPlan

    Steps = tuple[s.Step, ...]

# BPF_RET | BPF_K with SECCOMP_RET_ALLOW.
_ALLOW_ALL: Final = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
_DOOR: Final = "/srv"
# All but the loader, whom a broken plan does not concern.
_ATTACKED: Final = tuple(name for name, _title in CLASSES.values() if name != "policy")


def _without(*kinds: type[s.Step]) -> Callable[[Steps], Iterable[s.Step]]:
    return lambda given: (step for step in given if not isinstance(step, kinds))


def _with(kind: type[s.Step], change: Callable[[Any], s.Step]) -> Callable[[Steps], Iterable[s.Step]]:
    return lambda given: (change(step) if isinstance(step, kind) else step for step in given)


def _loose_mounts(flag: int) -> Callable[[Steps], Iterable[s.Step]]:
    """Take a flag from every mount that has it in its step."""

    def change(step: s.Step) -> s.Step:
        if isinstance(step, s.Tmpfs):
            return s.Tmpfs(step.dest, step.size, step.inodes, step.mode, step.attributes & ~flag)
        if isinstance(step, s.BindMount):
            return s.BindMount(step.source, step.dest, step.attributes & ~flag, step.flags)
        if isinstance(step, s.Attributes):
            return s.Attributes(step.path, step.set & ~flag, step.clear, step.recursive)
        return step

    return lambda given: (change(step) for step in given)


def _before(kind: type[s.Step], *more: s.Step) -> Callable[[Steps], Iterable[s.Step]]:
    def insert(given: Steps) -> Iterable[s.Step]:
        for step in given:
            if isinstance(step, kind):
                yield from more
            yield step

    return insert


def _namespaces(flag: int) -> Callable[[Steps], Iterable[s.Step]]:
    return _with(s.Namespaces, lambda step: s.Namespaces(step.flags & ~flag))


def _higher(resource: int, value: int) -> Callable[[Steps], Iterable[s.Step]]:
    def change(step: s.Rlimit) -> s.Step:
        return s.Rlimit(resource, value, value) if step.resource == resource else step

    return _with(s.Rlimit, change)


def _landlock(given: Steps) -> Iterable[s.Step]:
    kinds = (s.Landlock, s.LandlockPath, s.LandlockStdio, s.LandlockEnforce)
    return (step for step in given if not isinstance(step, kinds))


def _writable_root(given: Steps) -> Iterable[s.Step]:
    return (
        s.Attributes(step.path, step.set & ~s.RDONLY, step.clear, step.recursive)
        if isinstance(step, s.Attributes) and step.path == "/"
        else step
        for step in given
    )


def _writable_usr(given: Steps) -> Iterable[s.Step]:
    return (
        s.BindMount(step.source, step.dest, step.attributes & ~s.RDONLY, step.flags)
        if isinstance(step, s.BindMount) and step.dest == "/usr"
        else step
        for step in given
    )


# name -> what is broken, and how
BREAKAGES: Final[dict[str, tuple[str, Callable[[Steps], Iterable[s.Step]]]]] = {
    "filter-allows-all": (
        "a filter that allows everything",
        _with(s.SeccompFilter, lambda _: s.SeccompFilter(_ALLOW_ALL, filters.SILENT)),
    ),
    "no-filter": ("no filter", _without(s.SeccompFilter)),
    "no-masks": ("no mask over /proc", _without(s.Mask)),
    "no-landlock": ("no second wall", _landlock),
    "no-nosuid": ("mounts without nosuid", _loose_mounts(s.NOSUID)),
    "no-nodev": ("mounts without nodev", _loose_mounts(s.NODEV)),
    "no-noexec": ("scratch that can be executed from", _loose_mounts(s.NOEXEC)),
    "proc-writable": (
        "a /proc that can be written",
        lambda given: (
            step for step in given if not (isinstance(step, s.Attributes) and step.path == "/proc")
        ),
    ),
    "root-writable": ("a root that can be written", _writable_root),
    "usr-writable": ("the host's /usr, writable", _writable_usr),
    "no-limits": ("no resource limits", _without(s.Rlimit)),
    "more-tasks": ("more processes", _higher(6, 4096)),
    "more-memory": ("more memory", _higher(2, 1 << 40)),
    "more-files": ("more open files", _higher(7, 2048)),
    "core-dumps": ("core dumps", _higher(4, 1 << 20)),
    "no-keyring": ("the caller's session keyring", _without(s.Keyring)),
    "caps-kept": ("a capability kept", _with(s.SetCaps, lambda _: s.SetCaps(1))),
    "bounding-kept": (
        "a full bounding set",
        _with(s.DropBoundingSet, lambda _: s.DropBoundingSet((1 << 41) - 1)),
    ),
    "one-capability": (
        "CAP_NET_BIND_SERVICE kept",
        lambda given: (
            s.SetCaps(1 << 10)
            if isinstance(step, s.SetCaps)
            else s.DropBoundingSet(1 << 10)
            if isinstance(step, s.DropBoundingSet)
            else step
            for step in given
        ),
    ),
    "no-new-privs-off": ("no no_new_privs", _without(s.NoNewPrivs)),
    "env-leaked": ("a variable of the caller passed on", _before(s.Arg, s.PassEnv("AWS_SECRET_ACCESS_KEY"))),
    "env-set": ("a variable set that nobody promised", _before(s.Arg, s.Env("EXTRA", "1"))),
    "extra-bind": (
        "a directory of the host shown",
        _before(s.Proc, s.BindMount("/var/tmp", _DOOR, s.NOSUID | s.NODEV, s.RECURSIVE)),
    ),
    "extra-tmpfs": (
        "a directory of memory that nobody promised",
        _before(s.Proc, s.Tmpfs(_DOOR, 1 << 20, 64, 0o755, 15)),
    ),
    "scratch-larger": (
        "larger scratch",
        _with(s.Tmpfs, lambda t: s.Tmpfs(t.dest, t.size * 4, t.inodes, t.mode, t.attributes)),
    ),
    "extra-device": (
        "a device of the host",
        _before(s.Devpts, s.WriteFile("/dev/kmsg", 0o644, b""), s.Device("/dev/kmsg", "/dev/kmsg", 1, 11)),
    ),
    "descriptors-open": ("descriptors left open", _without(s.CloseFds)),
    "not-normalised": ("umask, signals and the like as the caller's", _without(s.Normalise)),
    "hostname": ("the host's own name", _with(s.Hostname, lambda _: s.Hostname(os.uname().nodename))),
    "loopback": ("a network that is up", _before(s.Keyring, s.LoopbackUp())),
    "all-cpus": ("all CPUs", _without(s.Cpus)),
    "no-network-namespace": ("the host's network", _namespaces(0x40000000)),
    "no-pid-namespace": ("the host's processes", _namespaces(0x20000000)),
    "no-ipc-namespace": ("the host's IPC", _namespaces(0x08000000)),
    "no-uts-namespace": ("the host's name", _namespaces(0x04000000)),
    "no-cgroup-namespace": ("the host's cgroups", _namespaces(0x02000000)),
    "no-securebits": ("securebits not locked", _without(s.Securebits)),
    "ids-kept": ("another user inside", _with(s.SetIds, lambda i: s.SetIds(0, 0, i.flags))),
    "workdir": ("a working directory that nobody promised", _with(s.Chdir, lambda _: s.Chdir("/usr"))),
    "no-private": ("mounts that propagate", _without(s.Private)),
}
# What hardbox-launch refuses before anything starts, whoever made the plan (launch/floor.c), or
# cannot carry out.
NOTICED_BY_LAUNCHER: Final = frozenset(
    {
        *("no-filter", "no-nosuid", "no-nodev", "proc-writable", "no-keyring", "caps-kept", "bounding-kept"),
        *(
            "no-new-privs-off",
            "descriptors-open",
            "not-normalised",
            "no-network-namespace",
            "no-pid-namespace",
        ),
        *("no-ipc-namespace", "no-uts-namespace", "no-securebits", "ids-kept", "no-private"),
    }
)


def _broken(name: str) -> dict[str, object]:
    change = BREAKAGES[name][1] if name in BREAKAGES else tuple

    def alter(plan: LaunchPlan) -> LaunchPlan:
        return dataclasses.replace(plan, steps=tuple(change(plan.steps)))

    try:
        found = examine.examine("strict", alter=alter, classes=_ATTACKED, controlled=False)
    except SetupFailed as error:
        return {"refused": f"[{error.code}] {error.what}: {error.value}: {error.why}", "escaped": []}
    return {"refused": "", "escaped": [row.id for row in found.of(ESCAPED)]}


def _none() -> dict[str, object]:
    """Run the controls as if they were the sandbox: each live one must be called an escape."""
    base = tempfile.mkdtemp(prefix=f"hardbox-verify-{os.getpid()}-")
    try:
        os.chmod(base, 0o755)
        arena = examine.prepare("strict", (), {}, base)
        checks = [check for check in CHECKS if not runner.fits(check, arena.facts.machine, arena.probes)]
        (first, facts, _), (second, others, _) = (
            examine.run_controls(arena, checks, _quiet) for _ in range(2)
        )
    finally:
        shutil.rmtree(base)
    live, quiet = 0, []
    for check in checks:
        controls = {where: done[check.id] for where, done in first.items() if check.id in done}
        where = live_control(check, controls, facts)
        if where:
            live += 1
            verdict = judge(check, controls, second[where][check.id], facts, others)
            quiet += [check.id] if verdict.word != ESCAPED else []
    return {"live": live, "quiet": quiet}


def _quiet(_stage: str, _done: int, _all: int) -> None:
    return None


if __name__ == "__main__":
    print(json.dumps(_none() if sys.argv[1] == "none" else _broken(sys.argv[1])))
