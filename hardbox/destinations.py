"""Destinations: the rules "host:port" of network.allow, and the hosts that a job asks for.

Run by: the Python front (profiles), the broker (each connection); pure. `idna` and `ipaddress` are
imported where they are needed: a run without a network needs neither.

A host has one canonical spelling, and both sides are brought to it before they are compared: a name is
in lower case, without the root's dot, its labels A-labels (RFC 5891); an address is compared as a number.
Whatever a resolver could take for an address, but is not written as one, is refused: `0x7f.1` and
2130706433 are 127.0.0.1 to inet_aton(3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

MOST_PORT: Final = 65535
EVERY_PORT: Final = 0
# RFC 1035 section 2.3.4, without the length bytes of first and root label.
MOST_NAME: Final = 253
# RFC 1123 section 2.1: letters, digits and, not at the ends, hyphens; 63 at most.
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# What makes inet_aton(3) and URL parsers (WHATWG, "ends in a number") read a host as an address.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Destination:
    """One rule.

    kind: "name", "wildcard" ("*." stands for exactly one label), "address", or "network" (CIDR; bridge only).
    host: canonical; of a wildcard the part behind "*.".
    port: 1 to 65535, or 0 for every port (mode bridge only).
    """

    kind: str
    host: str
    port: int

    def __str__(self) -> str:
        """Write the rule as `parse` reads it: "[2001:db8::1]:22", "*.files.example.org:443"."""
        host = f"*.{self.host}" if self.kind == "wildcard" else self.host
        address, slash, length = host.partition("/")
        return f"{place(address)}{slash}{length}:{self.port or '*'}"


@dataclass(frozen=True, slots=True)
class Host:
    """What a client asked for.

    text:    canonical; an IPv6 address without brackets.
    literal: whether it is an address.
    """

    text: str
    literal: bool


def place(host: str, port: int = 0) -> str:
    """Write a host, and a port if there is one, as in a rule or a URL: "[2001:db8::1]:22"."""
    text = f"[{host}]" if ":" in host else host
    return f"{text}:{port}" if port else text


def parse(text: str) -> Destination:
    """Read a rule: "NAME:PORT", "*.SUFFIX:PORT", "ADDRESS:PORT", "ADDRESS/LENGTH:PORT"; IPv6 in brackets.

    A network with IPv6 is "[ADDRESS]/LENGTH:PORT"; "*" as the port of an address or network is every port.
    Raises ValueError that says what is wrong with it, without repeating it as a whole.
    """
    if "://" in text:
        _refuse('is a URL; a rule is "HOST:PORT", without scheme and path')
    if "@" in text:
        _refuse('has an "@"; a rule names a host and a port, no user')
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        _refuse('names no port; write "HOST:PORT"')
    kind, canonical = _rule_host(_without_brackets(host))
    if port == "*" and kind in ("address", "network"):
        return Destination(kind, canonical, EVERY_PORT)
    if port == "*":
        _refuse('has "*" for a port; a name is allowed port by port')
    if not _PORT.fullmatch(port) or int(port) > MOST_PORT:
        _refuse(f"has port {_quoted(port)}; a port is a number from 1 to {MOST_PORT}")
    return Destination(kind, canonical, int(port))


def host_of(text: str) -> Host:
    """Read the host that a client asked for; an IPv6 address may stand in brackets.

    Raises ValueError for whatever has not exactly one reading: numbers that are no dotted quad, zone ids,
    IPv4 addresses within IPv6 (`::ffff:10.0.0.1`), user parts, and characters that no name has.
    """
    bracketed = text.startswith("[") and text.endswith("]")
    inner = text[1:-1] if bracketed else text
    if ":" in inner or bracketed:
        return Host(str(_version_6(inner)), literal=True)
    name = _name(inner)
    if _like_address(name):
        # The name has lost a final dot, which an address never has: the text as it came is read.
        return Host(str(_version_4(inner)), literal=True)
    return Host(name, literal=False)


def allowing(rules: Sequence[Destination], host: Host, port: int) -> Destination | None:
    """Find the rule by which this host and port may be reached; a rule of its own comes before a wildcard.

    An address is allowed by a rule of kind "address" only. Networks and rules for every port are no
    rules of mode allow and match nothing here.
    """
    own, suffix = "address" if host.literal else "name", "" if host.literal else host.text.partition(".")[2]
    wildcard = None
    for rule in rules:
        if rule.port != port or port == EVERY_PORT:
            continue
        if rule.kind == own and rule.host == host.text:
            return rule
        if rule.kind == "wildcard" and suffix and rule.host == suffix:
            wildcard = wildcard or rule
    return wildcard


def covers(wide: Destination, narrow: Destination) -> bool:
    """Say whether everything that `narrow` allows is allowed by `wide` too."""
    if wide.port not in (EVERY_PORT, narrow.port):
        return False
    if wide.kind == "wildcard" and narrow.kind == "name":
        return narrow.host.partition(".")[2] == wide.host
    if {wide.kind, narrow.kind} <= {"address", "network"}:
        outer, inner = _network(wide.host), _network(narrow.host)
        # By numbers: subnet_of() wants to know that both are of one version.
        return (
            outer.version == inner.version
            and outer.prefixlen <= inner.prefixlen
            and int(inner.network_address) & int(outer.netmask) == int(outer.network_address)
        )
    return (wide.kind, wide.host) == (narrow.kind, narrow.host)


def inwards(host: str) -> bool:
    """Whether a host is an address, and none of the Internet's; a name is not."""
    import ipaddress  # noqa: PLC0415 (10 ms, and most rules are names)

    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _without_brackets(host: str) -> str:
    """Take the brackets off an IPv6 address, which has to have them; a prefix length stands behind them."""
    if not host.startswith("["):
        if ":" in host:
            _refuse('has several ":"; an IPv6 address stands in brackets: "[2001:db8::1]:443"')
        return host
    address, bracket, rest = host[1:].partition("]")
    if not bracket or ":" not in address or "/" in address or rest[:1] not in ("", "/"):
        _refuse("has brackets that do not hold just an IPv6 address")
    return address + rest


