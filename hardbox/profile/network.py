"""Readers of the keys of [network]: destinations, and what a bridge needs.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox import network_limits as limits
from hardbox.destinations import parse
from hardbox.profile import units
from hardbox.profile.texts import label, text

if TYPE_CHECKING:
    from hardbox.profile.spots import Spot

# Before the name of a host list (profile/hosts.py).
LIST: Final = "@"
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
    if not limits.BRIDGE.fullmatch(value):
        raise spot.error(
            "HB409",
            f"a bridge of hardbox's is named {limits.BRIDGE_WORDS}",
            why="bridges that others have made are never used",
            instead=f'{spot.key} = "hbx0"',
        )
    return value


def subnet(spot: Spot) -> str:
    """Read the range that addresses are taken from: private, of a bearable size, in its plainest spelling."""
    import ipaddress  # noqa: PLC0415 (10 ms; few profiles name a subnet)

    value = text(spot)
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise spot.error(
            "HB409", f"this is no range of IPv4 addresses: {error}", instead=f'{spot.key} = "10.210.0.0/16"'
        ) from error
    if not limits.fit_subnet(network):
        raise spot.error(
            "HB409",
            f"a subnet is a /{limits.WIDEST} to /{limits.NARROWEST} within {', '.join(limits.POOLS)}",
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
    if not limits.fit_server(address):
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
    if value and not limits.GROUP.fullmatch(value):
        raise spot.error("HB409", f"a group is named by {limits.GROUP_WORDS}")
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
    if not limits.fit_published(host):
        raise spot.error(
            "HB409",
            "a port is published at one address of the host",
            why="at all of them it would be open to networks that nobody thought of",
            instead=f'{spot.key} = ["127.0.0.1:{outer}:{inner}"]',
        )
    return f"{host}:{outer}:{inner}"
