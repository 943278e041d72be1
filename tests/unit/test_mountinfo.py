"""The mount table: its lines, its escapes, and names that look like the end of a line.  Run by: pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from hardbox.mountinfo import Mount, parse, unescaped

if TYPE_CHECKING:
    from pathlib import Path

LINE: Final = "36 35 98:0 /sub {point} rw,noatime shared:1 master:2 - tmpfs source rw,size=4k\n"
# Besides the newline, all that str.splitlines or a text file ends a line at.
ENDS: Final = ("\r", "\v", "\f", "\x1c", "\x85", "\u2028")


def test_a_line_is_a_mount() -> None:
    options = frozenset({"rw", "size=4k"})
    assert list(parse(LINE.format(point="/a"))) == [Mount("/sub", "/a", "tmpfs", options)]


def test_escapes_are_undone() -> None:
    assert unescaped(r"/a\040b\011c\012d\134e") == "/a b\tc\nd\\e"
    assert [mount.point for mount in parse(LINE.format(point=r"/a\040-\040b"))] == ["/a - b"]


@pytest.mark.parametrize(
    "text", ["", "\n", "36 35 98:0 /sub /a\n", "- tmpfs source rw\n", "a b c d e - f g\n"]
)
def test_what_is_no_line_of_the_kernels_is_no_mount(text: str) -> None:
    assert list(parse(text)) == []


@pytest.mark.parametrize("end", ENDS)
def test_only_a_newline_ends_a_line(end: str) -> None:
    assert [mount.point for mount in parse(LINE.format(point=f"/a{end}b"))] == [f"/a{end}b"]


def test_a_mount_point_of_any_name_is_seen(tmp_path: Path) -> None:
    point = tmp_path / ("a" + "".join(ENDS) + "b")
    point.mkdir()
    look = (
        "import sys; from hardbox.refusals.disk import Disk; assert (sys.argv[1], 'tmpfs') in Disk().mounts()"
    )
    script = 'mount -t tmpfs x "$1" && exec "$2" -c "$3" "$1"'
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    subprocess.run([*unshare, "sh", "-c", script, "sh", str(point), sys.executable, look], check=True)
    assert not os.path.ismount(point)
