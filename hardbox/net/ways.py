"""The ways in: the transparent listeners, the proxy's port, the name server; and what is done once connected.

Run by: the broker, a coroutine for each connection. Each way finds out which host and port are wanted; the
decision is the same for all (decide.py), and so is the look at the first bytes (`tunnel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.net import answers, hello, retry, streams
from hardbox.net.copy import Copy
from hardbox.net.decide import NotConnected
from hardbox.net.ledger import ContactKey

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from hardbox.net.connection import Connection
    from hardbox.net.decide import Wanted
    from hardbox.net.service import Service

# Seconds in which whoever has begun to say what it wants has said it.
HEAD_PATIENCE: Final = 30.0
# Pieces in which a first message may come; each one is looked at from the start.
_MOST_PIECES: Final = 128
_SOCKS5, _SOCKS4 = 5, 4
_DNS_HEAD: Final = 2
# How long a client waits that asks for names faster than they are given, in seconds.
_QUERY_REST: Final = 0.05


async def transparent(service: Service, connection: Connection) -> None:
    """Serve a connection that was made to a synthetic address, or to the literal address of a rule."""
    text, connection.port = streams.address_of(connection.client)
    connection.host = service.addresses.target_of(text)
    wanted = service.decider.match(connection.host, connection.port)
    server = await service.decider.connect(wanted)
    connection.allowed(wanted, server)
    await tunnel(service, connection, wanted, server)


async def proxy(service: Service, connection: Connection) -> None:
    """Serve a connection to the proxy's port: SOCKS 5 or HTTP, by its first byte."""
    # Where it is, as long as it does not say where to.
    connection.host, connection.port = streams.address_of(connection.client)
    first = await connection.receive(connection.client)
    if not first:
        return
    if first[0] in (_SOCKS5, _SOCKS4):
        connection.via = "socks"
        await _socks(service, connection, first)
        return
    from hardbox.net import http  # noqa: PLC0415 (23 ms; imported when the broker has nothing else to do)

    await http.proxy(service, connection, first)


async def _socks(service: Service, connection: Connection, first: bytes) -> None:
    from hardbox.net import socks  # noqa: PLC0415 (as http)

    by = connection.loop.time() + HEAD_PATIENCE
    state = socks.Socks()
    data = first
    while True:
        if said := state.receive(data):
            await connection.send(connection.client, said)
        if state.refused:
            raise NotConnected("protocol", state.refused)
        if state.request is not None:
            break
        data = await connection.receive(connection.client, by=by)
        if not data:
            return
    connection.host, connection.port = state.request.host, state.request.port
    try:
        wanted = service.decider.match(connection.host, connection.port)
        server = await service.decider.connect(wanted)
    except NotConnected as refused:
        connection.refused(refused)
        code = {"unresolved": socks.Reply.HOST_UNREACHABLE, "unreachable": socks.Reply.HOST_UNREACHABLE}
        said = socks.reply(code.get(refused.reason, socks.Reply.NOT_ALLOWED))
        await streams.say_and_close(connection.loop, connection.client, said)
        return
    connection.allowed(wanted, server)
    await connection.send(connection.client, socks.reply(socks.Reply.SUCCEEDED))
    await tunnel(service, connection, wanted, server, state.rest)


async def tunnel(
    service: Service, connection: Connection, wanted: Wanted, server: _socket.socket, first: bytes = b""
) -> None:
    """Copy both ways, after a look at what the client says first.

    What comes from outside is handed on at once: in some protocols the server speaks first.
    """
    if service.settings.sni == "off":
        await copy_both(service, connection, server, first)
        return
    copy = Copy(connection, server, service.room)
    try:
        copy.start_inwards()
        seen, first, eof = await _judged(connection, copy, wanted, first)
        if seen.kind is hello.Hello.TLS and not wanted.host.literal:
            first, eof = await _greeted(connection, copy, wanted, first, seen.size)
        if seen.kind is not hello.Hello.HTTP or copy.ended.settled:
            await _to_end(copy, first, eof=eof, watch=_line_watch(first) if seen.line and not eof else None)
            return
    finally:
        copy.stop()
    if connection.received:
        raise NotConnected("protocol", "HTTP, but the server has spoken first")
    from hardbox.net import http  # noqa: PLC0415 (see proxy)

    await http.origin(service, connection, wanted, server, first)


async def copy_both(
    service: Service, connection: Connection, server: _socket.socket, outwards: bytes, inwards: bytes = b""
) -> None:
    """Copy both ways without a look; `outwards` and `inwards` were read already.

    Raises NotConnected, OSError.
    """
    copy = Copy(connection, server, service.room)
    try:
        copy.start_inwards(inwards)
        await _to_end(copy, outwards)
    finally:
        copy.stop()


async def _to_end(
    copy: Copy, outwards: bytes, *, eof: bool = False, watch: Callable[[bytes], bool] | None = None
) -> None:
    if not copy.ended.settled:
        copy.start_outwards(outwards, eof=eof, watch=watch)
    outcome = await copy.ended
    if isinstance(outcome, BaseException):
        raise outcome
    if outcome:
        raise NotConnected(outcome, answers.LIMITS[outcome])


