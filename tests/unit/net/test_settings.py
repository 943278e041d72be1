"""What the broker is told: everything, or it ends."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox import network_limits as limits
from hardbox.net import settings
from hardbox.policy import NETWORK_LOGS, SNI_MODES, UNLIMITED

GOOD: dict[str, Any] = {
    "mode": "allow",
    "profile": "net-client",
    "allow": ["index.example.org:443", "*.files.example.org:443", "10.0.3.7:5432", "[2001:db8::1]:22"],
    "sni": "match",
    "log": "denied",
    "connections": 256,
    "rate": 100,
    "bytes": UNLIMITED,
    "idle": 300_000,
}


def parse(**changed: object) -> settings.Settings:
    return settings.parse(json.dumps(GOOD | changed).encode())


def test_good_settings_are_read() -> None:
    read = parse()
    assert [str(rule) for rule in read.allow] == GOOD["allow"]
    assert (read.sni, read.log, read.connections, read.rate, read.patience) == (
        "match",
        "denied",
        256,
        100,
        300,
    )


def test_what_a_policy_may_be_is_taken() -> None:
    assert limits.NO_LIMIT == UNLIMITED
    for key, choices in (("sni", SNI_MODES), ("log", NETWORK_LOGS)):
        assert [getattr(parse(**{key: choice}), key) for choice in choices] == list(choices)


def test_they_are_read_from_a_descriptor_wherever_it_stands() -> None:
    memory = os.memfd_create("settings")
    os.write(memory, json.dumps(GOOD).encode())
    assert settings.parse(settings.read(memory)) == parse()
    os.close(memory)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_every_key_has_to_be_there(key: str) -> None:
    without = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(ValueError, match=f"lack {key}"):
        settings.parse(json.dumps(without).encode())


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"mode": "host"}, "mode is none of allow"),
        ({"mode": ["allow"]}, "mode is none of"),
        ({"sni": "maybe"}, "sni is none of"),
        ({"log": True}, "log is none of"),
        ({"allow": []}, "allow is empty"),
        ({"allow": None}, "no list of texts"),
        ({"allow": "index.example.org:443"}, "no list of texts"),
        ({"allow": [443]}, "no list of texts"),
        ({"allow": ["*:443"]}, "whole first label"),
        ({"allow": ["index.example.org"]}, "names no port"),
        ({"allow": ["good.example.org:443", "0x7f.1:443"]}, "neither a name nor"),
        ({"allow": ["10.0.0.0/8:443"]}, "not a rule of this mode"),
        ({"allow": ["10.0.0.1:*"]}, "not a rule of this mode"),
        ({"allow": ["a.example.org:443"] * 5000}, "more than"),
        ({"connections": 0}, "connections is no whole number"),
        ({"connections": True}, "connections is no whole number"),
        ({"rate": 1.5}, "rate is no whole number"),
        ({"bytes": -1}, "bytes is no whole number"),
        ({"bytes": 1 << 63}, "bytes is no whole number"),
        ({"idle": "300000"}, "idle is no whole number"),
        ({"profile": 7}, "profile is no text"),
        ({"extra": 1}, "unknown keys: extra"),
        *(
            ({key: value}, f"{key} is no whole number")
            for key, (least, most) in {
                "connections": limits.CONNECTIONS,
                "rate": limits.RATE,
                "idle": limits.IDLE,
            }.items()
            for value in (least - 1, most + 1)
        ),
    ],
)
def test_what_is_wrong_ends_it(changed: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("*", r"\*")):
        parse(**changed)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"mode": NaN}',
        b"[" * 100_000,
        b" " * (settings.MOST_BYTES + 1),
        json.dumps(GOOD).replace('"rate"', '"mode": "allow", "rate"').encode(),
    ],
)
def test_what_is_no_settings_at_all_ends_it(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        settings.parse(raw)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        settings.parse(raw)


def test_a_profile_s_name_is_one_plain_line() -> None:
    assert parse(profile="a\nb\x1b[31m").profile == "a?b?[31m"
