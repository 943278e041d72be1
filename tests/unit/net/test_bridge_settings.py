"""Settings of network mode "bridge": what is read, and what is refused with which words."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hardbox.net.bridge_settings import Egress, Published, read
from hardbox.net.trouble import Trouble

PLAIN: dict[str, object] = {
    "mode": "bridge",
    "profile": "net",
    "bridge": "hbx0",
    "subnet": "10.210.0.0/16",
    "allow": ["93.184.216.0/24:443", "10.0.3.7:5432", "0.0.0.0/0:*"],
    "dns": ["9.9.9.9"],
    "join": "red",
    "publish": ["127.0.0.1:8080:80"],
    "uid": 0,
    "engine": "veth",
}


def test_everything_is_read() -> None:
    settings = read(PLAIN)
    assert settings.subnet == IPv4Network("10.210.0.0/16")
    assert settings.allow == (
        Egress(IPv4Network("93.184.216.0/24"), 443, literal=False),
        Egress(IPv4Network("10.0.3.7"), 5432, literal=True),
        Egress(IPv4Network("0.0.0.0/0"), 0, literal=False),
    )
    assert settings.publish == (Published(IPv4Address("127.0.0.1"), 8080, 80),)
    assert (settings.bridge, settings.join, settings.engine, settings.uid) == ("hbx0", "red", "veth", 0)


def test_naming_a_server_for_names_allows_it() -> None:
    settings = read(PLAIN | {"allow": []})
    assert settings.egress == (Egress(IPv4Network("9.9.9.9"), 53, literal=True),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more": 1}, "more"),
        ({"mode": "allow"}, "not those of network mode bridge"),
        ({"profile": 7}, "network.profile is not text"),
        ({"bridge": "docker0"}, '"hbx" and one to five'),
        ({"bridge": "hbx"}, '"hbx" and one to five'),
        ({"bridge": "hbx123456"}, '"hbx" and one to five'),
        ({"bridge": "hbx0\n"}, '"hbx" and one to five'),
        ({"bridge": 'hbx"'}, '"hbx" and one to five'),
        ({"bridge": "hbx/.."}, '"hbx" and one to five'),
        ({"subnet": "10.210.0.1/16"}, "is not an IPv4 network"),
        ({"subnet": "fd00::/64"}, "is not an IPv4 network"),
        ({"subnet": "8.8.0.0/16"}, "cannot be a pool"),
        ({"subnet": "10.0.0.0/7"}, "cannot be a pool"),
        ({"subnet": "10.0.0.0/8"}, "cannot be a pool"),
        ({"subnet": "0.0.0.0/0"}, "cannot be a pool"),
        ({"subnet": "10.1.2.0/31"}, "cannot be a pool"),
        ({"subnet": "127.0.0.0/8"}, "cannot be a pool"),
        ({"subnet": "169.254.0.0/16"}, "cannot be a pool"),
        ({"allow": "93.184.216.34:443"}, "not a list of texts"),
        ({"allow": [443]}, "not a list of texts"),
        ({"allow": ["index.example.org:443"]}, "is a name"),
        ({"allow": ["*.example.org:443"]}, "is a name"),
        ({"allow": ["[2001:db8::1]:22"]}, "is not IPv4"),
        ({"allow": ["93.184.216.34"]}, "cannot be read"),
        ({"allow": ["93.184.216.34:0"]}, "cannot be read"),
        ({"allow": ["93.184.216.34/24:443"]}, "cannot be read"),
        ({"allow": ["0x5db8d822:443"]}, "cannot be read"),
        ({"allow": ["1.2.3.4:443 accept"]}, "cannot be read"),
        ({"allow": ["1.2.3.4:1"] * 257}, "at most 256"),
        ({"dns": ["example.org"]}, "not an IPv4 address"),
        ({"dns": ["127.0.0.53"]}, "cannot be a name server"),
        ({"dns": ["9.9.9.9"] * 9}, "at most 8"),
        ({"join": "Red"}, "up to 31"),
        ({"join": "red {"}, "up to 31"),
        ({"join": "red-"}, "up to 31"),
        ({"join": None}, "network.join is not text"),
        ({"publish": ["8080:80"]}, "HOST-ADDRESS:HOST-PORT:SANDBOX-PORT"),
        ({"publish": ["0.0.0.0:8080:80"]}, "every address"),
        ({"publish": ["localhost:8080:80"]}, "not an IPv4 address"),
        ({"publish": ["127.0.0.1:0:80"]}, "outside 1..65535"),
        ({"publish": ["127.0.0.1:8080:65536"]}, "outside 1..65535"),
        ({"publish": ["127.0.0.1:8080:-1"]}, "no port number"),
        ({"publish": ["127.0.0.1:8080:80:90"]}, "no port number"),
        ({"publish": ["127.0.0.1:8080:80", "127.0.0.1:8080:81"]}, "twice"),
        ({"uid": "0"}, "uid"),
        ({"uid": True}, "uid"),
        ({"engine": "slirp"}, "neither veth nor pasta"),
        ({"engine": "pasta"}, "cannot be joined"),
        ({"allow": [], "dns": [], "join": "", "publish": []}, "allows nothing"),
    ],
)
def test_what_is_unfit_is_refused_in_words(change: dict[str, object], words: str) -> None:
    with pytest.raises(Trouble) as caught:
        read(PLAIN | change)
    assert words in f"{caught.value.what} {caught.value.why} {caught.value.instead}"
    assert set(caught.value.event()) == {"event", "message", "why", "instead"}


@pytest.mark.parametrize("key", sorted(PLAIN))
def test_a_missing_key_is_refused(key: str) -> None:
    with pytest.raises(Trouble, match=key):
        read({name: value for name, value in PLAIN.items() if name != key})


@given(
    some.sampled_from(sorted(PLAIN)),
    some.recursive(
        some.none() | some.booleans() | some.integers() | some.text(),
        some.lists,
        max_leaves=5,
    ),
)
def test_no_value_crashes(key: str, value: object) -> None:
    try:
        read(PLAIN | {key: value})
    except Trouble:
        return
