"""Mode `allow`: the list itself. Bad and empty ones run nothing, limits hold, own servers are reached.

Run by: pytest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from support import faults
from support import internet_map as at

if TYPE_CHECKING:
    from support.questions import Asker, Question

pytestmark = pytest.mark.usefixtures("nothing_left")
NAME: Final = "index.example.org"
RULES: Final = (f"{NAME}:443", f"{NAME}:80", f"{NAME}:{at.ECHO}")
LOCAL: Final = """
import json, os, socket, threading, urllib.request
serve = socket.create_server(("127.0.0.1", 4321))
def answer():
    link = serve.accept()[0]
    link.recv(9999)
    link.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nmine")
threading.Thread(target=answer, daemon=True).start()
print(urllib.request.urlopen("http://localhost:4321/").read().decode())
print({name: os.environ.get(name) for name in ("http_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy")})
"""
BAD: Final = (
    *(
        NAME,
        f"{NAME}:",
        f"{NAME}:0",
        f"{NAME}:65536",
        f"{NAME}:https",
        f"{NAME}:-1",
        f"{NAME}:4 43",
        ":443",
        "",
    ),
    *(
        "*:443",
        "*.org:443",
        "*.*.example.org:443",
        "a.*.example.org:443",
        "*a.example.org:443",
        "**.example.org:443",
    ),
    *(
        f"https://{NAME}",
        f"https://{NAME}:443/",
        f"user@{NAME}:443",
        f"{NAME}:443/path",
        f"{NAME}:443,b.org:443",
    ),
    *(
        "0x7f.1:80",
        "127.1:80",
        "2130706433:80",
        "0177.0.0.1:80",
        "::1:80",
        "[::1]",
        "[::1%lo]:80",
        "2001:db8::1:22",
    ),
    *(
        f"{NAME}..:443",
        "in dex.example.org:443",
        "index\t.example.org:443",
        "a" * 64 + ".org:443",
        "[index]:443",
    ),
)


@pytest.mark.parametrize("rule", BAD)
def test_bad_rule_runs_nothing(asker: Asker, rule: str) -> None:
    told = asker.run("true", rules=(f"{NAME}:443", rule))
    faults.refusal(told.done)
    assert told.seen == []


@pytest.mark.parametrize("more", [(), ("--set", "network.allow=[]")])
def test_an_empty_list_runs_nothing(asker: Asker, more: tuple[str, ...]) -> None:
    """Or runs with no way out; never with every way out."""
    told = asker.run("curl", "-sS", "-m", "5", f"http://{NAME}/", words=more)
    assert told.done.returncode != 0
    assert told.seen == []


@pytest.mark.parametrize(
    "setting",
    [
        'network.allow="everything"',
        "network.allow=true",
        "network.sni=maybe",
        "network.log=loud",
        "network.allow=[1]",
        "network.allows=[]",
        "network.mode=anything",
    ],
)
def test_an_unreadable_list_runs_nothing(asker: Asker, setting: str) -> None:
    told = asker.run("true", rules=RULES, words=("--set", setting))
    faults.refusal(told.done)


@pytest.mark.skipif(os.geteuid() != 0, reason="in the internet of an ordinary user nobody known owns /")
def test_a_list_in_a_profile(asker: Asker) -> None:
    path = os.path.join(asker.place, "mine.toml")
    text = f'summary = "One."\nextends = "net-client"\n[network]\nallow = ["{NAME}:443"]\n'
    text += '[loosen]\n"network.allow" = "the test of it"\n'
    faults.own(asker.caller, path, text)
    told = asker.ask(
        ("tls", "direct", NAME, 443, NAME), ("socks", 3, "blocked.example.org", 443, "x"), profile=path
    )
    assert "200" in told.answers[0]["got"]
    assert told.answers[1] == {"reply": 2}


def test_allow_without_the_mode_is_no_network(asker: Asker) -> None:
    """In a profile without network the flag alone opens nothing silently."""
    told = asker.run("true", rules=(f"{NAME}:443",), profile="strict")
    assert told.done.returncode in (0, 125)
    if told.done.returncode == 125:
        faults.refusal(told.done)


def test_own_servers_are_reached(asker: Asker) -> None:
    """NO_PROXY names loopback, so that a job's tests of its own servers work (and only those)."""
    told = asker.run("python3", "-c", LOCAL, rules=RULES)
    out = faults.ran(told.done).splitlines()
    assert out[0] == "mine"
    assert "'http_proxy': 'http://127.0.0.1:3128'" in out[1]
    assert "'HTTPS_PROXY': 'http://127.0.0.1:3128'" in out[1]
    assert "'all_proxy': 'http://127.0.0.1:3128'" in out[1]
    assert "'no_proxy': 'localhost,127.0.0.1,::1'" in out[1]
    assert told.seen == []


