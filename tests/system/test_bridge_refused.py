"""Network mode "bridge" as root: what the keeper finds on the host, or hears, and refuses."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from hardbox.net import links
from hardbox.net.wire import HELLO, SOCKET, message

if TYPE_CHECKING:
    from support.bridges import Sandbox, World

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="engine veth is root's")


def host_socket(world: World) -> socket.socket:
    """Give a socket that was made in the namespace of the test's host."""
    with open(f"/proc/{world.host}/ns/net", "rb") as namespace, links.inside(namespace.fileno()):
        return socket.socket()


def refused(box: Sandbox) -> str:
    """Give the words with which a keeper refuses before it is ready."""
    assert box.answer() == 0
    ended = box.finish()
    assert [event["event"] for event in ended.events] == ["error"]
    assert ended.status == 1
    return ended.error


@pytest.mark.parametrize(
    "kind",
    [
        "type bridge",
        "type veth peer name other",
        "type bridge && ip link set hbx7 alias own",
        "address 02:68:0a:d2:00:01 type bridge && ip link set hbx7 up",
    ],
)
def test_an_interface_of_somebody_else_is_not_used(world: World, kind: str) -> None:
    world.on_host(f"ip link add hbx7 {kind}")
    before = world.state()
    assert "hbx7 is there and is not hardbox's" in refused(world.start(bridge="hbx7"))
    assert world.state() == before
    world.on_host("ip link del hbx7")


@pytest.mark.parametrize(
    ("subnet", "before", "after"),
    [
        ("10.220.0.0/16", "ip route add 10.220.7.0/24 via 192.0.2.1", "ip route del 10.220.7.0/24"),
        ("10.220.0.0/16", "ip route add 10.0.0.0/8 via 192.0.2.1", "ip route del 10.0.0.0/8"),
        ("10.220.0.0/16", "ip addr add 10.220.9.9/32 dev up0", "ip addr del 10.220.9.9/32 dev up0"),
    ],
)
def test_addresses_that_the_host_uses_are_no_pool(world: World, subnet: str, before: str, after: str) -> None:
    world.on_host(before)
    try:
        assert f"network.subnet {subnet} is in use" in refused(world.start(subnet=subnet))
    finally:
        world.on_host(after)


def test_one_bridge_has_one_subnet(world: World) -> None:
    world.sandbox(subnet="10.221.0.0/24")
    assert "has other addresses than those of 10.222.0.0/24" in refused(world.start(subnet="10.222.0.0/24"))
    assert "is in use" in refused(world.start(subnet="10.221.0.0/24", bridge="hbx3"))


def test_a_host_that_does_not_forward_is_left_so(world: World) -> None:
    path = "/proc/sys/net/ipv4/ip_forward"
    world.on_host(f"echo 0 > {path}")
    try:
        words = refused(world.start())
        assert world.on_host(f"cat {path}") == "0\n"
    finally:
        world.on_host(f"echo 1 > {path}")
    assert "sysctl -w net.ipv4.ip_forward=1" in words


def test_settings_of_the_host_stay_as_they_are(world: World) -> None:
    everything = "find /proc/sys/net -type f ! -path '*/hbx*' -readable 2>/dev/null | sort | xargs grep -s ''"
    everything += " | grep -v -e nf_conntrack_count -e route/flush -e inode || true"
    before = world.on_host(everything)
    world.sandbox(publish=["127.0.0.1:8080:80"])
    assert world.on_host(everything) == before


def test_a_folder_of_others_holds_no_leases(world: World) -> None:
    world.on_host("mkdir -p /run/hardbox/net && chmod 777 /run/hardbox/net")
    try:
        assert "/run/hardbox/net is not a directory" in refused(world.start())
    finally:
        world.on_host("rm -r /run/hardbox")


def test_a_socket_of_the_hosts_is_refused(world: World) -> None:
    box = world.start()
    with host_socket(world) as own:
        box.hand_over(own.fileno())
    assert box.answer() == 0
    assert "one of the host's" in box.finish().error


@pytest.mark.parametrize("kinds", [(HELLO,), (SOCKET,), (7,), (SOCKET, SOCKET)])
def test_messages_out_of_order_end_it(world: World, kinds: tuple[int, ...]) -> None:
    box = world.start()
    for kind in kinds:
        box.send(message(kind), descriptor=kind == SOCKET and len(kinds) > 1)
    assert box.answer() == 0
    ended = box.finish()
    assert [event["event"] for event in ended.events] == ["ready", "error"]
    assert ended.status == 1


def test_a_sandbox_that_ends_early_is_no_error(world: World) -> None:
    box = world.start()
    ended = box.finish()
    assert ended.status == 0
    assert [event["event"] for event in ended.events] == ["ready", "end"]
