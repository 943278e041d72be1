"""Mode `allow`: HTTP in clear text, which the broker reads and writes anew, still is HTTP.

Run by: pytest. By curl, through the proxy and past it: bodies, chunks, no bodies, connections that are used
again, and other protocols that begin as HTTP.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from support.questions import Asker, Question, Told

pytestmark = pytest.mark.usefixtures("nothing_left")
NAME: Final = "index.example.org"
RULES: Final = (f"{NAME}:80",)
ROOT: Final = f"http://{NAME}"
CURL: Final = "curl -sS -m 30"
THRICE: Final = "-o /dev/null -o /dev/null -o /dev/null"
# How long the body was that the echoing server got.
BODY: Final = "python3 -c 'import json, sys; print(len(json.load(sys.stdin)[\"body\"]))'"
# What is asked -> what curl prints.
CASES: Final = {
    "HEAD": (f"{CURL} -I {ROOT}/x | head -1 | tr -d '\\r'", "HTTP/1.1 200 OK\n"),
    "a long answer": (
        f"{CURL} {ROOT}/big?5000000 | sha256sum",
        hashlib.sha256(bytes(5_000_000)).hexdigest() + "  -\n",
    ),
    "an empty answer": (f"{CURL} {ROOT}/big?0 | wc -c", "0\n"),
    "chunks": (f"{CURL} {ROOT}/chunks?1000 | wc -c", "5000\n"),
    "no length": (f"{CURL} {ROOT}/bare", "until the end"),
    "204": (f"{CURL} -w '%{{http_code}}' {ROOT}/status?204", "204"),
    "304": (f"{CURL} -w '%{{http_code}}' {ROOT}/status?304", "304"),
    "slow": (f"{CURL} -o /dev/null -w '%{{http_code}}' {ROOT}/slow?1", "200"),
    "1.0": (f"{CURL} -0 -o /dev/null -w '%{{http_code}}' {ROOT}/x", "200"),
    "a body that waits for 100": (
        (
            "head -c 3000000 /dev/zero | tr '\\0' a >/tmp/body;"
            f" {CURL} -H 'Expect: 100-continue' --data-binary @/tmp/body {ROOT}/x | {BODY}"
        ),
        "3000000\n",
    ),
    "a chunked body": (
        f"printf %s 'some words' | {CURL} -T - {ROOT}/x -H 'Expect:' -o /dev/null -w '%{{http_code}}'",
        "200",
    ),
    "many on one connection": (
        f"{CURL} {THRICE} -w '%{{http_code}} %{{num_connects}}\\n' {ROOT}/a {ROOT}/b {ROOT}/status?204",
        "200 1\n200 0\n204 0\n",
    ),
    "a denied one between": (
        f"{CURL} {THRICE} -w '%{{http_code}}\\n' {ROOT}/a http://{NAME}:81/x {ROOT}/b; true",
        None,
    ),
}
END: Final = "\\n@@\\n"
UPGRADE: Final = """
import socket, sys
host, head = sys.argv[1:]
link = socket.create_connection((host, 80) if host != "proxy" else ("127.0.0.1", 3128))
link.settimeout(20)
link.sendall(f"GET {head}/upgrade HTTP/1.1\\r\\nHost: index.example.org\\r\\nConnection: Upgrade\\r\\n"
             "Upgrade: websocket\\r\\n\\r\\n".encode())
got = b""
while b"\\r\\n\\r\\n" not in got:
    got += link.recv(4096) or sys.exit("ended")
print(got.split(b"\\r\\n")[0].decode())
other = b"blocked.example.org"
for word in (b"\\0one", b"GET http://" + other + b"/ HTTP/1.1\\r\\nHost: " + other + b"\\r\\n\\r\\n"):
    link.sendall(word)
    print(link.recv(4096) == word)
"""


@pytest.fixture(scope="module")
def ran() -> dict[tuple[str, str], Told]:
    """What one sandbox for each caller and way was told; filled by test_curl()."""
    return {}


@pytest.mark.parametrize("by", ["proxy", "bare"])
@pytest.mark.parametrize("name", CASES)
def test_curl(asker: Asker, ran: dict[tuple[str, str], Told], name: str, by: str) -> None:
    key = asker.caller.name, by
    if key not in ran:
        unset = "unset http_proxy HTTP_PROXY all_proxy ALL_PROXY\n" if by == "bare" else ""
        script = "".join(f"({case})\nprintf '{END}'\n" for case, _ in CASES.values())
        ran[key] = asker.run("sh", "-c", unset + script, rules=RULES)
    told = ran[key]
    out = faults.ran(told.done).split("\n@@\n")[list(CASES).index(name)]
    if CASES[name][1] is None:
        codes = out.split()
        assert (codes[0], codes[2]) == ("200", "200")
        assert codes[1] == ("403" if by == "proxy" else "000")
    else:
        assert out == CASES[name][1]
    assert {row["port"] for row in told.rows(verdict="denied")} <= {81}


@pytest.mark.parametrize(("host", "head"), [(NAME, ""), ("proxy", ROOT)])
def test_upgrade(asker: Asker, host: str, head: str) -> None:
    """After 101 it is another protocol: bytes pass as they are, to the server that was allowed."""
    told = asker.run("python3", "-c", UPGRADE, host, head, rules=RULES)
    assert faults.ran(told.done) == "HTTP/1.1 101 Switching Protocols\nTrue\nTrue\n"
    assert not any("blocked" in row["line"] for row in told.saw("http"))


NO_REQUESTS: Final = (
    "GET / HTTP/1.1\r\n" + "X: " + "y" * 200_000 + "\r\n\r\n",
    "GET / HTTP/1.1\r\n" + "X: y\r\n" * 20_000 + "\r\n",
    "GET /" + "z" * 200_000 + " HTTP/1.1\r\nHost: index.example.org\r\n\r\n",
    "CONNECT " + "z" * 200_000 + ":443 HTTP/1.1\r\n\r\n",
    "\r\n" * 50_000,
    "GET\r\n\r\n",
    "\x05\x02\x01\x02rest",
    "\x04\x01\x00\x50\x7f\x00\x00\x01user\x00",
    "\x16\x03\x01\x00\x05hello",
)


def test_what_is_no_request(asker: Asker) -> None:
    """It ends in a refusal, and the broker goes on."""
    questions: list[Question] = [("proxy", text) for text in NO_REQUESTS]
    questions += [("tcp", NAME, 80, text) for text in NO_REQUESTS]
    questions += [("proxy", f"GET {ROOT}/x HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n")]
    told = asker.ask(*questions, rules=RULES)
    for question, found in zip(questions[:-1], told.answers, strict=False):
        assert not found.get("got", "").startswith("HTTP/1.1 2"), (str(question)[:99], found)
    assert "200 OK" in told.answers[-1]["got"]
    assert len(told.saw("http")) == 1
    assert told.report["network"]["complete"] is True
