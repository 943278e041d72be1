"""HTTP heads: what they are for, and what is handed on."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox import destinations
from hardbox.net import requests
from hardbox.net.decide import NotConnected, Wanted


def request(target: str, *headers: tuple[str, str], method: str = "GET", version: str = "1.1") -> h11.Request:
    given = (
        list(headers) if any(name == "Host" for name, _ in headers) else [("Host", "a.example.org"), *headers]
    )
    return h11.Request(method=method, target=target, headers=given, http_version=version)


def wanted(text: str) -> Wanted:
    rule = destinations.parse(text)
    return Wanted(destinations.host_of(rule.host), rule.port, rule)


@pytest.mark.parametrize(
    ("method", "target", "found"),
    [
        ("GET", "/a?b", ("", 0, "/a?b")),
        ("GET", "//evil.example/", ("", 0, "//evil.example/")),
        ("OPTIONS", "*", ("", 0, "*")),
        ("OPTIONS", "http://a.example.org", ("a.example.org", 80, "*")),
        ("GET", "http://a.example.org", ("a.example.org", 80, "/")),
        ("GET", "HTTP://A.example.org:8080/x", ("A.example.org", 8080, "/x")),
        ("GET", "http://a.example.org?q", ("a.example.org", 80, "/?q")),
        ("GET", "http://[2001:db8::1]:81/", ("[2001:db8::1]", 81, "/")),
        ("CONNECT", "a.example.org:443", ("a.example.org", 443, "")),
        ("CONNECT", "[2001:db8::1]:443", ("[2001:db8::1]", 443, "")),
    ],
)
def test_targets(method: str, target: str, found: tuple[str, int, str]) -> None:
    read = requests.target_of(request(target, method=method))
    assert (read.host, read.port, read.path) == found


@pytest.mark.parametrize(
    ("method", "target", "reason"),
    [
        ("GET", "http://user@a.example.org/", "spelling"),
        ("GET", "http://user:secret@a.example.org/", "spelling"),
        ("GET", "http://a.example.org:/", "spelling"),
        ("GET", "http://a.example.org:0/", "spelling"),
        ("GET", "http://a.example.org:080/", "spelling"),
        ("GET", "http://a.example.org:65536/", "spelling"),
        ("GET", "http://a.example.org:80:80/", "spelling"),
        ("GET", "http://2001:db8::1/", "spelling"),
        ("GET", "https://a.example.org/", "protocol"),
        ("GET", "ftp://a.example.org/", "protocol"),
        ("GET", "*", "protocol"),
        ("GET", "a.example.org", "protocol"),
        ("GET", "http:/a.example.org", "protocol"),
        ("GET", "/a#b", "protocol"),
        ("CONNECT", "a.example.org", "spelling"),
        ("CONNECT", "user@a.example.org:443", "spelling"),
        ("CONNECT", "http://a.example.org:443", "spelling"),
        ("CONNECT", "2001:db8::1:443", "spelling"),
        ("CONNECT", "/", "spelling"),
    ],
)
def test_targets_that_are_refused(method: str, target: str, reason: str) -> None:
    with pytest.raises(NotConnected) as raised:
        requests.target_of(request(target, method=method))
    assert raised.value.reason == reason


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_no_target_does_anything_else(target: str) -> None:
    for method in ("GET", "CONNECT", "OPTIONS"):
        try:
            read = requests.target_of(request(target, method=method))
        except NotConnected:
            continue
        assert "@" not in read.host


@pytest.mark.parametrize(
    ("rule", "host", "target"),
    [
        ("a.example.org:80", "a.example.org", "/"),
        ("a.example.org:80", "A.EXAMPLE.org.", "/"),
        ("a.example.org:80", "a.example.org:80", "http://a.example.org/"),
        ("a.example.org:8080", "a.example.org:8080", "/"),
        ("a.example.org:8080", "a.example.org", "/"),
        ("10.0.3.7:80", "whatever.example", "/"),
        ("[2001:db8::1]:80", "[2001:db8::1]", "http://[2001:db8::1]/"),
    ],
)
def test_hosts_that_agree(rule: str, host: str, target: str) -> None:
    asked = request(target, ("Host", host))
    requests.check_host(asked, requests.target_of(asked), wanted(rule))


@pytest.mark.parametrize(
    ("rule", "host", "target"),
    [
        ("a.example.org:80", "b.example.org", "/"),
        ("a.example.org:80", "a.example.org:81", "/"),
        ("a.example.org:80", "a.example.org", "http://b.example.org/"),
        ("a.example.org:80", "b.example.org", "http://a.example.org/"),
        ("a.example.org:8080", "a.example.org:8080", "http://a.example.org/"),
        ("a.example.org:80", "", "/"),
        ("a.example.org:80", "10.0.3.7", "/"),
        ("a.example.org:80", "a.example.org, b.example.org", "/"),
        ("a.example.org:80", "user@a.example.org", "/"),
        ("10.0.3.7:80", "10.0.3.7", "http://b.example.org/"),
    ],
)
def test_hosts_that_differ(rule: str, host: str, target: str) -> None:
    asked = request(target, ("Host", host))
    with pytest.raises(NotConnected) as raised:
        requests.check_host(asked, requests.target_of(asked), wanted(rule))
    assert raised.value.reason in ("host-header", "spelling")


def test_a_request_without_host_differs_too() -> None:
    asked = h11.Request(method="GET", target="/", headers=[], http_version="1.0")
    with pytest.raises(NotConnected, match="host-header"):
        requests.check_host(asked, requests.target_of(asked), wanted("a.example.org:80"))


def outgoing(asked: h11.Request, rule: str = "a.example.org:80", **more: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401 (passed on)
    out = requests.outgoing(asked, requests.target_of(asked), wanted(rule), **({"any_host": False} | more))
    return list(out.headers)


def test_what_is_for_one_hop_stays_behind() -> None:
    asked = request(
        "/",
        ("Connection", "keep-alive, X-Secret, host"),
        ("X-Secret", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-Late"),
        ("Accept", "*/*"),
    )
    assert outgoing(asked) == [(b"host", b"a.example.org"), (b"accept", b"*/*")]


def test_a_host_is_written_anew() -> None:
    assert outgoing(request("/", ("Host", "A.Example.ORG.:80")))[0] == (b"host", b"a.example.org")
    assert outgoing(request("/", ("Host", "x")), "a.example.org:8080")[0] == (b"host", b"a.example.org:8080")
    assert outgoing(request("/", ("Host", "any")), "10.0.3.7:80", any_host=True)[0] == (b"host", b"any")


def test_connection_cannot_take_the_length_away() -> None:
    asked = request("/", ("Connection", "content-length"), ("Content-Length", "5"), method="POST")
    assert (b"content-length", b"5") in outgoing(asked)


def test_only_websocket_is_asked_for() -> None:
    upgrade = (("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"))
    assert outgoing(request("/", ("Upgrade", "h2c"), *upgrade)) == [(b"host", b"a.example.org")]
    asked = request("/", ("Upgrade", "WebSocket"), *upgrade)
    assert outgoing(asked)[1:] == [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    assert not requests.wants_websocket(request("/", ("Upgrade", "websocket")))
    assert not requests.wants_websocket(request("/", ("Upgrade", "websocket, h2c"), *upgrade))


@pytest.mark.parametrize(
    "asked",
    [
        request("/", ("Transfer-Encoding", "chunked"), ("Content-Length", "3"), method="POST"),
        request("/", ("Transfer-Encoding", "chunked"), method="POST", version="1.0"),
        request("a.example.org:443", ("Content-Length", "3"), method="CONNECT"),
    ],
)
def test_a_length_that_can_be_read_in_two_ways(asked: h11.Request) -> None:
    with pytest.raises(requests.Malformed):
        requests.check_framing(asked)


def test_answers_lose_what_is_for_one_hop() -> None:
    answer = h11.Response(
        status_code=200,
        headers=[
            *(("Connection", "close, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5")),
            *(("Transfer-Encoding", "chunked"), ("Content-Length", "5"), ("Server", "x")),
        ],
    )
    assert list(requests.answer(answer).headers) == [(b"server", b"x"), (b"transfer-encoding", b"chunked")]
