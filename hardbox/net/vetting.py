"""Addresses that an allowed name may not lead to.

Run by: the broker, for every address that a name resolves to; pure.

Whoever runs an allowed name decides what it resolves to, and so could point the sandbox at the caller's
own machine and network. The tables follow the IANA special-purpose address registries (RFC 6890) and
name the RFC of each range; the host's own public addresses are own.py's matter. Two limits: an operator's own
NAT64 prefix (RFC 6052 section 2.2) looks like any other address, and so does a public address that a firewall
trusts.

Not `ipaddress.is_global`: it is another table with each release of Python, multicast, 6to4 and others are
global to it, it knows nothing of metadata services with public addresses, and it gives no reason.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

# The first range that holds an address gives the words: single addresses stand before their range.
VERSION_4: Final = tuple(
    (IPv4Network(text), why)
    for text, why in (
        ("169.254.169.254/32", "cloud metadata service"),
        ("168.63.129.16/32", "cloud platform service (Azure)"),
        ("100.100.100.200/32", "cloud metadata service (Alibaba)"),
        ("192.0.0.192/32", "cloud metadata service (Oracle)"),
        ("0.0.0.0/32", "unspecified (RFC 1122)"),
        ("0.0.0.0/8", "this network (RFC 791)"),
        ("10.0.0.0/8", "private (RFC 1918)"),
        ("100.64.0.0/10", "shared by a provider's customers (RFC 6598)"),
        ("127.0.0.0/8", "loopback (RFC 1122)"),
        ("169.254.0.0/16", "link-local (RFC 3927)"),
        ("172.16.0.0/12", "private (RFC 1918)"),
        ("192.0.0.0/24", "protocol assignments (RFC 6890)"),
        ("192.0.2.0/24", "documentation (RFC 5737)"),
        ("192.88.99.0/24", "6to4 relay (RFC 7526)"),
        ("192.168.0.0/16", "private (RFC 1918)"),
        ("198.18.0.0/15", "benchmarking (RFC 2544)"),
        ("198.51.100.0/24", "documentation (RFC 5737)"),
        ("203.0.113.0/24", "documentation (RFC 5737)"),
        ("224.0.0.0/4", "multicast (RFC 5771)"),
        ("255.255.255.255/32", "broadcast (RFC 919)"),
        ("240.0.0.0/4", "reserved (RFC 1112)"),
    )
)
_VERSION_6: Final = tuple(
    (IPv6Network(text), why)
    for text, why in (
        ("fd00:ec2::254/128", "cloud metadata service (Amazon)"),
        ("fd20:ce::254/128", "cloud metadata service (Google)"),
        ("fd00:42::42/128", "cloud metadata service (Scaleway)"),
        ("::/128", "unspecified (RFC 4291)"),
        ("::1/128", "loopback (RFC 4291)"),
        ("::/96", "IPv4-compatible (RFC 4291)"),
        ("::ffff:0:0/96", "IPv4-mapped (RFC 4291)"),
        ("::ffff:0:0:0/96", "IPv4-translated (RFC 2765)"),
        ("64:ff9b::/96", "NAT64 (RFC 6052)"),
        ("64:ff9b:1::/48", "local NAT64 (RFC 8215)"),
        ("100::/64", "discard (RFC 6666)"),
        ("100:0:0:1::/64", "dummy prefix (RFC 9780)"),
        ("2001::/32", "Teredo (RFC 4380)"),
        ("2001:2::/48", "benchmarking (RFC 5180)"),
        ("2001:10::/28", "ORCHID (RFC 4843)"),
        ("2001:20::/28", "ORCHIDv2 (RFC 7343)"),
        ("2001::/23", "protocol assignments (RFC 2928)"),
        ("2001:db8::/32", "documentation (RFC 3849)"),
        ("2002::/16", "6to4 (RFC 3056)"),
        ("3ffe::/16", "6bone, given back (RFC 3701)"),
        ("3fff::/20", "documentation (RFC 9637)"),
        ("5f00::/16", "segment routing (RFC 9602)"),
        ("fc00::/7", "unique local (RFC 4193)"),
        ("fe80::/10", "link-local (RFC 4291)"),
        ("fec0::/10", "site-local (RFC 3879)"),
        ("ff00::/8", "multicast (RFC 4291)"),
    )
)
# All of version 6 that is handed out for use on the Internet (RFC 4291 section 2.4).
_GLOBAL_6: Final = IPv6Network("2000::/3")


def unfit(address: IPv4Address | IPv6Address) -> str:
    """Say why an allowed name may not lead to this address: "private (RFC 1918)"; "" if it may."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in VERSION_4 if address in network), "")
    if address.scope_id is not None:
        return "has a zone (RFC 4007)"
    return next(
        (why for network, why in _VERSION_6 if address in network),
        "" if address in _GLOBAL_6 else "not global unicast (RFC 4291)",
    )
