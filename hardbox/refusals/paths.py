"""Refusals about paths: what is shown, read, written, used as a root, and where it would appear.

Run by: the Python front. Every path is looked at as it is spelled, and as what it leads to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox.places import (
    ENGINE_SOCKETS,
    KEY_NAMES,
    MOUNT_RULES,
    builds,
    guards,
    holds_etc_secret,
    normal,
    within,
)
from hardbox.refusals.disk import root_of, root_prefix
from hardbox.rules import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardbox.errors import Refused
    from hardbox.host import HostFacts
    from hardbox.policy import Policy
    from hardbox.refusals.disk import Disk, PathFact

# Directories that may have a second name by a bind mount.
_ALIASED: Final = ("/", "/etc", "/root", "/home", "/boot", "/run", "/var", "/var/lib", "/usr")
_SECRET_FILES: Final = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/krb5.keytab")


# What guards one's own home; whose a directory is says the user database, never $HOME.
_OWN_HOME: Final = ("whole-home", "credentials", "startup-files")


class Source(NamedTuple):
    """A host path that the job would get.

    key:   of the policy, "filesystem.read".
    path:  as it is spelled.
    real:  what it leads to.
    kind:  of what it leads to.
    write: the job would be able to change it.
    shown: one of the root's own directories. Those keep their owners, so root's secrets in them stay
           closed to the job; what the caller binds appears as the job's own.
    redirect: a symlink on the way that a job could have put there.
    """

    key: str
    path: str
    real: str
    kind: str
    write: bool = False
    shown: bool = False
    redirect: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Give both spellings."""
        return tuple(dict.fromkeys((normal(self.path), self.real)))


def sources(policy: Policy, paths: Mapping[str, PathFact]) -> tuple[Source, ...]:
    """Give every host path that the policy asks for."""
    files = policy.filesystem
    root, prefix = root_of(policy), root_prefix(policy, paths)

    def source(key: str, path: str, fact: PathFact, *, write: bool = False, shown: bool = False) -> Source:
        return Source(key, path, normal(fact.real), fact.kind, write, shown, fact.redirect)

    return (
        *(source("filesystem.read", bind.source, paths[bind.source]) for bind in files.read),
        *(source("filesystem.write", bind.source, paths[bind.source], write=True) for bind in files.write),
        *((source("filesystem.root", root, paths[root]),) if root else ()),
        *(source("filesystem.show", root + path, paths[prefix + path], shown=True) for path in files.show),
    )


def check_paths(
    policy: Policy, facts: HostFacts, paths: Mapping[str, PathFact], disk: Disk
) -> Iterator[Refused]:
    """Give every refusal about paths, in the order of the policy's own lists."""
    wanted = sources(policy, paths)
    yield from _root(policy, paths)
    if wanted:
        home = disk.home(facts.uid)
        own = _own(policy, facts, disk)
        kernel = tuple((point, MOUNT_RULES[kind]) for point, kind in disk.mounts() if kind in MOUNT_RULES)
        swaps = disk.swaps() if any(not source.shown for source in wanted) else ()
        for source in wanted:
            yield from _guarded(policy, source, home, disk)
            yield from _mounted(policy, source, kernel)
            if not source.shown:
                yield from _redirected(policy, source)
                yield from _kind(policy, source)
                yield from _held(policy, source, disk)
                yield from _swapped(policy, source, swaps)
            if source.write:
                yield from _own_files(policy, source, own)
    yield from _destinations(policy)


def _refuse(policy: Policy, source: Source, rule: str, *, what: str = "", why: str = "") -> Refused:
    led = f" (leads to {source.real})" if source.real != normal(source.path) else ""
    return refuse(
        rule,
        value=f'{source.key} = "{source.path}"{led}',
        origin=policy.origin(source.key),
        what=what,
        why=why,
    )


def _guarded(policy: Policy, source: Source, home: str, disk: Disk) -> Iterator[Refused]:
    """Refuse by name, in both spellings, and by identity with a guarded place."""
    found = dict.fromkeys(
        rule for name in source.names for rule in guards(name, write=source.write, home=home)
    )
    stated = "" if source.shown else disk.stated_home()
    if stated and stated != home:
        own = (rule for name in source.names for rule in guards(name, write=source.write, home=stated))
        found.update(dict.fromkeys(rule for rule in own if rule in _OWN_HOME))
    for place in (*_ALIASED, home) if source.kind == "dir" else _SECRET_FILES:
        if place and place not in source.names and disk.same(source.real, place):
            found.update(dict.fromkeys(guards(place, write=source.write, home=home)))
    if any(within(name, "/etc") for name in source.names) and source.kind != "missing":
        closed = not source.shown and not disk.open_to_all(source.real)
        if closed:
            found["host-etc"] = None
    for rule in found:
        yield _refuse(policy, source, rule)


def _mounted(policy: Policy, source: Source, kernel: tuple[tuple[str, str], ...]) -> Iterator[Refused]:
    """Refuse kernel file systems wherever they are mounted: a bind takes what is mounted below it along."""
    for point, rule in kernel:
        what = ""
        if within(source.real, point):
            what = f"a kernel file system is asked for, mounted on {point}"
        # Of a root of its own only the shown directories are bound.
        elif source.key != "filesystem.root" and source.real != "/" and within(point, source.real):
            what = f"a directory is asked for that has a kernel file system on {point}"
        if not what:
            continue
        # One word on it is enough: /proc is refused by its name already.
        if not any(rule in guards(name, write=source.write) for name in source.names):
            yield _refuse(policy, source, rule, what=what)
            return


def _redirected(policy: Policy, source: Source) -> Iterator[Refused]:
    if source.redirect:
        what = f"a path is asked for that the symlink {source.redirect} redirects to {source.real}"
        yield _refuse(policy, source, "redirected-source", what=what)


