"""What a job was refused by the process that keeps its network, in words.

Run by: the Python front, after a job with network mode "allow" or "bridge"; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox import network_limits as limits
from hardbox.denials.denial import CERTAIN, Denial
from hardbox.denials.paste import pasteable_word
from hardbox.destinations import inwards, parse, place
from hardbox.network_report import DENIED
from hardbox.policy import UNLIMITED
from hardbox.profile import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hardbox.network_report import Contact, NetworkUse
    from hardbox.policy import Policy

_OUT: Final = "medium: what the job can read can be sent there"
_INWARDS: Final = "high: it is an address of this machine or of the networks around it"
_FRONT: Final = "medium: a server that is allowed may hand the request on to one that is not"
_MORE: Final = "low: it is only more of what is allowed"
# Ways of mode "bridge". A packet of a protocol without ports has port 0.
_PACKETS: Final = ("bridge", "pasta")
# Details of one denial that are told; the report has them all.
_MOST_DETAILS: Final = 3
_WHY: Final = {
    "not-allowed": "no destination of the list covers it",
    "spelling": "odd spellings of names and addresses are how lists are got around",
    "unfit-address": "what is allowed by its name must not lead inwards",
    "server-name": "the name in the TLS greeting is not the one that was allowed",
    "host-header": "the Host of the request is not the one that was allowed",
    "protocol": "in it, which host is meant cannot be checked",
    "limit-connections": "so many connections at once are the limit",
    "limit-rate": "so many new connections in a second are the limit",
    "limit-bytes": "so many bytes in all are the limit",
    "limit-idle": "nothing moved on the connection for so long",
    "limit-names": "256 names of wildcards are the limit",
}
# reason -> (the key that decides, the most that it can be, how it is written).
_LIMITS: Final[dict[str, tuple[str, int, Callable[[int], str]]]] = {
    "limit-connections": ("network.connections", limits.CONNECTIONS[1], str),
    "limit-rate": ("network.rate", limits.RATE[1], str),
    "limit-bytes": ("network.bytes", limits.BYTES[1], units.size_text),
    "limit-idle": ("network.idle", limits.IDLE[1], units.duration_text),
}
# reason -> (what to do instead, what that costs).
_NO_CHANGE: Final = {
    "spelling": ("nothing: the plain name or address", ""),
    "limit-names": ("nothing: name the hosts themselves in place of the wildcard", ""),
    "unfit-address": ("nothing by its name; --allow ADDRESS:PORT, if it is meant", _INWARDS),
}
_PROXY_HOST: Final = "127.0.0.1"
_LOOPBACK: Final = ("127.", "::1")
# RFC 1035 section 3.5 and RFC 3596 section 2.5.
_REVERSE: Final = (".in-addr.arpa", ".ip6.arpa")


def explain(use: NetworkUse, policy: Policy) -> tuple[Denial, ...]:
    """Explain what was denied: one denial for each host, port and reason, whichever way it was tried.

    A look-up of a name counts only if no connection to it was tried.
    """
    denied = [contact for contact in use.contacts if contact.verdict == DENIED]
    tried = {contact.host for contact in denied if contact.port}
    found: dict[tuple[str, int, str], list[Contact]] = {}
    for contact in denied:
        if contact.port or not _looked_up(contact) or contact.host not in tried:
            found.setdefault((contact.host, contact.port, contact.reason), []).append(contact)
    return tuple(_denial(contacts, policy) for contacts in found.values())


def _looked_up(contact: Contact) -> bool:
    """Say whether only the name was asked for."""
    return contact.via == "dns"


def _denial(contacts: list[Contact], policy: Policy) -> Denial:
    first = contacts[0]
    why = ": ".join(part for part in (_WHY.get(first.reason, ""), _details(contacts)) if part)
    where, allow, risk = _change(first, policy)
    count = sum(contact.count for contact in contacts)
    return Denial("network", _what(first), count, "", where, why, allow, risk, CERTAIN)


def _what(contact: Contact) -> str:
    where = place(contact.host, contact.port)
    if contact.port:
        return f"connection to {where}"
    if _looked_up(contact):
        return f"look-up of {where}" if where else "look-up that names nothing"
    # A limit refuses a connection before anybody knows where it was to go.
    word = "packets" if contact.via in _PACKETS else "connection"
    return f"{word} to {where}" if where else word


def _details(contacts: Iterable[Contact]) -> str:
    details = list(dict.fromkeys(contact.detail for contact in contacts if contact.detail))
    more = len(details) - _MOST_DETAILS
    return "; ".join((*details[:_MOST_DETAILS], *((f"and {more} more",) if more > 0 else ())))


def _change(contact: Contact, policy: Policy) -> tuple[str, str, str]:
    """Give the key that refused it, the smallest change, and what that costs."""
    if contact.reason in _LIMITS:
        return _more(contact, policy)
    if contact.reason == "protocol" and _looked_up(contact):
        return "network.allow", "nothing: the stub answers questions of class IN", ""
    if contact.reason == "protocol" and (contact.host, contact.port) == (_PROXY_HOST, limits.PROXY_PORT):
        return "the proxy", "nothing: it takes HTTP/1.1 and SOCKS 5 requests", ""
    if contact.reason in ("server-name", "host-header", "protocol"):
        where = f'network.sni = "{policy.network.sni}"'
        return where, "--set network.sni=off --loosen 'network.sni=REASON'", _FRONT
    return "network.allow", *(_NO_CHANGE.get(contact.reason) or _allow(contact, policy))


def _more(contact: Contact, policy: Policy) -> tuple[str, str, str]:
    """Give twice of a limit, as far as that can be."""
    key, most, write = _LIMITS[contact.reason]
    value = getattr(policy.network, key.partition(".")[2])
    if value == UNLIMITED:
        return key, "", ""
    where = f"{key} = {write(value)}"
    if value >= most:
        return where, "nothing: it is as high as it can be", ""
    return where, f"--set {key}={write(min(2 * value, most))} --loosen '{key}=REASON'", _MORE


def _allow(contact: Contact, policy: Policy) -> tuple[str, str]:
    if contact.host.startswith(_LOOPBACK):
        return "nothing: it is the job's own address, and rules take their ports there", ""
    rule = f"{place(contact.host)}:{_port(contact)}"
    if _looked_up(contact) and contact.host.endswith(_REVERSE):
        return "nothing: addresses outside have no names here", ""
    try:
        word = pasteable_word(str(parse(rule)))
    except ValueError:
        return "nothing: such a name cannot be allowed", ""
    reason = "" if policy.network.grants == "any" else " --loosen 'network.allow=REASON'"
    guessed = ", or the port that is meant" if _looked_up(contact) else ""
    risk = _INWARDS if inwards(contact.host) else _OUT
    return f"--allow {word}{reason}{guessed}", risk


def _port(contact: Contact) -> str:
    if contact.port:
        return str(contact.port)
    return "*" if contact.via in _PACKETS else "443"
