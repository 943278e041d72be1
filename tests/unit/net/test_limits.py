"""Limits of connections, rate, bytes and idleness; half-close and back-pressure; nothing leaks."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support import faults
from support.brokers import PATIENCE, Names, World, echo, everything, near, server, serving, until, wanted

from hardbox.net import copy, streams

if TYPE_CHECKING:
    from hardbox.net.connection import Connection


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_one_connection_too_many_is_reset() -> None:
    with near(echo, connections=2) as (world, where):
        first, second = (world.tunnel(where) for _ in range(2))
        assert world.is_reset()
        first.close()
        while world.program.ledger.open > 1:
            time.sleep(0.01)
        with world.tunnel(where) as again:
            again.sendall(b"x\n")
            assert again.recv(10) == b"x\n"
        second.close()
    assert [(row["verdict"], row["reason"]) for row in world.rows if row["reason"]] == [
        ("denied", "limit-connections")
    ]
    assert world.end["most"] == 2


def test_too_many_at_a_time_are_reset() -> None:
    with serving(wanted("127.0.0.1:9", rate=1), Names()) as world:
        answers = [world.is_reset(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(10)]
    assert answers[:2] == [False, False]
    assert sum(answers) >= 6
    assert "limit-rate" in [row["reason"] for row in world.rows]


def test_a_run_moves_no_more_bytes_than_it_may() -> None:
    with near(echo, bytes=100_000) as (world, where), world.tunnel(where) as client:
        client.sendall(b"\0" * 200_000)
        answer = everything(client)
        assert world.is_reset()
    assert answer.endswith(b"RESET")
    assert len(answer) < 100_000
    assert world.end["sent"] + world.end["received"] == 100_000
    assert {row["reason"] for row in world.rows} == {"", "limit-bytes"}


def test_an_idle_connection_is_closed_and_a_slow_one_is_not() -> None:
    with near(echo, idle=400) as (world, where):
        idle, slow = (world.tunnel(where) for _ in range(2))
        for _ in range(8):
            slow.sendall(b".\n")
            assert slow.recv(2) == b".\n"
            time.sleep(0.1)
        assert everything(idle) == b"RESET"
        slow.sendall(b"!\n")
        assert slow.recv(2) == b"!\n"
        slow.close()
        idle.close()
    assert [row["reason"] for row in world.rows if row["verdict"] == "denied"] == ["limit-idle"]


@pytest.mark.parametrize("who", ["client", "server"])
def test_one_direction_ends_and_the_other_goes_on(who: str) -> None:
    def half(client: socket.socket) -> None:
        if who == "server":
            client.sendall(b"all I say\n")
            client.shutdown(socket.SHUT_WR)
        said = everything(client)
        if who == "client":
            client.sendall(said.upper())
        got.append(said)

    got: list[bytes] = []
    with near(half) as (world, where), world.tunnel(where) as client:
        if who == "server":
            assert everything(client) == b"all I say\n"
        client.sendall(b"\0said")
        time.sleep(0.05)
        client.sendall(b" later")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == (b"\0SAID LATER" if who == "client" else b"")
    faults.eventually(lambda: got == [b"\0said later"], "the server has seen the regular end")


def test_a_reset_is_handed_on() -> None:
    def resets(client: socket.socket) -> None:
        client.recv(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with near(resets) as (world, where), world.tunnel(where) as client:
        client.sendall(b"\0")
        assert everything(client) == b"RESET"


def test_what_nobody_takes_is_not_read_either() -> None:
    """Back-pressure: what is held of one connection is one read at most, however much is sent."""
    go = threading.Event()

    def lazy(client: socket.socket) -> None:
        go.wait(PATIENCE)
        size.append(len(everything(client)))

    size: list[int] = []
    with near(lazy) as (world, where), world.tunnel(where) as client:
        client.settimeout(0)
        sent = quiet = 0
        while quiet < 20:
            try:
                sent += client.send(bytes(1 << 16))
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.02)
            assert world.program.service.room.held <= copy._CHUNK  # noqa: SLF001 (the bound)
        assert world.program.service.room.held > 0
        client.settimeout(PATIENCE)
        go.set()
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b""
        faults.eventually(lambda: size == [sent], "all of it has arrived")
        assert world.program.service.room.held == 0


@pytest.mark.parametrize("bounded", [False, True])
def test_what_the_kernel_holds_of_each_connection_is_little(
    monkeypatch: pytest.MonkeyPatch,
    bounded: bool,  # noqa: FBT001
) -> None:
    """Both ends send, nobody reads: what waits in the broker's sockets is in no limit of a job."""
    if not bounded:
        monkeypatch.setattr(streams, "bound", lambda *_, **__: None)
    over = threading.Event()

    def floods(client: socket.socket) -> None:
        client.settimeout(0)
        while not over.wait(0.02):
            fill(client)

    with near(floods) as (world, where):
        clients = [world.tunnel(where) for _ in range(3 * streams.FEW)]
        for client in clients:
            client.settimeout(0)
        connections = list(world.program._tasks.values())  # noqa: SLF001 (what is measured)
        seen = -1
        while seen < (seen := sum(held(connections, outside=True) + held(connections, outside=False))):
            for _ in range(20):
                for client in clients:
                    fill(client)
                time.sleep(0.01)
        outside, inside = (held(connections, outside=which) for which in (True, False))
        over.set()
        for client in clients:
            client.close()
    # Twice what was asked for, and the segment that goes beyond it, in both directions.
    few, many = streams.FEW, 2 * streams.FEW
    most_outside = few * 2 * (2 * (1 << 19) + (1 << 17)) + many * 2 * (2 * (1 << 15) + (1 << 17))
    most_inside = few * 2 * (2 * (1 << 16) + (1 << 17)) + many * 2 * (2 * (1 << 15) + (1 << 17))
    assert (sum(outside) <= most_outside and sum(inside) <= most_inside) == bounded
    assert (max(outside[few:]) <= 2 * (2 * (1 << 15) + (1 << 17))) == bounded