_KIND_RULES: Final = {"socket": "unix-sockets", "device": "host-devices"}


def _kind(policy: Policy, source: Source) -> Iterator[Refused]:
    """Refuse what is neither a file nor a directory, each kind in its own words."""
    if source.kind == "missing":
        yield _refuse(
            policy,
            source,
            "unusable-source",
            what="a path is asked for that does not exist, or that you may not reach",
            why="what is not there cannot be shown, and nothing is made up in its place",
        )
    elif source.kind == "link":
        yield _refuse(
            policy,
            source,
            "unusable-source",
            what="a path is asked for that is being changed: where it led has become a symlink",
            why="what is shown has to be what was looked at",
        )
    elif source.kind == "fifo":
        yield _refuse(
            policy,
            source,
            "unusable-source",
            what="a named pipe of the host is asked for",
            why="it talks to whatever process of the host has its other end",
        )
    elif source.kind in _KIND_RULES:
        yield _refuse(policy, source, _KIND_RULES[source.kind])


def _held(policy: Policy, source: Source, disk: Disk) -> Iterator[Refused]:
    """Refuse a directory for what stands in it: sockets, keys, secrets of /etc, an engine's socket."""
    if source.kind != "dir" or source.real == "/":
        return
    for socket in ENGINE_SOCKETS:
        if within(socket, source.real) and disk.kind(socket) == "socket":
            yield _refuse(
                policy, source, "unix-sockets", what=f"a directory is asked for in which {socket} stands"
            )
            return
    if not any("socket-directories" in guards(name) for name in source.names):
        found = disk.survey(source.real, write=source.write)
        for kind, words in (("socket", "the UNIX socket"), ("fifo", "the named pipe")):
            if kind in found:
                what = f"a directory is asked for that holds {words} {found[kind]}"
                yield _refuse(policy, source, "socket-directories", what=what)
                break
        if "privileged" in found:
            what = (
                f"a writable tree is asked for that holds {found['privileged']}, which runs with more rights"
            )
            yield _refuse(policy, source, "privileged-files", what=what)
    entries = disk.entries(source.real)
    keys = sorted(KEY_NAMES & entries)
    if keys:
        yield _refuse(policy, source, "credentials", what=f"a directory is asked for that holds {keys[0]}")
    secret = holds_etc_secret(source.real)
    if secret and source.real != "/etc" and disk.kind(secret) != "missing":
        yield _refuse(policy, source, "host-etc", what=f"a directory is asked for that holds {secret}")


def _swapped(policy: Policy, source: Source, swaps: tuple[str, ...]) -> Iterator[Refused]:
    if (
        any(within(swap, source.real) for swap in swaps)
        and source.real != "/"
        and source.key != "filesystem.root"
    ):
        yield _refuse(policy, source, "swap")


def _own(policy: Policy, facts: HostFacts, disk: Disk) -> tuple[str, ...]:
    """Give the paths that decide how the next run is held."""
    return tuple(
        dict.fromkeys(
            normal(path) for given in (*facts.own_paths, *policy.files) for path in (given, disk.real(given))
        )
    )


def _own_file(policy: Policy, source: Source, path: str) -> Refused:
    if path not in policy.network.from_lockfile:
        what = f"write access to hardbox's own files is asked for: {path}"
        return _refuse(policy, source, "own-files", what=what)
    return _refuse(
        policy,
        source,
        "own-files",
        what=f"the job could write the lock file that says what it may reach: {path}",
        why=f"what it leaves there, the next run may reach; cp {path} to where the job cannot write,"
        " and name the copy: --lockfile COPY",
    )


def _own_files(policy: Policy, source: Source, own: tuple[str, ...]) -> Iterator[Refused]:
    for path in own:
        if any(within(path, name) or within(name, path) for name in source.names):
            yield _own_file(policy, source, path)
            return


def _root(policy: Policy, paths: Mapping[str, PathFact]) -> Iterator[Refused]:
    """Refuse a root that is none."""
    root = policy.filesystem.root
    kind, _, path = root.partition(":")
    if root == "host":
        return
    what = ""
    if kind != "dir":
        what = 'a root is asked for that is neither "host" nor "dir:/path"'
    elif not path.startswith("/"):
        what = "a root is asked for by a path that is not absolute"
    elif paths[path].kind == "missing":
        what = "a root is asked for that does not exist, or that you may not reach"
    elif paths[path].kind != "dir":
        what = "a root is asked for that is not a directory"
    if what:
        yield refuse(
            "root-directory",
            value=f'filesystem.root = "{root}"',
            origin=policy.origin("filesystem.root"),
            what=what,
        )


def _destinations(policy: Policy) -> Iterator[Refused]:
    """Refuse places inside that hardbox builds itself."""
    files = policy.filesystem
    places = [("filesystem.read", bind.dest, bind.source, False) for bind in files.read]
    places += [("filesystem.write", bind.dest, "", False) for bind in files.write]
    places += [("filesystem.scratch", path, "", True) for path in files.scratch]
    for key, dest, source, scratch in places:
        if builds(normal(dest), source=normal(source) if source else "", scratch=scratch):
            yield refuse("system-destination", value=f'{key}: "{dest}" inside', origin=policy.origin(key))
    for path in files.show:
        if builds(normal(path), source=normal(path)) and normal(path) != "/":
            yield refuse(
                "system-destination",
                value=f'filesystem.show = "{path}"',
                origin=policy.origin("filesystem.show"),
            )
        elif normal(path) == "/":
            yield refuse(
                "host-root", value=f'filesystem.show = "{path}"', origin=policy.origin("filesystem.show")
            )
