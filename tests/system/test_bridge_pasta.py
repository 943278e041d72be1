"""Network mode "bridge" for an ordinary user: pasta, with rules inside."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support import callers, faults
from support.bridges import BRIDGE, INNER, PUBLIC, UPLINK, World, shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.callers import Caller

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the test world is made by root")


@pytest.fixture
def world(made: World) -> Iterator[World]:
    with made.unchanged():
        yield made
    assert pastas(made) == []


@pytest.fixture
def user(tmp_path: Path) -> Caller:
    return callers.make("user", str(tmp_path))


def pastas(world: World) -> list[int]:
    """Give the processes on the test's host that are pasta."""
    found = []
    ours = os.readlink(f"/proc/{world.host}/ns/net")
    for name in os.listdir("/proc"):
        try:
            program, net = os.readlink(f"/proc/{name}/exe"), os.readlink(f"/proc/{name}/ns/net")
        except OSError:
            continue
        if net == ours and "/passt" in program:  # codespell:ignore passt
            found.append(int(name))
    return found


def test_what_is_allowed_is_reached_and_nothing_else(world: World, user: Caller) -> None:
    box = world.sandbox(
        user, engine="pasta", allow=["93.184.216.34:443", "10.0.3.0/24:5432"], dns=[PUBLIC[1]]
    )
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"
    assert box.ask("datagram", PUBLIC[0], 443) == f"internet {UPLINK}!"
    assert box.ask("connect", "10.0.3.7", 5432) == f"internet {UPLINK}"
    assert box.ask("datagram", PUBLIC[1], 53) == f"internet {UPLINK}!"
    for host, port in ((PUBLIC[0], 80), (PUBLIC[1], 443), ("10.0.3.7", 443), ("169.254.169.254", 80)):
        assert box.ask("connect", host, port) == "ECONNREFUSED"
    assert box.ask("datagram", PUBLIC[1], 443) == "EPERM"
    ended = box.finish()
    assert ended.status == 0
    assert [event["event"] for event in ended.events] == ["ready", "end"]
    rows = ended.events[-1]["rows"]
    assert {(row["host"], row["port"], row["detail"][:3], row["via"]) for row in rows} == {
        (PUBLIC[0], 80, "tcp", "pasta"),
        (PUBLIC[1], 443, "tcp", "pasta"),
        (PUBLIC[1], 443, "udp", "pasta"),
        ("10.0.3.7", 443, "tcp", "pasta"),
        ("169.254.169.254", 80, "tcp", "pasta"),
    }
    assert ended.events[-1]["sent"] > 0
    assert ended.events[-1]["received"] > 0


def test_the_whole_internet_is_neither_the_host_nor_its_neighbours(world: World, user: Caller) -> None:
    box = world.sandbox(user, engine="pasta", allow=["0.0.0.0/0:443", "192.0.2.0/24:443", "10.0.0.0/8:80"])
    assert box.ask("connect", PUBLIC[1], 443) == f"internet {UPLINK}"
    for host in (*INNER, UPLINK, BRIDGE, "127.0.0.1", "127.0.0.53", "0.0.0.0"):  # noqa: S104 (a destination)
        assert not box.ask("connect", host, 443).startswith(("host", "internet"))
    # The gateway's address, which pasta can map to the host's loopback, although a rule opens it.
    assert not box.ask("silence", BRIDGE, 80).startswith("host")


def test_without_the_rules_the_host_would_be_reached_but_not_its_loopback(world: World, user: Caller) -> None:
    # The control: what this host's address answers is kept away by the rules, the loopback by pasta itself.
    box = world.sandbox(user, engine="pasta")
    assert box.ask("connect", UPLINK, 80) == "ECONNREFUSED"
    assert box.ask("run", "/usr/sbin/nft", "flush", "ruleset") == "0 "
    assert box.ask("connect", UPLINK, 80).startswith("host ")
    for host in ("127.0.0.1", BRIDGE, "169.254.1.1", "10.210.0.2"):
        assert not box.ask("silence", host, 80).startswith("host")


def test_the_hosts_loopback_is_reached_if_pasta_is_told_so(world: World, user: Caller) -> None:
    # The control of the test above: the same probes succeed against a pasta with the two ways left open.
    cases = '*--no-map-gw) ;; --tcp-nsnone) words+=(80) ;; *) words+=("$word") ;;'
    wrapper = [
        "#!/bin/bash",
        "words=()",
        f'for word; do case "$last$word" in {cases} esac; last=$word; done',
        'exec /run/pasta "${words[@]}"',
    ]
    lines = "\n".join(wrapper)
    world.on_host(
        f"cat >/run/open <<'END'\n{lines}\nEND\n"
        "cp -L /usr/bin/pasta /run/pasta; chmod 755 /run/open; mount --bind /run/open /usr/bin/pasta"
    )
    try:
        box = world.sandbox(user, engine="pasta")
        assert box.ask("run", "/usr/sbin/nft", "flush", "ruleset") == "0 "
        # An answer from elsewhere says that pasta runs, as in the test above: its ways are open by then.
        assert box.ask("connect", UPLINK, 80).startswith("host ")
        assert box.ask("connect", "127.0.0.1", 80).startswith("host ")
        assert box.ask("connect", BRIDGE, 80).startswith("host ")
    finally:
        world.end()
        world.on_host("umount /usr/bin/pasta")


