"""Mode `allow`: what is not allowed gets nowhere, at once, in words, and is in the report.

Run by: pytest. Every attempt is made in the tests' internet, where it works without a sandbox; what
its servers saw meanwhile is the judge. Others' published bugs have their own files (test_network_bypass.py).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults
from support import internet_map as at

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed
    from support.questions import Asker, Question

pytestmark = pytest.mark.usefixtures("nothing_left")
RULES: Final = ("index.example.org:443", "*.files.example.org:443", f"{at.INWARDS}:{at.ECHO}")
SIX: Final = os.path.exists("/proc/net/if_inet6")
NAME: Final = "index.example.org"
BLOCKED: Final = "blocked.example.org"


def get(host: str, form: str = "") -> str:
    """Give a request; form: what stands before the path for a proxy."""
    return f"GET {form}/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


def connect(host: str, more: str = "") -> tuple[str, str, str]:
    """Give the question for a tunnel."""
    return ("proxy", f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n", get("index.example.org"))


# What is asked -> the row that it leaves: host, port, via.
BY_PROXY: Final[dict[str, tuple[Question, tuple[str, int, str]]]] = {
    "another name": (connect(f"{BLOCKED}:443"), (BLOCKED, 443, "connect")),
    "another port": (connect(f"{NAME}:8080"), (NAME, 8080, "connect")),
    "the port of another rule": (connect(f"{NAME}:{at.ECHO}"), (NAME, at.ECHO, "connect")),
    "the suffix of a wildcard": (connect("files.example.org:443"), ("files.example.org", 443, "connect")),
    "two labels for a wildcard": (
        connect("deep.a.files.example.org:443"),
        ("deep.a.files.example.org", 443, "connect"),
    ),
    "a name that ends alike": (connect("xfiles.example.org:443"), ("xfiles.example.org", 443, "connect")),
    "a longer name": (connect(f"{NAME}.attacker.test:443"), (f"{NAME}.attacker.test", 443, "connect")),
    "an address": (connect(f"{at.ONE}:443"), (at.ONE, 443, "connect")),
    "another port of an address": (connect(f"{at.INWARDS}:80"), (at.INWARDS, 80, "connect")),
    "absolute form": (("proxy", get(BLOCKED, form=f"http://{BLOCKED}")), (BLOCKED, 80, "http")),
    "absolute form of an allowed name": (("proxy", get(NAME, form=f"http://{NAME}")), (NAME, 80, "http")),
    "the job's own loopback": (
        ("proxy", get("localhost", form="http://localhost")),
        ("localhost", 80, "http"),
    ),
}
BY_SOCKS: Final[dict[str, tuple[Question, tuple[str, int, str]]]] = {
    "another name": (("socks", 3, BLOCKED, 443, "x"), (BLOCKED, 443, "socks")),
    "another port": (("socks", 3, NAME, 80, "x"), (NAME, 80, "socks")),
    "an address": (("socks", 1, at.ONE, 443, "x"), (at.ONE, 443, "socks")),
    "an address of the sixth": (("socks", 4, at.SIX, 443, "x"), (at.SIX, 443, "socks")),
    "loopback": (("socks", 1, "127.0.0.1", 80, "x"), ("127.0.0.1", 80, "socks")),
}
BY_NAME: Final = (
    *(BLOCKED, "files.example.org", "attacker.test", "deep.a.files.example.org", "example.org", "org"),
    *(f"{NAME}.attacker.test", "c2VjcmV0.blocked.example.org"),
)
BY_ADDRESS: Final = (
    *((one, at.HTTP) for one in (*at.V4, at.DARK, *(at.V6 if SIX else ()))),
    *((one, at.HTTPS) for one in (at.ONE, at.TWO, at.INWARDS)),
    (at.ONE, at.ECHO),
)


def test_by_proxy(asker: Asker) -> None:
    told = asker.ask(*(question for question, _ in BY_PROXY.values()), rules=RULES)
    for name, found, (_, (host, port, via)) in zip(BY_PROXY, told.answers, BY_PROXY.values(), strict=True):
        said = found.get("head", "") + found["got"]
        head, _, body = said.partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 403"), (name, said)
        assert "x-hardbox: blocked" in head.lower(), (name, head)
        assert "content-type: text/plain" in head.lower(), (name, head)
        assert "hardbox: blocked by profile net-client" in body, (name, body)
        assert "not a network failure" in body, (name, body)
        assert "do not retry" in body, (name, body)
        assert f"--allow {host}:{port}" in body, (name, body)
        (row,) = told.rows(host=host, port=port, via=via)
        assert (row["verdict"], row["reason"], row["count"]) == ("denied", "not-allowed", 1), name
    assert told.seen == []


def test_by_socks(asker: Asker) -> None:
    told = asker.ask(*(question for question, _ in BY_SOCKS.values()), rules=RULES)
    assert told.answers == [{"reply": 2}] * len(BY_SOCKS)
    for _, (host, port, via) in BY_SOCKS.values():
        (row,) = told.rows(host=host, port=port, via=via)
        assert (row["verdict"], row["reason"]) == ("denied", "not-allowed")
    assert told.seen == []


def test_by_name(asker: Asker) -> None:
    """A name that is not allowed does not exist, says who says so (RFC 8914), and is asked of nobody."""
    questions: list[Question] = []
    for name in BY_NAME:
        questions += [("dns", name, "A", over, "127.0.0.1", 1232) for over in ("udp", "tcp")]
        questions += [("dns", name, kind) for kind in ("AAAA", "TXT", "MX", "NS", "HTTPS", "ANY")]
    told = asker.ask(*questions, *(("lookup", name) for name in BY_NAME), rules=RULES)
    for question, found in zip(questions, told.answers, strict=False):
        assert (found["rcode"], found["answers"]) in [(3, []), (4, []), (5, [])], (question, found)
        if question[2] in ("A", "AAAA"):
            assert found["rcode"] == 3, (question, found)
        if len(question) > 4:
            assert found["errors"] == [15], (question, found)
    lookups = [found.get("error") for found in told.answers[len(questions) :]]
    assert lookups == ["EAI_NONAME"] * len(BY_NAME)
    assert told.seen == []
    for name in BY_NAME:
        rows = told.rows(host=name.lower(), via="dns", verdict="denied", reason="not-allowed")
        assert sum(row["count"] for row in rows) >= 2, name


def test_by_address(asker: Asker) -> None:
    """There is no way there: the kernel says so at once, before any policy."""
    questions = [("tcp", host, port, get(NAME)) for host, port in BY_ADDRESS]
    told = asker.ask(*questions, rules=RULES)
    answers = dict(zip(BY_ADDRESS, told.answers, strict=True))
    wrong = {where: found for where, found in answers.items() if not _nothing(found)}
    assert wrong == {}
    unroutable = [found for (host, _), found in answers.items() if host != at.INWARDS]
    assert all(found.get("error") in ("ENETUNREACH", "EACCES", "EADDRNOTAVAIL") for found in unroutable)
    assert told.seen == []


def _nothing(found: dict[str, Any]) -> bool:
    return "error" in found or (found["got"] == "" and found["end"] in ("ECONNRESET", "eof"))


def test_datagrams(asker: Asker) -> None:
    """No datagram gets out: not to a rule's own name or address, nor as DNS past the stub, nor as QUIC."""
    hosts = (NAME, "a.files.example.org", at.INWARDS, at.ONE, at.RESOLVER, *((at.SIX,) if SIX else ()))
    questions: list[Question] = [
        ("udp", host, port, "secret") for host in hosts for port in (at.HTTPS, at.ECHO, 53, 123)
    ]
    questions += [("dns", "secret.test", "A", "udp", server) for server in (at.RESOLVER, at.ONE, "127.0.0.2")]
    told = asker.ask(*questions, rules=RULES)
    got = [
        (question, found)
        for question, found in zip(questions, told.answers, strict=True)
        if "error" not in found
    ]
    assert got == []
    assert told.saw("datagram") == []
    assert told.saw("dns") == []
    outside = asker.ask_outside(("udp", at.ONE, at.ECHO, "control"))
    assert outside == [{"got": "control"}]


