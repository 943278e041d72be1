"""Steps of init that leave nothing to the job.  Run by: the Python front; pure."""

from __future__ import annotations

from typing import Final

from hardbox.plan.steps.base import Step

# A bit of the flags of SetIds, as kinds.h has it (tests/unit/test_numbers.py).
DROP_GROUPS: Final = 1
# How much the supervisor hears of calls (kinds.h); the words of `SeccompFilter`.
_TELLS: Final = ("", ", and hear what it refuses", ", hear what it refuses and look at what names files")
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
        return f"run on at most {self.count} CPU{'s' if self.count != 1 else ''}"


class Normalise(Step, number=64, kind="normalise", layout=""):
    """Umask, signals, personality as at boot; no scheduling or I/O priority above it."""

    def describe(self) -> str:  # noqa: D102
        return "umask 022, default signals, personality and timer slack; no higher priority than usual"


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


class SeccompFilter(Step, number=76, kind="seccomp", layout="bu"):
    """seccomp(2) SECCOMP_SET_MODE_FILTER."""

    program: bytes
    tells: int

    def describe(self) -> str:  # noqa: D102
        told = _TELLS[self.tells] if self.tells < len(_TELLS) else f", way {self.tells}"
        return f"load the filter ({len(self.program) // 8} instructions){told}"


class Exec(Step, number=77, kind="exec", layout=""):
    """Fork the job, which executes the command."""

    def describe(self) -> str:  # noqa: D102
        return "fork the job and execute the command"


class Terminal(Step, number=78, kind="terminal", layout="uu"):
    """A pseudo-terminal of the sandbox's own devpts, for those of 0-2 that are a terminal."""

    uid: int
    gid: int

    def describe(self) -> str:  # noqa: D102
        return f"a terminal on 0-2 is replaced by the sandbox's own, which belongs to {self.uid}:{self.gid}"