async def _judged(
    connection: Connection, copy: Copy, wanted: Wanted, first: bytes
) -> tuple[hello.Look, bytes, bool]:
    """Read until it is clear what the client begins with: that, what was read, and whether nothing follows.

    Raises NotConnected if it may not pass.
    """
    by = connection.loop.time() + HEAD_PATIENCE if first else 0.0
    for _ in range(_MOST_PIECES):
        seen = hello.look(first)
        if seen.kind is not hello.Hello.MORE:
            _judge(seen, wanted)
            return seen, first, False
        data = await connection.receive(connection.client, by=by)
        if not data:
            # A last line may lack its end; what is then still undecided is a message that broke off.
            if first and not copy.ended.settled and hello.look(first + b"\n").kind is not hello.Hello.OTHER:
                raise NotConnected("protocol", "ended within its first message")
            return seen, first, True
        # An idle connection may stay so; a message that has begun has to come to its end.
        by = by or connection.loop.time() + HEAD_PATIENCE
        first += data
    raise NotConnected("protocol", "a first message in too many pieces")


async def _greeted(
    connection: Connection, copy: Copy, wanted: Wanted, first: bytes, size: int
) -> tuple[bytes, bool]:
    """Hand on a ClientHello, and judge the second one if the server asks for it.

    size: of `first`, how much is that hello. Nothing behind it is handed on before the server has answered;
          it answers a whole hello, whatever follows.
    Gives what is still to be sent, and whether nothing follows.
    """
    if connection.received:
        raise NotConnected("protocol", "TLS, but the server has spoken first")
    connection.all_sent = False
    asked = copy.listen(retry.asked)
    server, rest = connection.servers[-1], first[size:]
    await connection.send(server, first[:size])
    if not await asked:
        return rest, False
    by = connection.loop.time() + HEAD_PATIENCE
    for _ in range(_MOST_PIECES):
        passing = retry.between(rest)
        await connection.send(server, rest[:passing])
        rest = rest[passing:]
        seen = retry.look(rest)
        if seen.kind is not hello.Hello.MORE:
            _judge(seen, wanted)
            return rest, False
        data = await connection.receive(connection.client, by=by)
        if not data:
            if rest and not copy.ended.settled:
                raise NotConnected("protocol", "ended within its second hello")
            return rest, True
        rest += data
    raise NotConnected("protocol", "a second hello in too many pieces")


def _line_watch(first: bytes) -> Callable[[bytes], bool]:
    """Give what judges the first line of something else while it is handed on: it may wait for an answer."""

    def watch(data: bytes) -> bool:
        nonlocal first
        first += data
        # A last line may lack its end.
        seen = hello.look(first if data else first + b"\n")
        if seen.kind is not hello.Hello.OTHER:
            raise NotConnected("protocol", seen.reason or "a request line that is none")
        return not seen.line

    return watch


def _judge(seen: hello.Look, wanted: Wanted) -> None:
    if seen.kind is hello.Hello.BAD:
        raise NotConnected("protocol", seen.reason)
    if seen.kind is hello.Hello.HTTP2:
        raise NotConnected("protocol", "HTTP/2 without TLS, whose requests are not looked at")
    # Whoever wrote a literal address into a rule means the machine, whatever it is called.
    if seen.kind is hello.Hello.TLS and not wanted.host.literal and seen.server_name != wanted.host.text:
        named = f"TLS asks for {seen.server_name}" if seen.server_name else "TLS without a server name"
        raise NotConnected("server-name", named)


async def names_by_stream(service: Service, connection: Connection) -> None:
    """Answer DNS over TCP (RFC 7766): messages with two bytes of length before each."""
    loop = connection.loop
    held = b""
    while True:
        try:
            data = await connection.receive(connection.client, by=loop.time() + HEAD_PATIENCE)
        except NotConnected:
            if held:
                raise
            return  # who keeps its connection for later finds it closed then (RFC 7766 section 6.2.3)
        if not data:
            return
        held += data
        while len(held) >= _DNS_HEAD and len(held) >= (end := _DNS_HEAD + int.from_bytes(held[:2], "big")):
            # Each answer takes its time: others get their turn between two, and there are so many per second.
            await loop.sleep(0 if service.queries.take(loop.time()) else _QUERY_REST)
            wire = answer_name(service, held[_DNS_HEAD:end], datagram=False)
            held = held[end:]
            if wire is None:
                raise NotConnected("protocol", "no DNS query")
            await connection.send(connection.client, len(wire).to_bytes(2, "big") + wire)


def answer_name(service: Service, query: bytes, *, datagram: bool) -> bytes | None:
    """Answer one DNS query and write down what was asked; None: it deserves no answer."""
    answer = service.stub().answer(query, datagram=datagram)
    if answer.verdict:
        service.ledger.add(ContactKey(answer.verdict, answer.asked, 0, "dns", answer.reason))
    return answer.wire
