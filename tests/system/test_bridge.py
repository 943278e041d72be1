"""Network mode "bridge" as root: what a sandbox reaches, and what not."""

from __future__ import annotations

import os

import pytest
from support.bridges import BRIDGE, GATEWAY, INNER, PUBLIC, UPLINK, World, shell

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="engine veth is root's")


def test_what_is_allowed_is_reached_and_nothing_else(world: World) -> None:
    box = world.sandbox(allow=["93.184.216.34:443", "10.0.3.0/24:5432"])
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"
    assert box.ask("datagram", PUBLIC[0], 443) == f"internet {UPLINK}!"
    assert box.ask("connect", "10.0.3.7", 5432) == f"internet {UPLINK}"
    denied = {(PUBLIC[0], 80), (PUBLIC[1], 443), ("10.0.3.7", 443), ("169.254.169.254", 80), (BRIDGE, 443)}
    # Refused, not left to run into a time limit.
    assert {box.ask("connect", host, port) for host, port in denied} == {"ECONNREFUSED"}
    assert box.ask("datagram", PUBLIC[1], 53) == "EHOSTUNREACH"
    ended = box.finish()
    assert ended.status == 0
    assert [event["event"] for event in ended.events] == ["ready", "end"]
    rows = ended.events[-1]["rows"]
    assert {(row["verdict"], row["via"], row["reason"]) for row in rows} == {
        ("denied", "bridge", "not-allowed")
    }
    assert {(row["host"], row["port"]) for row in rows if row["detail"].startswith("tcp")} == denied
    assert {(row["host"], row["port"]) for row in rows if row["detail"].startswith("udp")} == {
        (PUBLIC[1], 53)
    }
    assert ended.events[-1]["sent"] > 0
    assert ended.events[-1]["received"] > 0


def test_the_whole_internet_is_not_the_neighbourhood(world: World) -> None:
    box = world.sandbox(allow=["0.0.0.0/0:443", "0.0.0.0/0:80"])
    assert box.ask("connect", PUBLIC[1], 443) == f"internet {UPLINK}"
    # Documentation addresses stand for the host's own here, and are closed as such.
    for host in (*INNER, GATEWAY, UPLINK, BRIDGE):
        assert {box.ask("connect", host, port) for port in (80, 443)} == {"ECONNREFUSED"}


def test_a_rule_within_a_private_range_opens_that_range(world: World) -> None:
    box = world.sandbox(allow=["10.0.0.0/8:443", "0.0.0.0/0:80"])
    assert box.ask("connect", "10.0.3.7", 443) == f"internet {UPLINK}"
    assert box.ask("connect", "10.0.3.7", 80) == "ECONNREFUSED"
    assert box.ask("connect", "192.168.7.7", 443) == "ECONNREFUSED"


def test_a_rule_for_every_port_has_echo_requests_too(world: World) -> None:
    box = world.sandbox(allow=["93.184.216.34:*"])
    assert {box.ask("connect", PUBLIC[0], port) for port in (25, 80, 5432)} == {f"internet {UPLINK}"}
    assert box.ask("run", "ping", "-c1", "-W5", PUBLIC[0]).startswith("0 ")
    assert box.ask("run", "ping", "-c1", "-W5", PUBLIC[1]).startswith("1 ")
    assert box.ask("connect", PUBLIC[1], 80) == "ECONNREFUSED"


def test_a_rule_for_a_port_has_no_echo_requests(world: World) -> None:
    box = world.sandbox()
    assert "Packet filtered" in box.ask("run", "ping", "-c1", "-W5", PUBLIC[0])


def test_a_named_name_server_is_reached_at_its_port_alone(world: World) -> None:
    box = world.sandbox(allow=[], dns=[PUBLIC[1]])
    assert box.ask("datagram", PUBLIC[1], 53) == f"internet {UPLINK}!"
    assert box.ask("connect", PUBLIC[1], 53) == f"internet {UPLINK}"
    assert box.ask("datagram", PUBLIC[1], 443) == "EHOSTUNREACH"
    assert box.ask("datagram", PUBLIC[0], 53) == "EHOSTUNREACH"


