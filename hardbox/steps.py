"""The vocabulary of launch plans: one frozen dataclass per kind of step.

Run by: the Python front; pure. Each kind has a row in hardbox/launch/kinds.h with the same
number, name and fields (tests/unit/test_steps.py compares them); `describe()` is what
`hardbox plan` prints and `encode()` is what the launcher executes.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final, dataclass_transform

# Attributes of mount_setattr(2).
RDONLY: Final = 0x1
NOSUID: Final = 0x2
NODEV: Final = 0x4
NOEXEC: Final = 0x8
_ATTRIBUTES: Final = ((RDONLY, "read-only"), (NOSUID, "nosuid"), (NODEV, "nodev"), (NOEXEC, "noexec"))
RECURSIVE: Final = 1
IDMAPPED: Final = 2
DROP_GROUPS: Final = 1
GIVE_PIPES: Final = 2

RLIMIT_NAMES: Final = {
    0: "cpu seconds per process",
    1: "bytes per file",
    2: "bytes of private writable memory per process",
    4: "bytes of core dump",
    6: "processes and threads",
    7: "open files per process",
    8: "bytes of locked memory",
    11: "queued signals",
    12: "bytes of POSIX message queues",
}


KINDS: Final[dict[int, type[Step]]] = {}


def attribute_words(value: int) -> str:
    """Give "read-only, nosuid" for a set of mount attributes."""
    return ", ".join(word for bit, word in _ATTRIBUTES if value & bit)


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<I", len(data)) + data + b"\0"


@dataclass_transform(frozen_default=True)
class Step:
    """Base of all kinds: a frozen record whose annotated fields follow the layout.

    Not a `dataclasses.dataclass`: fifty of those cost 20 ms of start-up, this costs one.
    Type checkers see dataclasses all the same (PEP 681).
    """

    number: ClassVar[int]
    kind: ClassVar[str]
    layout: ClassVar[str]
    names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, number: int = 0, kind: str = "", layout: str = "") -> None:
        """Register a kind; its row of kinds.h stands in the class header."""
        own = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 (inspect costs 4 ms to import)
        inherited: tuple[str, ...] = getattr(cls, "names", ())
        cls.names = inherited + tuple(name for name in own if name != "what")
        cls.number, cls.kind, cls.layout = number, kind, layout
        if number:
            KINDS[number] = cls

    def __init__(self, *values: int | str | bytes) -> None:
        """Take the values in the order of the fields."""
        self.__dict__.update(zip(self.names, values, strict=True))

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a step never changes."""
        message = f"{type(self).__name__}.{name} is read-only"
        raise AttributeError(message)

    def __eq__(self, other: object) -> bool:
        """Compare kind and values."""
        return isinstance(other, Step) and (self.kind, self.values()) == (other.kind, other.values())

    def __hash__(self) -> int:
        """Hash kind and values."""
        return hash((self.kind, self.values()))

    def __repr__(self) -> str:
        """Give the class and its values."""
        return f"{type(self).__name__}{self.values()!r}"

    def describe(self) -> str:
        """Say in words what the launcher will do."""
        raise NotImplementedError

    def values(self) -> tuple[int | str | bytes, ...]:
        """Give the field values in the order of the layout."""
        return tuple(self.__dict__[name] for name in self.names)

    def encode(self) -> bytes:
        """Give the record of plan.h: kind, length, payload."""
        parts: list[bytes] = []
        for letter, value in zip(self.layout, self.values(), strict=True):
            if isinstance(value, int):
                parts.append(struct.pack("<I" if letter == "u" else "<Q", value))
            elif isinstance(value, str):
                parts.append(_string(value))
            else:
                parts.append(struct.pack("<I", len(value)) + value)
        payload = b"".join(parts)
        return struct.pack("<II", self.number, len(payload)) + payload


class Host(Step, number=1, kind="host", layout="us"):
    """The plan is for this user on this kernel only."""

    uid: int
    kernel: str

    def describe(self) -> str:  # noqa: D102 (see Step)
        return f"only for uid {self.uid} on kernel {self.kernel}"


class Namespaces(Step, number=2, kind="namespaces", layout="q"):
    """clone3(2) flags."""

    flags: int

    def describe(self) -> str:  # noqa: D102
        named = (
            (0x10000000, "user"),
            (0x00020000, "mount"),
            (0x20000000, "pid"),
            (0x40000000, "network"),
            (0x08000000, "ipc"),
            (0x04000000, "uts"),
            (0x02000000, "cgroup"),
        )
        return "new " + ", ".join(name for bit, name in named if self.flags & bit) + " namespaces"


