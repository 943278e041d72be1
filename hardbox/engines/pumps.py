"""Pipes that are fed and drained while a job runs.

Run by: api.py, for input= and capture=; one thread for each pipe, so that none can fill and hang.
"""

from __future__ import annotations

import os
import threading
from typing import Final

_ROOM: Final = 1 << 16


class _Pump(threading.Thread):
    """One end of a pipe is ours, the other the job's."""

    def __init__(self, own: int, end: int) -> None:
        """Take both ends; `end` is closed by the caller once the job has it."""
        super().__init__(daemon=True)
        self._own = own
        self.end = end


class Feed(_Pump):
    """Writes bytes to the job's stdin."""

    def __init__(self, content: bytes) -> None:
        """Make the pipe."""
        reader, writer = os.pipe()
        super().__init__(writer, reader)
        self._content = content

    def run(self) -> None:
        """Write until all is written or nobody reads any more."""
        view = memoryview(self._content)
        try:
            while view:
                view = view[os.write(self._own, view[:_ROOM]) :]
        except BrokenPipeError:
            return  # the job did not want to read it all
        finally:
            os.close(self._own)


class Drain(_Pump):
    """Collects what the job writes, up to a bound; then the job finds nobody reading (SIGPIPE)."""

    def __init__(self, most: int) -> None:
        """Make the pipe; `most`: bytes to keep."""
        reader, writer = os.pipe()
        super().__init__(reader, writer)
        self._chunks: list[bytes] = []
        self._most = most

    def run(self) -> None:
        """Read until every writer is gone, or the bound is reached."""
        left = self._most
        while left and (chunk := os.read(self._own, min(_ROOM, left))):
            self._chunks.append(chunk)
            left -= len(chunk)
        os.close(self._own)

    @property
    def content(self) -> bytes:
        """What was written; complete once the thread has been joined."""
        return b"".join(self._chunks)