def test_the_host_is_reached_only_where_its_very_address_is_named(world: World) -> None:
    named = world.sandbox(allow=[f"{BRIDGE}:5432", f"{UPLINK}:80"])
    assert named.ask("connect", BRIDGE, 5432).startswith("host ")
    assert named.ask("connect", UPLINK, 80).startswith("host ")
    assert named.ask("connect", UPLINK, 5432) == "ECONNREFUSED"
    assert named.ask("connect", BRIDGE, 80) == "ECONNREFUSED"
    ranged = world.sandbox(allow=["10.0.0.0/8:5432", "192.0.2.0/24:80"])
    assert ranged.ask("connect", BRIDGE, 5432) == "ECONNREFUSED"
    assert ranged.ask("connect", UPLINK, 80) == "ECONNREFUSED"
    assert ranged.ask("connect", GATEWAY, 80) == f"internet {UPLINK}"
    assert ranged.ask("run", "ping", "-c1", "-W5", BRIDGE).startswith("1 ")


def test_the_hosts_loopback_is_not_reached_by_a_route(world: World) -> None:
    box = world.sandbox(publish=["127.0.0.1:8080:80"], allow=["127.0.0.0/8:443", "127.0.0.1:443"])
    setup = "ip addr del 127.0.0.1/8 dev lo; ip route del local 127.0.0.0/8 table local; "
    setup += "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; "
    setup += f"ip route add 127.0.0.1 via {BRIDGE} dev eth0 src {box.address}; ip route get 127.0.0.1"
    found = box.ask("run", "sh", "-c", setup)
    assert f"via {BRIDGE} dev eth0" in found, found
    assert box.ask("silence", "127.0.0.1", 443) == "timed out"


def test_ports_are_published_where_it_is_said(world: World) -> None:
    box = world.sandbox(allow=[], publish=["127.0.0.1:8080:80", f"{UPLINK}:8081:81"])
    address = box.address
    assert box.ask("listen", 80) == box.ask("listen", 81) == box.ask("listen", 82) == "listening"
    read = "exec 3<>/dev/tcp/{}/{} && cat <&3"

    def at(namespace: int, host: str, port: int) -> str:
        return shell(namespace, f"timeout 3 bash -c '{read.format(host, port)}' 2>&1 || echo no")

    assert at(world.host, "127.0.0.1", 8080) == f"box {BRIDGE}"
    assert at(world.host, UPLINK, 8081) == f"box {BRIDGE}"
    assert at(world.internet, UPLINK, 8081) == f"box {GATEWAY}"
    for namespace, host, port in (
        (world.internet, UPLINK, 8080),
        (world.host, UPLINK, 8080),
        (world.host, "127.0.0.1", 8081),
        # The sandbox's own address is nobody's to connect to, whatever it listens on.
        (world.host, address, 82),
        (world.host, address, 80),
    ):
        assert "refused" in at(namespace, host, port)
    shell(world.internet, f"ip route replace 10.210.0.0/16 via {UPLINK}")
    assert at(world.internet, address, 80).endswith("no\n")
    assert at(world.internet, address, 82).endswith("no\n")
    # What is inside cannot use the way in.
    assert box.ask("connect", UPLINK, 8081) == "ECONNREFUSED"


@pytest.mark.parametrize("taken", ["127.0.0.1:443:80", "198.51.100.7:8080:80"])
def test_a_port_of_somebody_else_or_nobody_is_not_published(world: World, taken: str) -> None:
    box = world.start(publish=[taken])
    assert box.answer() == 0
    ended = box.finish()
    assert ended.status == 1
    assert "cannot be published" in ended.error


def test_two_sandboxes_do_not_publish_the_same_port(world: World) -> None:
    world.sandbox(publish=["127.0.0.1:8080:80"])
    second = world.start(publish=["127.0.0.1:8080:80"])
    assert second.answer() == 0
    assert "another program or sandbox has it" in second.finish().error
