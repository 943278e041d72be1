"""The broker's program: takes listening sockets from the supervisor, serves them, and reports in the end.

Run by: `python3 -m hardbox.net` (__main__.py), outside the sandbox, as the caller, confined. The sockets
were made inside the sandbox's network namespace and stay there; what the job connects to is accepted here.
"""

from __future__ import annotations

import _socket
import array
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

from hardbox import destinations, network_limits
from hardbox.net import decide, own, streams, vetting, ways
from hardbox.net.addresses import Addresses
from hardbox.net.bucket import Bucket
from hardbox.net.connection import Connection
from hardbox.net.copy import Room
from hardbox.net.decide import Decider, NotConnected
from hardbox.net.ledger import ContactKey, Ledger
from hardbox.net.loop import Cancelled, Loop, Task
from hardbox.net.service import Service
from hardbox.net.trouble import Trouble
from hardbox.net.wire import GO, HELLO, MESSAGE, SOCKET, message
from hardbox.network_report import DENIED, FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from hardbox.net.settings import Settings
    from hardbox.network_report import Reason

    Way = Callable[[Service, Connection], Coroutine[Any, Any, None]]

_FD_BYTES: Final = array.array("i").itemsize
# One for each port of the rules, and three.
MOST_SOCKETS: Final = 4096 + 3
PROXY: Final = ("127.0.0.1", network_limits.PROXY_PORT)
_BACKLOG: Final = 1024
# How long accepting rests when there is no descriptor or memory for a connection, in seconds.
_REST: Final = 0.1
# How long a job's last bytes may take after its end, and how often that is looked at, in seconds.
_DRAIN: Final = 1.0
_DRAIN_STEP: Final = 0.005
_DATAGRAMS_AT_ONCE: Final = 32
_MOST_DATAGRAM: Final = 4097
# Queries cost nobody but the broker, which answers so many per second.
_QUERY_RATE: Final = 500
# dnspython imports types late. With EDNS: A and AAAA of "localhost", PTR of 127.0.0.1, A of "a.invalid".
_SAMPLES: Final = tuple(
    bytes.fromhex(f"000001000001000000000001{question}000100002904d0000000000000")
    for question in (
        "096c6f63616c686f7374000001",
        "096c6f63616c686f737400001c",
        "0131013001300331323707696e2d61646472046172706100000c",
        "016107696e76616c6964000001",
    )
)


def _broken(what: str) -> NoReturn:
    raise Trouble(
        what="the launcher says what it never should", why=what, instead="install hardbox anew, as a whole"
    )


