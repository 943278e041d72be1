"""Connections in the kernel's list: those of one address, by their first direction."""

from __future__ import annotations

from ipaddress import IPv4Address

from hardbox.net.flows import flows_of

LINES = """\
ipv4 2 icmp 1 29 src=10.210.0.2 dst=93.184.216.34 type=8 code=0 id=28041 src=93.184.216.34 dst=192.0.2.2 type=0 code=0 id=28041 mark=0
ipv4 2 tcp 6 119 TIME_WAIT src=192.0.2.9 dst=192.0.2.2 sport=49414 dport=8080 src=10.210.0.2 dst=192.0.2.9 sport=80 dport=49414 mark=0
ipv4 2 udp 17 29 src=10.210.0.22 dst=93.184.216.34 sport=42687 dport=443 src=93.184.216.34 dst=192.0.2.2 sport=443 dport=42687 mark=0
""".splitlines()  # noqa: E501


def test_flows_are_found_in_both_directions_and_of_no_other_address() -> None:
    assert flows_of(IPv4Address("10.210.0.2"), LINES) == [
        {
            "proto": 1,
            "saddr": "10.210.0.2",
            "daddr": "93.184.216.34",
            "icmp_id": 28041,
            "icmp_type": 8,
            "icmp_code": 0,
        },
        {"proto": 6, "saddr": "192.0.2.9", "daddr": "192.0.2.2", "sport": 49414, "dport": 8080},
    ]
    assert flows_of(IPv4Address("10.210.0.3"), LINES) == []
