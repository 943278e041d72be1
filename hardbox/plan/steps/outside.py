"""Steps of the supervisor, and the data of the command.  Run by: the Python front; pure."""

from __future__ import annotations

from typing import ClassVar, Final

from hardbox.plan.steps.base import Step

# Bits of flags, as kinds.h has them (tests/unit/test_numbers.py): of Tree and BindMount, of
# Tree, of Stdio.
RECURSIVE: Final = 1
IDMAPPED: Final = 2
REOPEN_PIPES: Final = 1
# Of Cgroup, and of CgroupLimit.
DELEGATE: Final = 1
DELEGATE_CPU: Final = 2
IF_THERE: Final = 1
RELAY_SOCKETS: Final = 2
RELAY_FILES: Final = 4


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
        kinds = "files, pipes or null-like devices"
        files = "copy from and to" if self.allowed & RELAY_FILES else "pass"
        sockets = "copied" if self.allowed & RELAY_SOCKETS else "refused"
        given = "; the job may reopen pipes in their direction" if self.allowed & REOPEN_PIPES else ""
        return f"{files} descriptors 0-2 if they are {kinds}; socket pairs are {sockets}{given}"


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


class Cgroup(Step, number=10, kind="cgroup", layout="suu"):
    """A cgroup for this sandbox alone, made in a folder and removed at the end (cgroups(7))."""

    parent: str
    version: int
    flags: int

    def describe(self) -> str:  # noqa: D102
        given = ((DELEGATE, "memory"), (DELEGATE_CPU, "cpu"))
        names = " and ".join(name for bit, name in given if self.flags & bit)
        first = f"let its children have the {names} controller, then " if names else ""
        return f"{first}make a cgroup (v{self.version}) in {self.parent}, and put the sandbox into it"


class CgroupLimit(Step, number=11, kind="cgroup-limit", layout="squ"):
    """One limit of the cgroup: a file of it and the number to write."""

    file: str
    value: int
    flags: int

    def describe(self) -> str:  # noqa: D102
        return f"{self.file} = {self.value}" + (", if there is such a file" if self.flags & IF_THERE else "")


class Watch(Step, number=12, kind="watch", layout="quu"):
    """The supervisor's watch over the memory of all processes: bytes, and milliseconds between looks."""

    memory: int
    least: int
    most: int

    def describe(self) -> str:  # noqa: D102
        every = f"every {self.least} to {self.most} ms"
        return f"look at the memory of all processes {every}, and SIGKILL to everything beyond {self.memory}"


class Output(Step, number=13, kind="output", layout="q"):
    """How much may be written to descriptors 1 and 2 together."""

    most: int

    def describe(self) -> str:  # noqa: D102
        return f"after {self.most} bytes of stdout and stderr SIGTERM, and after the grace SIGKILL"


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


class PolicyName(Step, number=24, kind="policy", layout="ss"):
    """The policy that the plan carries out: its profile's name or path, and its digest.

    For whoever explains afterwards what was refused; the launcher decides nothing by it.
    """

    name: str
    digest: str

    def describe(self) -> str:  # noqa: D102
        return f"profile {self.name} (sha256 {self.digest[:16]})"


class Facts(Step, number=26, kind="facts", layout="s"):
    """What was known of the host and the caller when the plan was made, by its digest.

    For whoever reviews a plan that is kept: the launcher decides nothing by it.
    """

    digest: str

    def describe(self) -> str:  # noqa: D102
        return f"decided from host facts with sha256 {self.digest[:16]}"


class Search(Step, number=23, kind="search", layout="s"):
    """One directory in which a command without a slash is looked for."""

    directory: str

    def describe(self) -> str:  # noqa: D102
        return f"look for the command in {self.directory}"
