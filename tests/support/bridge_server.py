"""Servers of the bridge tests' world: say who answers, and who has asked.

Run by: tests/support/bridges.py, as a process in a network namespace. Arguments: a name, addresses
with commas, ports with commas. Each port is served with TCP on every address, and with UDP on those (an
answer then has the right source).
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast

IP_FREEBIND = 15  # an address that the bridge will have later


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(f"{self._name} {addr[0]}".encode() + data, addr)


async def serve(name: str, addresses: list[str], ports: list[int]) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name} {writer.get_extra_info('peername')[0]}".encode())
        writer.close()

    loop = asyncio.get_running_loop()
    for port in ports:
        await asyncio.start_server(answer, "", port)
        for address in addresses:
            with_udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            with_udp.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            with_udp.bind((address, port))
            await loop.create_datagram_endpoint(lambda: _Udp(name), sock=with_udp)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2].split(","), [int(word) for word in sys.argv[3].split(",")]))
