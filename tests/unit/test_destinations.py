"""Rules and hosts: one canonical spelling each, and every odd one refused.  Run by: pytest."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.destinations import Destination, Host, allowing, covers, host_of, parse, place

_labels = st.from_regex(r"[a-z]([a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
_names = st.lists(_labels, min_size=2, max_size=4).map(".".join)
_ports = st.integers(1, 65535)
_v4 = st.ip_addresses(v=4).filter(int)
_v6 = st.integers(1, 2**128 - 1).map(ipaddress.IPv6Address).filter(lambda address: not address.ipv4_mapped)
_networks = st.builds(
    lambda address, length: ipaddress.ip_network(f"{address}/{length}", strict=False),
    _v4,
    st.integers(0, 32),
) | st.builds(
    lambda address, length: ipaddress.ip_network(f"{address}/{length}", strict=False),
    # Not ::ffff:0:0, which is what a short prefix could leave of an address.
    _v6.filter(lambda address: int(address) >> 96),
    st.integers(32, 128),
)
_rules = (
    st.builds(Destination, st.sampled_from(["name", "wildcard"]), _names, _ports)
    | st.builds(Destination, st.just("address"), (_v4 | _v6).map(str), st.just(0) | _ports)
    | st.builds(Destination, st.just("network"), _networks.map(str), st.just(0) | _ports)
).filter(lambda rule: not rule.host.endswith("localhost"))

# Every one is 127.0.0.1, 10.0.0.1 or the like to some resolver, libc or URL parser.
ODD_ADDRESSES: Final = (
    *("127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0X7F.1", "017700000001"),
    *("0177.0.0.1", "127.000.000.001", "127.0.0.01", "010.0.0.1", "127.0.0.1.", "127.0.0.0x1", "0", "0x"),
    *(
        "256.0.0.1",
        "1.2.3.4.5",
        "127.0.0.1.1",
        "1.2.3",
        "4294967295",
        "99999999999999999999",
        "a.1",
        "a.0x7f",
    ),
    *("[127.0.0.1]", "[::ffff:127.0.0.1]", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:FFFF:7f00:0001"),
    *(
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "[fe80::1%1]",
        "::1%lo",
        "[::1",
        "::1]",
        "[[::1]]",
        "[]",
        ":::",
        "::g",
    ),
    *("1:2:3:4:5:6:7:8:9", "12345::", "::1/128", "[::1]:80", "::1.2.3", "::01.2.3.4"),
    # Digits outside ASCII, and other dots.
    *(
        "\uff11\uff12\uff17.0.0.1",
        "\u2460\u2461\u2466.0.0.1",
        "127\u30020\u30020\u30021",
        "127\uff0e0\uff0e0\uff0e1",
    ),
)
ODD_NAMES: Final = (
    *("", ".", "..", ".example.org", "a..example.org", "example.org..", "-a.example.org", "a-.example.org"),
    *("a_b.example.org", "_443._tcp.example.org", "a b.example.org", " example.org", "example.org ", "a\tb"),
    *("example.org\0", "exam\0ple.org", "example.org\n", "example.org\r\n", "a\x7fb.org", "user@example.org"),
    *(
        "user:pw@example.org",
        "example.org/",
        "example.org?",
        "example.org#",
        "example.org\\",
        "ex%61mple.org",
    ),
    *("example.org:443", "https://example.org", "*.example.org", "*", "a,b.org", "a;b.org", "a'b.org", 'a"b'),
    *(
        f"{'a' * 64}.org",
        ".".join(["a" * 63] * 4),
        "ex\u200dample.org",
        "exa\u00admple.org",
        "example\u3002org",
    ),
    # Not IDNA 2008: mapped, symbols, emoji, the Kelvin sign, not NFC, mixed directions, a leading mark.
    *(
        "\uff45xample.org",
        "\u2603.org",
        "\U0001f600.org",
        "\u212aelvin.org",
        "bu\u0308cher.org",
        "\u0301a.org",
    ),
    # A-labels that are none, or that stand for what has another spelling.
    *(
        "xn--.org",
        "xn--a.org",
        "xn--zzzzzz99999.org",
        "xn--example-.org",
        "xn--bcher-kvA-.org",
        "xn--ls8h.org",
    ),
)


@pytest.mark.parametrize(
    ("text", "kind", "host", "port"),
    [
        ("index.example.org:443", "name", "index.example.org", 443),
        ("Index.EXAMPLE.org.:443", "name", "index.example.org", 443),
        ("db:5432", "name", "db", 5432),
        ("1.2.3.4.example.org:1", "name", "1.2.3.4.example.org", 1),
        ("r3---sn-x.example.org:443", "name", "r3---sn-x.example.org", 443),
        ("bücher.example.org:65535", "name", "xn--bcher-kva.example.org", 65535),
        ("BÜCHER.example.org:443", "name", "xn--bcher-kva.example.org", 443),
        ("XN--BCHER-KVA.example.org:443", "name", "xn--bcher-kva.example.org", 443),
        ("straße.example.org:443", "name", "xn--strae-oqa.example.org", 443),
        ("*.files.example.org:443", "wildcard", "files.example.org", 443),
        ("*.bücher.org:443", "wildcard", "xn--bcher-kva.org", 443),
        ("10.0.3.7:5432", "address", "10.0.3.7", 5432),
        ("10.0.3.7:*", "address", "10.0.3.7", 0),
        ("[2001:DB8:0::0001]:22", "address", "2001:db8::1", 22),
        ("[::1]:22", "address", "::1", 22),
        ("10.0.0.0/8:443", "network", "10.0.0.0/8", 443),
        ("0.0.0.0/0:443", "network", "0.0.0.0/0", 443),
        ("[2001:DB8::]/32:443", "network", "2001:db8::/32", 443),
        ("[2001:db8::]/32:*", "network", "2001:db8::/32", 0),
    ],
)
def test_a_rule_has_one_canonical_form(text: str, kind: str, host: str, port: int) -> None:
    assert parse(text) == Destination(kind, host, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no port"),
        ("example.org", "names no port"),
        ("[::1]", "names no port"),
        (":443", "empty host"),
        ("example.org:", "has port ''"),
        ("example.org:0", "has port '0'"),
        ("example.org:65536", "1 to 65535"),
        ("example.org:0443", "1 to 65535"),
        ("example.org:+443", "1 to 65535"),
        ("example.org: 443", "1 to 65535"),
        ("example.org:443\n", "1 to 65535"),
        ("example.org:\uff14\uff14\uff13", "1 to 65535"),
        ("example.org:https", "1 to 65535"),
        ("example.org:1-1024", "1 to 65535"),
        ("example.org:*", "port by port"),
        ("*.example.org:*", "port by port"),
        ("https://example.org:443", "is a URL"),
        ("user@example.org:443", 'has an "@"'),
        ("::1:443", "in brackets"),
        ("2001:db8::1:443", "in brackets"),
        ("[example.org]:443", "brackets"),
        ("[10.0.0.1]:443", "brackets"),
        ("[::1]x:443", "brackets"),
        ("[::1:443", "brackets"),
        ("[2001:db8::/32]:443", "brackets"),
        ("[fe80::1%eth0]:443", "zone"),
        ("[::ffff:10.0.0.1]:443", "write the IPv4 address"),
        ("[::ffff:10.0.0.0]/104:443", "write the IPv4 address"),
        ("[::]:443", "unspecified"),
        ("0.0.0.0:443", "unspecified"),
        ("10.0.0.1/8:443", "the network is 10.0.0.0/8"),
        ("10.0.0.0/33:443", "0 to 32"),
        ("[2001:db8::]/129:443", "0 to 128"),
        ("10.0.0.0/08:443", "prefix length"),
        ("10.0.0.0/255.0.0.0:443", "prefix length"),
        ("10.0.0.0/:443", "prefix length"),
        ("10/8:443", "four decimal numbers"),
        ("example.org/8:443", "four decimal numbers"),
        ("*:443", "whole first label"),
        ("a*.example.org:443", "whole first label"),
        ("files.*.example.org:443", "whole first label"),
        ("*.*.example.org:443", "more than one"),
        ("*.org:443", "single label"),
        ("*.org.:443", "single label"),
        ("*.:443", "empty host"),
        ("*.1.2.3.4:443", "wildcard before an address"),
        ("*.127.1:443", "wildcard before an address"),
        ("localhost:443", "sandbox's own"),
        ("a.localhost.:443", "sandbox's own"),
        ("*.b.localhost:443", "sandbox's own"),
        (f"*.{'.'.join(['a' * 63] * 3)}.{'a' * 60}:443", "more than 253"),
    ],
)
def test_what_is_no_rule_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^(has|is|names) ") as raised:
        parse(text)
    assert why in str(raised.value)


@pytest.mark.parametrize("host", [*ODD_ADDRESSES, *ODD_NAMES])
def test_odd_spellings_are_neither_hosts_nor_rules(host: str) -> None:
    with pytest.raises(ValueError, match=r"^(has|is|names) "):
        host_of(host)
    if not host.startswith("*."):
        with pytest.raises(ValueError, match=r"^(has|is|names) "):
            parse(f"{host}:443")


def test_the_longest_name_is_the_longest_there_is() -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert host_of(longest + ".").text == parse(f"{longest}:1").host == longest
    assert parse(f"*.{longest[2:]}:1").host == longest[2:]
    for text in (f"{longest}a:1", f"*.{longest[1:]}:1"):
        with pytest.raises(ValueError, match="more than 253"):
            parse(text)


def test_a_message_is_one_short_line_of_ascii() -> None:
    with pytest.raises(ValueError, match="label") as raised:
        parse("a\n\x1b[31m\u202e" * 100 + ".org:443")
    assert str(raised.value).isascii()
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.ORG.", Host("example.org", literal=False)),
        ("bücher.example.org", Host("xn--bcher-kva.example.org", literal=False)),
        ("localhost", Host("localhost", literal=False)),
        ("127.0.0.1", Host("127.0.0.1", literal=True)),
        ("[::1]", Host("::1", literal=True)),
        ("0:0::0:1", Host("::1", literal=True)),
        ("2001:DB8::A", Host("2001:db8::a", literal=True)),
        ("64:ff9b::10.0.0.1", Host("64:ff9b::a00:1", literal=True)),
    ],
)
def test_a_host_has_one_canonical_form(text: str, host: Host) -> None:
    assert host_of(text) == host


RULES: Final = tuple(
    parse(text)
    for text in (
        "*.files.example.org:443",
        "index.example.org:443",
        "a.files.example.org:443",
        "10.0.3.7:5432",
        "[2001:db8::1]:22",
        "10.1.0.0/16:443",
        "10.2.0.1:*",
    )
)


@pytest.mark.parametrize(
    ("host", "port", "rule"),
    [
        ("index.example.org", 443, "index.example.org:443"),
        ("INDEX.example.org.", 443, "index.example.org:443"),
        ("index.example.org", 80, None),
        ("xindex.example.org", 443, None),
        ("example.org", 443, None),
        ("index.example.org.evil.org", 443, None),
        ("x.index.example.org", 443, None),
        ("b.files.example.org", 443, "*.files.example.org:443"),
        ("b.FILES.example.org.", 443, "*.files.example.org:443"),
        # A rule of its own comes first: such names do not count as those of a wildcard.
        ("a.files.example.org", 443, "a.files.example.org:443"),
        ("files.example.org", 443, None),
        ("c.b.files.example.org", 443, None),
        ("bfiles.example.org", 443, None),
        ("10.0.3.7", 5432, "10.0.3.7:5432"),
        ("10.0.3.7", 443, None),
        ("2001:DB8:0::1", 22, "[2001:db8::1]:22"),
        ("[2001:db8::1]", 22, "[2001:db8::1]:22"),
        ("2001:db8::2", 22, None),
        # Rules of mode bridge are none of this mode's.
        ("10.1.0.1", 443, None),
        ("10.2.0.1", 443, None),
        ("10.2.0.1", 0, None),
        ("localhost", 443, None),
    ],
)
def test_a_host_and_port_are_allowed_by_one_rule(host: str, port: int, rule: str | None) -> None:
    assert allowing(RULES, host_of(host), port) == (parse(rule) if rule else None)


def test_no_rules_allow_nothing() -> None:
    assert allowing((), host_of("index.example.org"), 443) is None


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        ("a.b:443", "a.b:443", True),
        ("a.b:443", "a.b:80", False),
        ("*.a.b:443", "x.a.b:443", True),
        ("*.a.b:443", "*.a.b:443", True),
        ("*.a.b:443", "a.b:443", False),
        ("*.a.b:443", "x.y.a.b:443", False),
        ("*.a.b:443", "*.x.a.b:443", False),
        ("*.a.b:443", "x.a.b:80", False),
        ("x.a.b:443", "*.a.b:443", False),
        ("10.0.0.0/8:443", "10.1.2.3:443", True),
        ("10.0.0.0/8:*", "10.1.2.3:443", True),
        ("10.0.0.0/8:443", "10.1.2.3:*", False),
        ("10.0.0.0/8:*", "10.1.0.0/16:*", True),
        ("10.1.0.0/16:443", "10.0.0.0/8:443", False),
        ("10.0.0.0/8:443", "11.0.0.1:443", False),
        ("10.0.0.1/32:443", "10.0.0.1:443", True),
        ("10.0.0.1:443", "10.0.0.1/32:443", True),
        ("10.0.0.1:443", "10.0.0.2:443", False),
        ("0.0.0.0/0:443", "[2001:db8::1]:443", False),
        ("[2000::]/3:443", "[2001:db8::1]:443", True),
        ("[2000::]/3:443", "32.0.0.1:443", False),
        ("0.0.0.0/0:*", "a.b:443", False),
    ],
)
def test_what_covers_what(wide: str, narrow: str, *, answer: bool) -> None:
    assert covers(parse(wide), parse(narrow)) is answer


@given(_rules)
def test_a_rule_reads_back_as_it_is_written(rule: Destination) -> None:
    assert parse(str(rule)) == rule
    assert covers(rule, rule)


@given(_rules, _names | _v4.map(str) | _v6.map(str), _ports)
def test_what_is_allowed_is_covered_by_its_rule(rule: Destination, asked: str, port: int) -> None:
    host = host_of(asked)
    found = allowing([rule], host, port)
    as_rule = Destination("address" if host.literal else "name", host.text, port)
    in_this_mode = rule.kind != "network" and rule.port != 0
    assert (found is not None) == (in_this_mode and covers(rule, as_rule))


@given(_names, _ports)
def test_case_and_the_roots_dot_do_not_matter(name: str, port: int) -> None:
    assert parse(f"{name.upper()}.:{port}") == parse(f"{name}:{port}")
    assert host_of(name.swapcase() + ".") == host_of(name)


@given(st.text() | st.text("0123456789abcdefx.:[]%/*-", max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse, host_of):
        try:
            found = read(text)
        except ValueError:
            continue
        assert str(found).isascii()
        assert (host_of(found.text) if isinstance(found, Host) else parse(str(found))) == found


@given(st.text("0123456789abcdefxX.", min_size=1, max_size=16))
def test_what_inet_aton_reads_otherwise_is_no_host(text: str) -> None:
    try:
        meant = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        return
    try:
        assert host_of(text) == Host(meant, literal=True)
        assert text == meant
    except ValueError:
        assert text != meant


def test_reading_names_loads_nothing_slow() -> None:
    script = (
        "import sys; from hardbox.destinations import parse; parse('*.files.example.org:443');"
        " assert not {'idna', 'ipaddress', 'encodings.idna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("a.example.org", 443, "a.example.org:443"),
        ("a.example.org", 0, "a.example.org"),
        ("10.0.3.7", 22, "10.0.3.7:22"),
        ("2001:db8::1", 22, "[2001:db8::1]:22"),
        ("2001:db8::1", 0, "[2001:db8::1]"),
        ("", 0, ""),
    ],
)
def test_a_place_is_written_as_in_a_rule(host: str, port: int, text: str) -> None:
    assert place(host, port) == text
