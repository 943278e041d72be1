"""Readers of the keys of [network]: what they take, in which spelling, what they refuse.  Run by: pytest."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox import network_limits as limits
from hardbox.errors import HardboxError
from hardbox.net import bridge_settings
from hardbox.net.trouble import Trouble
from hardbox.policy import Origin
from hardbox.profile import network, schema
from hardbox.profile.spots import Spot

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[Spot], str]

BRIDGE: Final[dict[str, object]] = {
    "mode": "bridge",
    "profile": "test",
    "bridge": "hbx0",
    "subnet": "10.210.0.0/16",
    "allow": ["192.0.2.1:443"],
    "dns": [],
    "join": "",
    "publish": [],
    "uid": 0,
    "engine": "veth",
}


def spot(value: object) -> Spot:
    return Spot("network.key", value, Origin("made-up.toml", "network.key"))


def read(reader: Reader, value: object) -> str:
    return reader(spot(value))


def refused(reader: Reader, value: object) -> HardboxError:
    with pytest.raises(HardboxError) as caught:
        read(reader, value)
    assert caught.value.what
    assert "made-up.toml" in str(caught.value.origin)
    return caught.value


@pytest.mark.parametrize(
    "reader",
    [network.destination, network.bridge, network.subnet, network.server, network.group, network.published],
    ids=lambda reader: reader.__name__,
)
@pytest.mark.parametrize("value", [1, True, None, 1.5, [], {}, ["a"], "a\0b"], ids=repr)
def test_every_reader_takes_text_alone(reader: Reader, value: object) -> None:
    assert refused(reader, value).code in ("HB408", "HB409", "HB413")


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("Index.Example.ORG:443", "index.example.org:443"),
        ("*.Files.example.org:443", "*.files.example.org:443"),
        ("10.0.3.7:22", "10.0.3.7:22"),
        ("[2001:DB8:0::1]:22", "[2001:db8::1]:22"),
        ("10.0.0.0/8:*", "10.0.0.0/8:*"),
        ("@our-index", "@our-index"),
        ("@./hosts/x.toml", "@./hosts/x.toml"),
        ("@/etc/hardbox/x.toml", "@/etc/hardbox/x.toml"),
    ],
)
def test_a_destination_in_its_one_spelling(value: str, canonical: str) -> None:
    assert read(network.destination, value) == canonical


@pytest.mark.parametrize(
    "value",
    ["", ":443", "a.example.org", "a.example.org:0", "a.example.org:https", "0x7f.1:80", "u@h:80", "h:*"],
)
def test_a_destination_that_is_none(value: str) -> None:
    error = refused(network.destination, value)
    assert error.code == "HB413"
    assert "network.allow" in error.instead


@pytest.mark.parametrize("value", ["@", "@a b", "@-a", "@a.toml", "@a_b", "@@a", "@" + "a" * 64])
def test_a_host_list_has_a_plain_name(value: str) -> None:
    assert refused(network.destination, value).code == "HB434"


@pytest.mark.parametrize("value", ["hbx0", "hbxa", "hbxabcd9"])
def test_a_bridge_of_ours(value: str) -> None:
    assert read(network.bridge, value) == value


@pytest.mark.parametrize(
    "value", ["", "hbx", "br0", "docker0", "hbxA", "hbx-1", "hbx.1", "hbxabcdef", "xhbx0", "hbx0\n", "hbxé"]
)
def test_a_bridge_of_somebody_elses(value: str) -> None:
    assert refused(network.bridge, value).code == "HB409"


@pytest.mark.parametrize(
    "value",
    ["10.210.0.0/16", "10.0.0.0/30", "172.31.0.0/16", "192.168.0.0/16", "192.168.7.4/30", "100.64.0.0/16"],
)
def test_a_subnet(value: str) -> None:
    assert read(network.subnet, value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "10.0.0.0", "10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/31", "10.0.0.1/16", "8.8.0.0/16"),
        *("172.32.0.0/16", "127.0.0.0/16", "169.254.0.0/16", "198.18.0.0/16", "192.0.2.0/24", "0.0.0.0/16"),
        *("224.0.0.0/16", "240.0.0.0/16", "100.128.0.0/16", "fd00::/64", "fd00::/16", "192.169.0.0/16"),
    ],
)
def test_a_subnet_that_is_somebody_elses_or_has_another_size(value: str) -> None:
    assert refused(network.subnet, value).code == "HB409"


@pytest.mark.parametrize("value", ["192.0.2.53", "10.0.0.1", "169.254.1.1"])
def test_a_name_server(value: str) -> None:
    assert read(network.server, value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "dns.example.org",
        "192.0.2.053",
        "192.0.2",
        "::1",
        "2001:db8::53",
        "192.0.2.53:53",
        "127.0.0.53",
        "0.0.0.0",  # noqa: S104 (refused)
        "224.0.0.251",
    ],
)
def test_a_name_server_that_a_job_cannot_reach(value: str) -> None:
    assert refused(network.server, value).code == "HB409"


@pytest.mark.parametrize("value", ["", "team", "a", "team-7", "a" * 31])
def test_a_group(value: str) -> None:
    assert read(network.group, value) == value


@pytest.mark.parametrize("value", ["Team", "-a", "a-", "a b", "a.b", "a" * 32, "é", "a\n"])
def test_a_group_that_is_none(value: str) -> None:
    assert refused(network.group, value).code == "HB409"


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80"),
        ("8080:80", "127.0.0.1:8080:80"),
        ("192.0.2.1:1:65535", "192.0.2.1:1:65535"),
    ],
)
def test_a_published_port(value: str, canonical: str) -> None:
    assert read(network.published, value) == canonical


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "80",
            "0:80",
            "80:0",
            "65536:80",
            "80:65536",
            "a:80",
            "-1:80",
            "1.5:80",
            ":80:80",
            "127.0.0.1:80:",
        ),
        *(
            "localhost:80:80",
            "[::1]:80:80",
            "::1:80:80",
            "127.0.0.1:80:80:80",
            "0.0.0.0:80:80",
            "224.0.0.1:80:80",
        ),
    ],
)
def test_a_published_port_that_is_none(value: str) -> None:
    assert refused(network.published, value).code == "HB409"


def keeper_takes(**changed: object) -> bool:
    try:
        bridge_settings.read(BRIDGE | changed)
    except Trouble:
        return False
    return True


RANGES: Final = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: str(IPv4Network((pair[0], pair[1]), strict=False))
)
INNER: Final = st.builds(
    lambda pool, offset, bits: str(IPv4Network((int(IPv4Address(pool)) + offset, bits), strict=False)),
    st.sampled_from(["10.0.0.0", "172.16.0.0", "192.168.0.0", "100.64.0.0"]),
    st.integers(0, 1 << 22),
    st.integers(12, 32),
)


# What both have to judge alike, whichever reads it first.
SAME: Final = (
    *(
        ("subnet", text)
        for text in ("10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/16", "10.1.2.0/30", "10.1.2.0/31")
    ),
    *(("subnet", text) for text in ("100.64.0.0/10", "100.64.0.0/16", "127.0.0.0/16", "169.254.0.0/16")),
    *(
        ("subnet", text)
        for text in ("198.18.0.0/16", "240.0.0.0/16", "0.0.0.0/16", "fd00::/64", "10.0.0.1/16")
    ),
    *(("dns", text) for text in ("9.9.9.9", "10.0.0.1", "169.254.1.1", "127.0.0.1", "0.0.0.0", "0.1.2.3")),  # noqa: S104 (refused)
    *(("dns", text) for text in ("224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "192.0.2.053", "a.b")),
    *(("publish", f"{text}:80:80") for text in ("127.0.0.1", "192.0.2.1", "0.0.0.0", "0.1.2.3", "224.0.0.1")),  # noqa: S104 (refused)
    *(("publish", f"{text}:80:80") for text in ("240.0.0.1", "255.255.255.255", "a.b", "[::1]")),
    *(
        ("publish", f"127.0.0.1:{ports}")
        for ports in ("0:80", "80:0", "1:65535", "65536:80", "80:-1", "80:x")
    ),
    *(
        ("bridge", text)
        for text in ("hbx0", "hbxabcd9", "hbx", "hbxabcdef", "hbx-1", "br0", "hbx0\n", "hbx\u0660")
    ),
    *(("join", text) for text in ("a", "team-7", "a-", "-a", "A", "a" * 31, "a" * 32, "a\n", "\u0660")),
)
READERS: Final = {
    "subnet": network.subnet,
    "dns": network.server,
    "publish": network.published,
    "bridge": network.bridge,
    "join": network.group,
}


@pytest.mark.parametrize(("key", "value"), SAME)
def test_profile_and_keeper_agree(key: str, value: str) -> None:
    told = [value] if key in ("dns", "publish") else value
    try:
        found = read(READERS[key], value)
    except HardboxError:
        assert not keeper_takes(**{key: told})
    else:
        assert found == value
        assert keeper_takes(**{key: told})


@pytest.mark.parametrize(
    ("key", "most", "form"),
    [
        ("dns", limits.MOST_SERVERS, "9.9.9.{}"),
        ("publish", limits.MOST_PORTS, "127.0.0.1:{}:80"),
    ],
)
def test_profile_and_keeper_take_as_many(key: str, most: int, form: str) -> None:
    for count in (most, most + 1):
        values = [form.format(number) for number in range(1, count + 1)]
        try:
            schema.READERS[f"network.{key}"](spot(values))
        except HardboxError:
            assert count > most
            assert not keeper_takes(**{key: values})
        else:
            assert count == most
            assert keeper_takes(**{key: values})


@given(RANGES | INNER)
def test_the_keeper_takes_every_subnet_that_a_profile_may_name(text: str) -> None:
    """What is found only by the keeper would be found only when a job is to start."""
    try:
        value = read(network.subnet, text)
    except HardboxError:
        return
    assert keeper_takes(subnet=value)


@given(
    st.integers(0, 2**32 - 1).map(IPv4Address) | st.sampled_from([IPv4Address(0), IPv4Address("127.0.0.1")])
)
def test_the_keeper_takes_every_server_and_every_port(address: IPv4Address) -> None:
    for reader, key, value in (
        (network.server, "dns", str(address)),
        (network.published, "publish", f"{address}:80:80"),
    ):
        try:
            found = read(reader, value)
        except HardboxError:
            assert not keeper_takes(**{key: [value]})
        else:
            assert keeper_takes(**{key: [found]})


@given(st.text("abhx0-.Z", max_size=10))
def test_the_keeper_takes_every_bridge_and_every_group(text: str) -> None:
    for reader, key in ((network.bridge, "bridge"), (network.group, "join")):
        try:
            found = read(reader, text)
        except HardboxError:
            continue
        assert keeper_takes(**{key: found})
