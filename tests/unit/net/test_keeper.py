"""The keeper's words and helpers, without a network."""

from __future__ import annotations

import itertools
import json
import os
import socket
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

import pytest

from hardbox.net import bridge, namespaces, pasta, programs
from hardbox.net.bridge_settings import BridgeSettings, Published
from hardbox.net.keeper_wire import Gone, Supervisor, row
from hardbox.net.trouble import Trouble
from hardbox.net.wire import GO, HELLO, READY, SOCKET, end, message, tell

if TYPE_CHECKING:
    from collections.abc import Callable


def test_settings_that_are_unfit_end_it_with_an_event() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    assert bridge.keep({"mode": "bridge"}, theirs.detach(), write) == 1
    os.close(write)
    with os.fdopen(read) as file:
        (line,) = file.read().splitlines()
    event = json.loads(line)
    assert event["event"] == "error"
    assert "missing or unknown" in event["message"]
    assert ours.recv(100) == b""
    ours.close()


def test_the_sandboxs_socket_comes_before_hello() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = Supervisor(theirs.detach())
    socket.send_fds(ours, [message(SOCKET)], [0])
    ours.send(message(HELLO))
    descriptor = supervisor.sandbox_socket()
    assert os.path.sameopenfile(descriptor, 0)
    os.close(descriptor)
    supervisor.go()
    assert ours.recv(100) == message(GO)
    ours.close()
    supervisor.ended()
    supervisor.close()


@pytest.mark.parametrize("data", [message(HELLO), message(SOCKET), b"x", message(GO) + b"x"])
def test_any_other_message_is_refused(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = Supervisor(theirs.detach())
    ours.send(data)
    with pytest.raises(Trouble, match="the supervisor sent"):
        supervisor.sandbox_socket()
    ours.close()
    supervisor.close()


def test_an_early_end_is_the_sandboxs_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = Supervisor(theirs.detach())
    ours.close()
    with pytest.raises(Gone):
        supervisor.sandbox_socket()
    supervisor.close()


def test_a_message_after_the_beginning_is_refused() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = Supervisor(theirs.detach())
    ours.send(message(HELLO))
    with pytest.raises(Trouble, match="after the job had begun"):
        supervisor.ended()
    ours.close()
    supervisor.close()


def test_events_are_lines_and_a_reader_may_be_gone() -> None:
    read, write = os.pipe()
    tell(write, end([row("93.184.216.35", 443, "tcp", 3, "bridge")], sent=10, received=20))
    line = os.read(read, 65536)
    assert line.endswith(b"\n")
    found = json.loads(line)
    assert (found["sent"], found["received"], found["rows"][0]["count"]) == (10, 20, 3)
    os.close(read)
    tell(write, READY)
    os.close(write)


def test_a_namespace_of_our_own_is_refused() -> None:
    if os.geteuid() != 0:
        pytest.skip("only the namespace's owner may ask")
    with socket.socket() as own, pytest.raises(Trouble, match="one of the host's"):
        namespaces.namespace_of(own.fileno())


def test_pasta_forwards_nothing_but_what_is_published() -> None:
    subnet = IPv4Network("10.210.0.0/16")
    ports = (Published(IPv4Address("127.0.0.1"), 8080, 80), Published(IPv4Address("192.0.2.2"), 90, 91))
    for publish, spec in (((), "none"), (ports, "127.0.0.1/8080:80,192.0.2.2/90:91")):
        settings = BridgeSettings("net", "hbx0", subnet, (), (), "", publish, 1000, "pasta")
        words = pasta.words(settings, 7)
        options = dict(itertools.pairwise(words))
        assert options["--tcp-ports"] == spec
        assert {options[name] for name in ("--udp-ports", "--tcp-ns", "--udp-ns")} == {"none"}
        assert {"--no-map-gw", "--no-dhcp", "--no-ra", "--no-ndp", "--ipv4-only", "--foreground"} <= set(
            words
        )
        assert words[0] == programs.PASTA
        assert options["--netns"] == "/proc/7/ns/net"


def test_a_program_whose_keeper_has_ended_is_not_begun() -> None:
    tie = programs.end_with_keeper()

    def status_of(act: Callable[[], int]) -> int:
        child = os.fork()
        if child == 0:
            os._exit(act())
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def tied() -> int:
        tie()
        return 7

    assert status_of(tied) == 7
    # A grandchild has another parent, as a child has whose own has ended.
    assert status_of(lambda: status_of(tied)) == 1


def test_a_program_that_is_not_there_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(programs.__dict__["_PACKAGES"], "/nowhere/nft", "nftables")
    with pytest.raises(Trouble) as caught:
        programs.check("/nowhere/nft")
    assert "nftables" in caught.value.instead
