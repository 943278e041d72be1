"""What an HTTP request is for, and what becomes of its head on the way through (RFC 9110, RFC 9112).

Run by: the broker; pure, over h11's events. Servers differ in how they read what is malformed or said twice,
so nothing is handed on as it came: a head is parsed, judged, and written anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h11

from hardbox.destinations import host_of, place
from hardbox.net.decide import NotConnected

if TYPE_CHECKING:
    from hardbox.net.decide import Wanted

    Head = h11.Request | h11.Response | h11.InformationalResponse

DEFAULT_PORT: Final = 80
_AUTHORITY: Final = re.compile(r"(\[[^\[\]@]*\]|[^\[\]:@]*)(?::([1-9][0-9]{0,4}))?", re.ASCII)
_MOST_PORT: Final = 65535
_ABSOLUTE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)", re.ASCII)
# For one hop alone (RFC 9110 section 7.6.1), or for a proxy; framing is written anew.
_HOP: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"),
        *(b"te", b"trailer", b"upgrade", b"transfer-encoding", b"content-length", b"host"),
    )
)


class Malformed(NotConnected):
    """The client does not speak HTTP/1.1, or says something in a way that can be read in two."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is for.

    host: as the client wrote it; "" if its target names none.
    port: 0 if it names none.
    path: in origin-form, or "*".
    """

    host: str
    port: int
    path: str


def authority(text: str) -> tuple[str, int]:
    """Split "host", "host:port", "[v6]:port"; port 0 if there is none. Raises NotConnected."""
    if "@" in text:
        raise NotConnected("spelling", "a user before the host")
    found = _AUTHORITY.fullmatch(text)
    if found is None or int(found[2] or 0) > _MOST_PORT:
        raise NotConnected("spelling", "the host and port are not written as HOST:PORT")
    return found[1], int(found[2] or 0)


def target_of(request: h11.Request) -> Target:
    """Read the target in any of its forms (RFC 9112 section 3.2). Raises NotConnected."""
    text = request.target.decode("ascii")
    if request.method == b"CONNECT":
        host, port = authority(text)
        if not port:
            raise NotConnected("spelling", "CONNECT without a port")
        return Target(host, port, "")
    if text.startswith("/"):
        if "#" in text:
            raise Malformed("protocol", "a fragment in a request's target")
        return Target("", 0, text)
    if text == "*" and request.method == b"OPTIONS":
        return Target("", 0, text)
    found = _ABSOLUTE.fullmatch(text)
    if found is None:
        raise Malformed("protocol", "a request's target in none of the forms of HTTP/1.1")
    if found[1].lower() != "http":
        raise NotConnected("protocol", f"scheme {found[1]} by plain HTTP: CONNECT is for that")
    host, port = authority(found[2])
    path = found[3] if found[3].startswith("/") else f"/{found[3]}"
    if not found[3] and request.method == b"OPTIONS":
        path = "*"
    return Target(host, port or DEFAULT_PORT, path)


def check_framing(request: h11.Request) -> None:
    """Refuse whatever leaves a choice where the request ends. Raises Malformed."""
    names = [name for name, _ in request.headers]
    chunked = b"transfer-encoding" in names
    if chunked and b"content-length" in names:
        raise Malformed("protocol", "both Transfer-Encoding and Content-Length")
    if chunked and request.http_version != b"1.1":
        raise Malformed("protocol", "Transfer-Encoding before HTTP/1.1")
    if request.method == b"CONNECT" and (chunked or b"content-length" in names):
        raise Malformed("protocol", "CONNECT with a body")


def check_host(request: h11.Request, target: Target, wanted: Wanted) -> None:
    """Compare Host, and the target's own host, with what was allowed. Raises NotConnected ("host-header").

    For a rule that is a literal address any host will do: it means the machine, whatever it is called.
    """
    if wanted.host.literal and not target.host:
        return
    given = [value for name, value in request.headers if name == b"host"]
    if not target.host and not given:
        raise NotConnected("host-header", "a request without Host")
    texts = [_text(value) for value in given]
    hosts = [authority(text) for text in texts]
    if target.host:
        hosts.append((target.host, target.port))
    for host, port in hosts:
        try:
            same = host_of(host) == wanted.host
        except ValueError:
            same = False
        if not same or port not in (0, wanted.port):
            raise NotConnected("host-header", f"a request for {host}{f':{port}' if port else ''}")


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotConnected("host-header", "a Host that is no text") from error


def wants_websocket(request: h11.Request) -> bool:
    """Say whether a request asks to go on as WebSocket (RFC 6455).

    No other protocol is asked for on a job's behalf: in HTTP/2 ("h2c") each request names a host anew.
    """
    upgrades = [value.lower() for name, value in request.headers if name == b"upgrade"]
    return upgrades == [b"websocket"] and b"upgrade" in _nominated(request)


def outgoing(request: h11.Request, target: Target, wanted: Wanted, *, any_host: bool) -> h11.Request:
    """Give the request that is sent on.

    any_host: Host is handed on as it came, for nobody compares it.
    """
    host = next((value for name, value in request.headers if name == b"host"), b"")
    if target.host or not host or not any_host:
        port = 0 if wanted.port == DEFAULT_PORT else wanted.port
        host = place(wanted.host.text, port).encode("ascii")
    headers = [(b"Host", host), *_end_to_end(request), *_framing(request)]
    if wants_websocket(request):
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    return h11.Request(method=request.method, target=target.path.encode("ascii"), headers=headers)


def answer(response: h11.Response | h11.InformationalResponse) -> h11.Response | h11.InformationalResponse:
    """Give the head of a response that is handed to the job."""
    headers = [*_end_to_end(response), *_framing(response)]
    if isinstance(response, h11.InformationalResponse):
        if response.status_code == 101:  # noqa: PLR2004 (Switching Protocols)
            headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        return h11.InformationalResponse(
            status_code=response.status_code, headers=headers, reason=response.reason
        )
    return h11.Response(status_code=response.status_code, headers=headers, reason=response.reason)


def _nominated(head: Head) -> frozenset[bytes]:
    """Give the header names that Connection makes a matter of this hop."""
    values = [value.lower() for name, value in head.headers if name == b"connection"]
    return frozenset(token.strip() for value in values for token in value.split(b","))


def _end_to_end(head: Head) -> list[tuple[bytes, bytes]]:
    hop = _HOP | _nominated(head)
    return [(name, value) for name, value in head.headers.raw_items() if name.lower() not in hop]


def _framing(head: Head) -> list[tuple[bytes, bytes]]:
    """Give the one header that says where the body ends. h11 lets only "chunked" and one length pass."""
    found = dict(head.headers)
    if b"transfer-encoding" in found:
        return [(b"Transfer-Encoding", b"chunked")]
    return [(b"Content-Length", found[b"content-length"])] if b"content-length" in found else []
