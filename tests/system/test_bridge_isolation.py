"""Network mode "bridge" as root: neighbours, and a sandbox that says that it is another."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from typing import Final

import pytest
from support.bridges import BRIDGE, PUBLIC, UPLINK, Sandbox, World

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="engine veth is root's")
BROADCAST: Final = "ff" * 6
ALL: Final = ["0.0.0.0/0:*", "10.0.0.0/8:*"]


def mac_of(address: str) -> str:
    """Give the MAC that an address has, in hexadecimal digits."""
    return "0268" + IPv4Address(address).packed.hex()


def echo_request(source: str, target: str, source_mac: str, target_mac: str) -> str:
    """Give a frame with a UDP datagram to port 443, in hexadecimal digits."""
    udp = "303901bb00090000" + "21"
    head = "4500" + f"{20 + len(udp) // 2:04x}" + "00000000" + "4011"
    packed = IPv4Address(source).packed.hex() + IPv4Address(target).packed.hex()
    words = head + "0000" + packed
    total = sum(int(words[at : at + 4], 16) for at in range(0, len(words), 4))
    total = (total & 0xFFFF) + (total >> 16)
    return target_mac + source_mac + "0800" + head + f"{~(total + (total >> 16)) & 0xFFFF:04x}" + packed + udp


def listening(world: World, **settings: object) -> tuple[Sandbox, str]:
    box = world.sandbox(**settings)
    assert box.ask("listen", 80) == "listening"
    return box, box.address


def test_two_sandboxes_on_one_bridge_are_isolated(world: World) -> None:
    one, _ = listening(world, allow=ALL)
    _, there = listening(world, allow=ALL)
    assert one.ask("connect", PUBLIC[0], 80) == f"internet {UPLINK}"
    assert one.ask("connect", there, 80) == "ECONNREFUSED"
    assert one.ask("run", "ping", "-c1", "-W5", there).startswith("1 ")


def test_naming_a_neighbours_address_does_not_open_it(world: World) -> None:
    _, there = listening(world)
    one = world.sandbox(allow=[f"{there}:80"])
    assert one.ask("connect", there, 80) == "ECONNREFUSED"


def test_a_group_is_joined_and_another_is_not(world: World) -> None:
    one, here = listening(world, join="red")
    _, red = listening(world, join="red")
    blue, _ = listening(world, join="blue")
    _, alone = listening(world)
    assert one.ask("connect", red, 80) == f"box {here}"
    assert one.ask("run", "ping", "-c1", "-W5", red).startswith("0 ")
    assert one.ask("connect", alone, 80) == "ECONNREFUSED"
    assert blue.ask("connect", here, 80) == "ECONNREFUSED"


def test_a_group_forgets_who_has_left(world: World) -> None:
    one, _ = listening(world, join="red", subnet="10.211.0.0/29", bridge="hbx1")
    left, address = listening(world, join="red", subnet="10.211.0.0/29", bridge="hbx1")
    left.finish()
    for _ in range(4):
        _, other = listening(world, subnet="10.211.0.0/29", bridge="hbx1")
        if other == address:
            break
    assert other == address
    assert one.ask("connect", address, 80) == "ECONNREFUSED"


def test_another_source_address_gets_nothing_through(world: World) -> None:
    box = world.sandbox(allow=["93.184.216.34:443"])
    neighbour = world.sandbox(allow=ALL).address
    own = box.address
    for source in ("10.210.77.77", neighbour, UPLINK, "203.0.113.9"):
        assert box.ask("run", "ip", "addr", "add", f"{source}/32", "dev", "eth0") == "0 "
        assert box.ask("silence", PUBLIC[0], 443, source) == "timed out"
        assert box.ask("run", "ip", "addr", "del", f"{source}/32", "dev", "eth0") == "0 "
    assert box.ask("connect", PUBLIC[0], 443, own) == f"internet {UPLINK}"


def test_another_mac_gets_nothing_through(world: World) -> None:
    box = world.sandbox()
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"
    gateway = "ip neigh replace 10.210.0.1 lladdr 02:68:0a:d2:00:01 nud permanent dev eth0"
    route = f"ip route replace 10.210.0.1 dev eth0; ip route replace default via {BRIDGE}"
    change = "ip link set eth0 down; ip link set eth0 address 02:68:00:00:00:99; ip link set eth0 up"
    change += f"; {route}; {gateway}"
    assert box.ask("run", "sh", "-c", change).startswith("0 ")
    assert box.ask("silence", PUBLIC[0], 443) == "timed out"


def test_frames_of_every_kind_stay_where_they_came_from(world: World) -> None:
    one, other = world.sandbox(allow=ALL), world.sandbox(allow=ALL)
    here, there = one.address, other.address
    mac, their_mac, bridge_mac = mac_of(here), mac_of(there), mac_of(BRIDGE)
    arp = "0806" + "0001080006040002" + mac + IPv4Address(BRIDGE).packed.hex() + their_mac
    arp += IPv4Address(there).packed.hex()
    frames = (
        BROADCAST + mac + arp,  # "the gateway is me"
        their_mac + mac + arp,
        echo_request(here, there, mac, their_mac),  # straight to the neighbour
        echo_request(there, here, their_mac, BROADCAST),
        bridge_mac
        + mac
        + "86dd"
        + "60000000"
        + "0008"
        + "3aff"
        + "fe80"
        + "00" * 14
        + "ff02"
        + "00" * 13
        + "01"
        + "00" * 8,
        bridge_mac + mac + "8100" + "0001" + "0800" + "00" * 40,  # VLAN 1
        "0180c2000000" + mac + "0026" + "424203" + "00" * 35,  # spanning tree
    )
    seen = "cat /sys/class/net/eth0/statistics/rx_packets"
    # A fresh sysfs of that namespace; counters of the interface see frames that the kernel then drops.
    count = f"unshare -m sh -c 'mount -t sysfs none /sys && {seen}'"
    before = other.ask("run", "sh", "-c", count)
    neighbours = world.on_host("ip neigh show dev hbx0")
    control = echo_request(here, PUBLIC[0], mac, bridge_mac)
    for frame in (*frames, control):
        assert one.ask("frame", "eth0", frame) == str(len(frame) // 2)
    assert other.ask("run", "sh", "-c", count) == before
    assert world.on_host("ip neigh show dev hbx0") == neighbours
    assert one.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"


def test_there_is_no_version_6(world: World) -> None:
    box = world.sandbox(allow=ALL)
    assert world.on_host("ip -6 addr show dev hbx0") == ""
    assert box.ask("run", "ip", "-6", "addr", "show", "dev", "eth0") == "0 "
    assert box.ask("connect", "2606:2800:220:1::34", 443) == "ENETUNREACH"
    # Even a sandbox that could switch it on gets no frame through.
    on = "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip -6 addr add fd00::2/64 dev eth0 nodad; "
    on += "ip -6 neigh add fd00::1 lladdr 02:68:0a:d2:00:01 dev eth0; ip -6 addr show dev eth0"
    assert "fd00::2" in box.ask("run", "sh", "-c", on)
    world.on_host(
        "echo 0 > /proc/sys/net/ipv6/conf/hbx0/disable_ipv6; ip -6 addr add fd00::1/64 dev hbx0 nodad"
    )
    assert world.on_host("ip -6 addr show dev hbx0 scope global") != ""
    assert box.ask("silence", "fd00::1", 443) == "timed out"