def test_the_hosts_very_address_is_opened_by_a_rule_for_it(world: World, user: Caller) -> None:
    box = world.sandbox(user, engine="pasta", allow=[f"{UPLINK}:80"])
    assert box.ask("connect", UPLINK, 80).startswith("host ")
    assert box.ask("connect", UPLINK, 443) == "ECONNREFUSED"


def test_there_is_no_version_6(world: World, user: Caller) -> None:
    box = world.sandbox(user, engine="pasta", allow=["0.0.0.0/0:*"])
    assert box.ask("connect", "2606:2800:220:1::34", 443) == "ENETUNREACH"


def test_a_port_is_published_where_it_is_said(world: World, user: Caller) -> None:
    box = world.sandbox(user, engine="pasta", allow=[], publish=["127.0.0.1:8080:80"])
    assert box.ask("listen", 80) == box.ask("listen", 81) == "listening"
    read = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/{} && cat <&3' 2>&1 || echo no"
    # pasta opens it just after it has made the route.
    outer = read.format("127.0.0.1", 8080)
    faults.eventually(lambda: shell(world.host, outer).startswith("box "), "the port is open")
    assert "refused" in shell(world.host, read.format(UPLINK, 8080))
    assert "refused" in shell(world.internet, read.format(UPLINK, 8080))
    assert "refused" in shell(world.host, read.format("127.0.0.1", 81))


def test_pasta_ends_with_a_keeper_that_is_killed(world: World, user: Caller) -> None:
    box = world.sandbox(user, engine="pasta")
    faults.eventually(lambda: len(pastas(world)) == 1, "pasta has left its start behind it")
    box.keeper.kill()
    box.keeper.wait()
    faults.eventually(lambda: pastas(world) == [], "pasta has ended")
    assert box.ask("silence", PUBLIC[0], 443) in ("ENETUNREACH", "timed out")


def test_the_keeper_says_so_if_pasta_ends(world: World, user: Caller) -> None:
    box = world.sandbox(user, engine="pasta")
    os.kill(pastas(world)[0], signal.SIGKILL)
    assert box.keeper.wait(timeout=60) == 1
    assert "pasta has ended" in box.finish().error


@pytest.mark.parametrize("missing", ["/usr/sbin/nft", "/usr/bin/pasta", "/dev/net/tun"])
def test_without_its_tools_there_is_no_network(world: World, user: Caller, missing: str) -> None:
    world.on_host(f"touch /run/nothing; chmod 600 /run/nothing; mount --bind /run/nothing {missing}")
    try:
        box = world.start(user, engine="pasta")
        assert box.answer() == 0
        ended = box.finish()
    finally:
        world.on_host(f"umount {missing}")
    assert ended.status == 1
    assert [event["event"] for event in ended.events] == ["error"]
    assert missing in ended.error


def test_rules_that_are_not_loaded_leave_no_way_out(world: World, user: Caller) -> None:
    for script in ("exit 0", "exit 1"):
        world.on_host(
            f"printf '%s\\n' '#!/bin/sh' '{script}' >/run/faulty; chmod 755 /run/faulty;"
            " mount --bind /run/faulty /usr/sbin/nft"
        )
        try:
            box = world.start(user, engine="pasta")
            box.hand_over()
            assert box.answer() == 0
            assert "eth0" not in box.ask("run", "ip", "link")
            assert box.finish().status == 1
        finally:
            world.on_host("umount /usr/sbin/nft")


def test_pasta_that_fails_leaves_no_way_out(world: World, user: Caller) -> None:
    world.on_host(
        "printf '%s\\n' '#!/bin/sh' 'echo cannot >&2; exit 3' >/run/faulty; chmod 755 /run/faulty;"
        " mount --bind /run/faulty /usr/bin/pasta"
    )
    try:
        box = world.start(user, engine="pasta")
        box.hand_over()
        assert box.answer() == 0
        assert box.ask("connect", PUBLIC[0], 443) == "ENETUNREACH"
        ended = box.finish()
    finally:
        world.on_host("umount /usr/bin/pasta")
    assert "cannot" in ended.error


def test_root_gets_no_pasta(world: World) -> None:
    box = world.start(engine="pasta")
    assert box.answer() == 0
    assert "for ordinary users" in box.finish().error


def test_an_ordinary_user_gets_no_bridge(world: World, user: Caller) -> None:
    box = world.start(user)
    assert box.answer() == 0
    assert "by root alone" in box.finish().error
