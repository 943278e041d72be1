"""Which addresses are the host's own: the kernel says, before connecting and after it."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address
from typing import Any

import pytest
from support.brokers import echo, server

from hardbox.net import own


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "255.255.255.255"])
def test_what_the_kernel_keeps_to_itself_is_its_own(address: str) -> None:
    assert own.own(ip_address(address)) == "the host's own"


def test_an_address_of_an_interface_is_its_own() -> None:
    """Which one there is, if any: where a packet to some address would come from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.77", 9))
        except OSError:
            pytest.skip("this host has no way to anywhere")
        address = sock.getsockname()[0]
    assert own.own(ip_address(address)) == "the host's own"


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
def test_no_other_address_is(address: str) -> None:
    assert own.own(ip_address(address)) == ""


def test_a_connection_to_oneself_is_known() -> None:
    with server(echo) as (port, _):
        with socket.create_connection(("127.0.0.1", port)) as same:
            assert own.own(ip_address("127.0.0.1"), same) == "the host's own"
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) as other:
            assert own.own(ip_address("127.0.0.1"), other) == ""


class Kernel:
    """Answers what it is told to, in place of a netlink socket."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def __call__(self, *_: object) -> Any:  # noqa: ANN401 (as a socket)
        return self

    def sendto(self, *_: object) -> None:
        return

    def recv(self, _size: int) -> bytes:
        return self.answer

    def close(self) -> None:
        return


def answered(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


@pytest.mark.parametrize(("kind", "said"), [(1, ""), (2, "own"), (3, "own"), (4, "own"), (6, ""), (7, "")])
def test_routes_of_some_types_lead_to_the_host(monkeypatch: pytest.MonkeyPatch, kind: int, said: str) -> None:
    monkeypatch.setattr("_socket.socket", Kernel(answered(24, bytes(7) + bytes([kind]) + bytes(4))))
    assert said in own.own(ip_address("93.184.216.34"))
    assert bool(said) == bool(own.own(ip_address("93.184.216.34")))


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL])
def test_where_there_is_no_way_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr("_socket.socket", Kernel(answered(2, struct.pack("=i", -number) + bytes(16))))
    assert own.own(ip_address("93.184.216.34")) == ""


@pytest.mark.parametrize(
    "answer", [answered(2, struct.pack("=i", -errno.EPERM) + bytes(16)), answered(3, bytes(4))]
)
def test_what_the_kernel_does_not_say_is_not_known(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr("_socket.socket", Kernel(answer))
    with pytest.raises(OSError, match=r"."):
        own.own(ip_address("93.184.216.34"))
