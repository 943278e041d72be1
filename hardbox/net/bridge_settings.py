"""Settings of network mode "bridge": read from the launcher's JSON and checked again.

Run by: hardbox.net.bridge, in the keeper's process. Pure. The profile's keys were checked before; this
process is root's and takes nothing for granted.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Final, Literal

from hardbox import destinations
from hardbox import network_limits as limits
from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

__all__ = ("BridgeSettings", "Egress", "Published", "read")

Engine = Literal["veth", "pasta"]

_KEYS: Final = frozenset(
    ("mode", "profile", "bridge", "subnet", "allow", "dns", "join", "publish", "uid", "engine")
)
_MOST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Egress:
    """One rule: TCP and UDP to a network's port.

    port:    1..65535, or 0: every port, and ICMP echo requests.
    literal: one address that the profile names. Only such a rule opens the host's own addresses.
    """

    network: IPv4Network
    port: int
    literal: bool


@dataclass(frozen=True, slots=True)
class Published:
    """A TCP port of the sandbox that is reached at `address`:`host_port` of the host."""

    address: IPv4Address
    host_port: int
    box_port: int


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """What one sandbox gets.

    bridge:  interface name, "hbx" and up to five letters or digits.
    subnet:  private or shared addresses, /16 to /30; the first is the bridge's, the last is left out.
    dns:     name servers: port 53 of each is allowed.
    join:    a group whose sandboxes reach one another; "": none does.
    uid:     the caller's user id on the host.
    engine:  "veth" as root, "pasta" as anybody else.
    """

    profile: str
    bridge: str
    subnet: IPv4Network
    allow: tuple[Egress, ...]
    dns: tuple[IPv4Address, ...]
    join: str
    publish: tuple[Published, ...]
    uid: int
    engine: Engine

    @property
    def egress(self) -> tuple[Egress, ...]:
        """All rules: those that are written, and port 53 of the name servers."""
        servers = (Egress(IPv4Network(server), limits.DNS_PORT, literal=True) for server in self.dns)
        return (*self.allow, *servers)


def read(given: Mapping[str, object]) -> BridgeSettings:
    """Check the launcher's settings. Raises Trouble for anything missing, unknown or unfit."""
    if given.keys() != _KEYS:
        odd = ", ".join(sorted(str(key) for key in given.keys() ^ _KEYS))
        raise Trouble(what=f"settings of network mode bridge are missing or unknown: {odd}")
    if given["mode"] != "bridge":
        raise Trouble(what="settings are not those of network mode bridge")
    engine = _engine(given["engine"])
    settings = BridgeSettings(
        profile=_text(given, "profile"),
        bridge=_matched(given, "bridge", limits.BRIDGE, limits.BRIDGE_WORDS),
        subnet=_subnet(_text(given, "subnet")),
        allow=tuple(_egress(text) for text in _texts(given, "allow", limits.MOST_RULES)),
        dns=tuple(_server(text) for text in _texts(given, "dns", limits.MOST_SERVERS)),
        join=_join(given),
        publish=tuple(_published(text) for text in _texts(given, "publish", limits.MOST_PORTS)),
        uid=_uid(given["uid"]),
        engine=engine,
    )
    return _together(settings)


def _together(settings: BridgeSettings) -> BridgeSettings:
    """Judge what only shows when the settings are seen side by side."""
    if not (settings.allow or settings.dns or settings.join or settings.publish):
        raise Trouble(
            what="network mode bridge allows nothing",
            why="network.allow, dns, join and publish are all empty",
            instead='name what may be reached, as in "93.184.216.0/24:443", or use network mode "none"',
        )
    if settings.engine == "pasta" and settings.join:
        raise Trouble(
            what="sandboxes of an ordinary user cannot be joined",
            why=f"network.join is {settings.join!r}, and pasta has no bridge",
            instead='leave network.join empty, or run as root (engine "veth")',
        )
    taken = [(port.address, port.host_port) for port in settings.publish]
    if len(set(taken)) != len(taken):
        raise Trouble(what="network.publish names the same port of the host twice")
    return settings


