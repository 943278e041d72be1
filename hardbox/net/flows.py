"""Connections that the kernel remembers of an address's last holder.

Run by: hardbox.net.veth, in the keeper's process, as root. Answers to the last holder would be handed to the
next: they belong to an established connection, and that lets them in. So the kernel forgets them before an
address is used again.

A kernel without CONFIG_NF_CONNTRACK_PROCFS does not list them; addresses are then only taken in no order.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final

from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address

__all__ = ("flows_of", "forget")

_LIST: Final = "/proc/net/nf_conntrack"
_PROTOCOL: Final = 3  # the column of the protocol's number
# Names in the list, and what a connection's own direction is described by.
_NAMES: Final = {"src": "saddr", "dst": "daddr", "sport": "sport", "dport": "dport"}
_ICMP: Final = {"id": "icmp_id", "type": "icmp_type", "code": "icmp_code"}


def forget(address: IPv4Address) -> None:
    """Delete every connection from or to an address. Raises NetlinkError, OSError, ValueError."""
    if not os.path.exists(_LIST):
        return
    with open(_LIST, encoding="ascii") as file:
        found = flows_of(address, file)
    if not found:
        return
    with NFCTSocket() as table:
        for flow in found:
            try:
                table.entry("del", tuple_orig=NFCTAttrTuple(**flow))
            except NetlinkError as error:
                # It may have ended by itself since it was listed.
                if error.code != errno.ENOENT:
                    raise


def flows_of(address: IPv4Address, lines: Iterable[str]) -> list[dict[str, Any]]:
    """Give the connections of an address, each by its first packet's direction. Raises ValueError."""
    ends = (f"src={address} ", f"dst={address} ")
    return [_flow(line) for line in lines if any(end in line for end in ends)]


def _flow(line: str) -> dict[str, Any]:
    words = line.split()
    first: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            first.setdefault(name, value)
    flow: dict[str, Any] = {"proto": int(words[_PROTOCOL])}
    flow |= {_NAMES[name]: first[name] for name in ("src", "dst")}
    flow |= {_NAMES[name]: int(first[name]) for name in ("sport", "dport") if name in first}
    if "id" in first:
        flow |= {key: int(first[name]) for name, key in _ICMP.items()}
    return flow
