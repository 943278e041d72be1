"""Network mode "bridge" as root: what a sandbox reaches, and what not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.bridges import BRIDGE, UPLINK, World

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="engine veth is root's")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


def test_what_is_allowed_is_reached_and_nothing_else(world: World) -> None:
    box = world.sandbox(allow=["93.184.216.34:443", "10.0.3.0/24:5432"])
    assert box.ask("connect", "93.184.216.34", 443) == f"internet {UPLINK}"
    assert box.ask("datagram", "93.184.216.34", 443) == f"internet {UPLINK}!"
    assert box.ask("connect", "10.0.3.7", 5432) == f"internet {UPLINK}"
    for host, port in (
        ("93.184.216.34", 80),
        ("93.184.216.35", 443),
        ("10.0.3.7", 443),
        ("169.254.169.254", 80),
        (BRIDGE, 443),
    ):
        assert box.ask("connect", host, port) == "ECONNREFUSED"
    assert box.ask("datagram", "93.184.216.35", 53) == "EHOSTUNREACH"
    ended = box.finish()
    assert ended.status == 0
    rows = {(row["host"], row["port"], row["detail"]) for row in ended.events[-1]["rows"]}
    assert rows == {
        ("93.184.216.34", 80, "tcp, counted in packets"),
        ("93.184.216.35", 443, "tcp, counted in packets"),
        ("93.184.216.35", 53, "udp, counted in packets"),
        ("10.0.3.7", 443, "tcp, counted in packets"),
        ("169.254.169.254", 80, "tcp, counted in packets"),
        (BRIDGE, 443, "tcp, counted in packets"),
    }
    assert ended.events[-1]["sent"] > 0
    assert ended.events[-1]["received"] > 0
