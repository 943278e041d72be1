"""Synthetic addresses: what the stub answers inside, and what the broker takes a connection's target from.

Run by: the broker; pure but for what it has given out. The addresses exist on the sandbox's loopback only.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from hardbox.network_limits import MOST_WILD_NAMES, SYNTHETIC_4, SYNTHETIC_6

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardbox.destinations import Destination

V4: Final = IPv4Network(SYNTHETIC_4)
V6: Final = IPv6Network(SYNTHETIC_6)
# Ends of the /24 that they are in: some programs take those for a network and its broadcast address.
_ENDS: Final = (0, 255)


class Addresses:
    """The addresses of one run: each name keeps its pair, and no pair is given out twice."""

    def __init__(self, rules: Sequence[Destination]) -> None:
        """Give the names of the rules theirs; wildcards get some as they are asked for.

        Raises ValueError if there are more names than addresses.
        """
        self._taken: Final = frozenset(rule.host for rule in rules if rule.kind == "address")
        self._suffixes: Final = frozenset(rule.host for rule in rules if rule.kind == "wildcard")
        self._pairs: Final[dict[str, tuple[IPv4Address, IPv6Address]]] = {}
        self._names: Final[dict[IPv4Address | IPv6Address, str]] = {}
        self._hosts: Final[dict[str, str]] = {}
        self._number = 0
        self._left = MOST_WILD_NAMES
        for rule in rules:
            if rule.kind == "name" and rule.host not in self._pairs:
                self._give(rule.host)

    def of(self, name: str) -> tuple[IPv4Address, IPv6Address] | None:
        """Give the pair of a name in canonical spelling.

        None if no rule speaks of the name, or if MOST_WILD_NAMES other names have matched wildcards already.
        """
        if name in self._pairs:
            return self._pairs[name]
        if not self._left or name.partition(".")[2] not in self._suffixes:
            return None
        self._left -= 1
        return self._give(name)

    def name_of(self, address: IPv4Address | IPv6Address) -> str | None:
        """Give the name that an address was given out for, or None.

        An IPv4-mapped address is read as what it stands for.
        """
        return self._names.get(_unmapped(address))

    def target_of(self, text: str) -> str:
        """Give the host that a connection to an address is meant for: a name, or the address itself.

        text: as the kernel writes it.
        """
        known = self._hosts.get(text)
        if known is not None:
            return known
        address = _unmapped(ip_address(text))
        name = self._names.get(address)
        host = name or str(address)
        # As many as there are names and rules, whatever a job connects to.
        if name or host in self._taken:
            self._hosts[text] = host
        return host

    def _give(self, name: str) -> tuple[IPv4Address, IPv6Address]:
        pair = self._next()
        self._pairs[name] = pair
        self._names.update(dict.fromkeys(pair, name))
        return pair

    def _next(self) -> tuple[IPv4Address, IPv6Address]:
        """Give the next pair: the same number in both ranges."""
        while self._number < V4.num_addresses - 1:
            self._number += 1
            pair = V4.network_address + self._number, V6.network_address + self._number
            # A rule may name an address of these ranges: it means the one outside.
            if self._number % 256 not in _ENDS and self._taken.isdisjoint(map(str, pair)):
                return pair
        message = "more names than there are synthetic addresses"
        raise ValueError(message)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Read an IPv4-mapped address as what it stands for: a socket for both versions shows IPv4 so."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
