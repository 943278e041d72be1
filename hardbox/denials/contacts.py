"""What a job was refused by the process that keeps its network, in words.

Run by: the Python front, after a job with network mode "allow" or "bridge"; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.denials.denial import CERTAIN, Denial
from hardbox.denials.paste import pasteable_word
from hardbox.policy import UNLIMITED

if TYPE_CHECKING:
    from hardbox.network_report import Contact, NetworkUse
    from hardbox.policy import Policy

_OUT: Final = "medium: what the job can read can be sent there"
_INWARDS: Final = "high: it is an address of this machine or of the networks around it"
_FRONT: Final = "medium: a server that is allowed may hand the request on to one that is not"
_MORE: Final = "low: it is only more of what is allowed"
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
    "limit-names": "so many names of one wildcard are the limit",
}
# reason -> (the key that decides, an example of more).
_LIMITS: Final = {
    "limit-connections": ("network.connections", "512"),
    "limit-rate": ("network.rate", "500"),
    "limit-bytes": ("network.bytes", "100G"),
    "limit-idle": ("network.idle", "1h"),
}


def explain(use: NetworkUse, policy: Policy) -> tuple[Denial, ...]:
    """Explain what was denied; a look-up of a name counts only if no connection to it was tried."""
    denied = [contact for contact in use.contacts if contact.verdict == "denied"]
    tried = {contact.host for contact in denied if contact.port}
    return tuple(_denial(contact, policy) for contact in denied if contact.port or contact.host not in tried)


def _denial(contact: Contact, policy: Policy) -> Denial:
    why = _WHY.get(contact.reason, "")
    if contact.detail:
        why = f"{why}: {contact.detail}" if why else contact.detail
    where, allow, risk = _change(contact, policy)
    place = f"[{contact.host}]" if ":" in contact.host else contact.host
    what = f"connection to {place}:{contact.port}" if contact.port else f"look-up of {place}"
    return Denial("network", what, contact.count, "", where, why, allow, risk, CERTAIN)


def _change(contact: Contact, policy: Policy) -> tuple[str, str, str]:
    """Give the key that refused it, the smallest change, and what that costs."""
    network = policy.network
    if contact.reason in _LIMITS:
        key, more = _LIMITS[contact.reason]
        value = getattr(network, key.partition(".")[2])
        where = key if value == UNLIMITED else f"{key} = {value}"
        return where, f"--set {key}={more} --loosen '{key}=REASON'", _MORE
    if contact.reason in ("server-name", "host-header", "protocol"):
        where = f'network.sni = "{network.sni}"'
        return where, "--set network.sni=off --loosen 'network.sni=REASON'", _FRONT
    if contact.reason == "spelling":
        return "network.allow", "nothing: the plain name or address", ""
    if contact.reason == "limit-names":
        return "network.allow", "nothing: name the hosts themselves in place of the wildcard", ""
    if contact.reason == "unfit-address":
        return "network.allow", "nothing by its name; --allow ADDRESS:PORT, if it is meant", _INWARDS
    return "network.allow", _allow(contact, policy), _OUT


def _allow(contact: Contact, policy: Policy) -> str:
    place = f"[{contact.host}]" if ":" in contact.host else contact.host
    word = pasteable_word(f"{place}:{contact.port or 443}")
    if not word:
        return "nothing: such a name cannot be allowed"
    reason = "" if policy.network.grants == "any" else " --loosen 'network.allow=REASON'"
    port = "" if contact.port else ", or the port that is meant"
    return f"--allow {word}{reason}{port}"
