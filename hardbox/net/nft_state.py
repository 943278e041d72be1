"""What rules of hardbox's are in force on a bridge: `nft --json --numeric-protocol list table`, read.

Run by: hardbox.net.veth and hardbox.net.pasta, in the keeper's process. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from hardbox.net.trouble import Trouble

__all__ = ("NOTHING", "Denied", "State", "closed", "ports", "read")

_EMPTY: Final = '{"nftables": []}'
_PAIR: Final = 2
_TRIPLE: Final = 3
# Of RFC 790, by number: what nft names otherwise is in /etc/protocols, which a small host does not have.
_PROTOCOLS: Final = {6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Denied:
    """Packets of one sandbox that were refused."""

    address: str
    protocol: str
    port: int
    count: int


@dataclass(frozen=True, slots=True)
class State:
    """The sandboxes of one bridge's table.

    boxes:   offsets that have a chain.
    members: rows of group set and address.
    ports:   rows of "host address . port", "box address . port" and box address.
    denied:  rows of offset and what was refused.
    """

    boxes: frozenset[int] = frozenset()
    members: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[str, str, str], ...] = ()
    denied: tuple[tuple[int, Denied], ...] = ()

    def groups(self, address: IPv4Address) -> tuple[str, ...]:
        """Give the group sets that an address is in."""
        return tuple(group for group, member in self.members if member == str(address))

    def published(self, address: IPv4Address) -> tuple[tuple[str, str], ...]:
        """Give the elements of an address's published ports: on the host, in the sandbox."""
        return tuple((outer, inner) for outer, inner, box in self.ports if box == str(address))


NOTHING: Final = State()


def read(text: str) -> State:
    """Read a table. Raises Trouble for anything that hardbox does not write there."""
    boxes: set[int] = set()
    members: list[tuple[str, str]] = []
    ports: list[tuple[str, str, str]] = []
    denied: list[tuple[int, Denied]] = []
    try:
        for row in json.loads(text)["nftables"]:
            kind, item = next(iter(row.items()))
            name, elements = item.get("name", ""), item.get("elem", [])
            if kind == "chain" and name.startswith("box-"):
                boxes.add(int(name.removeprefix("box-"), 16))
            elif kind == "set" and name.startswith("join-"):
                members += [(name, str(IPv4Address(address))) for address in elements]
            elif kind == "set" and name.startswith("denied-"):
                offset = int(name.removeprefix("denied-"), 16)
                denied += [(offset, _denied(element["elem"])) for element in elements]
            elif kind == "map" and name == "publish":
                ports += [_port(outer["concat"], inner["concat"]) for outer, inner in elements]
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise _odd(error) from error
    return State(frozenset(boxes), tuple(members), tuple(ports), tuple(denied))


def ports(text: str) -> frozenset[tuple[str, str, str]]:
    """Read table bridge: interface name, MAC and address of each port that is open. Raises Trouble."""
    try:
        rows = [row["set"] for row in json.loads(text or _EMPTY)["nftables"] if "set" in row]
        elements = [element["concat"] for row in rows for element in row.get("elem", [])]
        return frozenset((str(port), str(mac), str(address)) for port, mac, address in elements)
    except (KeyError, TypeError, ValueError) as error:
        raise _odd(error) from error


def closed(text: str) -> bool:
    """Say whether a listed table is that of a sandbox's inside, with chains that end closed."""
    try:
        rows = [row["chain"] for row in json.loads(text or _EMPTY)["nftables"] if "chain" in row]
        policies = {row.get("hook"): row.get("policy") for row in rows if "hook" in row}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _odd(error) from error
    return policies == dict.fromkeys(("output", "input", "forward"), "drop")


def _odd(error: Exception) -> Trouble:
    return Trouble(what="hardbox's table is not as hardbox writes it", why=repr(error))


def _port(outer: list[object], inner: list[object]) -> tuple[str, str, str]:
    if len(outer) != _PAIR or len(inner) != _PAIR:
        raise TypeError(outer, inner)
    (host, host_port), (box, box_port) = outer, inner
    address = str(IPv4Address(box if isinstance(box, str) else ""))
    return f"{IPv4Address(str(host))} . {int(str(host_port))}", f"{address} . {int(str(box_port))}", address


def _denied(element: dict[str, object]) -> Denied:
    value, counter = element["val"], element["counter"]
    if not isinstance(value, dict) or not isinstance(counter, dict) or len(value["concat"]) != _TRIPLE:
        raise TypeError(element)
    address, protocol, port = value["concat"]
    return Denied(str(IPv4Address(address)), _PROTOCOLS[protocol], int(port), int(counter["packets"]))