class IdLease(Step, number=3, kind="id-lease", layout="suuu"):
    """A range of host ids that no other live sandbox has."""

    lock: str
    first: int
    size: int
    ranges: int

    def describe(self) -> str:  # noqa: D102
        ranges = f"one of {self.ranges} ranges of {self.size} host ids from {self.first}"
        return f"take {ranges} (locked in {self.lock})"


class _Map(Step):
    what: ClassVar[str]
    inside: int
    outside: int
    count: int
    relative: int

    def describe(self) -> str:
        last = "" if self.count == 1 else f"..{self.inside + self.count - 1}"
        host = f"id {self.outside} of the lease" if self.relative else f"host {self.what} {self.outside}"
        return f"{self.what} {self.inside}{last} inside is {host}" + (" and on" if last else "")


class MapUid(_Map, number=4, kind="map-uid", layout="uuuu"):
    """One row of uid_map (user_namespaces(7)); relative: `outside` counts from the lease."""

    what = "uid"


class MapGid(_Map, number=5, kind="map-gid", layout="uuuu"):
    """One row of gid_map."""

    what = "gid"


class MapHelpers(Step, number=6, kind="map-helpers", layout="ss"):
    """Write the maps through newuidmap(1) and newgidmap(1)."""

    newuidmap: str
    newgidmap: str

    def describe(self) -> str:  # noqa: D102
        return f"write the id maps with {self.newuidmap} and {self.newgidmap}"


class Stdio(Step, number=7, kind="stdio", layout="u"):
    """What may stand on descriptors 0-2."""

    allowed: int

    def describe(self) -> str:  # noqa: D102
        kinds = "files, pipes, socket pairs, terminals or null-like devices"
        given = "; pipes become the job's" if self.allowed & GIVE_PIPES else ""
        return f"pass descriptors 0-2 if they are {kinds}{given}"


class Wall(Step, number=8, kind="wall", layout="qq"):
    """Wall time and grace in milliseconds."""

    limit: int
    grace: int

    def describe(self) -> str:  # noqa: D102
        return f"after {self.limit} ms SIGTERM, and {self.grace} ms later SIGKILL to everything"


class Tree(Step, number=9, kind="tree", layout="suuuuu"):
    """A host tree cloned by the supervisor, its owner mapped to the inside user."""

    source: str
    flags: int
    disk_uid: int
    disk_gid: int
    uid: int
    gid: int

    def describe(self) -> str:  # noqa: D102
        if not self.flags & IDMAPPED:
            return f"clone the tree {self.source}"
        return (
            f"clone the tree {self.source}, with owner {self.disk_uid}:{self.disk_gid}"
            f" shown as {self.uid}:{self.gid}"
        )


class Env(Step, number=20, kind="env", layout="ss"):
    """An environment variable."""

    name: str
    value: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.name}={self.value}"


class PassEnv(Step, number=21, kind="pass-env", layout="s"):
    """An environment variable taken from the caller, if set."""

    name: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.name} from the caller, if it is set"


class Arg(Step, number=22, kind="arg", layout="s"):
    """One argument of the command."""

    value: str

    def describe(self) -> str:  # noqa: D102
        return repr(self.value)


class Search(Step, number=23, kind="search", layout="s"):
    """One directory in which a command without a slash is looked for."""

    directory: str

    def describe(self) -> str:  # noqa: D102
        return f"look for the command in {self.directory}"


class Become(Step, number=40, kind="become", layout="uu"):
    """The identity in which init assembles the root."""

    uid: int
    gid: int

    def describe(self) -> str:  # noqa: D102
        return f"become inside uid {self.uid}, gid {self.gid}"


class Private(Step, number=41, kind="private", layout=""):
    """No mount event of the host comes in."""

    def describe(self) -> str:  # noqa: D102
        return "make every mount private: no mount event crosses, either way"


class NewRoot(Step, number=42, kind="new-root", layout="sqq"):
    """An empty tmpfs, attached over `over` while it is filled."""

    over: str
    size: int
    inodes: int

    def describe(self) -> str:  # noqa: D102
        return f"start an empty root: tmpfs of {self.size} bytes"


class MakeDir(Step, number=43, kind="make-dir", layout="su"):
    """A directory of the new root."""

    path: str
    mode: int

    def describe(self) -> str:  # noqa: D102
        return f"{self.path} (mode {self.mode:04o})"


