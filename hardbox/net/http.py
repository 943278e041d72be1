"""HTTP/1.1 between a job and a server: to the proxy's port, and in connections whose first bytes are HTTP.

Run by: the broker. h11 parses every request and every response; each request is judged by itself, one after
the other, and written anew (requests.py). So none can hide in the body of another one, and none is for
another host than the one that was allowed. No Via header is added: some servers answer differently with it.
"""

from __future__ import annotations

import _socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import h11

from hardbox.net import answers, requests, streams, ways
from hardbox.net.decide import NotConnected
from hardbox.net.loop import Cancelled, Pause
from hardbox.net.requests import Malformed
from hardbox.network_report import DENIED, FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.net.connection import Connection
    from hardbox.net.decide import Wanted
    from hardbox.net.service import Service

# Of a head, in bytes; servers commonly take 8 to 16 KiB.
_MOST_HEAD: Final = 1 << 15
_SWITCHING: Final = 101


async def proxy(service: Service, connection: Connection, first: bytes) -> None:
    """Serve requests to the proxy's port: CONNECT, and targets in absolute-form."""
    connection.via = "http"
    await _Session(service, connection, first).serve()


async def origin(
    service: Service, connection: Connection, wanted: Wanted, server: _socket.socket, first: bytes
) -> None:
    """Serve requests inside a connection to an allowed destination: all of them have to be for it."""
    session = _Session(service, connection, first)
    session.lead_to(wanted, server, fixed=True)
    await session.serve()


class _Peer:
    """One side: a socket, and what h11 knows of it."""

    def __init__(self, connection: Connection, sock: _socket.socket) -> None:
        self.sock = sock
        self._ours = sock is connection.client
        role = h11.SERVER if self._ours else h11.CLIENT
        self.machine = h11.Connection(role, max_incomplete_event_size=_MOST_HEAD)
        self._connection = connection

    async def event(self) -> Any:  # noqa: ANN401 (an event, or one of h11's marks)
        """Give the next event. Raises h11.RemoteProtocolError, NotConnected, OSError."""
        by = 0.0
        while (event := self.machine.next_event()) is h11.NEED_DATA:
            if not by and self.machine.their_state is h11.IDLE and self.machine.trailing_data[0]:
                # A head that has begun has to come to its end; before it, and in a body, idleness counts.
                by = self._connection.loop.time() + ways.HEAD_PATIENCE
            with self._fault():
                self.machine.receive_data(await self._connection.receive(self.sock, by=by))
        return event

    async def send(self, event: Any) -> None:  # noqa: ANN401 (any of h11's events)
        """Write one event."""
        if data := self.machine.send(event):
            with self._fault():
                await self._connection.send(self.sock, data)

    @contextmanager
    def _fault(self) -> Iterator[None]:
        """Tell a server's fault, which the job is told of, from the job's own, which nobody is."""
        try:
            yield
        except OSError as error:
            if self._ours:
                raise
            raise _ServerGone(
                "unreachable", f"the server ended the connection: {error.strerror}", FAILED
            ) from error


class _ServerGone(NotConnected):
    """The server has ended the connection where it should not."""


