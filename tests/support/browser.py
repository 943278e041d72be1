"""Pages in headless Chromium: what is drawn, and what a page has become.

Run by: tests/attack, tests/system.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_WORDS: Final = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("chromium"), "Debian package chromium is missing: tools/needs test"
    return subprocess.run(
        [*_WORDS, f"--user-data-dir={folder / 'data'}", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def screenshot(page: str, folder: Path, width: int, height: int, *more: str) -> tuple[int, int, list[bytes]]:
    """Draw a page; gives width, height and rows of RGB."""
    shot = folder / "shot.png"
    done = _run(folder, f"--window-size={width},{height}", *more, f"--screenshot={shot}", f"file://{page}")
    assert shot.exists(), done.stderr
    return pixels(shot.read_bytes())


def document(page: str, folder: Path) -> str:
    """Give the page as it is after it was loaded, and whatever runs in it has run."""
    done = _run(folder, "--dump-dom", f"file://{page}")
    assert done.stdout, done.stderr
    return done.stdout


def pixels(data: bytes) -> tuple[int, int, list[bytes]]:
    """Read an 8-bit RGB or RGBA PNG; gives width, height and rows of RGB."""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8
    size = {2: 3, 6: 4}[kind]
    at, packed = 8, b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        packed += data[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw, stride, rows, before = zlib.decompress(packed), width * size, [], bytes(width * size)
    for y in range(height):
        start = y * (stride + 1)
        line = _unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), before, size)
        rows.append(line)
        before = line
    if size == 4:
        rows = [b"".join(row[i : i + 3] for i in range(0, stride, 4)) for row in rows]
    return width, height, rows


def _unfilter(kind: int, line: bytearray, above: bytes, size: int) -> bytes:
    """Undo one row's filter (PNG specification, section 9)."""
    if kind == 0:
        return bytes(line)
    for i in range(len(line)):
        left = line[i - size] if i >= size else 0
        corner = above[i - size] if i >= size else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = above[i]
        elif kind == 3:
            guess = (left + above[i]) // 2
        else:
            p = left + above[i] - corner
            guess = min(
                (abs(p - left), 0, left), (abs(p - above[i]), 1, above[i]), (abs(p - corner), 2, corner)
            )[2]
        line[i] = (line[i] + guess) & 255
    return bytes(line)