def test_said_after_the_job(asker: Asker) -> None:
    """The explanation names each destination and the flag, pasteable, for what was tried."""
    script = f"curl -sS -m 9 https://{BLOCKED}/; curl -sS -m 9 --noproxy '*' https://{BLOCKED}/; true"
    told = asker.run("sh", "-c", script, rules=RULES)
    assert told.done.returncode == 0
    assert f"{BLOCKED}:443" in told.done.stderr
    assert f"--allow {BLOCKED}:443" in told.done.stderr
    assert "Traceback" not in told.done.stderr
    block = told.done.stderr[told.done.stderr.index("hardbox: ") :]
    assert not faults.CONTROL.search(block.replace("\n", ""))


def test_what_is_suggested_works(asker: Asker) -> None:
    fetch = ("curl", "-sS", "-m", "9", "-f", "-o", "/dev/null", f"http://{BLOCKED}/")
    denied = asker.run(*fetch, rules=RULES)
    assert denied.done.returncode != 0
    assert f"--allow {BLOCKED}:80" in denied.done.stderr
    allowed = asker.run(*fetch, rules=(*RULES, f"{BLOCKED}:80"))
    assert faults.ran(allowed.done) == ""


@pytest.mark.parametrize("log", ["off", "denied", "all"])
def test_log(asker: Asker, log: str) -> None:
    questions = (("socks", 3, BLOCKED, 443, "x"), ("tls", "direct", NAME, 443, NAME))
    told = asker.ask(*questions, rules=RULES, words=("--set", f"network.log={log}"))
    assert bool(told.rows(host=BLOCKED, verdict="denied")) == (log != "off")
    assert bool(told.rows(host=NAME, verdict="allowed")) == (log == "all")


