"""One connection of the job: its sockets, its counts, its clock.

Run by: the broker. Whatever happens to it, `close` lets go of everything that it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.net import streams
from hardbox.net.decide import NotConnected
from hardbox.net.ledger import ContactKey
from hardbox.network_report import ALLOWED

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from hardbox.net.decide import Wanted
    from hardbox.net.ledger import Ledger
    from hardbox.net.loop import Loop


class Connection:
    """What the broker knows about one accepted socket."""

    def __init__(self, loop: Loop, ledger: Ledger, client: _socket.socket, via: str, patience: float) -> None:
        """Take the socket.

        via:      how it came, as in the ledger's rows.
        patience: seconds without a byte either way.
        """
        self.loop: Final = loop
        self.client: Final = client
        self.via = via
        self.patience: Final = patience
        # Where it goes to, as far as that is known: for the ledger.
        self.host = ""
        self.port = 0
        self.servers: list[_socket.socket] = []
        # Whether everything that the job has sent is on its way: None before anything is copied.
        self.all_sent: bool | None = None
        self._ledger: Final = ledger
        self._sent = 0
        self._received = 0
        self._last = loop.time()
        self._allowed = False

    @property
    def idle_at(self) -> float:
        """When it will have been idle for too long."""
        return self._last + self.patience

    @property
    def received(self) -> int:
        """How many bytes have come from outside."""
        return self._received

    @property
    def left(self) -> int:
        """How many bytes may still be moved."""
        return self._ledger.left

    def touch(self) -> None:
        """Take note that something moved."""
        self._last = self.loop.time()

    def moved(self, count: int, *, outwards: bool) -> None:
        """Count bytes that were read."""
        self._last = self.loop.time()
        if outwards:
            self._sent += count
            self._ledger.moved(count, 0)
        else:
            self._received += count
            self._ledger.moved(0, count)

    async def receive(self, sock: _socket.socket, size: int = streams.CHUNK, *, by: float = 0) -> bytes:
        """Give what there is from one of its sockets, b"" at the end.

        by: a time that is not to be outlasted either; 0: none.
        Raises NotConnected for the limits of bytes and of idleness, OSError.
        """
        while True:
            most = min(size, self.left)
            if not most:
                raise NotConnected("limit-bytes", "the run has moved as many bytes as it may")
            deadline = min(self.idle_at, by) if by else self.idle_at
            try:
                data = await streams.receive(self.loop, sock, most, deadline)
            except TimeoutError as error:
                if (by and self.loop.time() >= by) or self.loop.time() >= self.idle_at:
                    raise NotConnected("limit-idle", "too slow, or nothing for too long") from error
                continue
            self.moved(len(data), outwards=sock is self.client)
            return data

    async def send(self, sock: _socket.socket, data: bytes) -> None:
        """Send all to one of its sockets. Raises NotConnected, OSError."""
        try:
            await streams.send(self.loop, sock, data, self.patience, self.touch)
        except TimeoutError as error:
            raise NotConnected("limit-idle", "nothing was taken for too long") from error

    def allowed(self, wanted: Wanted, server: _socket.socket) -> None:
        """Take the socket that leads to an allowed destination."""
        streams.bound(server, self._ledger.open, outside=True)
        self.servers.append(server)
        self.again(wanted)

    def again(self, wanted: Wanted) -> None:
        """Count another request to where a socket leads already."""
        self.host, self.port = wanted.host.text, wanted.port
        self._allowed = True

    def refused(self, refused: NotConnected) -> None:
        """Count why it did not come about, or was ended."""
        self._ledger.add(
            ContactKey(refused.verdict, self.host, self.port, self.via, refused.reason, refused.detail)
        )

    def settle(self) -> None:
        """Write down what was allowed, with its bytes, once."""
        if self._allowed:
            self._ledger.add(ContactKey(ALLOWED, self.host, self.port, self.via), self._sent, self._received)
        self._allowed = False
        self._sent = self._received = 0

    def leave(self, server: _socket.socket) -> None:
        """Close one of the sockets outside."""
        self.servers.remove(server)
        streams.close(self.loop, server)

    def close(self, *, regular: bool) -> None:
        """Let go of every socket.

        regular: all was said; otherwise both sides see a reset, which is not the end of what was sent.
        """
        end: Callable[[Loop, _socket.socket], None] = streams.close if regular else streams.reset
        for server in self.servers:
            end(self.loop, server)
        end(self.loop, self.client)
        self.settle()
