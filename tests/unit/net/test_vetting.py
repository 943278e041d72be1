"""Addresses that a name may not lead to: every special range, its ends, and nothing else.  Run by: pytest."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hardbox.net.vetting import unfit

# First and last address of each range, and the words.
RANGES: Final = (
    ("0.0.0.0", "0.0.0.0", "unspecified"),  # noqa: S104 (nothing is bound)
    ("0.0.0.1", "0.255.255.255", "this network"),
    ("10.0.0.0", "10.255.255.255", "RFC 1918"),
    ("100.64.0.0", "100.127.255.255", "RFC 6598"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("169.254.0.0", "169.254.255.255", "link-local"),
    ("172.16.0.0", "172.31.255.255", "RFC 1918"),
    ("192.0.0.0", "192.0.0.255", "RFC 6890"),
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.88.99.0", "192.88.99.255", "6to4"),
    ("192.168.0.0", "192.168.255.255", "RFC 1918"),
    ("198.18.0.0", "198.19.255.255", "benchmarking"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("224.0.0.0", "239.255.255.255", "multicast"),
    ("240.0.0.0", "255.255.255.254", "reserved"),
    ("255.255.255.255", "255.255.255.255", "broadcast"),
    ("::", "::", "unspecified"),
    ("::1", "::1", "loopback"),
    ("::2", "::ffff:ffff", "IPv4-compatible"),
    ("::ffff:0.0.0.0", "::ffff:255.255.255.255", "IPv4-mapped"),
    ("::ffff:0:0.0.0.0", "::ffff:0:255.255.255.255", "IPv4-translated"),
    ("64:ff9b::", "64:ff9b::ffff:ffff", "RFC 6052"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "RFC 8215"),
    ("100::", "100::ffff:ffff:ffff:ffff", "RFC 6666"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", "RFC 9780"),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
    ("2001:1::", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 2928"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking"),
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", "ORCHID"),
    ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", "ORCHIDv2"),
    ("2001:30::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 2928"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
    ("3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6bone"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 9602"),
    ("5f01::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 4193"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
)
METADATA: Final = (
    *("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("fd00:ec2::254", "fd20:ce::254", "fd00:42::42"),
)
FIT: Final = (
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    *("198.51.99.255", "203.0.114.0", "223.255.255.255", "168.63.129.15", "168.63.129.17"),
    *("2000::", "2001:200::", "2001:db7::", "2001:db9::", "2003::", "2606:2800:220:1::34", "3ffd::"),
    "3fff:1000::",
)


@pytest.mark.parametrize(("first", "last", "why"), RANGES)
def test_a_special_range_is_unfit_from_its_first_to_its_last(first: str, last: str, why: str) -> None:
    assert why in unfit(ipaddress.ip_address(first))
    assert why in unfit(ipaddress.ip_address(last))


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_named(address: str) -> None:
    assert unfit(ipaddress.ip_address(address)).startswith("cloud ")


@pytest.mark.parametrize("address", FIT)
def test_what_lies_beside_is_fit(address: str) -> None:
    assert not unfit(ipaddress.ip_address(address))


def test_a_zone_is_unfit_whatever_the_address() -> None:
    assert "zone" in unfit(IPv6Address("2606:2800:220:1::34%eth0"))


@given(st.ip_addresses() | st.sampled_from([ipaddress.ip_address(text) for text, _, _ in RANGES]))
@example(IPv4Address("192.0.0.9"))
@example(IPv6Address("2001:1::1"))
def test_nothing_is_fit_that_python_holds_not_to_be_global(address: IPv4Address | IPv6Address) -> None:
    # Not the other way round: multicast, 6to4 and others are global to it.
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert unfit(address)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "::ffff:0:0:0"]))
def test_an_ipv4_address_within_ipv6_is_unfit(number: int, prefix: str) -> None:
    assert unfit(IPv6Address(int(IPv6Address(prefix)) + number))


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_within_6to4_or_teredo_is_unfit(number: int) -> None:
    assert unfit(IPv6Address((0x2002 << 112) + (number << 80) + 1))
    assert unfit(IPv6Address((0x20010000 << 96) + (number ^ 0xFFFFFFFF)))
