"""What packets of a sandbox may do, as text for `nft -f -`.

Run by: hardbox.net.veth and hardbox.net.pasta, in the keeper's process. Pure: settings in, text out.

There are two tables for each bridge, both named "hardbox-BRIDGE", and nothing in any other table:

* family bridge: a frame from a sandbox's port passes only with that port's own MAC and IPv4 address, to the
  bridge itself. Everything else is dropped: ARP, IPv6, other sandboxes. A port that nobody wrote into the
  set is closed, so a port without rules is a port without a network.
* family inet: what the bridge routes. A packet from the bridge is refused unless the chain of its source
  address accepts it; a packet to the bridge is dropped unless it is an answer or to a published port.

Packets that have nothing to do with the bridge meet one comparison in each chain, and its policy is accept:
the host's own rules are what they were. A text is one transaction: all of it holds, or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import TYPE_CHECKING, Final

from hardbox.net import vetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hardbox.net.bridge_settings import BridgeSettings, Egress
    from hardbox.net.nft_state import State

__all__ = (
    "INSIDE",
    "MAC_PREFIX",
    "SPECIAL",
    "Box",
    "chain",
    "inside",
    "load",
    "table",
    "unload",
    "unload_all",
)

# A rule opens what lies in these only if it lies in them as a whole. "0.0.0.0/0:443" is the internet, not the
# host's neighbours or its metadata.
SPECIAL: Final = tuple(collapse_addresses(network for network, _ in vetting.VERSION_4))
MAC_PREFIX: Final = "02:68:"  # locally administered, before the four bytes of the address
INSIDE: Final = "hardbox"  # the table within a namespace that pasta serves
_MOST_DENIED: Final = 512
_REFUSE: Final = (
    "meta l4proto tcp reject with tcp reset",
    "reject with icmpx admin-prohibited",
)


@dataclass(frozen=True, slots=True)
class Box:
    """One sandbox on a bridge.

    offset: its address's place in the subnet, from 2 on; everything of it is named by that.
    """

    bridge: str
    subnet: IPv4Network
    offset: int

    @property
    def address(self) -> IPv4Address:
        """Its own address."""
        return self.subnet[self.offset]

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's address: its only neighbour."""
        return self.subnet[1]

    @property
    def mac(self) -> str:
        """Its MAC: locally administered, and the same for the same address."""
        return _mac(self.address)

    @property
    def gateway_mac(self) -> str:
        """The bridge's MAC, fixed: a bridge without one takes that of its lowest port."""
        return _mac(self.gateway)

    @property
    def port(self) -> str:
        """The interface name of its end on the host."""
        return f"{self.bridge}.{self.offset:x}"


def table(bridge: str) -> str:
    """Give the name of a bridge's two tables."""
    return f"hardbox-{bridge}"


def chain(offset: int) -> str:
    """Give the name of a sandbox's chain in table inet."""
    return f"box-{offset:x}"


def load(settings: BridgeSettings, box: Box, state: State, stale: Iterable[int]) -> str:
    """Give the text that puts a sandbox's rules into force, and takes away what others have left.

    state: what is in force now.
    stale: offsets in it that nobody holds any more; box.offset itself may be one.
    """
    # First the base: what is taken away is then there even if somebody has cut a table by hand.
    lines = [*_bridge_base(box), *_inet_base(box)]
    lines += _removed(box.bridge, box.subnet, state, stale)
    lines += _box(settings, box)
    return _text(lines)


def unload(bridge: str, subnet: IPv4Network, state: State, stale: Iterable[int]) -> str:
    """Give the text that takes sandboxes' rules away; "" if there are none."""
    lines = _removed(bridge, subnet, state, stale)
    return _text(lines) if lines else ""


def unload_all(bridge: str) -> str:
    """Give the text that removes both tables, whether they are there or not."""
    name = table(bridge)
    return _text(
        f"{verb} table {family} {name}" for family in ("bridge", "inet") for verb in ("add", "delete")
    )


