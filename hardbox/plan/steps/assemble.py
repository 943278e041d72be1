"""Steps of init that build the root and enter it.  Run by: the Python front; pure."""

from __future__ import annotations

from typing import Final

from hardbox.plan.steps.base import Step

# Attributes of mount_setattr(2).
RDONLY: Final = 0x1
NOSUID: Final = 0x2
NODEV: Final = 0x4
NOEXEC: Final = 0x8
_ATTRIBUTES: Final = ((RDONLY, "read-only"), (NOSUID, "nosuid"), (NODEV, "nodev"), (NOEXEC, "noexec"))


def attribute_words(value: int) -> str:
    """Give "read-only, nosuid" for a set of mount attributes."""
    return ", ".join(word for bit, word in _ATTRIBUTES if value & bit)


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


class Attach(Step, number=47, kind="attach", layout="usq"):
    """Tree number `slot` of the supervisor, attached in the new root."""

    slot: int
    dest: str
    attributes: int

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
        return f"{self.path} (covered by {self.cover} where it exists)"


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
