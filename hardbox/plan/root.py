"""The part of a plan that builds the job's root.

Run by: the Python front; pure. The order is: an empty root, what is shown, the job's own
trees, scratch, /dev, /proc, then everything becomes read-only that has to be.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox.errors import ProfileError
from hardbox.plan import steps as s
from hardbox.plan.network import resolv_conf
from hardbox.plan.trees import TOP_LEVEL, around, by_place
from hardbox.policy import files_of
from hardbox.refusals.disk import MISSING, root_prefix
from hardbox.rules import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hardbox.host import HostFacts
    from hardbox.policy import Bind, Policy
    from hardbox.refusals.disk import PathFact

# Attached over this directory while the root is filled: it exists on every host, and no
# source may lie below it. A proc mount stays visible to the kernel's own check.
ASSEMBLY_POINT: Final = "/proc"
STAGE: Final = "/.changes"
EMPTY: Final = "/srv"
ROOT_SIZE: Final = 4 << 20
DEVICES: Final = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
DEVICE_LINKS: Final = (
    ("pts/ptmx", "/dev/ptmx"),
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)
# What /proc would tell of the host beyond what programs need (moby's masked paths and more).
MASKED_FILES: Final = (
    *(
        "buddyinfo",
        "cmdline",
        "config.gz",
        "diskstats",
        "interrupts",
        "iomem",
        "ioports",
        "kallsyms",
        "kcore",
        "key-users",
        "keys",
        "kmsg",
    ),
    *(
        "kpagecgroup",
        "kpagecount",
        "kpageflags",
        "latency_stats",
        "locks",
        "mdstat",
        "modules",
        "pagetypeinfo",
        "partitions",
        "sched_debug",
        "slabinfo",
    ),
    *("swaps", "sysrq-trigger", "timer_list", "timer_stats", "vmallocinfo", "zoneinfo"),
)
MASKED_DIRS: Final = ("acpi", "asound", "bus", "driver", "fs", "irq", "scsi")
# Limits of the job's user namespace, which the kernel counts for the caller's host user too:
# no namespaces inside, and what inotify may take.
OWN_LIMITS: Final = (
    ("max_user_namespaces", "0"),
    ("max_inotify_instances", "64"),
    ("max_inotify_watches", "16384"),
)
_SHARED_MODE: Final = 0o1777
_SHARED_PLACES: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108 (paths inside the sandbox)


class _Place(NamedTuple):
    """Something to attach: where, "dir" or "file", and the step that does it."""

    dest: str
    kind: str
    step: s.Step


class _Builder:
    """Collects steps, and makes each directory once, parents first."""

    def __init__(self, trees: Mapping[str, Sequence[Bind]]) -> None:
        self.steps: list[s.Step] = []
        self.made: set[str] = {"/"}
        # Trees of the host: nothing is made inside them.
        self.trees = trees

    def add(self, *steps: s.Step) -> None:
        self.steps.extend(steps)

    def directory(self, path: str, mode: int = 0o755) -> None:
        if path in self.made:
            return
        self.directory(posixpath.dirname(path))
        self.made.add(path)
        self.add(s.MakeDir(path, mode))

    def target(self, path: str, kind: str) -> None:
        """Make the place that something of this kind is attached to."""
        if path in self.made or any(around(path, self.trees)):
            return
        if kind == "dir":
            self.directory(path)
            return
        self.directory(posixpath.dirname(path))
        self.made.add(path)
        self.add(s.WriteFile(path, 0o444, b""))


def outside_trees(policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact]) -> tuple[s.Tree, ...]:
    """Give the trees that a root caller's supervisor has to clone, in the order of their slots.

    Init has none of root's access, and the owner on disk has to appear as the inside user;
    an ordinary caller's own id is the job's id, so init can open everything itself.
    """
    if facts.uid != 0:
        return ()
    user, group = policy.identity.user, policy.identity.group
    prefix = root_prefix(policy, paths)
    shown = _shown(policy, paths) if prefix else ()
    # Not where its symlinks lead: a root directory is hostile, and has none above what is shown.
    trees = [
        s.Tree(prefix + path, s.RECURSIVE if paths[prefix + path].kind == "dir" else 0, 0, 0, 0, 0)
        for path in shown
    ]
    for bind in _binds(policy):
        found = paths[bind.source]
        flags = s.IDMAPPED | (s.RECURSIVE if found.kind == "dir" else 0)
        trees.append(s.Tree(found.real, flags, found.uid, found.gid, user, group))
    return tuple(trees)


def root_steps(policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact]) -> tuple[s.Step, ...]:
    """Give the steps that build the root and enter it."""
    files = policy.filesystem
    ephemeral = files.mode == "ephemeral"
    build = _Builder(by_place(_binds(policy)))
    size = max(ROOT_SIZE, files.changes) if ephemeral else ROOT_SIZE
    build.add(s.Private(), s.NewRoot(ASSEMBLY_POINT, size, 65536))
    slots = _show(build, policy, facts, paths)
    _generated(build, policy)
    if ephemeral:
        _overlays(build, policy, paths)
    # Parents first, whatever they are: what is attached later covers what lies below it.
    attached = [*_own_trees(policy, facts, paths, slots), *_scratch(policy)]
    _no_ghosts(policy, paths, attached)
    for place in sorted(attached, key=lambda place: place.dest.split("/")):
        build.target(place.dest, place.kind)
        build.add(place.step)
    _devices(build)
    _proc(build)
    if not ephemeral:
        build.add(s.Attributes("/", s.RDONLY | s.NOSUID | s.NODEV, 0, 0))
    build.add(s.PivotRoot())
    return tuple(build.steps)


def _binds(policy: Policy) -> Iterable[Bind]:
    return (*policy.filesystem.read, *policy.filesystem.write)


def _shown(policy: Policy, paths: Mapping[str, PathFact]) -> tuple[str, ...]:
    """Give the shown paths that are there: directories and files, by their own name."""
    prefix = root_prefix(policy, paths)
    extra = (
        name
        for name in TOP_LEVEL
        if "/usr" in policy.filesystem.show and paths.get(prefix + name, MISSING).kind == "dir"
    )
    wanted = dict.fromkeys((*policy.filesystem.show, *extra))
    return tuple(p for p in wanted if paths[prefix + p].kind in ("dir", "file"))


def _show(build: _Builder, policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact]) -> int:
    """Show the root's directories read-only; gives the number of tree slots used."""
    prefix = root_prefix(policy, paths)
    readonly = s.RDONLY | s.NOSUID | s.NODEV
    slot = 0
    for path in _shown(policy, paths):
        found = paths[prefix + path]
        build.target(path, found.kind)
        if prefix and facts.uid == 0:
            build.add(s.Attach(slot, path, readonly))
            slot += 1
        else:
            # A root directory's own path may not contain symlinks: it is hostile.
            source = prefix + path if prefix else found.real
            build.add(s.BindMount(source, path, readonly, s.RECURSIVE if found.kind == "dir" else 0))
    for name in (*policy.filesystem.show, *TOP_LEVEL):
        found = paths.get(prefix + name, MISSING)
        if found.kind == "link" and name not in build.made:
            build.directory(posixpath.dirname(name))
            build.made.add(name)
            build.add(s.Symlink(found.target, name))
    return slot