def _text(given: Mapping[str, object], key: str) -> str:
    value = given[key]
    if not isinstance(value, str):
        raise Trouble(what=f"network.{key} is not text")
    return value


def _texts(given: Mapping[str, object], key: str, most: int) -> tuple[str, ...]:
    value = given[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Trouble(what=f"network.{key} is not a list of texts")
    if len(value) > most:
        raise Trouble(what=f"network.{key} has {len(value)} entries; at most {most} are possible")
    return tuple(value)


def _matched(given: Mapping[str, object], key: str, pattern: re.Pattern[str], form: str) -> str:
    value = _text(given, key)
    if not pattern.fullmatch(value):
        raise Trouble(what=f"network.{key} = {value!r} is not {form}")
    return value


def _join(given: Mapping[str, object]) -> str:
    if given["join"] == "":
        return ""
    return _matched(given, "join", limits.GROUP, limits.GROUP_WORDS)


def _uid(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Trouble(what="uid is not a user id")
    return value


def _engine(value: object) -> Engine:
    if value == "veth":
        return "veth"
    if value == "pasta":
        return "pasta"
    raise Trouble(what=f"engine {value!r} is neither veth nor pasta")


def _address(text: str, key: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise Trouble(what=f"network.{key}: {text!r} is not an IPv4 address") from error


def _subnet(text: str) -> IPv4Network:
    try:
        subnet = IPv4Network(text)
    except ValueError as error:
        raise Trouble(what=f"network.subnet = {text!r} is not an IPv4 network", why=str(error)) from error
    if not limits.fit_subnet(subnet):
        raise Trouble(
            what=f"network.subnet = {text!r} cannot be a pool of addresses",
            why="sandboxes get private or shared addresses; a bridge and one of them need room",
            instead=f"take a /{limits.WIDEST} to /{limits.NARROWEST} out of {', '.join(limits.POOLS)}",
        )
    return subnet


def _server(text: str) -> IPv4Address:
    server = _address(text, "dns")
    if not limits.fit_server(server):
        raise Trouble(what=f"network.dns: {text!r} cannot be a name server's address seen from a sandbox")
    return server


def _egress(text: str) -> Egress:
    try:
        rule = destinations.parse(text)
    except ValueError as error:
        raise Trouble(what=f"network.allow: {text!r} cannot be read", why=str(error)) from error
    if rule.kind not in ("address", "network"):
        raise Trouble(
            what=f"network.allow: {text!r} is a name",
            why="rules of network mode bridge are applied to packets, which carry addresses alone",
            instead='name an address or a network, or use network mode "allow"',
        )
    try:
        network = IPv4Network(rule.host)
    except ValueError as error:
        raise Trouble(
            what=f"network.allow: {text!r} is not IPv4",
            why="a sandbox of network mode bridge has an IPv4 address alone",
            instead='leave it out, or use network mode "allow", which reaches IPv6 destinations',
        ) from error
    return Egress(network, rule.port, literal=rule.kind == "address")


def _published(text: str) -> Published:
    host, first, rest = text.partition(":")
    outer, second, inner = rest.partition(":")
    if not (first and second):
        raise Trouble(
            what=f"network.publish: {text!r} is not HOST-ADDRESS:HOST-PORT:SANDBOX-PORT",
            instead='write it as in "127.0.0.1:8080:80"',
        )
    address = _address(host, "publish")
    if not limits.fit_published(address):
        raise Trouble(
            what=f"network.publish: {text!r} names every address of the host",
            why="a port would be open to networks that nobody thought of",
            instead="name one address of the host, such as 127.0.0.1",
        )
    return Published(address, _port(outer, text), _port(inner, text))


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(_MOST_PORT))):
        raise Trouble(what=f"network.publish: {text!r} has no port number where one belongs")
    port = int(digits)
    if not 1 <= port <= _MOST_PORT:
        raise Trouble(what=f"network.publish: {text!r} has a port outside 1..{_MOST_PORT}")
    return port
