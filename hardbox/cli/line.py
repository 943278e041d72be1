"""One line on a terminal, written again and again; what stands behind it is taken away.

Run by: cli/progress.py, cli/verify.py.
"""

from __future__ import annotations

import os
import select
from typing import Final

_NARROW: Final = 20
_USUAL: Final = 80


class Line:
    """A line on a terminal. The cursor stays at its beginning: what others write goes over it."""

    def __init__(self, terminal: int) -> None:
        """Take the descriptor, -1 for none: then nothing is shown."""
        self._terminal = terminal
        self._last = ""

    def show(self, text: str) -> None:
        """Show a text, if it is another than the last; cut to the width of the terminal."""
        if text == self._last or not _ready(self._terminal):
            return
        text = text[: _columns(self._terminal) - 1]
        self._write(f"\r{text:<{len(self._last)}}\r")
        self._last = text

    def clear(self) -> None:
        """Take the line away."""
        if self._last and _ready(self._terminal):
            self._write(f"\r{'':<{len(self._last)}}\r")
        self._last = ""

    def _write(self, text: str) -> None:
        try:
            os.write(self._terminal, text.encode("ascii", "replace"))
        except OSError:
            self._terminal = -1  # it has hung up


def _columns(terminal: int) -> int:
    try:
        return max(os.get_terminal_size(terminal).columns or _USUAL, _NARROW)
    except OSError:
        return _USUAL


def _ready(terminal: int) -> bool:
    """Say whether a write comes through at once: not to a stopped terminal, nor from the background."""
    if terminal < 0:
        return False
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return False
    except OSError:
        pass  # a terminal, but not the one that controls us: nobody is stopped for writing to it
    return bool(select.select([], [terminal], [], 0)[1])
