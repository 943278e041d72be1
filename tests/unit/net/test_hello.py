"""First bytes: ClientHellos, real and broken, and requests as lenient servers read them.  Run by: pytest."""

from __future__ import annotations

import ssl
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.net.hello import MOST, Hello, Look, look

NAME: Final = b"index.example.org"


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, data)


def server_name(*names: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, b"".join(bytes([kind]) + vector(2, name) for name in names)))


def body(extensions: bytes | None = None, *, session: bytes = b"", ciphers: bytes = b"\x13\x01") -> bytes:
    start = b"\x03\x03" + bytes(32) + vector(1, session) + vector(2, ciphers) + vector(1, b"\0")
    return start if extensions is None else start + vector(2, extensions)


def message(content: bytes, kind: int = 1) -> bytes:
    return bytes([kind]) + vector(3, content)


def records(data: bytes, size: int = 2**14, kind: int = 22) -> bytes:
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    return b"".join(bytes([kind, 3, 1]) + vector(2, piece) for piece in pieces)


def hello(extensions: bytes | None = None) -> bytes:
    return records(message(body(extensions)))


def real_hello(name: str | None) -> bytes:
    """Give what OpenSSL sends first."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("name", ["index.example.org", "a.b", "xn--bcher-kva.example.org"])
def test_a_real_client_names_its_server(name: str) -> None:
    assert look(real_hello(name)) == Look(Hello.TLS, server_name=name)


def test_a_real_client_without_a_name() -> None:
    assert look(real_hello(None)) == Look(Hello.TLS)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (hello(server_name(NAME)), "index.example.org"),
        (hello(server_name(b"Index.EXAMPLE.org")), "index.example.org"),
        (hello(server_name(b"10.0.3.7")), "10.0.3.7"),
        (hello(extension(0x0A0A, b"\0") + server_name(NAME) + extension(43, b"\2\3\4")), "index.example.org"),
        (hello(b""), ""),
        (hello(None), ""),
        (hello(extension(16, b"\x00\x03\x02h2")), ""),
        (records(message(body(server_name(NAME), session=bytes(32)))), "index.example.org"),
        # Early data and what middleboxes like to see come behind it.
        (
            hello(server_name(NAME)) + b"\x14\x03\x03\x00\x01\x01" + records(b"early", kind=23),
            "index.example.org",
        ),
    ],
)
def test_a_hello_is_read(data: bytes, name: str) -> None:
    assert look(data) == Look(Hello.TLS, server_name=name)


def test_the_longest_name_is_the_longest_there_is() -> None:
    longest = b".".join([b"a" * 63] * 3 + [b"a" * 61])
    assert look(hello(server_name(longest))).server_name == longest.decode()
    assert look(hello(server_name(longest + b"a"))).kind == Hello.BAD


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_an_encrypted_name_is_told_of(kind: int) -> None:
    data = hello(server_name(b"outer.example.org") + extension(kind, bytes(40)))
    assert look(data) == Look(Hello.TLS, server_name="outer.example.org", ech=True)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
def test_a_hello_may_be_spread_over_records(size: int) -> None:
    start = message(body(server_name(b"a.b")))
    data = records(start, size)
    expected = Hello.TLS if len(start) / size <= 64 else Hello.BAD
    assert look(data).kind == expected
    assert look(data[:-1]).kind == (Hello.MORE if expected == Hello.TLS else Hello.BAD)


BAD: Final = (
    (b"\x16\x02", "unknown version"),
    (b"\x16GET / HTTP/1.1\r\n", "unknown version"),
    (b"\x16\x03\x01\x00\x00", "length"),
    (b"\x16\x03\x01\x40\x01", "length"),
    (b"\x16\x03\x01\xff\xff", "length"),
    (records(message(body(), kind=2)), "no ClientHello"),
    (b"\x16\x03\x01\x00\x05\x00", "no ClientHello"),
    (b"\x16\x03\x01\x00\x05\x01\x00\x40\x00", "more than 16384"),
    (b"\x16\x03\x01\x00\x05\x01\xff\xff\xff", "more than 16384"),
    (records(message(body(server_name(NAME))) + b"\0"), "more behind"),
    (records(message(body(server_name(NAME))) + message(body(server_name(b"evil.org")))), "more behind"),
    (records(message(body(server_name(NAME))), 20)[:25] + records(b"x", kind=23), "another record"),
    (records(message(body(server_name(NAME))), 20)[:25] + records(b"\2\x28", kind=21), "another record"),
    (records(message(body(server_name(NAME))), 20)[:25] + b"\x16\x02", "unknown version"),
    (records(message(b"\x02\x00" + body()[2:])), "unknown version"),
    (records(message(b"\x03\x03")), "do not fit"),
    (records(message(b"")), "do not fit"),
    (records(message(body(session=bytes(33)))), "not allowed"),
    (records(message(body(ciphers=b""))), "not allowed"),
    (records(message(body(ciphers=b"\x13\x01\x13"))), "not allowed"),
    (records(message(body()[:-2] + b"\0")), "not allowed"),
    (records(message(body(b"") + b"\0")), "behind its extensions"),
    (records(message(body() + b"\x00")), "do not fit"),
    (records(message(body() + b"\x00\x05\x00")), "do not fit"),
    (hello(b"\x00\x00\x00"), "do not fit"),
    (hello(b"\x00\x00\x00\x09\x00"), "do not fit"),
    (hello(server_name(NAME) + server_name(NAME)), "twice"),
    (hello(server_name(NAME) + server_name(b"evil.org")), "twice"),
    (hello(extension(43, b"") + extension(43, b"")), "twice"),
    (hello(server_name(NAME, b"evil.org")), "more than one"),
    (hello(server_name(NAME, NAME)), "more than one"),
    (hello(extension(0, vector(2, b"\0" + vector(2, NAME)) + b"\0")), "more than one"),
    (hello(server_name(NAME, kind=1)), "unknown type"),
    (hello(extension(0, b"")), "do not fit"),
    (hello(extension(0, b"\x00\x00")), "not allowed"),
    (hello(extension(0, b"\x00\x30" + NAME)), "do not fit"),
    (hello(server_name(b"")), "not allowed"),
    *(
        (hello(server_name(name)), "no host name")
        for name in (
            *(b"index.example.org.", b".", b".example.org", b"a..b", b"index.example.org\0", b"\0"),
            *(b"index.example.org\0.evil.org", b"a b", b"a\n", b"a/b", b"a:443", b"[::1]", b"::1", b"*.org"),
            *("bücher.org".encode(), b"x" * 64, b".".join([b"x" * 63] * 4), b"user@example.org"),
        )
    ),
    # A record before the hello; of another version only if it is a whole one.
    *(
        (record + hello(server_name(NAME)), "before the ClientHello")
        for record in (
            b"\x14\x03\x01\x00\x01\x01",
            b"\x14\x00\x00\x00\x01\x01",
            b"\x15\x03\x01\x00\x02\x01\x5a",
            b"\x15\x03\x00\x00\x02\x01\x00",
            b"\x15\x0f\xff\x00\x02\x01\x00",
            b"\x15\x03\x03\x00\x00",
            b"\x17\x03\x03\x00\x01\x00",
            b"\x18\x03\x02\x00\x03\x01\x40\x00",
        )
    ),
    (b"\x17\x03", "before the ClientHello"),
    # What is passed on with this line would be a request to some servers.
    *(
        (line, "a request line with")
        for line in (
            b"\0GET / HTTP/1.1\r\n",
            b"\x01\n\x80GET / HTTP/1.1 \x1c\r\n",
            b"PROPFIND\x1c/ HTTP/1.1\r\n",
            b"PROPFIND\r/ http/1.0\n",
            b"{GET /a\x02b HTTP/1.1\n",
        )
    ),
    (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + hello(server_name(b"evil.org")), "PROXY protocol"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", "PROXY protocol"),
    # An SSL 2.0 hello: length, type, version 3.1, then lengths of ciphers, session id and challenge.
    (b"\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10" + bytes(19), "SSL 2.0"),
    (b"\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10", "SSL 2.0"),
    (b"\x80\x1c\x01\x00\x02\x00\x03\x00\x00\x00\x10" + bytes(19), "SSL 2.0"),
)


@pytest.mark.parametrize(("data", "why"), BAD)
def test_what_breaks_or_hides_what_follows_is_bad(data: bytes, why: str) -> None:
    found = look(data)
    assert found.kind == Hello.BAD
    assert why in found.reason


@pytest.mark.parametrize("data", [hello(server_name(NAME)), records(message(body(server_name(NAME))), 30)])
def test_each_beginning_of_a_hello_wants_more(data: bytes) -> None:
    assert {look(data[:size]).kind for size in range(len(data))} == {Hello.MORE}


def test_a_hello_of_the_longest_allowed() -> None:
    rest = MOST - 4 - len(body(server_name(NAME) + extension(21, b"")))
    data = hello(server_name(NAME) + extension(21, bytes(rest)))
    assert len(data) == MOST + 5
    assert look(data) == Look(Hello.TLS, server_name="index.example.org")
    assert look(hello(server_name(NAME) + extension(21, bytes(rest + 1)))).kind == Hello.BAD


HTTP: Final = (
    *(
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.0\n",
        b"POST http://example.org/ HTTP/1.1\r\nHost: example.org\r\n",
    ),
    *(b"PURGE / HTTP/1.1\r\n", b"x-method / HTTP/1.1\r\n", b"get / http/1.1\r\n", b"GET\t/\tHTTP/1.1\r\n"),
    *(b"GET  /  HTTP/1.1\r\n", b"GET / HTTP/1.1 \r\n", b"GET /a b HTTP/1.1\r\n", b"GET HTTP/1.1\r\n"),
    *(
        b"\r\nGET / HTTP/1.1\r\n",
        b"\n\n\r\n GET / HTTP/1.1\r\n",
        b"GET / HTTP/9.9\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
    ),
    # HTTP/0.9, and what only some servers take for a request.
    *(
        b"GET /\r\n",
        b"GET http://example.org/\r\n",
        b"get /\n",
        b"GET\v/ HTTP/1.1\r\n",
        b"GET\x0c/",
        b"GET\xa0/",
    ),
    # Before the method: whatever str.split() leaves out.
    *(bytes([blank]) + b"GET /z HTTP/1.1\r\n" for blank in (*range(9, 14), *range(28, 33), 0x85, 0xA0)),
    *(b"\x1c\xa0\n\x85 GET /z\r\n", b"\x85GET / HTTP/1.1\n"),
    *(b"GET\r/ HTTP/1.1\r\n", b"GET /\0", b"GET /\x80 HTTP/1.1\r\n", b"GET / HTTP/1.1\rHost: evil.org\r\n"),
)
OTHER: Final = (
    *(
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"EHLO example.org\r\n",
        b"USER anonymous\r\n",
        b"PING\r\n",
        b"\0",
    ),
    *(
        b"*1\r\n$4\r\nPING\r\n",
        b"GET key\r\n",
        b"get key\r\n",
        b"POST\r\n",
        b"HEAD 12\r\n",
        b"a1 LOGIN x y\r\n",
    ),
    # PostgreSQL, MongoDB, LDAP, git, memcached, MQTT, AMQP, RTSP, SIP, JSON.
    *(
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x3f\x00\x00\x00",
        b"0\x0c\x02\x01\x01\x60\x07",
        b"0045git-up \0",
    ),
    *(
        b"0032git-upload-pack /project.git\0host=a\0",
        b"\x80\x00\x00",
        b"\x10\x0c\x00\x04MQTT",
        b"AMQP\0\0\x09\1",
    ),
    *(b"OPTIONS rtsp://example.org RTSP/1.0\r\n", b"OPTIONS sip:a@b SIP/2.0\r\n", b'{"a": 1}', b"<stream>"),
    *(
        b"\x80\x1c\x01\x03\x01\x00\x04\x00\x00\x00\x10" + bytes(19),
        b"\x80\x1c\x02",
        b"\x80\x1c\x01\x05",
        b"\xff\xfb\x1f",
    ),
    *(b"\r\n\0", b"HOST: a\r\n", b"Content-Length: 5\r\n"),
    # MongoDB: a length of 277, and one of 276 and the first request.
    *(b"\x15\x01\x00\x00\x07\x00", b"\x14\x01\x00\x00\x01\x00\x00\x00", b"\x17\x00", b"\x14\x10"),
    # White space, and lines that only look like a request's.
    *(b"\x1c\x1d\0", b"\x85\x80\x00\x00", b"\xa0\x80\x00\x00", b"\0\0 HTTP/1.1 \r\n", b"{HTTP/1.1\n"),
)
UNDECIDED: Final = (
    *(
        b"",
        b"\r\n",
        b" ",
        b"G",
        b"GET",
        b"GET ",
        b"GET /",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"FOO ",
        b"PRI",
    ),
    *(b"\x14", b"\x15", b"\x17", b"\x18", b"\x15\x00", b"\x15\x01\x00\x00", b"\x14\x01\x00\x00\x01", b"\x1c"),
    *(
        b"SSH-2.0-OpenSSH_9.2p1",
        b"SSH-2.0-OpenSSH_9.2p1 Debian\r",
        b"\x80",
        b"\x80\x1c",
        b"\x80\x1c\x01\x03\x01",
    ),
)


@pytest.mark.parametrize("data", HTTP)
def test_what_a_server_could_take_for_a_request_is_http(data: bytes) -> None:
    assert look(data) == Look(Hello.HTTP)


@pytest.mark.parametrize("data", OTHER)
def test_other_protocols_pass(data: bytes) -> None:
    assert look(data) == Look(Hello.OTHER)


@pytest.mark.parametrize("data", UNDECIDED)
def test_too_little_wants_more(data: bytes) -> None:
    assert look(data) == Look(Hello.MORE)


@pytest.mark.parametrize(
    "data", [b"\0", b"0\x0c\x02\x01", b"{", b"\x05\x01\x00", b"PROPFIND\x1c/ HTTP/1.1\r"]
)
def test_a_first_line_passes_and_is_looked_at_to_its_end(data: bytes) -> None:
    assert look(data) == Look(Hello.OTHER)
    assert look(data).line
    assert not look(data + b"x\n").line
    assert not look(data + b"x" * MOST).line


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"PING\r\n", b"\0\0x\n"])
def test_a_first_line_that_has_ended_is_no_matter_any_more(data: bytes) -> None:
    assert not look(data).line


@pytest.mark.parametrize("rest", [b"", b"early", hello(server_name(b"evil.org"))])
def test_a_hello_tells_where_it_ends(rest: bytes) -> None:
    for size in (20, 2**14):
        data = records(message(body(server_name(NAME))), size)
        assert look(data + rest).size == len(data)


def test_http_2_without_tls_is_known() -> None:
    assert look(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == Look(Hello.HTTP2)
    assert look(b"\r\nPRI * HTTP/2.0\r\n") == Look(Hello.HTTP2)


@pytest.mark.parametrize("data", [b"GET /" + b"a" * MOST, b"\n" * MOST, b"A" * MOST])
def test_a_line_without_an_end_is_bad(data: bytes) -> None:
    assert look(data[: MOST - 1]).kind == Hello.MORE
    assert look(data[:MOST]).kind == Hello.BAD
    assert "16384" in look(data[:MOST]).reason


@given(st.binary() | st.builds(records, st.binary(min_size=1), st.integers(1, 50)))
def test_any_bytes_are_something(data: bytes) -> None:
    found = look(data)
    assert (found.kind == Hello.BAD) == bool(found.reason)
    if data[:1] == b"\x16":
        assert found.kind in (Hello.MORE, Hello.TLS, Hello.BAD)


@given(st.sampled_from([*HTTP, *OTHER, hello(server_name(NAME)), *(data for data, _ in BAD)]), st.binary())
def test_what_is_decided_stays_decided(data: bytes, more: bytes) -> None:
    looks = [look((data + more)[:size]) for size in range(len(data) + len(more) + 1)]
    decided = [seen.kind for seen in looks if seen.kind != Hello.MORE and not seen.line]
    assert len(set(decided)) <= 1
    # What is passed on is never undecided again.
    started = [seen.kind for seen in looks if seen.kind != Hello.MORE]
    assert Hello.MORE not in [seen.kind for seen in looks[len(looks) - len(started) :]]


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_never_makes_tls_something_else(place: int, value: int) -> None:
    data = bytearray(real_hello("index.example.org"))
    data[1 + place % (len(data) - 1)] = value
    assert look(bytes(data)).kind in (Hello.TLS, Hello.BAD, Hello.MORE)
