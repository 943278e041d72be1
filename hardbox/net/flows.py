"""Connections that the kernel remembers of an address's last holder.

Run by: hardbox.net.veth, in the keeper's process, as root. Answers to the last holder would be handed to the
next: they belong to an established connection, and that lets them in. So the kernel forgets them before an
address is used again; where it cannot, there is no sandbox.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final

# No types are published.
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket  # type: ignore[import-untyped]

from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address

__all__ = ("flows_of", "forget")

# There as long as connection tracking is, in every network namespace.
_TRACKING: Final = "/proc/sys/net/netfilter/nf_conntrack_count"
_ENDS: Final = {"saddr": "CTA_IP_V4_SRC", "daddr": "CTA_IP_V4_DST"}
# What a flow is told from others by; each protocol has some of it.
_PLACES: Final = {
    "proto": "CTA_PROTO_NUM",
    "sport": "CTA_PROTO_SRC_PORT",
    "dport": "CTA_PROTO_DST_PORT",
    "icmp_id": "CTA_PROTO_ICMP_ID",
    "icmp_type": "CTA_PROTO_ICMP_TYPE",
    "icmp_code": "CTA_PROTO_ICMP_CODE",
}


def forget(address: IPv4Address) -> None:
    """Delete every connection from or to an address. Raises Trouble, OSError."""
    try:
        with NFCTSocket() as table:
            for flow in flows_of(address, table.dump()):
                _delete(table, flow)
    except (NetlinkError, OSError) as error:
        # Without connection tracking there are no flows, and nobody who lists them; the rules, which need
        # it, are loaded next, and bring it along empty.
        if not os.path.exists(_TRACKING):
            return
        raise Trouble(
            what=f"what the last sandbox at {address} was connected to cannot be forgotten",
            why=f"answers to it would reach this one, and the kernel says: {error}",
            instead="see that the module nf_conntrack_netlink can be loaded: modprobe nf_conntrack_netlink",
        ) from error


def flows_of(address: IPv4Address, listed: Iterable[Any]) -> list[dict[str, Any]]:
    """Give the connections of an address, each by its first packet's direction and its zone.

    listed: the kernel's messages, of pyroute2's kind, which knows no types.
    """
    return [_flow(message) for message in listed if str(address) in _addresses(message)]


def _addresses(message: Any) -> set[str]:  # noqa: ANN401 (see flows_of)
    """Give those of both directions: address translation makes them differ."""
    found = set()
    for direction in ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY"):
        place = message.get_attr(direction).get_attr("CTA_TUPLE_IP")
        found |= {place.get_attr(name) for name in _ENDS.values()}
    return found


def _flow(message: Any) -> dict[str, Any]:  # noqa: ANN401 (see flows_of)
    first = message.get_attr("CTA_TUPLE_ORIG")
    ends, places = first.get_attr("CTA_TUPLE_IP"), first.get_attr("CTA_TUPLE_PROTO")
    flow = {name: ends.get_attr(attribute) for name, attribute in _ENDS.items()}
    flow |= {name: places.get_attr(attribute) for name, attribute in _PLACES.items()}
    flow["zone"] = message.get_attr("CTA_ZONE")
    return {name: value for name, value in flow.items() if value is not None}


def _delete(table: Any, flow: dict[str, Any]) -> None:  # noqa: ANN401 (see flows_of)
    zone = {name: value for name, value in flow.items() if name == "zone"}
    first = {name: value for name, value in flow.items() if name != "zone"}
    try:
        table.entry("del", tuple_orig=NFCTAttrTuple(**first), **zone)
    except NetlinkError as error:
        # It may have ended by itself since it was listed.
        if error.code != errno.ENOENT:
            raise
