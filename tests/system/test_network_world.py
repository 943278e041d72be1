"""The tests' internet is what the other network tests take it for.  Run by: pytest.

Controls: each attempt that a sandbox has to be kept from works here, without one.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from support import internet_map as at

if TYPE_CHECKING:
    from support.questions import Asker

GET = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
SIX = os.path.exists("/proc/net/if_inet6")


def test_every_address_answers(asker: Asker) -> None:
    addresses = [*at.V4, at.OWN, "127.0.0.1", *((*at.V6, at.OWN_6) if SIX else ())]
    answers = asker.ask_outside(*(("tcp", one, at.HTTP, GET) for one in addresses))
    found = [json.loads(answer["got"].partition("\r\n\r\n")[2])["to"] for answer in answers]
    assert found == addresses


@pytest.mark.parametrize("name", [*at.LEAD_INWARDS, "index.example.org", "two.example.org"])
def test_every_name_resolves(asker: Asker, name: str) -> None:
    addresses = at.NAMES[name]
    if ":" in addresses[0] and not SIX:
        pytest.skip("this host has no IPv6")
    (answer,) = asker.ask_outside(("lookup", name))
    assert set(answer["addresses"]) == set(addresses)


def test_everything_is_recorded(asker: Asker) -> None:
    mark = asker.internet.mark()
    answers = asker.ask_outside(
        ("udp", at.ONE, at.ECHO, "there and back"),
        ("udp", at.ONE, at.HTTPS, "as if it were QUIC"),
        ("dns", "secret.example.org", "A", "udp", at.ONE),
        ("dns", "index.example.org", "A", "udp", at.RESOLVER),
        ("tls", "direct", "index.example.org", at.HTTPS, "index.example.org"),
        ("talk", "index.example.org", at.BANNER_PORT, len(at.BANNER), "hello"),
        ("tcp", "index.example.org", at.COUNT, "12345", {"end": True}),
        ("tcp", "index.example.org", at.CLOSED),
        ("tcp", "dark.example.org", at.HTTP),
        ("lookup", "no-such.example.org"),
    )
    assert answers[0] == {"got": "there and back"}
    assert answers[3]["answers"] == [at.ONE]
    assert "HTTP/1.1 200" in answers[4]["got"]
    assert answers[5] == {"first": at.BANNER, "got": "hello"}
    assert answers[6]["got"].startswith("5 ")
    assert [answer.get("error") for answer in answers[7:]] == ["ECONNREFUSED", "ENETUNREACH", "EAI_NONAME"]
    datagrams = {row["data"] for row in asker.internet.since(mark, "datagram")}
    assert {"there and back", "as if it were QUIC"} < datagrams
    assert any("secret" in data for data in datagrams)
    assert "no-such.example.org" in asker.internet.names_asked(mark)
    names = [row["name"] for row in asker.internet.since(mark, "http")]
    assert names == ["index.example.org"]


def test_answers_change(asker: Asker) -> None:
    """The name server of `rebind` gives its two answers in turn."""
    first, second = (asker.ask_outside(("dns", at.REBIND, "A", "udp", at.RESOLVER))[0] for _ in range(2))
    assert {*first["answers"], *second["answers"]} == set(at.REBINDS)
