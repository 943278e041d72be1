"""Readers of the keys of [network]: destinations, and what a bridge needs.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.destinations import parse
from hardbox.profile import units
from hardbox.profile.texts import DIGITS, LOWER, label, text

if TYPE_CHECKING:
    from hardbox.profile.spots import Spot

# Before the name of a host list (profile/hosts.py).
LIST: Final = "@"
# The prefix says that it is ours. The name of a sandbox's interface begins with the bridge's, and has to
# fit into IFNAMSIZ.
_BRIDGE_PREFIX: Final = "hbx"
_MOST_BRIDGE: Final = 8
_MOST_GROUP: Final = 31
# As many addresses as a small pool needs, and no more than a file of leases is made for.
_SMALLEST, _LARGEST = 30, 16
# Whose addresses are nobody's outside: RFC 1918, and RFC 6598 (shared by carriers, and bridges).
_PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
_PUBLISHED_PARTS: Final = 3


def destination(spot: Spot) -> str:
    """Read "host:port", or "@NAME" for a host list, which is put in its place later."""
    value = text(spot)
    if value.startswith(LIST):
        if "/" in value or label(value[1:]):
            return value
        raise spot.error("HB434", "a host list is named by letters, digits and hyphens, or by a path")
    try:
        return str(parse(value))
    except ValueError as error:
        raise spot.error(
            "HB413",
            f"this destination {error}",
            why="each name that is allowed is a way out for what the job can read",
            instead='network.allow = ["packages.example.org:443", "*.files.example.org:443", "10.0.3.7:22"]',
        ) from error


def bridge(spot: Spot) -> str:
    """Read the name of a bridge of ours."""
    value = text(spot)
    rest = value.removeprefix(_BRIDGE_PREFIX)
    good = rest != value and rest and all(c in LOWER + DIGITS for c in rest)
    if not good or len(value) > _MOST_BRIDGE:
        raise spot.error(
            "HB409",
            "a bridge of hardbox's is named hbx and up to 5 lower-case letters or digits",
            why="bridges that others have made are never used",
            instead=f'{spot.key} = "hbx0"',
        )
    return value


def subnet(spot: Spot) -> str:
    """Read the range that addresses are taken from: private, of a bearable size, in its plainest spelling."""
    import ipaddress  # noqa: PLC0415 (10 ms; few profiles name a subnet)

    value = text(spot)
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise spot.error(
            "HB409", f"this is no range of addresses: {error}", instead=f'{spot.key} = "10.210.0.0/16"'
        ) from error
    pools = map(ipaddress.IPv4Network, _PRIVATE)
    private = isinstance(network, ipaddress.IPv4Network) and any(map(network.subnet_of, pools))
    if not private or not _LARGEST <= network.prefixlen <= _SMALLEST:
        raise spot.error(
            "HB409",
            f"a subnet is a range of /{_LARGEST} to /{_SMALLEST} within {', '.join(_PRIVATE)}",
            why="public addresses belong to somebody else, and a sandbox takes one address",
            instead=f'{spot.key} = "10.210.0.0/16"',
        )
    return str(network)


def server(spot: Spot) -> str:
    """Read the address of a name server: IPv4, as everything on a bridge."""
    import ipaddress  # noqa: PLC0415 (as above)

    value = text(spot)
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError as error:
        raise spot.error(
            "HB409", "a name server is given by its address", instead=f'{spot.key} = ["192.0.2.53"]'
        ) from error
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise spot.error(
            "HB409",
            "such a name server cannot be reached from a job",
            why="its loopback interface is the job's own; the host's is another",
            instead=f'{spot.key} = ["192.0.2.53"]',
        )
    return str(address)


def group(spot: Spot) -> str:
    """Read the name of a group of sandboxes; "" is none."""
    value = text(spot)
    if value and (not label(value) or value != value.lower() or len(value) > _MOST_GROUP):
        raise spot.error("HB409", "a group is named by at most 31 lower-case letters, digits and hyphens")
    return value


def published(spot: Spot) -> str:
    """Read "ADDRESS:PORT:INNER", or "PORT:INNER" for the host's loopback address."""
    import ipaddress  # noqa: PLC0415 (as above)

    parts = text(spot).rsplit(":", 2)
    address = parts[0] if len(parts) == _PUBLISHED_PARTS else "127.0.0.1"
    try:
        host = ipaddress.IPv4Address(address)
        outer, inner = (units.whole(part, 1, 65535) for part in parts[-2:])
    except ValueError as error:
        raise spot.error(
            "HB409",
            "a published port is ADDRESS:PORT:INNER",
            instead=f'{spot.key} = ["127.0.0.1:8080:80"]',
        ) from error
    if host.is_unspecified or host.is_multicast:
        raise spot.error(
            "HB409",
            "a port is published at one address of the host",
            why="at all of them it would be open to networks that nobody thought of",
            instead=f'{spot.key} = ["127.0.0.1:{outer}:{inner}"]',
        )
    return f"{host}:{outer}:{inner}"