class _Session:
    """The requests of one connection, one after the other."""

    def __init__(self, service: Service, connection: Connection, first: bytes) -> None:
        self._service, self._connection = service, connection
        self._client = _Peer(connection, connection.client)
        self._client.machine.receive_data(first)
        self._server: _Peer | None = None
        self._wanted: Wanted | None = None
        self._fixed = False
        self._served = False
        # Whether the client's side is no HTTP of ours any more.
        self._raw = False

    def lead_to(self, wanted: Wanted, server: _socket.socket, *, fixed: bool) -> None:
        """Take the connection to a server. fixed: there will be no other one."""
        self._wanted, self._fixed = wanted, fixed
        self._server = _Peer(self._connection, server)

    async def serve(self) -> None:
        """Serve until one side ends, or something is refused; that ends the connection too."""
        try:
            while await self._one():
                pass
        except NotConnected as refused:
            if self._raw or self._client.machine.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                raise  # an answer is under way: a reset tells that it is not whole
            self._connection.refused(refused)
            await self._say(refused)
        else:
            if not self._raw:
                await streams.say_and_close(self._connection.loop, self._connection.client, b"")

    async def _say(self, refused: NotConnected) -> None:
        connection = self._connection
        status = "403 Forbidden" if refused.verdict == DENIED else "502 Bad Gateway"
        if isinstance(refused, Malformed):
            status = "400 Bad Request"
        profile = self._service.settings.profile
        body = answers.refusal(profile, connection.host, connection.port, refused).encode("ascii")
        mark = "blocked" if refused.verdict == DENIED else "failed"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nX-Hardbox: {mark}\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await streams.say_and_close(connection.loop, connection.client, head.encode("ascii") + body)

    async def _one(self) -> bool:
        """Serve one request; says whether another one may follow."""
        try:
            request = await self._client.event()
        except h11.RemoteProtocolError as error:
            raise Malformed("protocol", f"malformed HTTP: {error}") from error
        except NotConnected as refused:
            # Who keeps its connection for later finds it closed then; nothing was asked that could be denied.
            if refused.reason == "limit-idle" and self._served and not self._client.machine.trailing_data[0]:
                return False
            raise
        if not isinstance(request, h11.Request):
            return False
        requests.check_framing(request)
        target = requests.target_of(request)
        if request.method == b"CONNECT":
            await self._tunnel(target)
            return False
        wanted, server = await self._server_for(request, target)
        any_host = wanted.host.literal or self._service.settings.sni == "off"
        outgoing = requests.outgoing(request, target, wanted, any_host=any_host)
        if await self._exchange(request, outgoing, server):
            await self._switch(server)
            return False
        return self._next(server)

    async def _tunnel(self, target: requests.Target) -> None:
        connection, service = self._connection, self._service
        if self._fixed:
            raise NotConnected("protocol", "CONNECT inside a connection")
        connection.via = "connect"
        connection.host, connection.port = target.host.strip("[]"), target.port
        wanted = service.decider.match(target.host, target.port)
        self._drop_server()
        server = await service.decider.connect(wanted)
        connection.allowed(wanted, server)
        self._raw = True
        await connection.send(connection.client, b"HTTP/1.1 200 Connection established\r\n\r\n")
        await ways.tunnel(service, connection, wanted, server, self._client.machine.trailing_data[0])

    async def _server_for(self, request: h11.Request, target: requests.Target) -> tuple[Wanted, _Peer]:
        """Find what the request leads to; connects if it has to. Raises NotConnected."""
        connection, service = self._connection, self._service
        if self._fixed and self._wanted and self._server:
            if service.settings.sni == "match":
                requests.check_host(request, target, self._wanted)
            return self._wanted, self._server
        if not target.host:
            raise NotConnected("protocol", "a request to the proxy itself, which has no pages")
        connection.host, connection.port = target.host.strip("[]"), target.port
        wanted = service.decider.match(target.host, target.port)
        if service.settings.sni == "match":
            requests.check_host(request, target, wanted)
        if self._server and self._wanted == wanted and _still_open(self._server.sock):
            connection.again(wanted)
            return wanted, self._server
        self._drop_server()
        server = await service.decider.connect(wanted)
        connection.allowed(wanted, server)
        self.lead_to(wanted, server, fixed=False)
        assert self._server is not None  # noqa: S101 (for the type checker: lead_to has set it)
        return wanted, self._server

    def _drop_server(self) -> None:
        if self._server is not None:
            self._connection.leave(self._server.sock)
            self._server = self._wanted = None

    async def _exchange(self, request: h11.Request, outgoing: h11.Request, server: _Peer) -> bool:
        """Hand on a request and its response, bodies at the same time; says whether the protocol switches."""
        over = Pause()
        await server.send(outgoing)

        def body_ended(error: BaseException | None) -> None:
            # Only what the client did wrong ends the exchange: a server may answer without reading a body.
            if isinstance(error, NotConnected):
                with suppress(OSError):
                    server.sock.shutdown(_socket.SHUT_RDWR)
            over.wake(error)

        body = self._connection.loop.spawn(self._body(server), body_ended)
        problem: Exception | None = None
        switched = False
        try:
            switched = await self._response(request, server)
        except (NotConnected, OSError) as error:
            problem = error
        finally:
            body.cancel()
        failed = await over
        if isinstance(failed, BaseException) and not isinstance(failed, OSError | Cancelled):
            raise failed
        if problem is not None:
            raise problem
        return switched

    async def _body(self, server: _Peer) -> None:
        """Hand on the request's body. Trailers are not: they are headers that nobody has looked at."""
        while True:
            try:
                event = await self._client.event()
            except h11.RemoteProtocolError as error:
                raise Malformed("protocol", f"malformed HTTP: {error}") from error
            if isinstance(event, h11.Data):
                out: h11.Data | h11.EndOfMessage = h11.Data(data=event.data)
            elif isinstance(event, h11.EndOfMessage):
                out = h11.EndOfMessage()
            else:
                raise Malformed("protocol", "a request that ends before its body")
            try:
                await server.send(out)
            except _ServerGone:
                return  # it may have answered before
            if isinstance(event, h11.EndOfMessage):
                return

    async def _response(self, request: h11.Request, server: _Peer) -> bool:
        client = self._client
        while True:
            try:
                event = await server.event()
                if isinstance(event, h11.InformationalResponse):
                    if request.http_version == b"1.1":
                        await client.send(requests.answer(event))
                    if event.status_code == _SWITCHING:
                        return True
                elif isinstance(event, h11.Response):
                    await client.send(requests.answer(event))
                elif isinstance(event, h11.Data):
                    await client.send(h11.Data(data=event.data))
                elif isinstance(event, h11.EndOfMessage):
                    await client.send(h11.EndOfMessage())
                    return False
                else:
                    raise NotConnected("unreachable", "the server ended without an answer", FAILED)
            except h11.ProtocolError as error:
                raise NotConnected(
                    "protocol", f"the server's answer is malformed: {error}", FAILED
                ) from error

    async def _switch(self, server: _Peer) -> None:
        """Go on as WebSocket: plain copying."""
        self._raw = True
        outwards, inwards = self._client.machine.trailing_data[0], server.machine.trailing_data[0]
        await ways.copy_both(self._service, self._connection, server.sock, outwards, inwards)

    def _next(self, server: _Peer) -> bool:
        """Make both sides ready for another request, as far as they are."""
        self._connection.settle()
        self._served = True
        states = server.machine.our_state, server.machine.their_state
        if states == (h11.DONE, h11.DONE) and not server.machine.trailing_data[0]:
            server.machine.start_next_cycle()
        elif self._fixed:
            return False
        else:
            self._drop_server()
        states = self._client.machine.our_state, self._client.machine.their_state
        if states != (h11.DONE, h11.DONE):
            return False
        self._client.machine.start_next_cycle()
        return True


def _still_open(sock: _socket.socket) -> bool:
    """Say whether a server waits for another request: nothing, not even an end, is to be read."""
    try:
        sock.recv(1, _socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