def test_the_callers_proxy_is_not_the_jobs(asker: Asker) -> None:
    """Nor does the broker take what the caller's environment says for its way out."""
    words = asker.words(rules=RULES)
    proxies = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    env = dict.fromkeys(proxies, "http://evil.test:9") | {
        "no_proxy": "*",
        "RES_OPTIONS": "debug",
        "HOSTALIASES": "/x",
    }
    done = asker.internet.run(
        asker.caller,
        *words,
        "--",
        "curl",
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        f"http://{NAME}/",
        env=env,
    )
    assert faults.ran(done) == "200"


def test_limit_of_connections(asker: Asker) -> None:
    hold: list[Question] = [("talk", NAME, at.ECHO, 0, "x" * 9 + "\n") for _ in range(4)]
    script = (
        "import socket, time\n"
        f"links = [socket.create_connection(('{NAME}', {at.ECHO})) for _ in range(6)]\n"
        "answers = []\n"
        "for link in links:\n"
        "    try:\n"
        "        link.sendall(b'x\\n')\n"
        "        answers.append(len(link.recv(1)))\n"
        "    except OSError:\n"
        "        answers.append(0)\n"
        "print(sorted(answers))\n"
    )
    told = asker.run("python3", "-c", script, rules=RULES, words=("--set", "network.connections=4"))
    assert faults.ran(told.done) == "[0, 0, 1, 1, 1, 1]\n"
    assert sum(row["count"] for row in told.rows(reason="limit-connections")) == 2
    assert told.report["network"]["most"] == 4
    # The limit is of how many at once.
    again = asker.ask(*hold, *hold, rules=RULES, words=("--set", "network.connections=12"))
    assert again.rows(reason="limit-connections") == []


def test_limit_of_bytes(asker: Asker) -> None:
    fetch = (
        "curl",
        "-sS",
        "-m",
        "30",
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        f"http://{NAME}/big?9000000",
    )
    told = asker.run(*fetch, rules=RULES, words=("--set", "network.bytes=1M"))
    assert told.done.returncode != 0
    assert int(told.done.stdout) <= 1 << 20
    assert told.rows(reason="limit-bytes") != []
    assert told.report["network"]["received"] <= 1 << 20


def test_limit_of_idleness(asker: Asker) -> None:
    told = asker.ask(("tcp", NAME, at.ECHO, "x\n"), rules=RULES, words=("--set", "network.idle=1s"))
    (found,) = told.answers
    assert found["got"] == "x\n"
    assert found["end"] in ("eof", "ECONNRESET")
    assert told.rows(reason="limit-idle") != []


def test_limit_of_rate(asker: Asker) -> None:
    questions: list[Question] = [("socks", 3, NAME, at.ECHO, "x\n") for _ in range(60)]
    told = asker.ask(*questions, rules=RULES, words=("--set", "network.rate=5"))
    denied = [found for found in told.answers if found.get("got") != "x\n"]
    assert denied != []
    assert sum(row["count"] for row in told.rows(reason="limit-rate")) >= len(denied) - 1
