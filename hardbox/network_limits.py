"""What the keys of [network] may be, and the numbers by which plan and keeper understand one another.

Run by: the Python front, which reads profiles, and by the keeper of a job's network, which checks again what
it is told; pure. Both say no in words of their own; what they say no to stands here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network

CONNECTIONS: Final = (1, 16384)
RATE: Final = (1, 10000)
# Milliseconds: a second to a week.
IDLE: Final = (1000, 7 * 86_400_000)
# A profile that states no number has policy.UNLIMITED, which importing is a tenth of the broker's start.
NO_LIMIT: Final = 2**63 - 1
BYTES: Final = (1, NO_LIMIT - 1)
# The prefix says that it is ours. "hbx0." and six hexadecimal digits, a sandbox's interface, have to fit
# into the 15 bytes of an interface's name.
BRIDGE: Final = re.compile(r"hbx[a-z0-9]{1,5}", re.ASCII)
BRIDGE_WORDS: Final = '"hbx" and one to five lower-case letters or digits'
GROUP: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,29}[a-z0-9])?", re.ASCII)
GROUP_WORDS: Final = "up to 31 lower-case letters, digits and inner hyphens"
# Whose addresses are nobody's outside: RFC 1918, and RFC 6598 (shared by carriers, and bridges).
POOLS: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
# As many addresses as a bridge and one sandbox need, and no more than a file of leases is made for.
WIDEST, NARROWEST = 16, 30
# Of mode "allow": rules that a connection is compared with, one after the other.
MOST_DESTINATIONS: Final = 4096
# Of mode "bridge": each is a rule, and each rule is looked at for every packet.
MOST_RULES: Final = 256
MOST_PORTS: Final = 256
# Of each list that a profile gives; resolvers look at three.
MOST_SERVERS: Final = 8
# Where init listens in the sandbox, on 127.0.0.1, and the broker finds a socket's part by.
DNS_PORT: Final = 53
PROXY_PORT: Final = 3128
# Addresses that stand for names, on the sandbox's loopback only: ranges that nothing outside answers from,
# benchmarking (RFC 2544) and a unique local prefix (RFC 4193).
SYNTHETIC_4: Final = "198.18.0.0/15"
SYNTHETIC_6: Final = "fd68:6278:6f78::/64"
# How many names one run may ask for by wildcards: each name that is looked up tells its server something.
MOST_WILD_NAMES: Final = 256


def fit_subnet(subnet: IPv4Network) -> bool:
    """Say whether sandboxes may be given the addresses of a range."""
    from ipaddress import IPv4Network  # noqa: PLC0415 (10 ms; few profiles name a subnet)

    inside = any(subnet.subnet_of(IPv4Network(pool)) for pool in POOLS)
    return inside and WIDEST <= subnet.prefixlen <= NARROWEST


def fit_server(address: IPv4Address) -> bool:
    """Say whether a name server may be there, as a sandbox sees it: loopback is the sandbox's own."""
    return not (_several(address) or address.is_loopback)


def fit_published(address: IPv4Address) -> bool:
    """Say whether a port may be published there: at one address of the host, which may be a loopback one."""
    return not _several(address)


def _several(address: IPv4Address) -> bool:
    """Say whether an address stands for many, or for none: 0.0.0.0/8, multicast, reserved, broadcast."""
    return address.packed[0] == 0 or address.is_multicast or address.is_reserved