class Broker:
    """One run's broker."""

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: decide.Resolve = decide.resolve,
        unfit: decide.Unfit = vetting.unfit,
        own: decide.Own = own.own,
        proxy: tuple[str, int] = PROXY,
        names_port: int = network_limits.DNS_PORT,
    ) -> None:
        """Take the settings, and what a test may replace: resolving, vetting, and ports that tell a role."""
        self._proxy, self._names_port = proxy, names_port
        self.loop = Loop(self._callback_failed)
        self.ledger = Ledger(settings.log, settings.bytes)
        decider = Decider(self.loop, settings.allow, resolve=resolve, unfit=unfit, own=own)
        addresses = Addresses(settings.allow)
        queries = Bucket(_QUERY_RATE, self.loop.time())
        self.service = Service(self.loop, settings, self.ledger, decider, addresses, Room(), queries)
        self._settings = settings
        self._listeners: list[tuple[_socket.socket, Way, str]] = []
        self._names: list[_socket.socket] = []
        self._serving = False
        self._tasks: dict[Task, Connection] = {}
        self._rate = Bucket(settings.rate, self.loop.time())
        self._problem: BaseException | None = None

    # The supervisor's side.

    def run(self, supervisor: int) -> None:
        """Serve until the supervisor is gone. Raises Trouble or OSError if it says what it should not."""
        self._supervisor = _socket.socket(fileno=supervisor)
        self._supervisor.setblocking(False)  # noqa: FBT003 (its signature)
        self.loop.on_readable(supervisor, self._hear)
        try:
            self.loop.run()
        finally:
            self._close_all()
        if self._problem is not None:
            raise self._problem

    def _hear(self) -> None:
        try:
            while self._hear_one():
                pass
        except BlockingIOError:
            return
        except Exception as error:  # noqa: BLE001 (ends the broker)
            self._problem = error
            self.loop.stop()

    def _hear_one(self) -> bool:
        room = _socket.CMSG_SPACE(4 * _FD_BYTES)
        data, ancillary, flags, _ = self._supervisor.recvmsg(MESSAGE.size + 1, room, _socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, content in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % _FD_BYTES])
        sockets = [_socket.socket(fileno=fd) for fd in fds]
        if not data and not sockets:
            self.loop.on_readable(self._supervisor.fileno(), None)
            self._accept_rest()
            self._stop_listening()
            self._drain(self.loop.time() + _DRAIN)
            return False
        if len(data) != MESSAGE.size or flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC):
            _broken("a message of the supervisor is malformed")
        kind = MESSAGE.unpack(data)[0]
        if kind == SOCKET and len(sockets) == 1 and not self._serving:
            self._take(sockets[0])
        elif kind == HELLO and not sockets and not self._serving:
            self._serve()
            self._supervisor.send(message(GO))
            self.loop.later(0.0, self._warm)
        else:
            _broken(f"the supervisor sent message {kind} with {len(sockets)} sockets")
        return True

    def _take(self, sock: _socket.socket) -> None:
        """Find a socket's role by its address."""
        if len(self._listeners) + len(self._names) >= MOST_SOCKETS:
            _broken("too many sockets")
        address, port = streams.address_of(sock)
        sock.setblocking(False)  # noqa: FBT003 (its signature)
        if sock.type == _socket.SOCK_DGRAM and port == self._names_port:
            self._names.append(sock)
            return
        if sock.type != _socket.SOCK_STREAM or not port:
            _broken(f"a socket of type {sock.type} at {address} port {port}")
        if port == self._names_port:
            way: tuple[Way, str] = (ways.names_by_stream, "dns")
        elif (address, port) == self._proxy:
            way = (ways.proxy, "http")
        else:
            way = (ways.transparent, "transparent")
            if sock.family == _socket.AF_INET6:
                self.service.ipv6 = True
        # Every connection begins with what its listener has (tcp(7)).
        streams.no_delay(sock)
        streams.bound(sock, 1, outside=False)
        sock.listen(_BACKLOG)
        self._listeners.append((sock, *way))

    def _serve(self) -> None:
        self._serving = True
        for listener in self._listeners:
            self._listen(listener)
        for sock in self._names:
            self.loop.on_readable(sock.fileno(), partial(self._answer, sock))

    def _warm(self) -> None:
        """Import what most jobs need, while theirs starts and nothing else is to be done; in two steps."""
        from hardbox.net import http, socks  # noqa: F401, PLC0415 (for the next import of it)

        self.loop.later(0.0, self._warm_names)

    def _warm_names(self) -> None:
        self.service.stub()

    def import_all(self) -> None:
        """Import whatever may be needed later: for where nothing can be read by then (confine.py)."""
        from hardbox.net import http, socks  # noqa: F401, PLC0415 (for the next import of it)
        from hardbox.net.stub import Stub  # noqa: PLC0415 (as above)

        # One of its own: what the real one answers hangs on sockets that have not come yet.
        trial = Stub(self._settings.allow, Addresses(self._settings.allow), ipv6=True)
        for query in _SAMPLES:
            trial.answer(query, datagram=True)
        destinations.host_of("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.invalid")

    # The job's side.

    def _listen(self, listener: tuple[_socket.socket, Way, str]) -> None:
        self.loop.on_readable(listener[0].fileno(), lambda: self._accept(listener))

    def _accept(self, listener: tuple[_socket.socket, Way, str]) -> None:
        """Take one connection: of more, the loop tells again, after the others have had their turn."""
        sock = listener[0]
        try:
            self._accept_one(listener)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # No descriptor or memory is left: what waits is still there later, and so is the event.
            self.loop.on_readable(sock.fileno(), None)
            self.loop.later(_REST, lambda: self._listen(listener))

    def _accept_rest(self) -> None:
        """Take every connection and query that the job has made before its end: what it tried is told."""
        for sock in self._names:
            for _ in range(_BACKLOG // _DATAGRAMS_AT_ONCE):
                self._answer(sock)
        for listener in self._listeners:
            for _ in range(_BACKLOG + 1):
                try:
                    self._accept_one(listener)
                except ConnectionAbortedError:
                    continue
                except BlockingIOError:
                    break
                except OSError as error:
                    self._callback_failed(error)
                    break

    def _accept_one(self, listener: tuple[_socket.socket, Way, str]) -> None:
        """Take one connection. Raises OSError: BlockingIOError if there is none."""
        sock, way, via = listener
        # `socket`'s own way to accept (see loop.py), which typeshed leaves out.
        fd, _ = sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001 (there is no other)
        # Said, so that it need not be asked (three system calls).
        client = _socket.socket(sock.family, sock.type, sock.proto, fd)
        try:
            self._admit(client, way, via)
        except Exception as error:  # noqa: BLE001 (one connection's error is not the listener's)
            streams.reset(self.loop, client)
            self._callback_failed(error)

    def _admit(self, client: _socket.socket, way: Way, via: str) -> None:
        """Start to serve a connection, or reset it if it is one too many."""
        reason: Reason = ""
        if self.ledger.open >= self._settings.connections:
            reason = "limit-connections"
        elif not self._rate.take(self.loop.time()):
            reason = "limit-rate"
        elif not self.ledger.left:
            reason = "limit-bytes"
        if reason:
            streams.reset(self.loop, client)
            self.ledger.add(ContactKey(DENIED, "", 0, via, reason))
            return
        client.setblocking(False)  # noqa: FBT003 (its signature)
        if self.ledger.open >= streams.FEW:
            streams.bound(client, self.ledger.open + 1, outside=False)
        connection = Connection(self.loop, self.ledger, client, via, self._settings.patience)
        self.ledger.opened()

        def ended(error: BaseException | None) -> None:
            del self._tasks[task]
            self.ledger.closed()
            self._ended(connection, error)

        task = self.loop.spawn(way(self.service, connection), ended)
        self._tasks[task] = connection

    def _ended(self, connection: Connection, error: BaseException | None) -> None:
        """Let go of a connection, and write down why it ended if that was not its own doing."""
        try:
            if isinstance(error, NotConnected):
                connection.refused(error)
            elif error is not None and not isinstance(error, OSError | Cancelled):
                connection.refused(
                    NotConnected("protocol", f"internal error: {type(error).__name__}", FAILED)
                )
        finally:
            # Of a sandbox that has ended, what it sent last is still to arrive.
            sent = isinstance(error, Cancelled) and connection.all_sent is True
            connection.close(regular=error is None or sent)

    def _answer(self, sock: _socket.socket) -> None:
        """Answer DNS over UDP."""
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                query, sender = sock.recvfrom(_MOST_DATAGRAM)
                if not self.service.queries.take(self.loop.time()):
                    self.ledger.add(ContactKey(DENIED, "", 0, "dns", "limit-rate"))
                    continue
                wire = ways.answer_name(self.service, query, datagram=True)
                if wire is not None:
                    sock.sendto(wire, sender)
            except BlockingIOError:
                return
            except OSError:
                continue  # the asker's socket is closed: nobody misses the answer
            except Exception as error:  # noqa: BLE001 (one query's error is not that of the others)
                self._callback_failed(error)

    def _callback_failed(self, error: BaseException) -> None:
        self.ledger.add(ContactKey(FAILED, "", 0, "", "protocol", f"internal error: {type(error).__name__}"))

    def _drain(self, end: float) -> None:
        """Stop once it is known of each connection where to, and all that the job has sent is on its way.

        Or at the end of its time.

        The job's sockets are closed by now: this is a matter of moments, unless a server takes nothing.
        """
        if self.loop.time() < end and any(not conn.all_sent for conn in self._tasks.values()):
            self.loop.later(_DRAIN_STEP, lambda: self._drain(end))
        else:
            self.loop.stop()

    def _stop_listening(self) -> None:
        for sock in (*(listener[0] for listener in self._listeners), *self._names):
            streams.close(self.loop, sock)

    def _close_all(self) -> None:
        self._stop_listening()
        for task in tuple(self._tasks):
            task.cancel()
        self.loop.run_rest()
        self._supervisor.close()
