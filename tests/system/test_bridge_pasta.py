"""Network mode "bridge" for an ordinary user: pasta, with rules inside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import callers
from support.bridges import PUBLIC, UPLINK, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.callers import Caller

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the test world is made by root")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def user(tmp_path: str) -> Caller:
    return callers.make("user", str(tmp_path))


def test_what_is_allowed_is_reached_and_nothing_else(world: World, user: Caller) -> None:
    box = world.sandbox(user, engine="pasta", allow=["93.184.216.34:443", "10.0.3.0/24:5432"])
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"
    assert box.ask("datagram", PUBLIC[0], 443) == f"internet {UPLINK}!"
    assert box.ask("connect", "10.0.3.7", 5432) == f"internet {UPLINK}"
    for host, port in ((PUBLIC[0], 80), (PUBLIC[1], 443), ("10.0.3.7", 443), ("169.254.169.254", 80)):
        assert box.ask("connect", host, port) == "ECONNREFUSED"
    assert box.finish().status == 0
