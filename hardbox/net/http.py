"""HTTP on the proxy port: CONNECT alone for now; the rest follows."""

from __future__ import annotations
import h11
from hardbox.net import answers, streams
from hardbox.net.decide import Refused
from hardbox.net import ways


async def proxy(service, connection, first):
    machine = h11.Connection(h11.SERVER)
    by = connection.loop.time() + 30
    machine.receive_data(first)
    while (event := machine.next_event()) is h11.NEED_DATA:
        machine.receive_data(await connection.receive(connection.client, by=by))
    try:
        if not isinstance(event, h11.Request) or event.method != b"CONNECT":
            raise Refused("protocol", "not CONNECT")
        host, _, port = event.target.decode("ascii").rpartition(":")
        connection.host, connection.port, connection.via = host, int(port), "connect"
        wanted = service.decider.match(host, int(port))
        server = await service.decider.connect(wanted)
    except Refused as refused:
        connection.refused(refused)
        body = answers.refusal(service.settings.profile, connection.host, connection.port, refused).encode()
        code = 403 if refused.verdict == "denied" else 502
        head = f"HTTP/1.1 {code} x\r\nContent-Type: text/plain\r\nX-Hardbox: blocked\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        await streams.say_and_close(connection.loop, connection.client, head + body)
        return
    connection.allowed(wanted, server)
    await connection.send(connection.client, b"HTTP/1.1 200 Connected\r\n\r\n")
    await ways.tunnel(service, connection, wanted, server, machine.trailing_data[0])


async def origin(service, connection, wanted, server, first):
    raise Refused("protocol", "not yet")
