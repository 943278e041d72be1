"""The name server inside: its answers, its verdicts, and that it survives any bytes.  Run by: pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import dns.edns
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.destinations import parse
from hardbox.net.addresses import Addresses
from hardbox.net.stub import Answer, Stub
from hardbox.network_limits import MOST_WILD_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST: Final = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 57}.org"
RULES: Final = tuple(
    parse(text)
    for text in (
        "index.example.org:443",
        "*.files.example.org:443",
        "bücher.example.org:443",
        "10.0.3.7:5432",
        f"{LONGEST}:443",
    )
)
NXDOMAIN, NOERROR = dns.rcode.NXDOMAIN, dns.rcode.NOERROR


def stub(*, ipv6: bool = True, rules: Sequence[str] = ()) -> Stub:
    parsed = [*RULES, *map(parse, rules)]
    return Stub(parsed, Addresses(parsed), ipv6=ipv6)


def asked(name: str | dns.name.Name, kind: str = "A", *, edns: int = -1) -> dns.message.QueryMessage:
    return dns.message.make_query(name, kind, use_edns=edns)


def read(answer: Answer) -> dns.message.Message:
    assert answer.wire is not None
    return dns.message.from_wire(answer.wire)


def ask(query: dns.message.Message, server: Stub | None = None) -> tuple[dns.message.Message, Answer]:
    answer = (server or stub()).answer(query.to_wire(), datagram=True)
    reply = read(answer)
    assert query.is_response(reply)
    return reply, answer


@pytest.mark.parametrize(
    ("name", "kind", "record", "host"),
    [
        ("index.example.org", "A", "198.18.0.1", "index.example.org"),
        ("index.example.org", "AAAA", "fd68:6278:6f78::1", "index.example.org"),
        ("InDeX.eXaMpLe.OrG.", "A", "198.18.0.1", "index.example.org"),
        ("a.files.example.org", "A", "198.18.0.4", "a.files.example.org"),
        ("A.Files.Example.Org", "AAAA", "fd68:6278:6f78::4", "a.files.example.org"),
        ("xn--bcher-kva.example.org", "A", "198.18.0.2", "xn--bcher-kva.example.org"),
    ],
)
def test_an_allowed_name_has_synthetic_addresses(name: str, kind: str, record: str, host: str) -> None:
    reply, answer = ask(asked(name, kind))
    assert reply.rcode() == NOERROR
    assert [str(item) for rrset in reply.answer for item in rrset] == [record]
    assert reply.answer[0].ttl == 30
    # Clients compare the spelling of the question, which some vary against forgeries.
    assert str(reply.question[0].name) == str(dns.name.from_text(name))
    assert (answer.asked, answer.verdict, answer.reason) == (host, "allowed", "")


@pytest.mark.parametrize(
    "kind", ["HTTPS", "SVCB", "MX", "TXT", "NS", "SOA", "CNAME", "ANY", "AXFR", "TYPE65280"]
)
@pytest.mark.parametrize("name", ["index.example.org", "a.files.example.org"])
def test_an_allowed_name_has_nothing_else(name: str, kind: str) -> None:
    reply, answer = ask(asked(name, kind))
    assert (reply.rcode(), reply.answer, reply.authority) == (NOERROR, [], [])
    assert answer.verdict == "allowed"


def test_without_ipv6_names_have_ipv4_only() -> None:
    server = stub(ipv6=False)
    for name in ("index.example.org", "localhost"):
        reply, _ = ask(asked(name, "AAAA"), server)
        assert (reply.rcode(), reply.answer) == (NOERROR, [])
        reply, _ = ask(asked(name, "A"), server)
        assert len(reply.answer) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("blocked.example.org", "not-allowed"),
        ("example.org", "not-allowed"),
        ("files.example.org", "not-allowed"),
        ("b.a.files.example.org", "not-allowed"),
        ("index.example.org.evil.org", "not-allowed"),
        ("secret-data.evil.org", "not-allowed"),
        ("org", "not-allowed"),
        (".", "not-allowed"),
        ("_443._tcp.index.example.org", "not-allowed"),
        ("127.0.0.1", "spelling"),
        ("10.0.3.7", "spelling"),
        ("127.1", "spelling"),
        ("2130706433", "spelling"),
        ("0x7f.1", "spelling"),
        (r"a\.b.files.example.org", "spelling"),
        (r"a\000b.files.example.org", "spelling"),
        (r"\255.files.example.org", "spelling"),
        ("a_b.files.example.org", "spelling"),
        (r"index\.example.org", "spelling"),
    ],
)
@pytest.mark.parametrize("kind", ["A", "AAAA", "TXT", "HTTPS", "ANY"])
def test_every_other_name_does_not_exist(name: str, kind: str, reason: str) -> None:
    reply, answer = ask(asked(name, kind))
    assert (reply.rcode(), reply.answer, reply.authority, reply.additional) == (NXDOMAIN, [], [], [])
    assert (answer.verdict, answer.reason) == ("denied", reason)
    assert answer.asked.isprintable()


def test_names_that_were_refused_take_no_address() -> None:
    server = stub()
    for number in range(MOST_WILD_NAMES * 2):
        ask(asked(f"n{number}.evil.org"), server)
        ask(asked(f"n{number}.files.example.org", "TXT"), server)
    reply, _ = ask(asked("a.files.example.org"), server)
    assert len(reply.answer) == 1


def test_wildcards_lead_to_so_many_names() -> None:
    server = stub()
    for number in range(MOST_WILD_NAMES):
        _, answer = ask(asked(f"n{number}.files.example.org"), server)
        assert answer.verdict == "allowed"
    reply, answer = ask(asked("one-more.files.example.org"), server)
    assert (reply.rcode(), answer.verdict, answer.reason) == (NXDOMAIN, "denied", "limit-names")
    _, answer = ask(asked("n7.files.example.org"), server)
    assert answer.verdict == "allowed"


def test_a_client_with_edns_hears_that_it_was_blocked() -> None:
    reply, _ = ask(asked("blocked.example.org", edns=0))
    (option,) = reply.options
    assert isinstance(option, dns.edns.EDEOption)
    assert (option.code, option.text) == (15, "not in network.allow of the sandbox")
    reply, _ = ask(asked("blocked.example.org"))
    assert reply.edns == -1
    reply, _ = ask(asked("index.example.org", edns=0))
    assert (reply.edns, reply.options) == (0, ())


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "a.localhost"])
def test_localhost_is_the_sandbox(name: str) -> None:
    reply, answer = ask(asked(name))
    assert str(reply.answer[0][0]) == "127.0.0.1"
    reply, answer = ask(asked(name, "AAAA"))
    assert str(reply.answer[0][0]) == "::1"
    assert (answer.verdict, answer.reason) == ("", "")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("1.0.18.198.in-addr.arpa", "index.example.org."),
        ("1.0.18.198.IN-ADDR.ARPA", "index.example.org."),
        ("1." + "0." * 15 + "8.7.f.6.8.7.2.6.8.6.d.f.ip6.arpa", None),
        ("1." + "0." * 15 + "0.0.0.0.8.7.f.6.8.7.2.6.8.6.d.f.ip6.arpa", "index.example.org."),
        ("1.0.0.127.in-addr.arpa", "localhost."),
        ("1." + "0." * 31 + "ip6.arpa", "localhost."),
        ("9.0.18.198.in-addr.arpa", None),
        ("7.3.0.10.in-addr.arpa", None),
        ("1.0.0.18.198.in-addr.arpa", None),
        ("01.0.18.198.in-addr.arpa", None),
        ("01." + "0." * 14 + "0.0.0.0.8.7.f.6.8.7.2.6.8.6.d.f.ip6.arpa", None),
        ("x.ip6.arpa", None),
        ("10." + "0." * 30 + "ip6.arpa", None),
        ("-." + "0." * 31 + "ip6.arpa", None),
    ],
)
def test_an_address_has_the_name_that_it_was_given_out_for(name: str, host: str | None) -> None:
    reply, answer = ask(asked(name, "PTR"))
    assert [str(item) for rrset in reply.answer for item in rrset] == ([host] if host else [])
    assert reply.rcode() == (NOERROR if host else NXDOMAIN)
    assert answer.verdict == ("" if host else "denied")
    reply, _ = ask(asked(name, "A"))
    assert reply.answer == []


def test_what_is_no_query_has_no_answer() -> None:
    whole = asked("index.example.org").to_wire()
    for wire in (b"", b"\0" * 11, whole[:11], whole[:2] + b"\x81" + whole[3:]):
        assert stub().answer(wire, datagram=True) == Answer(None)


@pytest.mark.parametrize("opcode", [dns.opcode.NOTIFY, dns.opcode.UPDATE, dns.opcode.STATUS, 15])
def test_other_operations_are_not_implemented(opcode: int) -> None:
    wire = bytearray(asked("index.example.org").to_wire())
    wire[2] |= opcode << 3
    answer = stub().answer(bytes(wire), datagram=True)
    assert answer.wire is not None
    assert answer.wire[:2] == wire[:2]
    assert answer.wire[2] == wire[2] | 0x80
    assert answer.wire[3:] == bytes([dns.rcode.NOTIMP]) + bytes(8)
    assert (answer.verdict, answer.reason) == ("denied", "protocol")


@pytest.mark.parametrize("name", ["index.example.org", "version.bind", "localhost"])
@pytest.mark.parametrize(
    "kind", [dns.rdataclass.CH, dns.rdataclass.HS, dns.rdataclass.NONE, dns.rdataclass.ANY]
)
def test_other_classes_are_refused(name: str, kind: dns.rdataclass.RdataClass) -> None:
    reply, answer = ask(dns.message.make_query(name, "TXT", kind, use_edns=0))
    assert (reply.rcode(), reply.answer) == (dns.rcode.REFUSED, [])
    assert (answer.asked, answer.verdict, answer.reason) == (name, "denied", "protocol")


def test_a_later_edns_is_told_the_version() -> None:
    reply, answer = ask(asked("index.example.org", edns=1))
    assert (reply.rcode(), reply.edns, reply.answer) == (dns.rcode.BADVERS, 0, [])
    assert answer.reason == "protocol"


def broken() -> dict[str, bytes]:
    wire = asked("index.example.org").to_wire()
    question = wire[12:]
    return {
        "no question": wire[:4] + bytes(8),
        "two questions": wire[:5] + b"\2" + wire[6:] + question,
        "a question too few": wire[:12],
        "cut": wire[:-1],
        "trailing bytes": wire + b"\0",
        "pointer to itself": wire[:12] + b"\xc0\x0c\x00\x01\x00\x01",
        "pointer forwards": wire[:12] + b"\xc0\xff\x00\x01\x00\x01",
        "unknown label type": wire[:12] + b"\x41a\x00\x00\x01\x00\x01",
        "name too long": wire[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01",
        "two OPT records": wire[:11] + b"\2" + question + (b"\0\0\x29" + bytes(8)) * 2,
        "a signature": wire[:11] + b"\1" + question + b"\0\0\xfa\0\xff" + bytes(6),
        "very long": wire + bytes(5000),
    }


@pytest.mark.parametrize("what", broken())
def test_what_cannot_be_read_is_an_error_of_form(what: str) -> None:
    wire = broken()[what]
    answer = stub().answer(wire, datagram=False)
    assert answer.wire is not None
    assert len(answer.wire) == 12
    assert answer.wire[:2] == wire[:2]
    assert answer.wire[3] == dns.rcode.FORMERR
    assert (answer.verdict, answer.reason) == ("denied", "protocol")


@pytest.mark.parametrize("name", [LONGEST, LONGEST[:-3] + "net", "3.0.18.198.in-addr.arpa"])
@pytest.mark.parametrize("kind", ["AAAA", "PTR"])
@pytest.mark.parametrize("edns", [-1, 0])
def test_every_answer_fits_into_the_shortest_datagram(name: str, kind: str, edns: int) -> None:
    query = asked(name, kind, edns=edns).to_wire()
    wires = {stub().answer(query, datagram=datagram).wire for datagram in (True, False)}
    # Not cut: it is the same as over TCP.
    assert len(wires) == 1
    assert len(wires.pop() or b"") in range(13, 513)


@given(data=st.binary(max_size=80), datagram=st.booleans())
def test_any_bytes_are_answered_or_left_alone(data: bytes, *, datagram: bool) -> None:
    answer = stub().answer(data, datagram=datagram)
    assert answer.verdict in ("", "allowed", "denied")
    if answer.wire is not None:
        assert answer.wire[:2] == data[:2]
        assert answer.wire[2] & 0x80


@given(st.binary(max_size=120), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_any_sections_are_survived(data: bytes, answers: int, authority: int, additional: int) -> None:
    wire = asked("index.example.org").to_wire()
    counts = bytes([0, answers, 0, authority, 0, additional])
    answer = stub().answer(wire[:6] + counts + wire[12:] + data, datagram=True)
    assert answer.wire is not None
    assert answer.verdict in ("allowed", "denied")


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
def test_any_labels_are_answered(labels: list[bytes]) -> None:
    reply, answer = ask(asked(dns.name.Name([*labels, b"files", b"example", b"org", b""])))
    allowed = len(labels) == 1 and answer.verdict == "allowed"
    assert reply.rcode() == (NOERROR if allowed else NXDOMAIN)
    assert answer.asked.isascii()
    assert answer.asked.isprintable()


def test_no_part_that_could_ask_others_is_loaded() -> None:
    script = (
        "import sys, hardbox.net.stub;"
        " assert not {'dns.resolver', 'dns.query', 'dns.asyncquery', 'dns.update'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
