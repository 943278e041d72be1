"""Two-way copying between the job's socket and the one outside.

Run by: the broker, once a connection has been decided and, where that is asked for, its first bytes judged.
Each direction on its own: what one side ends is ended on the other (half-close), and nothing more is read
from one side before the other has taken what was read (back-pressure).

By recv(2) into a shared buffer and send(2). splice(2) through pipes was measured beside it: it costs as much
CPU time for each byte with a pipe of 256 KiB, and a third less only with 1 MiB for each direction: four more
descriptors for each connection, and pipe memory that the kernel grants a user for 32 connections.
"""

from __future__ import annotations

import _socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hardbox.net.loop import Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.net.connection import Connection
    from hardbox.network_report import Reason

# What is read at once, into one buffer for all.
_CHUNK: Final = 1 << 18
# What slow readers have not taken yet is kept, all connections together up to this; then each gets little.
_MOST_HELD: Final = 1 << 26
_SMALL_CHUNK: Final = 1 << 13


class Room:
    """The buffer that all connections read into, and how much of what was read still waits for its reader."""

    def __init__(self) -> None:
        """Make the buffer."""
        self.buffer = memoryview(bytearray(_CHUNK))
        self.held = 0

    @property
    def chunk(self) -> int:
        """How much may be read now."""
        return _CHUNK if self.held < _MOST_HELD else _SMALL_CHUNK


class _Flow:
    """One direction."""

    __slots__ = ("_copy", "_eof", "_held", "_outwards", "_sink", "_source", "hear", "over")

    def __init__(self, copy: Copy, source: _socket.socket, sink: _socket.socket, *, outwards: bool) -> None:
        self._copy, self._source, self._sink, self._outwards = copy, source, sink, outwards
        self._held = memoryview(b"")
        self._eof = False
        self.over = False
        # Told of what was read before it is handed on, b"" at the end; whether it has heard enough.
        self.hear: Callable[[bytes], bool] | None = None

    def start(self, first: bytes = b"", *, eof: bool = False) -> None:
        """Copy from now on.

        first: what was read already.
        eof:   nothing follows it.
        """
        self._eof = eof
        self._hold(memoryview(first))
        self._push()

    def pull(self) -> None:
        """Read once, and send what was read."""
        copy = self._copy
        try:
            size = min(copy.room.chunk, copy.connection.left)
            if not size:
                copy.finish("limit-bytes")
                return
            count = self._source.recv_into(copy.room.buffer, size)
            if self.hear is not None and self.hear(bytes(copy.room.buffer[:count])):
                self.hear = None
            if not count:
                self._eof = True
                self._go_on()
                return
            copy.connection.moved(count, outwards=self._outwards)
            data = copy.room.buffer[:count]
            try:
                sent = self._sink.send(data)
            except BlockingIOError:
                sent = 0
            if sent < count:
                self._hold(memoryview(bytes(data[sent:])))
                self._go_on()
        except BlockingIOError:
            return
        except Exception as error:  # noqa: BLE001 (ends this connection, nothing else)
            copy.finish(error)

    def _push(self) -> None:
        """Send what is held, then go on reading."""
        try:
            if self._held:
                try:
                    sent = self._sink.send(self._held)
                except BlockingIOError:
                    sent = 0
                if sent:
                    self._copy.connection.touch()
                self._hold(self._held[sent:])
            self._go_on()
        except Exception as error:  # noqa: BLE001 (ends this connection, nothing else)
            self._copy.finish(error)

    def _hold(self, rest: memoryview) -> None:
        self._copy.room.held += len(rest) - len(self._held)
        self._held = rest

    def _go_on(self) -> None:
        """Watch what this direction waits for now."""
        loop = self._copy.connection.loop
        waiting = bool(self._held)
        loop.on_writable(self._sink.fileno(), self._push if waiting else None)
        loop.on_readable(self._source.fileno(), None if waiting or self._eof else self.pull)
        if self._eof and not waiting and not self.over:
            self.over = True
            self._sink.shutdown(_socket.SHUT_WR)
            self._copy.flow_over()

    def drop(self) -> None:
        """Keep nothing."""
        self._hold(memoryview(b""))


class Copy:
    """Both directions of one connection.

    ended: settled with "" at the regular end of both, the reason of a limit ("limit-bytes", "limit-idle"),
           or an exception. The sockets are then still open: they are the connection's to close.
    """

    def __init__(self, connection: Connection, server: _socket.socket, room: Room) -> None:
        """Copy nothing yet."""
        self.connection = connection
        self.room = room
        self.ended = Pause()
        self._outwards_started = False
        self._outwards = _Flow(self, connection.client, server, outwards=True)
        self._inwards = _Flow(self, server, connection.client, outwards=False)
        self._timer = connection.loop.later(connection.patience, self._look_at_clock)

    def start_inwards(self, first: bytes = b"") -> None:
        """Hand on what comes from outside."""
        self._inwards.start(first)

    def listen(self, judge: Callable[[bytes], bool | None]) -> Pause:
        """Judge what comes from outside from now on, while it is handed on.

        judge: given all of it so far; None: not clear yet.
        Gives a pause that is settled with the judgement, with None if there is nothing more to judge.
        """
        pause = Pause()
        heard = b""

        def hear(data: bytes) -> bool:
            nonlocal heard
            heard += data
            said = judge(heard)
            if said is None and data:
                return False
            pause.wake(said)
            return True

        if self.ended.settled or self._inwards.over:
            pause.wake(None)
        else:
            self._inwards.hear = hear
        return pause

    def start_outwards(
        self, first: bytes = b"", *, eof: bool = False, watch: Callable[[bytes], bool] | None = None
    ) -> None:
        """Hand on what the job sends; `first` is what was read of it already, `eof`: and nothing follows.

        watch: told of what comes after it, before it is handed on, b"" at the end. Says whether it has
               heard enough; what it raises ends both directions.
        """
        self._outwards_started = True
        self._outwards.hear = watch
        self.connection.all_sent = False
        self._outwards.start(first, eof=eof)

    def flow_over(self) -> None:
        """Take note that one direction has ended."""
        self.connection.all_sent = self._outwards.over
        if self._outwards.over and self._inwards.over:
            self.finish("")

    def finish(self, outcome: Reason | BaseException) -> None:
        """End both directions at once."""
        if self.ended.settled:
            return
        self.stop()
        if self._inwards.hear is not None:
            self._inwards.hear(b"")
        if not self._outwards_started:
            # Somebody may be reading the job's first bytes: this ends their wait.
            with suppress(OSError):
                self.connection.client.shutdown(_socket.SHUT_RD)
        self.ended.wake(outcome)

    def stop(self) -> None:
        """Copy no more, and leave the sockets as they are."""
        self._timer.cancel()
        loop = self.connection.loop
        for flow in (self._outwards, self._inwards):
            flow.drop()
        for sock in (self.connection.client, *self.connection.servers):
            if sock.fileno() >= 0 and (self._outwards_started or sock is not self.connection.client):
                loop.forget(sock.fileno())
        if not self._outwards_started and self.connection.client.fileno() >= 0:
            loop.on_writable(self.connection.client.fileno(), None)

    def _look_at_clock(self) -> None:
        left = self.connection.idle_at - self.connection.loop.time()
        if left <= 0:
            self.finish("limit-idle")
        else:
            self._timer = self.connection.loop.later(left, self._look_at_clock)