def inside(settings: BridgeSettings, host: Sequence[IPv4Address]) -> str:
    """Give the rules for the inside of a network namespace that pasta serves.

    host: the host's own addresses: reached by a rule that names the very address, or not at all.
    """
    lines = [f"{verb} table inet {INSIDE}" for verb in ("add", "delete", "add")]
    add, denied = f"add chain inet {INSIDE}", "denied-0"
    lines += [
        _denied_set(INSIDE, denied),
        f"{add} refuse",
        *_rules(INSIDE, "refuse", (_count(denied), *_REFUSE)),
        f"{add} output {{ type filter hook output priority 0; policy drop; }}",
        f"{add} input {{ type filter hook input priority 0; policy drop; }}",
        f"{add} forward {{ type filter hook forward priority 0; policy drop; }}",
    ]
    own = ", ".join(sorted({str(address) for address in host}))
    literal = [rule for rule in settings.egress if rule.literal]
    ports = sorted({port.box_port for port in settings.publish})
    lines += _rules(
        INSIDE,
        "output",
        (
            'oifname "lo" accept',
            "meta nfproto != ipv4 drop",
            "ct direction reply ct state established,related accept",
            *(_accept(rule) for rule in literal),
            *([f"ip daddr {{ {own} }} goto refuse"] if own else []),
            *_egress((rule for rule in settings.egress if not rule.literal), "refuse"),
            "goto refuse",
        ),
    )
    lines += _rules(
        INSIDE,
        "input",
        (
            'iifname "lo" accept',
            "meta nfproto != ipv4 drop",
            "ct direction reply ct state established,related accept",
            "ct direction original ct state related accept",
            *(f"tcp dport {port} accept" for port in ports),
        ),
    )
    return _text(lines)


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _rules(name: str, of: str, rules: Iterable[str], family: str = "inet") -> list[str]:
    return [f"add rule {family} {name} {of} {rule}" for rule in rules]


def _mac(address: IPv4Address) -> str:
    return MAC_PREFIX + ":".join(f"{byte:02x}" for byte in address.packed)


def _bridge_base(box: Box) -> list[str]:
    """Give the table that keeps each port to its own addresses. The same text for every sandbox."""
    name, ports = table(box.bridge), f'"{box.bridge}.*"'
    chains = {
        "from-box": (
            "meta protocol != ip drop",
            "ip daddr 127.0.0.0/8 drop",
            f"ether daddr {box.gateway_mac} iifname . ether saddr . ip saddr @boxes accept",
            "drop",
        ),
        "prerouting": (f"iifname {ports} goto from-box",),
        "forward": (f"iifname {ports} drop", f"oifname {ports} drop"),
        "output": (f"oifname {ports} meta protocol != ip drop",),
    }
    hooks = {"prerouting": -300, "forward": -300, "output": -300}
    return [
        f"add table bridge {name}",
        f"add set bridge {name} boxes {{ type ifname . ether_addr . ipv4_addr; }}",
        *_chains("bridge", name, "filter", hooks, chains),
    ]


def _inet_base(box: Box) -> list[str]:
    """Give the table that judges what is routed. The same text for every sandbox."""
    name, bridge, ports = table(box.bridge), f'"{box.bridge}"', f'"{box.bridge}.*"'
    answers = "ct direction reply ct state established,related accept"
    to_box = (
        "meta nfproto != ipv4 drop",
        # The box lives on one address with one neighbour; a better way there is never one to it.
        "icmp type redirect drop",
        answers,
        "ct direction original ct state related accept",
        "ct status dnat ip daddr . tcp dport @published accept",
    )
    chains = {
        "refuse": _REFUSE,
        "from-box": (
            "meta nfproto != ipv4 drop",
            "ct state invalid drop",
            # Answers alone: a connection of the address's last holder is judged by its new holder's rules.
            answers,
            "ip saddr vmap @boxes",
            "goto refuse",
        ),
        "to-host": (
            "meta nfproto != ipv4 drop",
            "ct state invalid drop",
            answers,
            "ip saddr vmap @hosts",
            "goto refuse",
        ),
        "to-box": (*to_box, "drop"),
        "from-host": (*to_box, "goto refuse"),
        "forward": (
            f"iifname {ports} drop",
            f"oifname {ports} drop",
            f"iifname {bridge} goto from-box",
            f"oifname {bridge} goto to-box",
        ),
        "input": (f"iifname {ports} drop", f"iifname {bridge} goto to-host"),
        "output": (f"oifname {ports} drop", f"oifname {bridge} goto from-host"),
        "publish": (f"iifname != {bridge} dnat ip to ip daddr . tcp dport map @publish",),
        "publish-local": ("dnat ip to ip daddr . tcp dport map @publish",),
        "outward": (
            f"ip saddr {box.subnet} oifname != {bridge} masquerade",
            f"ct status dnat oifname {bridge} fib saddr type local masquerade",
        ),
    }
    return [
        f"add table inet {name}",
        f"add map inet {name} boxes {{ type ipv4_addr : verdict; }}",
        f"add map inet {name} hosts {{ type ipv4_addr : verdict; }}",
        f"add set inet {name} published {{ type ipv4_addr . inet_service; }}",
        f"add map inet {name} publish {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; }}",
        # Before and after a host's own rules: a packet has to pass both.
        *_chains("inet", name, "filter", {"forward": -10, "input": -10, "output": -10}, chains),
        *_chains("inet", name, "nat", {"publish": -100, "publish-local": -100, "outward": 100}, chains),
    ]


_HOOK: Final = {"publish": "prerouting", "publish-local": "output", "outward": "postrouting"}


