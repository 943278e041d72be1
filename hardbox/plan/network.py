"""The part of a plan that makes the job's network: sockets in it that a process outside serves.

Run by: the Python front; pure. With mode "allow" the sockets are a stub name server, a proxy, and one
for each port that a rule names; the addresses that lead to them are the sandbox's own, since there is
no route to any other place. With mode "bridge" one socket tells the keeper which network is the job's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox import network_limits as limits
from hardbox.destinations import parse
from hardbox.errors import ProfileError
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hardbox.destinations import Destination
    from hardbox.host import HostFacts
    from hardbox.policy import Policy

KEPT: Final = ("allow", "bridge")
# Of transparent listeners; each is a socket that the broker holds.
PORTS_MAX: Final = 64
_LOCAL: Final = bytes((127, 0, 0, 1))
_ANY_IPV4: Final = bytes(4)
_ANY_IPV6: Final = bytes(16)
_PROXY: Final = f"http://127.0.0.1:{limits.PROXY_PORT}"
# The job's own servers are reached directly. Both spellings: programs look at one of them. No socks5h://,
# though the proxy speaks SOCKS: HTTP libraries without SOCKS of their own end at the sight of it.
_PROXIES: Final = {
    "http_proxy": _PROXY,
    "https_proxy": _PROXY,
    "all_proxy": _PROXY,
    "no_proxy": "localhost,127.0.0.1,::1",
}


def kept(policy: Policy) -> bool:
    """Say whether a process outside keeps the job's network."""
    return policy.network.mode in KEPT


def proxies(policy: Policy) -> dict[str, str]:
    """Give the variables by which programs find the proxy; empty in other modes than "allow"."""
    if policy.network.mode != "allow":
        return {}
    return {**_PROXIES, **{name.upper(): value for name, value in _PROXIES.items()}}


def resolv_conf(policy: Policy) -> str:
    """Give the content of /etc/resolv.conf."""
    if policy.network.mode == "allow":
        return "# hardbox: a stub that knows the names of network.allow\nnameserver 127.0.0.1\n"
    if policy.network.mode == "bridge" and policy.network.dns:
        return "".join(f"nameserver {address}\n" for address in policy.network.dns)
    return "# hardbox: no name server\n"


def network_steps(policy: Policy, facts: HostFacts) -> tuple[s.Step, ...]:
    """Give the steps, in init, before capabilities are given up. Raises ProfileError HB432, HB433, HB436."""
    mode = policy.network.mode
    if mode not in KEPT:
        _nothing_asked(policy)
    if mode == "none":
        return ()
    if mode == "loopback":
        return (s.LoopbackUp(),)
    if mode == "bridge":
        _check_packets(policy)
        return (s.LoopbackUp(), s.Listen(s.LISTEN_BARE, _LOCAL, 0))
    rules = _rules(policy)
    literals = (rule.host for rule in rules if rule.kind == "address")
    routes = [*_synthetic(ipv6=facts.ipv6), *_own(literals, ipv6=facts.ipv6)]
    ports = sorted({rule.port for rule in rules} - {limits.DNS_PORT, limits.PROXY_PORT})
    if len(ports) > PORTS_MAX:
        raise ProfileError(
            "HB433",
            f"network.allow names more than {PORTS_MAX} different ports",
            value=f"{len(ports)} ports",
            origin=policy.origin("network.allow"),
            why="each one is a socket that is served from outside",
            instead="fewer ports, in two profiles if need be",
        )
    anywhere = _ANY_IPV6 if facts.ipv6 else _ANY_IPV4
    return (
        s.LoopbackUp(),
        *(s.LocalRoute(prefix, bits) for prefix, bits in dict.fromkeys(routes)),
        s.Listen(s.LISTEN_UDP, _LOCAL, limits.DNS_PORT),
        s.Listen(s.LISTEN_TCP, _LOCAL, limits.DNS_PORT),
        s.Listen(s.LISTEN_TCP, _LOCAL, limits.PROXY_PORT),
        *(s.Listen(s.LISTEN_TCP, anywhere, port) for port in ports),
    )


