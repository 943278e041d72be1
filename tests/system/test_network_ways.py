"""Mode `allow`: what is allowed works by every way in, with and without help of the program.

Run by: pytest. Ways: transparent (the program knows of nothing), CONNECT, absolute-form HTTP, SOCKS5. What
real programs make of them is in test_network_clients.py.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults
from support import internet_map as at

if TYPE_CHECKING:
    from support.questions import Asker, Question, Told

pytestmark = pytest.mark.usefixtures("nothing_left")
SIX: Final = os.path.exists("/proc/net/if_inet6")
RULES: Final = (
    "index.example.org:443",
    "index.example.org:80",
    f"index.example.org:{at.ECHO}",
    f"index.example.org:{at.BANNER_PORT}",
    f"index.example.org:{at.COUNT}",
    f"index.example.org:{at.HTTP_ODD}",
    "*.files.example.org:443",
    "two.example.org:80",
    "half-dark.example.org:80",
    "bücher.example.org:80",
    "six.example.org:80",
    f"{at.INWARDS}:{at.ECHO}",
    f"[{at.SIX}]:{at.ECHO}",
)
ALL: Final = ("--set", "network.log=all")
WORDS: Final = "there and back\n"
NAME: Final = "index.example.org"


def get(host: str, path: str = "/x", form: str = "") -> str:
    """Give a request; form: what stands before the path for a proxy."""
    return f"GET {form}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


def echoed(answer: dict[str, Any]) -> dict[str, Any]:
    """Give what the echoing web server saw."""
    head, _, body = answer["got"].partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200"), answer
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.fixture(scope="module")
def asked() -> dict[str, Told]:
    """What one sandbox of each caller was told; filled by told()."""
    return {}


BIG: Final = "x\n" * 150_000
BY_WEB: Final[dict[str, Question]] = {
    "transparent": ("tcp", NAME, at.HTTP, get(NAME)),
    "transparent, odd port": ("tcp", NAME, at.HTTP_ODD, get(f"{NAME}:{at.HTTP_ODD}")),
    "transparent, capitals": ("tcp", "INDEX.Example.ORG", at.HTTP, get("INDEX.Example.ORG")),
    "transparent, last dot": ("tcp", f"{NAME}.", at.HTTP, get(f"{NAME}.")),
    "absolute form": ("proxy", get(NAME, form=f"http://{NAME}")),
    "absolute form, port": ("proxy", get(f"{NAME}:80", form=f"http://{NAME}:80")),
    "absolute form, odd port": ("proxy", get(f"{NAME}:8080", form=f"http://{NAME}:8080")),
    "absolute form, capitals": ("proxy", get("INDEX.example.org", form="HTTP://INDEX.example.org")),
    "CONNECT": ("proxy", f"CONNECT {NAME}:80 HTTP/1.1\r\nHost: {NAME}:80\r\n\r\n", get(NAME)),
    "CONNECT, 1.0": ("proxy", f"CONNECT {NAME}:80 HTTP/1.0\r\n\r\n", get(NAME)),
    "CONNECT, last dot": ("proxy", f"CONNECT {NAME}.:80 HTTP/1.1\r\nHost: {NAME}.\r\n\r\n", get(f"{NAME}.")),
    "SOCKS": ("socks", 3, NAME, at.HTTP, get(NAME)),
    "SOCKS, half closed": ("socks", 3, NAME, at.HTTP, get(NAME), {"end": True}),
    "SOCKS, capitals": ("socks", 3, "Index.EXAMPLE.org", at.HTTP, get(NAME)),
    "IDNA": ("tcp", "xn--bcher-kva.example.org", at.HTTP, get("xn--bcher-kva.example.org")),
    "IDNA, SOCKS": ("socks", 3, "xn--bcher-kva.example.org", 80, get("xn--bcher-kva.example.org")),
    "one of its addresses leads inwards": ("tcp", "two.example.org", 80, get("two.example.org")),
    "one of its addresses leads nowhere": ("tcp", "half-dark.example.org", 80, get("half-dark.example.org")),
}
BY_TLS: Final[dict[str, Question]] = {
    **{f"HTTPS, {way}": ("tls", way, NAME, 443, NAME) for way in ("direct", "connect", "socks")},
    **{
        f"HTTPS, wildcard, {way}": ("tls", way, "a.files.example.org", 443, "a.files.example.org")
        for way in ("direct", "connect", "socks")
    },
}
BY_ECHO: Final[dict[str, Question]] = {
    "transparent": ("tcp", NAME, at.ECHO, WORDS, {"end": True}),
    "SOCKS": ("socks", 3, NAME, at.ECHO, WORDS),
    "a word without an end of line": ("tcp", NAME, at.ECHO, WORDS.rstrip(), {"end": True}),
    "a literal address": ("tcp", at.INWARDS, at.ECHO, WORDS, {"end": True}),
    "a literal address, SOCKS": ("socks", 1, at.INWARDS, at.ECHO, WORDS),
    "a literal address as a SOCKS name": ("socks", 3, at.INWARDS, at.ECHO, WORDS),
}
SIXES: Final[dict[str, Question]] = {
    "literal": ("tcp", at.SIX, at.ECHO, WORDS, {"end": True}),
    "literal, SOCKS": ("socks", 4, at.SIX, at.ECHO, WORDS),
    "literal, long spelling, SOCKS name": ("socks", 3, "2606:2800:0220:0001::0034", at.ECHO, WORDS),
}
SIX_CONNECT: Final[dict[str, Question]] = {
    "literal, CONNECT": (
        "proxy",
        f"CONNECT [{at.SIX}]:{at.ECHO} HTTP/1.1\r\nHost: [{at.SIX}]\r\n\r\n",
        WORDS,
    ),
}
OTHER: Final[dict[str, Question]] = {
    "speaks first": ("talk", NAME, at.BANNER_PORT, len(at.BANNER), WORDS),
    "half close, transparent": ("tcp", NAME, at.COUNT, BIG, {"end": True}),
    "half close, SOCKS": ("socks", 3, NAME, at.COUNT, BIG),
}
EVERY: Final = {
    **{f"web: {name}": question for name, question in BY_WEB.items()},
    **{f"tls: {name}": question for name, question in BY_TLS.items()},
    **{f"echo: {name}": question for name, question in BY_ECHO.items()},
    **{f"other: {name}": question for name, question in OTHER.items()},
    "name 4": ("dns", NAME),
    "name 6": ("dns", NAME, "AAAA"),
    "name, TCP": ("dns", NAME, "A", "tcp"),
    "file": ("text", "/etc/resolv.conf"),
}


@pytest.fixture
def told(asker: Asker, asked: dict[str, Told]) -> Told:
    """Ask everything in one sandbox, once for each caller."""
    if asker.caller.name not in asked:
        asked[asker.caller.name] = asker.ask(*EVERY.values(), rules=RULES, words=ALL)
    return asked[asker.caller.name]


def answer(told: Told, name: str) -> dict[str, Any]:
    """Give the answer of one question."""
    return told.answers[list(EVERY).index(name)]


@pytest.mark.parametrize("name", BY_WEB)
def test_web(told: Told, name: str) -> None:
    found = answer(told, f"web: {name}")
    if "CONNECT" in name:
        assert found["head"].startswith("HTTP/1.1 200"), found
    saw = echoed(found)
    assert saw["line"] == "GET /x HTTP/1.1"
    assert saw["to"] == at.ONE
    hosts = [value.lower().rstrip(".") for key, value in saw["headers"] if key.lower() == "host"]
    assert len(hosts) == 1
    assert hosts[0].partition(":")[0].rstrip(".").endswith(".example.org")


def test_a_proxys_headers_do_not_pass(told: Told) -> None:
    rows = told.saw("http")
    names = {key.lower() for row in rows for key, _ in row["headers"]}
    assert rows
    assert names & {"via", "x-forwarded-for", "proxy-connection", "forwarded", "proxy-authorization"} == set()


@pytest.mark.parametrize("name", BY_TLS)
def test_tls(told: Told, name: str) -> None:
    saw = echoed(answer(told, f"tls: {name}"))
    host = "a.files.example.org" if "wildcard" in name else NAME
    assert saw["name"] == host
    assert saw["to"] == at.NAMES[host][0]


@pytest.mark.parametrize("name", BY_ECHO)
def test_echo(told: Told, name: str) -> None:
    found = answer(told, f"echo: {name}")
    assert found.get("got", "").rstrip() == WORDS.rstrip(), found


@pytest.mark.parametrize("name", ["half close, transparent", "half close, SOCKS"])
def test_half_close(told: Told, name: str) -> None:
    digest = hashlib.sha256(BIG.encode()).hexdigest()
    assert answer(told, f"other: {name}").get("got") == f"{len(BIG)} {digest}"


def test_speaks_first(told: Told) -> None:
    assert answer(told, "other: speaks first") == {"first": at.BANNER, "got": WORDS}


def test_names_are_synthetic(told: Told) -> None:
    """The job never learns an address of the real network."""
    for name in ("name 4", "name, TCP"):
        found = answer(told, name)
        assert found["rcode"] == 0
        assert [one.split(".")[0:2] in (["198", "18"], ["198", "19"]) for one in found["answers"]] == [True]
    assert answer(told, "name 4")["answers"] == answer(told, "name, TCP")["answers"]
    six = answer(told, "name 6")
    assert six["rcode"] == 0
    assert all(one.startswith("fd68:6278:6f78:") for one in six["answers"])
    lines = answer(told, "file")["got"].splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["nameserver 127.0.0.1"]


def test_report_has_every_way(told: Told) -> None:
    ways = {row["via"] for row in told.rows(verdict="allowed", host=NAME)}
    assert {"transparent", "connect", "http", "socks"} <= ways
    network = told.report["network"]
    assert network["connections"] >= len(BY_WEB)
    assert network["sent"] > 2 * len(BIG)
    assert told.rows(verdict="denied") == []
    assert told.rows(verdict="failed") == []


def test_only_these_names_were_resolved(told: Told) -> None:
    rules = {rule.rpartition(":")[0] for rule in RULES} | {"a.files.example.org", "xn--bcher-kva.example.org"}
    assert told.names_asked <= rules


@pytest.mark.skipif(not SIX, reason="this host has no IPv6")
def test_ipv6(asker: Asker) -> None:
    questions = {**SIXES, **SIX_CONNECT, "name": ("tcp", "six.example.org", 80, get("six.example.org"))}
    told = asker.ask(*questions.values(), rules=RULES, words=ALL)
    found = dict(zip(questions, told.answers, strict=True))
    assert {name: found[name].get("got") for name in SIXES} == dict.fromkeys(SIXES, WORDS)
    assert found["literal, CONNECT"]["head"].startswith("HTTP/1.1 200"), found
    assert echoed(found["name"])["to"] == at.SIX


@pytest.mark.skipif(not SIX, reason="this host has no IPv6")
def test_synthetic_ipv6(asker: Asker) -> None:
    """A program that speaks IPv6 alone reaches a server that has none."""
    fetch = ("curl", "-6", "-sS", "-m", "20", "--noproxy", "*", f"http://{NAME}/x")
    told = asker.run(*fetch, rules=RULES, words=ALL)
    assert json.loads(faults.ran(told.done))["to"] == at.ONE


def test_large_transfer(asker: Asker) -> None:
    size = 200_000_000
    fetch = "curl -sS --max-time 60 -o /dev/null -w '%{size_download}\\n' "
    script = f"{fetch} http://{NAME}/big?{size}; {fetch} --noproxy '*' http://{NAME}/big?{size}"
    told = asker.run("sh", "-c", script, rules=RULES, words=ALL)
    assert faults.ran(told.done) == f"{size}\n{size}\n"
    assert told.report["network"]["received"] >= 2 * size
