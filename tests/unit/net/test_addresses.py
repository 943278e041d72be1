"""Synthetic addresses: stable, never shared, bounded.  Run by: pytest."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

import pytest

from hardbox.destinations import parse
from hardbox.net.addresses import V4, V6, Addresses
from hardbox.network_limits import MOST_WILD_NAMES

RULES: Final = tuple(
    parse(text)
    for text in ("index.example.org:443", "index.example.org:80", "*.files.example.org:443", "10.0.3.7:5432")
)


def test_a_name_keeps_its_pair_and_gives_it_back() -> None:
    addresses = Addresses(RULES)
    pair = addresses.of("index.example.org")
    assert pair is not None
    assert addresses.of("a.files.example.org") != pair
    assert addresses.of("index.example.org") == pair
    assert [addresses.name_of(address) for address in pair] == ["index.example.org"] * 2


def test_the_ranges_are_the_ones_that_lead_to_the_sandbox() -> None:
    assert (str(V4), str(V6)) == ("198.18.0.0/15", "fd68:6278:6f78::/64")
    assert Addresses(RULES).of("index.example.org") == (
        IPv4Address("198.18.0.1"),
        IPv6Address("fd68:6278:6f78::1"),
    )


def test_a_socket_for_both_versions_shows_the_same_name() -> None:
    addresses = Addresses(RULES)
    assert addresses.name_of(IPv6Address("::ffff:198.18.0.1")) == "index.example.org"
    assert addresses.name_of(IPv6Address("::ffff:198.18.0.2")) is None


def test_what_was_not_given_out_has_no_name() -> None:
    addresses = Addresses(RULES)
    for text in ("198.18.0.0", "198.18.0.2", "198.19.255.255", "10.0.3.7", "127.0.0.1"):
        assert addresses.name_of(IPv4Address(text)) is None
    for text in ("fd68:6278:6f78::", "fd68:6278:6f78::2", "fd68:6278:6f79::1", "::1"):
        assert addresses.name_of(IPv6Address(text)) is None


def test_a_name_that_no_rule_speaks_of_has_no_address() -> None:
    addresses = Addresses(RULES)
    for name in (
        "example.org",
        "files.example.org",
        "a.b.files.example.org",
        "xindex.example.org",
        "",
        "org",
    ):
        assert addresses.of(name) is None
    assert addresses.of("a.files.example.org") == (
        IPv4Address("198.18.0.2"),
        IPv6Address("fd68:6278:6f78::2"),
    )


def test_wildcards_lead_to_so_many_names_and_no_more() -> None:
    assert MOST_WILD_NAMES == 256
    addresses = Addresses(RULES)
    given_out = [addresses.of(f"n{number}.files.example.org") for number in range(MOST_WILD_NAMES)]
    assert None not in given_out
    assert addresses.of("one-more.files.example.org") is None
    # Those that are known stay so, and a rule's own names were never counted.
    assert addresses.of("n0.files.example.org") == given_out[0]
    assert addresses.of("index.example.org") is not None


def test_a_name_of_its_own_rule_is_not_counted_as_a_wildcards() -> None:
    own = [parse(f"own{number}.files.example.org:443") for number in range(3)]
    addresses = Addresses([*RULES, *own])
    for number in range(MOST_WILD_NAMES):
        assert addresses.of(f"n{number}.files.example.org")
    assert all(addresses.of(rule.host) for rule in own)


def test_addresses_that_rules_name_stay_out_of_it() -> None:
    literal = [parse("198.18.0.1:443"), parse("[fd68:6278:6f78::2]:443")]
    assert Addresses([*RULES, *literal]).of("index.example.org") == (
        IPv4Address("198.18.0.3"),
        IPv6Address("fd68:6278:6f78::3"),
    )


def test_more_names_than_addresses_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardbox.net.addresses.V4", IPv4Network("198.18.0.0/29"))
    rules = [parse(f"n{number}.example.org:443") for number in range(8)]
    assert Addresses(rules[:7]).of("n6.example.org") == (
        IPv4Address("198.18.0.7"),
        IPv6Address("fd68:6278:6f78::7"),
    )
    with pytest.raises(ValueError, match="more names"):
        Addresses(rules)


@pytest.mark.parametrize("count", [1, 2, 253, 254, 255, 256, 600, 1200])
def test_no_address_is_an_end_of_its_subnet_or_given_out_twice(count: int) -> None:
    rules = [parse(f"n{number}.example.org:443") for number in range(count)]
    addresses = Addresses(rules)
    pairs = [addresses.of(rule.host) for rule in rules]
    first = {pair[0] for pair in pairs if pair}
    second = {pair[1] for pair in pairs if pair}
    assert len(first) == len(second) == count
    assert all(address in V4 and int(address) % 256 not in (0, 255) for address in first)
    assert all(address in V6 for address in second)
