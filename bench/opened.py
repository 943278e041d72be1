"""When a file is opened, as another process sees it: of a program, the moment at which it is executed.

Run by: bench/launch.py. inotify(7) tells of the inode, so also of what a sandbox does with it.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from typing import Final, Self

_IN_OPEN: Final = 0x20
_TIME: Final = struct.Struct("=q")
_EVENTS: Final = 4096
# Seconds within which one that has been is told.
_LATE: Final = 0.01
_PATIENCE: Final = 10.0


class Opened:
    """Tells when a file is opened. A process of its own reads the clock: ours may be busy at that moment."""

    def __init__(self, path: str) -> None:
        """Begin to watch. Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        events = libc.inotify_init1(os.O_CLOEXEC)
        if events < 0 or libc.inotify_add_watch(events, os.fsencode(path), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify", path)
        self._times, times = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._times)
            _tell(events, times)
        os.close(events)
        os.close(times)

    def __enter__(self) -> Self:
        """Give the watcher."""
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no more."""
        os.close(self._times)
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)

    def forget(self) -> None:
        """Ask for no opening that has been."""
        while select.select([self._times], [], [], _LATE)[0]:
            self.next()

    def next(self) -> int:
        """Give the time of the next opening, by time.monotonic_ns(); waits for it. Raises RuntimeError."""
        found = (
            os.read(self._times, _TIME.size) if select.select([self._times], [], [], _PATIENCE)[0] else b""
        )
        if len(found) != _TIME.size:
            message = "the opening was not told of"
            raise RuntimeError(message)
        return int(_TIME.unpack(found)[0])


def _tell(events: int, times: int) -> None:
    """Write the time of each opening, until nobody reads it."""
    try:
        while os.read(events, _EVENTS):
            os.write(times, _TIME.pack(time.monotonic_ns()))
    finally:
        os._exit(0)
