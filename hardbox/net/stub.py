"""The name server inside the sandbox: answers from the rules alone, and never asks anybody.

Run by: the broker, for each query that arrives at 127.0.0.1:53; pure but for the addresses that it gives
out. A name that a rule speaks of, whatever the port, has synthetic addresses (addresses.py) and no other
records; every other name does not exist. Resolving for real happens outside, after the decision about
the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, Literal

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from hardbox.destinations import Destination, host_of
from hardbox.network_report import ALLOWED, DENIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardbox.net.addresses import Addresses
    from hardbox.network_report import Reason, Verdict

TTL_SECONDS: Final = 30
# What every client takes over UDP (RFC 1035 section 4.2.1). One question and one record are less.
_DATAGRAM: Final = 512
# What is said to be taken here (RFC 9715).
_PAYLOAD: Final = 1232
_STREAM: Final = 65535
# One question with EDNS options and padding is far below; more would only be work.
_MOST_QUERY: Final = 4096
_HEADER: Final = 12
_LOCALHOST: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_BLOCKED: Final = dns.edns.EDEOption(dns.edns.EDECode.BLOCKED, "not in network.allow of the sandbox")
_V4_TREE: Final = ".in-addr.arpa"
_V6_TREE: Final = ".ip6.arpa"


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one query.

    wire:    the message to send back, without the two length bytes of TCP; None: not worth an answer.
    asked:   the name, canonical if it is a host's; "" if the query has none.
    verdict: "allowed", "denied", or "" for what is nobody's business: localhost, the sandbox's own addresses.
    reason:  of a denial: "not-allowed", "spelling", "limit-names" or "protocol"; else "".
    """

    wire: bytes | None
    asked: str = ""
    verdict: Verdict | Literal[""] = ""
    reason: Reason = ""


class Stub:
    """Answers the queries of one run."""

    def __init__(self, rules: Sequence[Destination], addresses: Addresses, *, ipv6: bool) -> None:
        """ipv6: whether the sandbox's loopback has IPv6; if not, no name has an address of that kind."""
        self._names: Final = frozenset(rule.host for rule in rules if rule.kind == "name")
        self._suffixes: Final = frozenset(rule.host for rule in rules if rule.kind == "wildcard")
        self._addresses: Final = addresses
        self._ipv6: Final = ipv6

    def answer(self, query: bytes, *, datagram: bool) -> Answer:
        """Answer one message (RFC 1035); datagram: it came by UDP, so the answer has to fit."""
        if len(query) < _HEADER or query[2] & 0x80:
            return Answer(None)
        if (query[2] >> 3) & 0xF != dns.opcode.QUERY:
            return _refusal(query, dns.rcode.NOTIMP)
        # Several questions in one message have no meaning (RFC 9619).
        if int.from_bytes(query[4:6], "big") != 1 or len(query) > _MOST_QUERY:
            return _refusal(query, dns.rcode.FORMERR)
        try:
            message = dns.message.from_wire(query)
        except (dns.exception.DNSException, ValueError):
            return _refusal(query, dns.rcode.FORMERR)
        if not message.question:
            return _refusal(query, dns.rcode.FORMERR)
        reply = dns.message.make_response(message, recursion_available=True, our_payload=_PAYLOAD)
        question = message.question[0]
        if message.edns > 0:
            reply.set_rcode(dns.rcode.BADVERS)
            answer = Answer(None, verdict=DENIED, reason="protocol")
        elif question.rdclass != dns.rdataclass.IN:
            reply.set_rcode(dns.rcode.REFUSED)
            answer = Answer(None, _text(question.name), DENIED, "protocol")
        else:
            answer = self._look_up(question, reply)
        if answer.verdict == DENIED and reply.edns >= 0 and answer.reason != "protocol":
            reply.use_edns(0, 0, _PAYLOAD, options=[_BLOCKED])
        wire = reply.to_wire(max_size=_DATAGRAM if datagram else _STREAM, prefer_truncation=True)
        return Answer(wire, answer.asked, answer.verdict, answer.reason)

    def _look_up(self, question: dns.rrset.RRset, reply: dns.message.Message) -> Answer:
        """Fill in what this name has of that type; give the verdict."""
        asked = _text(question.name)
        if asked.lower().endswith((_V4_TREE, _V6_TREE)):
            return self._reverse(asked.lower(), question, reply)
        try:
            host = host_of(asked)
        except ValueError:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            # The root, and names of services (RFC 8552), are well spelled, but no hosts.
            service = asked == "." or asked.startswith("_")
            return Answer(None, asked, DENIED, "not-allowed" if service else "spelling")
        name = host.text
        if name.rpartition(".")[2] == "localhost":
            # RFC 6761 section 6.3.
            self._add(question, reply, _LOCALHOST)
            return Answer(None, name)
        reason: Reason = "spelling" if host.literal else "not-allowed"
        if not host.literal and (name in self._names or name.partition(".")[2] in self._suffixes):
            if question.rdtype not in (dns.rdatatype.A, dns.rdatatype.AAAA):
                return Answer(None, name, ALLOWED)
            pair = self._addresses.of(name)
            if pair is not None:
                self._add(question, reply, pair)
                return Answer(None, name, ALLOWED)
            reason = "limit-names"
        reply.set_rcode(dns.rcode.NXDOMAIN)
        return Answer(None, name, DENIED, reason)

    def _reverse(self, asked: str, question: dns.rrset.RRset, reply: dns.message.Message) -> Answer:
        """Answer for the name that an address belongs to (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
        address = _reversed(asked)
        name = "localhost" if address in _LOCALHOST else address and self._addresses.name_of(address)
        if not name:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return Answer(None, asked, DENIED, "not-allowed")
        if question.rdtype == dns.rdatatype.PTR:
            reply.answer.append(dns.rrset.from_text(question.name, TTL_SECONDS, "IN", "PTR", f"{name}."))
        return Answer(None, asked)

    def _add(
        self,
        question: dns.rrset.RRset,
        reply: dns.message.Message,
        pair: tuple[IPv4Address, IPv6Address],
    ) -> None:
        if question.rdtype == dns.rdatatype.A:
            records, kind = str(pair[0]), "A"
        elif question.rdtype == dns.rdatatype.AAAA and self._ipv6:
            records, kind = str(pair[1]), "AAAA"
        else:
            return
        reply.answer.append(dns.rrset.from_text(question.name, TTL_SECONDS, "IN", kind, records))


def _refusal(query: bytes, code: dns.rcode.Rcode) -> Answer:
    """Answer with the header alone, as far as the query's can be kept: id, opcode, "recursion desired"."""
    flags = bytes([0x80 | (query[2] & 0x79), code])
    return Answer(query[:2] + flags + bytes(8), verdict=DENIED, reason="protocol")


def _text(name: dns.name.Name) -> str:
    """Give a name without the root's dot, all that is no printable ASCII escaped."""
    return name.to_text(omit_final_dot=True)


def _reversed(asked: str) -> IPv4Address | IPv6Address | None:
    try:
        if asked.endswith(_V4_TREE):
            return IPv4Address(".".join(reversed(asked.removesuffix(_V4_TREE).split("."))))
        digits = asked.removesuffix(_V6_TREE).split(".")
        groups = "".join(reversed(digits))
        if len(digits) != 32 or len(groups) != 32:  # noqa: PLR2004 (nibbles of an address)
            return None
        return IPv6Address(bytes.fromhex(groups))
    except ValueError:
        return None