def test_failed_is_not_denied(asker: Asker) -> None:
    """A destination that is allowed but not there: other words, another status, no advice to allow it."""
    rules = ("gone.example.org:80", "dark.example.org:80", f"index.example.org:{at.CLOSED}")
    told = asker.ask(
        ("proxy", get("gone.example.org", form="http://gone.example.org")),
        ("proxy", get("dark.example.org", form="http://dark.example.org")),
        connect(f"index.example.org:{at.CLOSED}"),
        ("socks", 3, "gone.example.org", 80, "x"),
        ("socks", 3, "index.example.org", at.CLOSED, "x"),
        ("tcp", "gone.example.org", 80, "x"),
        rules=rules,
    )
    for found in told.answers[:3]:
        said = found.get("head", "") + found["got"]
        assert said.startswith(("HTTP/1.1 502", "HTTP/1.1 504")), said
        assert "x-hardbox: blocked" not in said.lower()
    assert {found["reply"] for found in told.answers[3:5]} <= {1, 3, 4, 5}
    assert _nothing(told.answers[5])
    assert {row["reason"] for row in told.rows(verdict="failed")} == {"unresolved", "unreachable"}
    assert told.rows(verdict="denied") == []


# Asks for one name after another, by DNS and by the proxy, and is gone before anybody can have answered.
HURRY: Final = """
import os, socket
kept = []
for number in range(40):
    name = b"h%d.attacker.test" % number
    link = socket.create_connection(("127.0.0.1", 3128))
    link.sendall(b"\\5\\1\\0\\5\\1\\0\\3" + bytes([len(name)]) + name + b"\\1\\xbb")
    kept.append(link)
    query = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    labels = b"".join(bytes([len(one)]) + one for one in (b"q%d" % number, b"attacker", b"test"))
    query.sendto(b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + labels + b"\\0\\0\\1\\0\\1", ("127.0.0.1", 53))
os._exit(0)
"""


def test_what_a_job_tries_last_is_told_too(caller: Caller, program: Installed, place: str) -> None:
    """Its end comes while most of it waits to be accepted."""
    report = f"{place}/report.json"
    words = ("run", "--profile", "net-client", "--allow", f"{NAME}:443", "--report", report, "--")
    faults.ran(caller.run(program.hardbox, *words, "python3", "-c", HURRY))
    with open(report, encoding="utf-8") as file:
        network = json.load(file)["network"]
    hosts = {row["host"] for row in network["contacts"]}
    assert network["complete"]
    assert hosts == {f"{kind}{number}.attacker.test" for kind in "hq" for number in range(40)}
