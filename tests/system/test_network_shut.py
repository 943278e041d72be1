"""Modes `none` and `loopback`: nothing gets out, nothing comes in, and nothing is there to try it with.

Run by: pytest. The sandboxes stand in the tests' internet, where each of the same attempts works without
one (test_network_world.py has more). Sockets of other families and other doors to the kernel are rows of
the corpus (hardbox/verify/corpus: K5-socket, K5-protocol, K5-netlink, K9 io_uring, K16, K17).
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

import pytest
from support import audit, faults
from support import internet_map as at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.questions import Asker

pytestmark = pytest.mark.usefixtures("nothing_left")
GET: Final = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
SIX: Final = os.path.exists("/proc/net/if_inet6")
V6: Final = at.V6 if SIX else ()
# mode -> the words that ask for it
MODES: Final = {
    "none": ("--network", "none"),
    "loopback": ("--network", "loopback", "--loosen", "network.mode=the test of it"),
}
# EACCES: Landlock, where the kernel has it for TCP.
AWAY: Final = {
    *("ENETUNREACH", "ECONNREFUSED", "EAI_AGAIN", "EAI_NONAME", "EADDRNOTAVAIL", "EHOSTUNREACH", "EACCES"),
}
LISTEN: Final = "import socket, sys; here = ('127.0.0.1', 4321); s = socket.create_server(here); "
OUT: Final = (
    *(("tcp", one, at.HTTP, GET) for one in (*at.V4, "127.0.0.1", "127.9.9.9", *V6)),
    *(("udp", one, at.ECHO, "datagram") for one in (*at.V4, "127.0.0.1", *V6)),
    ("tcp", "::1", at.HTTP, GET) if SIX else ("tcp", "0.0.0.0", at.HTTP, GET),  # noqa: S104 (a destination)
    ("dns", "secret.example.org", "A", "udp", at.RESOLVER),
    ("lookup", "index.example.org"),
    ("tls", "direct", "index.example.org", at.HTTPS, "index.example.org"),
)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def looked_at(asker: Asker, mode: str) -> Iterator[audit.Network]:
    words = asker.words(*MODES[mode], rules=(), profile="strict")
    child = asker.internet.spawn(asker.caller, *words, "--", "sh", "-c", "echo up; exec sleep 600")
    try:
        assert faults.read_line(child) == "up"
        yield audit.network(audit.inside(child, audit.of(asker.internet.process.pid)))
    finally:
        child.send_signal(signal.SIGTERM)
        faults.finish(child)


def test_nothing_gets_out(asker: Asker, mode: str) -> None:
    told = asker.ask(*OUT, words=MODES[mode], profile="strict")
    assert [answer for answer in told.answers if answer.get("error") not in AWAY] == []
    assert told.seen == []
    outside = asker.ask_outside(*OUT)
    assert [answer for answer in outside if "error" in answer] == []


def test_seen_from_outside(looked_at: audit.Network, mode: str) -> None:
    assert set(looked_at.links) == {"lo"}
    assert ("UP" in looked_at.links["lo"]) == (mode == "loopback")
    assert looked_at.rules == ()
    assert looked_at.sockets == frozenset()
    assert looked_at.unix == ()
    beyond = [row for row in looked_at.routes if not _to_itself(row)]
    assert beyond == []
    assert bool(looked_at.routes) == (mode == "loopback")


def _to_itself(route: tuple[str, str, str, str]) -> bool:
    """Say whether a route is one of those that the kernel makes for an interface lo that is up."""
    _table, _kind, destination, device = route
    return device == "lo" and destination in {
        "127.0.0.0/8",
        "127.0.0.1",
        "127.255.255.255",
        "127.0.0.0",
        "::1",
    }


def test_loopback_is_the_sandboxes_own(asker: Asker) -> None:
    """A job reaches its own servers; those of another sandbox at the same address are others."""
    serve = LISTEN + "print('up', flush=True); sys.stdin.read()"
    words = asker.words(*MODES["loopback"], rules=(), profile="strict")
    child = asker.internet.spawn(asker.caller, *words, "--", "python3", "-c", serve)
    try:
        assert faults.read_line(child) == "up"
        abstract = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0mine'); print('bound')"
        both = LISTEN + "b = socket.create_connection(here); s.accept()[0].sendall(b'own'); print(b.recv(9))"
        told = asker.ask(("tcp", "127.0.0.1", 4321), words=MODES["loopback"], profile="strict")
        assert told.answers == [{"error": "ECONNREFUSED"}]
        own = asker.run("python3", "-c", both, words=MODES["loopback"], profile="strict")
        assert faults.ran(own.done) == "b'own'\n"
        own = asker.run("python3", "-c", abstract, words=MODES["loopback"], profile="strict")
        assert faults.ran(own.done) == "bound\n"
    finally:
        faults.finish(child)


def test_none_has_not_even_that(asker: Asker) -> None:
    told = asker.run("python3", "-c", LISTEN, words=MODES["loopback"], profile="strict")
    faults.ran(told.done)
    connect = LISTEN + "socket.create_connection(here)"
    told = asker.run("python3", "-c", connect, words=MODES["none"], profile="strict")
    assert told.done.returncode == 1
    assert any(why in told.done.stderr for why in ("Network is unreachable", "Permission denied"))


def test_host_is_refused(asker: Asker) -> None:
    told = asker.run("true", words=("--network", "host"), profile="strict")
    faults.refusal(told.done, "HB103")
    assert told.seen == []
