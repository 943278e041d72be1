"""The mount table as the kernel writes it (proc(5), mountinfo).

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ESCAPED: Final = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


class Mount(NamedTuple):
    """One mount.

    root:    which directory of its file system stands there.
    point:   where.
    kind:    type of the file system.
    options: of the file system, not of the mount.
    """

    root: str
    point: str
    kind: str
    options: frozenset[str]


def parse(text: str) -> Iterator[Mount]:
    """Read the table: root and mount point are fields 4 and 5, type and options stand behind " - "."""
    # Not splitlines(): only a newline ends a line, and a path may hold other separators.
    for line in text.split("\n"):
        before, _, after = line.partition(" - ")
        head, tail = before.split(" "), after.split(" ")
        if len(head) > 4 and len(tail) > 2:  # noqa: PLR2004 (as above; others are no lines of the kernel's)
            yield Mount(unescaped(head[3]), unescaped(head[4]), tail[0], frozenset(tail[2].split(",")))


def unescaped(text: str) -> str:
    """Undo the octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    for code, char in _ESCAPED:
        text = text.replace(code, char)
    return text
