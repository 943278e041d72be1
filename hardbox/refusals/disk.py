"""What the path rules have to know of the file system, behind one small value that tests can fake.

Run by: the Python front. It only looks; nothing is opened or changed.
"""

from __future__ import annotations

import os
import stat
from typing import Final

_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


class Disk:
    """The real file system."""

    def real(self, path: str) -> str:
        """Give the path with every symlink resolved, as far as the caller may look."""
        try:
            return os.path.realpath(path)
        except OSError:
            # A link that the caller may not read, such as /proc/1/root. `kind` finds nothing behind
            # it either, so the path is refused; what is above it still tells what it is.
            above, name = os.path.split(path.rstrip("/"))
            return os.path.join(self.real(above), name) if name else path

    def kind(self, path: str) -> str:
        """Give "file", "dir", "socket", "fifo", "device" or "missing"; symlinks are followed."""
        try:
            return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "missing")
        except (OSError, ValueError):
            return "missing"

    def open_to_all(self, path: str) -> bool:
        """Whether every user may read the file, or list and enter the directory."""
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return False
        wanted = 0o005 if stat.S_ISDIR(mode) else 0o004
        return mode & wanted == wanted

    def same(self, path: str, other: str) -> bool:
        """Whether two paths are one file: a bind mount or a hard link has other names."""
        try:
            return os.path.samestat(os.stat(path), os.stat(other))
        except OSError:
            return False

    def entries(self, path: str) -> dict[str, bool]:
        """Give the names in a directory, each with whether it is a UNIX socket; {} if unreadable."""
        try:
            with os.scandir(path) as found:
                return {entry.name: self._is_socket(entry) for entry in found}
        except OSError:
            # What the caller cannot list, the job cannot either: it runs as nobody else.
            return {}

    def _is_socket(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink():
            return False
        return self.kind(entry.path) == "socket"

    def home(self, uid: int) -> str:
        """Give the caller's home by the user database, resolved; $HOME is not asked."""
        import pwd  # noqa: PLC0415 (only where paths are asked for)

        try:
            home = pwd.getpwuid(uid).pw_dir
            return os.path.realpath(home) if home.startswith("/") else ""
        except KeyError:
            return ""

    def mounts(self) -> tuple[tuple[str, str], ...]:
        """Give (mount point, file system type) of every mount, proc(5) mountinfo."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            return tuple(_mount(line) for line in lines)

    def swaps(self) -> tuple[str, ...]:
        """Give the swap files and devices in use, proc(5) swaps."""
        try:
            with open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as lines:
                return tuple(_plain(line.split()[0]) for line in lines if line.startswith("/"))
        except FileNotFoundError:
            # A kernel without CONFIG_SWAP.
            return ()


def _mount(line: str) -> tuple[str, str]:
    before, _, after = line.partition(" - ")
    return _plain(before.split(" ")[4]), after.split(" ", 1)[0]


def _plain(text: str) -> str:
    """Undo the octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