class Symlink(Step, number=44, kind="symlink", layout="ss"):
    """A symbolic link of the new root."""

    target: str
    path: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.path} -> {self.target}"


class WriteFile(Step, number=45, kind="write-file", layout="sub"):
    """A generated file of the new root."""

    path: str
    mode: int
    content: bytes

    def describe(self) -> str:  # noqa: D102
        return f"{self.path} ({len(self.content)} bytes, generated)"


class BindMount(Step, number=46, kind="bind", layout="ssqu"):
    """A host path, opened without following symlinks, attached in the new root."""

    source: str
    dest: str
    attributes: int
    flags: int

    def describe(self) -> str:  # noqa: D102
        return f"{self.source} at {self.dest} ({attribute_words(self.attributes)})"


class Attach(Step, number=47, kind="attach", layout="usqu"):
    """Tree number `slot` of the supervisor, attached in the new root."""

    slot: int
    dest: str
    attributes: int
    flags: int

    def describe(self) -> str:  # noqa: D102
        return f"tree {self.slot} at {self.dest} ({attribute_words(self.attributes)})"


class Device(Step, number=48, kind="device", layout="ssuu"):
    """A device node of the host, whose inode must have these numbers."""

    source: str
    dest: str
    major: int
    minor: int

    def describe(self) -> str:  # noqa: D102
        return f"{self.dest} (char {self.major}:{self.minor}, checked)"


class Tmpfs(Step, number=49, kind="tmpfs", layout="sqquq"):
    """A scratch directory."""

    dest: str
    size: int
    inodes: int
    mode: int
    attributes: int

    def describe(self) -> str:  # noqa: D102
        return f"{self.dest}, at most {self.size} bytes ({attribute_words(self.attributes)})"


class Stage(Step, number=50, kind="stage", layout="sqq"):
    """The tmpfs that holds what overlays change."""

    path: str
    size: int
    inodes: int

    def describe(self) -> str:  # noqa: D102
        return f"memory for changes, at most {self.size} bytes"


class Overlay(Step, number=51, kind="overlay", layout="ssq"):
    """A writable layer in memory over a directory of the new root."""

    dest: str
    stage: str
    attributes: int

    def describe(self) -> str:  # noqa: D102
        return f"{self.dest}: changes stay in memory and vanish ({attribute_words(self.attributes)})"


class Unstage(Step, number=52, kind="unstage", layout="s"):
    """Take the stage's name away; the overlays keep theirs."""

    path: str

    def describe(self) -> str:  # noqa: D102
        return "take the place of the changes out of sight"


class Proc(Step, number=53, kind="proc", layout="s"):
    """proc(5) of the new pid namespace."""

    dest: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.dest} of the new pid namespace"


class Devpts(Step, number=54, kind="devpts", layout="s"):
    """A devpts instance of its own."""

    dest: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.dest}, an instance of its own"


class Sysctl(Step, number=55, kind="sysctl", layout="ss"):
    """A sysctl of the new namespaces."""

    path: str
    value: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.path.removeprefix('/proc/sys/').replace('/', '.')} = {self.value}"


class Mask(Step, number=56, kind="mask", layout="ss"):
    """Cover a path with an empty file or directory."""

    cover: str
    path: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.path} (covered by {self.cover})"


class Attributes(Step, number=57, kind="attributes", layout="sqqu"):
    """mount_setattr(2) on a mount of the new root."""

    path: str
    set: int
    clear: int
    recursive: int

    def describe(self) -> str:  # noqa: D102
        return f"{self.path} becomes {attribute_words(self.set)}" + (
            ", with all below" if self.recursive else ""
        )


class PivotRoot(Step, number=58, kind="pivot-root", layout=""):
    """pivot_root(2); the host's root is detached."""

    def describe(self) -> str:  # noqa: D102
        return "enter the new root; the host's is gone"


class Hostname(Step, number=59, kind="hostname", layout="s"):
    """sethostname(2)."""

    name: str

    def describe(self) -> str:  # noqa: D102
        return self.name


class LoopbackUp(Step, number=60, kind="loopback-up", layout=""):
    """Set lo up; there is no other interface."""

    def describe(self) -> str:  # noqa: D102
        return "lo is set up; there is no other interface and no route"


class Keyring(Step, number=61, kind="keyring", layout=""):
    """keyctl(2) KEYCTL_JOIN_SESSION_KEYRING."""

    def describe(self) -> str:  # noqa: D102
        return "a new, empty session keyring"