def _nothing_asked(policy: Policy) -> None:
    """Refuse destinations that the caller names and this mode does not reach; a profile may keep its list."""
    for key in ("network.allow", "network.from_lockfile"):
        origin = policy.origin(key)
        if origin.startswith(("-", "allow=")):
            raise ProfileError(
                "HB436",
                f'destinations are named, and network.mode = "{policy.network.mode}" reaches none of them',
                value=f'network.mode = "{policy.network.mode}"',
                origin=f"{origin}, {policy.origin('network.mode')}",
                why="the job would run without what it was given",
                instead="--profile net-client, or agent: their mode is allow; or leave the destinations out",
            )


def _rules(policy: Policy) -> tuple[Destination, ...]:
    """Give the destinations of mode "allow"; there is at least one, and each is of its kind."""
    _check_count(policy, limits.MOST_DESTINATIONS)
    rules = tuple(parse(text) for text in policy.network.allow)
    if not rules:
        raise ProfileError(
            "HB432",
            'network.mode = "allow" names no destination',
            value="network.allow = []",
            origin=policy.origin("network.mode"),
            why="nothing could be reached; whoever starts the job says what it may reach",
            instead="--allow HOST:PORT for each destination, or --network none",
        )
    for rule in rules:
        if rule.kind == "network" or rule.port == 0:
            raise ProfileError(
                "HB433",
                'a range of addresses or ports is for mode "bridge"',
                value=f'network.allow = ["{rule}"]',
                origin=policy.origin("network.allow"),
                why='mode "allow" decides about single names, addresses and ports',
                instead='"HOST:PORT", one for each destination',
            )
    return rules


def _check_packets(policy: Policy) -> None:
    """Refuse what packets do not carry. What is left out here would be found by the keeper, once it runs."""
    _check_count(policy, limits.MOST_RULES)
    for text in policy.network.allow:
        rule = parse(text)
        if rule.kind in ("name", "wildcard"):
            what, why = 'a name is for mode "allow"', "packets carry addresses alone, and names change theirs"
            instead = '"ADDRESS:PORT" or "ADDRESS/LENGTH:PORT"; or network.mode = "allow"'
        elif ":" in rule.host:
            what, why = 'an IPv6 address is for mode "allow"', "a job on a bridge has an IPv4 address alone"
            instead = 'leave it out, or network.mode = "allow"'
        else:
            continue
        raise ProfileError(
            "HB433",
            what,
            value=f'network.allow = ["{rule}"]',
            origin=policy.origin("network.allow"),
            why=why,
            instead=instead,
        )


def _synthetic(*, ipv6: bool) -> Iterator[tuple[bytes, int]]:
    """Give the ranges of the addresses that stand for names; without `ipaddress` (10 ms)."""
    import socket  # noqa: PLC0415 (as in plan/steps/network.py)

    kinds = ((limits.SYNTHETIC_4, socket.AF_INET), (limits.SYNTHETIC_6, socket.AF_INET6))
    for text, kind in kinds if ipv6 else kinds[:1]:
        address, _, bits = text.partition("/")
        yield socket.inet_pton(kind, address), int(bits)


def _check_count(policy: Policy, most: int) -> None:
    """Refuse more destinations than the keeper takes: lists and lock files add to what a profile names."""
    count = len(policy.network.allow)
    if count > most:
        raise ProfileError(
            "HB433",
            f'network.allow names more than {most} destinations, the most of mode "{policy.network.mode}"',
            value=f"{count} destinations",
            origin=policy.origin("network.allow"),
            why="each one is compared with, and nobody reads a list of so many",
            instead="fewer of them, in two profiles if need be",
        )


def _own(literals: Iterable[str], *, ipv6: bool) -> Iterator[tuple[bytes, int]]:
    """Make literal addresses the sandbox's own; those of its loopback are."""
    import ipaddress  # noqa: PLC0415 (10 ms; few profiles name addresses)

    for text in literals:
        address = ipaddress.ip_address(text)
        if not address.is_loopback and (ipv6 or address.version == 4):  # noqa: PLR2004 (IPv4)
            yield address.packed, address.max_prefixlen
