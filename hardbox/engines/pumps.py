"""Pipes that are fed and drained while a job runs.

Run by: api.py, for input=, capture= and output_dir=; one thread for each pipe, so that none can
fill and hang.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from hardbox.errors import Usage

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
        """Make the pipe. Raises Usage HB002."""
        given: object = content
        if not isinstance(given, bytes | bytearray | memoryview):
            raise Usage(
                "HB002",
                "input= takes bytes",
                value=f"input={given!r}"[:120],
                why="which encoding of a text the command expects cannot be known",
                instead='input="...".encode()',
            )
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
    """Takes what the job writes, up to a bound; then the job finds nobody reading (SIGPIPE)."""

    def __init__(self, most: int, into: int = -1) -> None:
        """Make the pipe.

        most: bytes to take.
        into: a file that they are written to, which is closed at the end; -1: they are kept.
        """
        reader, writer = os.pipe()
        super().__init__(reader, writer)
        self._chunks: list[bytes] = []
        self._most = most
        self._into = into
        self.into_file = into >= 0
        self.taken = 0
        self.problem: OSError | None = None

    def run(self) -> None:
        """Read until every writer is gone, the bound is reached, or the file cannot be written."""
        left = self._most
        try:
            while left and (chunk := os.read(self._own, min(_ROOM, left))):
                self._keep(chunk)
                self.taken += len(chunk)
                left -= len(chunk)
        except OSError as error:
            self.problem = error
        finally:
            os.close(self._own)
            if self._into >= 0:
                os.close(self._into)

    def _keep(self, chunk: bytes) -> None:
        if self._into < 0:
            self._chunks.append(chunk)
            return
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._into, view) :]

    @property
    def content(self) -> bytes:
        """What was kept; complete once the thread has been joined."""
        return b"".join(self._chunks)