def _generated(build: _Builder, policy: Policy) -> None:
    """Write what a C library looks for in /etc; the host's own never shows."""
    if "/etc" in build.made and "/etc" in policy.filesystem.show:
        return
    who = policy.identity
    home = policy.environment.set.get("HOME", "/")
    passwd = (
        f"box:x:{who.user}:{who.group}:hardbox:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    if who.user != 0:
        passwd = "root:x:0:0:not mapped:/:/bin/false\n" + passwd
    contents = {
        "/etc/passwd": passwd,
        "/etc/group": f"root:x:0:\nbox:x:{who.group}:\nnogroup:x:65534:\n",
        "/etc/hosts": f"127.0.0.1 localhost {who.hostname}\n::1 localhost\n",
        "/etc/hostname": f"{who.hostname}\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/etc/resolv.conf": resolv_conf(policy),
    }
    build.directory("/etc")
    for path, text in contents.items():
        build.made.add(path)
        build.add(s.WriteFile(path, 0o444, text.encode()))


def _overlays(build: _Builder, policy: Policy, paths: Mapping[str, PathFact]) -> None:
    prefix = root_prefix(policy, paths)
    directories = [p for p in _shown(policy, paths) if paths[prefix + p].kind == "dir"]
    if not directories:
        return
    size = policy.filesystem.changes
    build.add(s.MakeDir(STAGE, 0o700), s.Stage(STAGE, size, files_of(size)))
    build.add(*(s.Overlay(path, STAGE, s.NOSUID | s.NODEV) for path in directories))
    build.add(s.Unstage(STAGE))


def _own_trees(
    policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact], slot: int
) -> Iterable[_Place]:
    noexec = s.NOEXEC if policy.filesystem.exec == "shown" else 0
    for bind in _binds(policy):
        found = paths[bind.source]
        if found.kind not in ("dir", "file"):
            # refusals/ says it better; this stands behind it, for a policy that it has not seen.
            raise refuse("unusable-source", value=bind.source)
        attributes = s.NOSUID | s.NODEV | (noexec if bind in policy.filesystem.write else s.RDONLY)
        if facts.uid == 0:
            yield _Place(bind.dest, found.kind, s.Attach(slot, bind.dest, attributes))
            slot += 1
        else:
            flags = s.RECURSIVE if found.kind == "dir" else 0
            yield _Place(bind.dest, found.kind, s.BindMount(found.real, bind.dest, attributes, flags))