def fill(sock: socket.socket) -> None:
    with suppress(BlockingIOError):
        while True:
            sock.send(bytes(1 << 16))


def held(connections: list[Connection], *, outside: bool) -> list[int]:
    """Give what each one's socket holds: received, and waiting to be taken (sock_diag(7), SO_MEMINFO)."""
    found = []
    for connection in connections:
        sock = connection.servers[0] if outside else connection.client
        memory = struct.unpack("=9I", sock.getsockopt(socket.SOL_SOCKET, 55, 36))
        found.append(memory[0] + memory[5])
    return found


def test_500_connections_at_once_and_none_leaks() -> None:
    with server(echo) as (port, _):
        before = descriptors()
        with serving(wanted(f"127.0.0.1:{port}"), Names()) as world:
            serves = descriptors()
            clients = [world.tunnel(f"127.0.0.1:{port}") for _ in range(500)]
            for number, client in enumerate(clients):
                client.sendall(b"%d\n" % number)
            assert [int(until(client, b"\n")) for client in clients] == list(range(500))
            for number, client in enumerate(clients):
                if number % 3:
                    client.shutdown(socket.SHUT_WR)
                    assert everything(client) == b""
                client.close()
            while world.program.ledger.open:
                time.sleep(0.01)
            settle(serves)
        # The eventfd stays open (loop.py).
        settle(before + 1)
    assert world.end["most"] == 500
    assert sum(row["count"] for row in world.rows) == 500


def settle(most: int) -> None:
    """Wait until so few descriptors are left: the other side of each belongs to a thread of the test."""
    for _ in range(500):
        if descriptors() <= most:
            return
        time.sleep(0.01)
    assert descriptors() <= most


def test_the_end_of_the_sandbox_ends_whatever_is_open() -> None:
    with server(echo) as (port, _):
        with serving(wanted(f"127.0.0.1:{port}"), Names()) as world:
            open_ones = [world.tunnel(f"127.0.0.1:{port}"), world.connect()]
            waiting: World = world
        for client in open_ones:
            assert everything(client) in (b"RESET", b"")
            client.close()
    assert waiting.program.ledger.open == 0