class Rlimit(Step, number=62, kind="rlimit", layout="uqq"):
    """setrlimit(2)."""

    resource: int
    soft: int
    hard: int

    def describe(self) -> str:  # noqa: D102
        return f"at most {self.soft} {RLIMIT_NAMES.get(self.resource, f'of resource {self.resource}')}"


class Cpus(Step, number=63, kind="cpus", layout="u"):
    """sched_setaffinity(2) to this many CPUs."""

    count: int

    def describe(self) -> str:  # noqa: D102
        return f"run on {self.count} CPU{'s' if self.count != 1 else ''} only"


class Normalise(Step, number=64, kind="normalise", layout=""):
    """Umask, signals, scheduling, personality: as at boot."""

    def describe(self) -> str:  # noqa: D102
        return "umask 022, default signals, scheduling, personality and timer slack"


class Chdir(Step, number=65, kind="chdir", layout="s"):
    """chdir(2) inside."""

    path: str

    def describe(self) -> str:  # noqa: D102
        return self.path


class NoNewPrivs(Step, number=66, kind="no-new-privs", layout=""):
    """prctl(2) PR_SET_NO_NEW_PRIVS."""

    def describe(self) -> str:  # noqa: D102
        return "no exec can ever gain a privilege"


class Landlock(Step, number=67, kind="landlock", layout="qqq"):
    """landlock_create_ruleset(2)."""

    filesystem: int
    network: int
    scoped: int

    def describe(self) -> str:  # noqa: D102
        parts = ["files"]
        parts += ["TCP"] if self.network else []
        parts += ["abstract sockets and signals"] if self.scoped else []
        return "second wall: " + ", ".join(parts) + " are refused unless named below"


class LandlockPath(Step, number=68, kind="landlock-path", layout="sq"):
    """landlock_add_rule(2) for what lies beneath a path."""

    path: str
    access: int

    def describe(self) -> str:  # noqa: D102
        words = [
            word
            for bit, word in ((0x4, "read"), (0x2, "write"), (0x1, "execute"), (0x100, "create"))
            if self.access & bit
        ]
        return f"{self.path}: {', '.join(words) or 'look'}"


class LandlockStdio(Step, number=69, kind="landlock-stdio", layout="q"):
    """Rules for what stands on descriptors 0-2, no wider than their own modes."""

    access: int

    def describe(self) -> str:  # noqa: D102
        return "descriptors 0-2 may be reopened in the mode that they have"


class LandlockEnforce(Step, number=70, kind="landlock-enforce", layout=""):
    """landlock_restrict_self(2)."""

    def describe(self) -> str:  # noqa: D102
        return "the second wall stands from here on"


class Securebits(Step, number=71, kind="securebits", layout=""):
    """capabilities(7): uid 0 means nothing, locked."""

    def describe(self) -> str:  # noqa: D102
        return "uid 0 carries no capabilities; locked"


class DropBoundingSet(Step, number=72, kind="drop-bounding-set", layout="q"):
    """prctl(2) PR_CAPBSET_DROP up to the kernel's last capability."""

    keep: int

    def describe(self) -> str:  # noqa: D102
        return "every capability that the kernel knows" + (f" but mask {self.keep:#x}" if self.keep else "")


class SetIds(Step, number=73, kind="set-ids", layout="uuu"):
    """setgroups(2), setresgid(2), setresuid(2)."""

    uid: int
    gid: int
    flags: int

    def describe(self) -> str:  # noqa: D102
        groups = ", no other groups" if self.flags & DROP_GROUPS else ""
        return f"uid {self.uid}, gid {self.gid}{groups}"


class SetCaps(Step, number=74, kind="set-caps", layout="q"):
    """capset(2) and the ambient set."""

    keep: int

    def describe(self) -> str:  # noqa: D102
        return f"capability mask {self.keep:#x} in all sets" if self.keep else "no capability in any set"


class CloseFds(Step, number=75, kind="close-fds", layout=""):
    """close_range(2)."""

    def describe(self) -> str:  # noqa: D102
        return "only 0, 1 and 2 reach the command"


class SeccompFilter(Step, number=76, kind="seccomp", layout="b"):
    """seccomp(2) SECCOMP_SET_MODE_FILTER."""

    program: bytes

    def describe(self) -> str:  # noqa: D102
        return f"load the filter ({len(self.program) // 8} instructions)"


class Exec(Step, number=77, kind="exec", layout=""):
    """Fork the job, which executes the command."""

    def describe(self) -> str:  # noqa: D102
        return "fork the job and execute the command"