def _scratch(policy: Policy) -> Iterable[_Place]:
    noexec = s.NOEXEC if policy.filesystem.exec == "shown" else 0
    single = policy.identity.ids == "single"
    for path, size in policy.filesystem.scratch.items():
        mode = _SHARED_MODE if path in _SHARED_PLACES or not single else 0o755
        # One is the directory itself.
        inodes = min(files_of(size), policy.limits.scratch_files + 1)
        yield _Place(path, "dir", s.Tmpfs(path, size, inodes, mode, s.NOSUID | s.NODEV | noexec))


def _no_ghosts(policy: Policy, paths: Mapping[str, PathFact], attached: Iterable[_Place]) -> None:
    """Refuse a place inside a tree of the host where nothing is: making it would change the host."""
    trees = by_place(_binds(policy))
    for place in attached:
        for bind in around(place.dest, trees):
            there = paths.get(bind.source + place.dest[len(bind.dest) :])
            if there is None or there.kind != place.kind:
                raise ProfileError(
                    "HB431",
                    f"{place.dest} lies inside the tree {bind.dest}, and is not there",
                    value=place.dest,
                    why=f"to attach it, a {place.kind} would be made in {bind.source} of the host",
                    instead=f"make it there yourself, or choose a place outside {bind.dest}",
                )


def _devices(build: _Builder) -> None:
    build.directory("/dev")
    for name, major, minor in DEVICES:
        build.target(f"/dev/{name}", "file")
        build.add(s.Device(f"/dev/{name}", f"/dev/{name}", major, minor))
    build.add(*(s.Symlink(target, path) for target, path in DEVICE_LINKS))
    build.directory("/dev/pts")
    build.add(s.Devpts("/dev/pts"))


def _proc(build: _Builder) -> None:
    build.directory("/proc", 0o555)
    build.directory(EMPTY)
    build.add(s.Proc("/proc"), *(s.Sysctl(f"/proc/sys/user/{name}", value) for name, value in OWN_LIMITS))
    build.add(*(s.Mask("/dev/null", f"/proc/{name}") for name in MASKED_FILES))
    build.add(*(s.Mask(EMPTY, f"/proc/{name}") for name in MASKED_DIRS))
    build.add(s.Attributes("/proc", s.RDONLY | s.NOSUID | s.NODEV | s.NOEXEC, 0, 0))