def _chains(
    family: str, name: str, kind: str, hooks: dict[str, int], chains: dict[str, tuple[str, ...]]
) -> list[str]:
    """Give chains anew: declared, emptied and filled, so that the text can be loaded again and again."""
    lines = []
    plain = [] if kind == "nat" else [of for of in chains if of not in hooks and of not in _HOOK]
    for of in plain:
        lines += [f"add chain {family} {name} {of}", f"flush chain {family} {name} {of}"]
    for of, priority in hooks.items():
        form = f"type {kind} hook {_HOOK.get(of, of)} priority {priority}; policy accept;"
        lines += [f"add chain {family} {name} {of} {{ {form} }}", f"flush chain {family} {name} {of}"]
    for of in (*plain, *hooks):
        lines += _rules(name, of, chains[of], family)
    return lines


def _box(settings: BridgeSettings, box: Box) -> list[str]:
    name, own, host = table(box.bridge), chain(box.offset), f"host-{box.offset:x}"
    no, denied = f"no-{box.offset:x}", f"denied-{box.offset:x}"
    lines = [
        _denied_set(name, denied),
        *(f"{verb} chain inet {name} {of}" for of in (no, own, host) for verb in ("add", "flush")),
        *_rules(name, no, (_count(denied), "goto refuse")),
    ]
    peers = [f'oifname "{box.bridge}" goto {no}']
    if settings.join:
        group = f"join-{settings.join}"
        lines += [
            f"add set inet {name} {group} {{ type ipv4_addr; }}",
            f"add element inet {name} {group} {{ {box.address} }}",
        ]
        peers.insert(0, f'oifname "{box.bridge}" ip daddr @{group} accept')
    lines += _rules(name, own, (*peers, *_egress(settings.egress, no), f"goto {no}"))
    literal = [_accept(rule) for rule in settings.egress if rule.literal]
    lines += _rules(name, host, (*literal, f"goto {no}"))
    for port in settings.publish:
        outer, inner = f"{port.address} . {port.host_port}", f"{box.address} . {port.box_port}"
        lines += [
            f"add element inet {name} published {{ {inner} }}",
            f"add element inet {name} publish {{ {outer} : {inner} }}",
        ]
    lines += [
        f"add element inet {name} boxes {{ {box.address} : goto {own} }}",
        f"add element inet {name} hosts {{ {box.address} : goto {host} }}",
        f'add element bridge {name} boxes {{ "{box.port}" . {box.mac} . {box.address} }}',
    ]
    return lines


def _denied_set(name: str, denied: str) -> str:
    form = f"type ipv4_addr . inet_proto . inet_service; flags dynamic; size {_MOST_DENIED};"
    return f"add set inet {name} {denied} {{ {form} }}"


def _count(denied: str) -> str:
    """Give the rule that counts a packet by its destination; a set that is full takes no new ones."""
    return f"meta l4proto {{ tcp, udp }} update @{denied} {{ ip daddr . meta l4proto . th dport counter }}"


def _egress(rules: Iterable[Egress], no: str) -> list[str]:
    """Give what may be reached: first what lies in special ranges, then nothing else of them, then the rest.

    no: the chain for what may not.
    """
    rules = tuple(rules)
    special = [rule for rule in rules if any(rule.network.subnet_of(place) for place in SPECIAL)]
    rest = [rule for rule in rules if rule not in special]
    closed = "ip daddr { " + ", ".join(str(place) for place in SPECIAL) + f" }} goto {no}"
    return [*map(_accept, special), closed, *map(_accept, rest)]


def _accept(rule: Egress) -> str:
    if rule.port:
        return f"ip daddr {rule.network} meta l4proto {{ tcp, udp }} th dport {rule.port} accept"
    return f"ip daddr {rule.network} meta l4proto {{ tcp, udp, icmp }} accept"


def _removed(bridge: str, subnet: IPv4Network, state: State, stale: Iterable[int]) -> list[str]:
    """Give the lines that take sandboxes away: references before what they refer to."""
    name, lines = table(bridge), []
    for offset in sorted(set(stale) & set(state.boxes)):
        box = Box(bridge, subnet, offset)
        port = f'"{box.port}" . {box.mac} . {box.address}'
        lines += [f"{verb} element bridge {name} boxes {{ {port} }}" for verb in ("add", "delete")]
        lines += [f"delete element inet {name} {of} {{ {box.address} }}" for of in ("boxes", "hosts")]
        lines += [f"delete element inet {name} {of} {{ {box.address} }}" for of in state.groups(box.address)]
        for outer, inner in state.published(box.address):
            lines += [f"delete element inet {name} publish {{ {outer} }}"]
            lines += [f"{verb} element inet {name} published {{ {inner} }}" for verb in ("add", "delete")]
        for of in (chain(offset), f"host-{offset:x}", f"no-{offset:x}"):
            lines += [f"flush chain inet {name} {of}"]
        for of in (chain(offset), f"host-{offset:x}", f"no-{offset:x}"):
            lines += [f"delete chain inet {name} {of}"]
        lines += [f"delete set inet {name} denied-{offset:x}"]
    return lines