def _rule_host(host: str) -> tuple[str, str]:
    """Give kind and canonical host of a rule."""
    if "/" in host:
        return "network", _cidr(host)
    if host.startswith("*."):
        return "wildcard", _suffix(host[2:])
    if "*" in host:
        _refuse('has a "*" that is not the whole first label, as in "*.files.example.org"')
    if ":" not in host and not _like_address(_name(host)):
        name = _name(host)
        if name.rpartition(".")[2] == "localhost":
            _refuse("is for localhost, which is the sandbox's own and needs no rule")
        return "name", name
    address = _version_6(host) if ":" in host else _version_4(host)
    if not int(address):
        _refuse("is for the unspecified address, which is no destination")
    return "address", str(address)


def _suffix(text: str) -> str:
    """Give what a wildcard stands in front of: a name of two labels or more."""
    if "*" in text:
        _refuse('has more than one "*"; "*.files.example.org" stands for one label')
    name = _name(text)
    if _like_address(name):
        _refuse("has a wildcard before an address")
    if name.rpartition(".")[2] == "localhost":
        _refuse("is for localhost, which is the sandbox's own and needs no rule")
    if "." not in name:
        _refuse('has a wildcard before a single label; "*.example.org" is the widest there is')
    # Another label has to fit in front, or the rule could match nothing.
    if len(name) > MOST_NAME - len("x."):
        _refuse(f"has a name of more than {MOST_NAME} characters")
    return name


def _name(text: str) -> str:
    """Give a host name in its canonical spelling."""
    if not text:
        _refuse("has an empty host")
    labels = text.removesuffix(".").split(".")
    name = ".".join(_label(label) for label in labels)
    if len(name) > MOST_NAME:
        _refuse(f"has a name of more than {MOST_NAME} characters")
    return name


def _label(text: str) -> str:
    """Give one label as an A-label or in lower case (RFC 5890 section 2.3)."""
    if not text:
        _refuse("has an empty label")
    # lower() of some letters outside ASCII is within it (the Kelvin sign): those stay, and are refused.
    lower = text.lower() if text.isascii() else "".join(_lower(char) for char in text)
    if not lower.isascii() or lower.startswith("xn--"):
        lower = _a_label(lower)
    if not _LABEL.fullmatch(lower):
        _refuse(f"has the label {_quoted(text)}; a label is 1 to 63 letters, digits and inner hyphens")
    return lower


def _lower(char: str) -> str:
    lower = char.lower()
    return char if lower.isascii() and not char.isascii() else lower


def _a_label(lower: str) -> str:
    """Give the A-label (RFC 5891); what is one already has to be what IDNA 2008 writes for its meaning."""
    import idna  # noqa: PLC0415 (30 ms, and most names are ASCII)

    try:
        label = idna.alabel(idna.ulabel(lower)).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        _refuse(f"has the label {_quoted(lower)}, which IDNA 2008 does not permit")
    if lower.isascii() and label != lower:
        _refuse(f"has the label {_quoted(lower)}, which is not what IDNA 2008 writes for it")
    return label


def _like_address(name: str) -> bool:
    return _NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def _version_4(text: str) -> IPv4Address:
    import ipaddress  # noqa: PLC0415 (10 ms, and most rules are names)

    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        _refuse(f"has {_quoted(text)}, which is neither a name nor an IPv4 address of four decimal numbers")


def _version_6(text: str) -> IPv6Address:
    import ipaddress  # noqa: PLC0415 (10 ms, and most rules are names)

    if "%" in text:
        _refuse("has an IPv6 zone, which means nothing outside one host")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        _refuse(f"has {_quoted(text)}, which is no IPv6 address")
    if address.ipv4_mapped is not None:
        _refuse("has an IPv4 address within an IPv6 one; write the IPv4 address")
    return address


def _cidr(text: str) -> str:
    """Give a network in its canonical spelling."""
    import ipaddress  # noqa: PLC0415 (10 ms, and most rules are names)

    address, _, length = text.partition("/")
    first = _version_6(address) if ":" in address else _version_4(address)
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", length, re.ASCII) or int(length) > first.max_prefixlen:
        _refuse(f"has the prefix length {_quoted(length)}; it is 0 to {first.max_prefixlen}")
    network = ipaddress.ip_network(f"{first}/{length}", strict=False)
    if network.network_address != first:
        _refuse(f"has bits behind its prefix; the network is {network}")
    return str(network)


def _network(host: str) -> IPv4Network | IPv6Network:
    import ipaddress  # noqa: PLC0415 (10 ms, and most rules are names)

    return ipaddress.ip_network(host)


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


def _quoted(text: str) -> str:
    """Show a part of the input on one line, in ASCII."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
