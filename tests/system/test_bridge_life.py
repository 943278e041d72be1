"""Network mode "bridge" as root: from start to end, and what is left of whom was killed."""

from __future__ import annotations

import os

import pytest
from support import patience
from support.bridges import PUBLIC, UPLINK, World

from hardbox.net.wire import GO

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="engine veth is root's")


def test_many_at_once_have_an_address_each(world: World) -> None:
    count = 50 if patience.SLOWER == 1 else 10
    boxes = [world.start(allow=["93.184.216.34:443"]) for _ in range(count)]
    for box in boxes:
        box.hand_over()
    assert {box.answer() for box in boxes} == {GO}
    assert len({box.address for box in boxes}) == count
    assert {box.ask("connect", PUBLIC[0], 443) for box in boxes} == {f"internet {UPLINK}"}
    for box in boxes:
        box.hang_up()
    assert {box.finish().status for box in boxes} == {0}


def test_a_pool_that_is_used_up_refuses(world: World) -> None:
    first = world.sandbox(subnet="10.212.0.0/30", bridge="hbx2")
    second = world.start(subnet="10.212.0.0/30", bridge="hbx2")
    assert second.answer() == 0
    ended = second.finish()
    assert (ended.status, "no address left" in ended.error) == (1, True)
    assert first.address == "10.212.0.2"
    first.finish()
    assert world.sandbox(subnet="10.212.0.0/30", bridge="hbx2").address == "10.212.0.2"


def test_what_killed_keepers_left_is_gone_with_the_next(world: World) -> None:
    for _ in range(3):
        world.sandbox(join="red", publish=["127.0.0.1:8080:80"], subnet="10.213.0.0/29").kill()
    assert "hardbox-hbx0" in world.on_host("nft list tables")
    box = world.sandbox(subnet="10.213.0.0/29")
    assert world.on_host("nft list ruleset").count("chain box-") == 1
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"


def test_what_a_killed_keeper_left_beside_others_is_gone_too(world: World) -> None:
    lives = world.sandbox(join="red", subnet="10.213.0.0/28")
    killed = world.sandbox(join="red", publish=["127.0.0.1:8080:80"], subnet="10.213.0.0/28")
    killed.kill()
    assert world.on_host("nft list ruleset").count("chain box-") == 2
    third = world.sandbox(publish=["127.0.0.1:8080:80"], subnet="10.213.0.0/28")
    rules = world.on_host("nft list ruleset")
    assert rules.count("chain box-") == 2
    assert rules.count("127.0.0.1 . 8080") == 1
    assert {box.ask("connect", PUBLIC[0], 443) for box in (lives, third)} == {f"internet {UPLINK}"}


@pytest.mark.parametrize("alias", ["", "ip link set hbx0 alias hardbox;"])
def test_a_bridge_that_was_never_finished_is_made_anew(world: World, alias: str) -> None:
    # As left by a keeper that is killed between making it and setting it up.
    world.on_host(f"ip link add hbx0 address 02:68:0a:d2:00:01 type bridge; {alias} true")
    box = world.sandbox()
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"
    box.finish()
    assert "hbx0" not in world.on_host("ip link")


def test_an_answer_to_the_last_holder_does_not_reach_the_next(world: World) -> None:
    small = {"subnet": "10.213.0.0/30"}  # one address
    ask = "exec 3<>/dev/udp/93.184.216.34/443; echo >&3"
    world.sandbox(**small).ask("run", "bash", "-c", ask)
    world.end()
    flows = "grep -c 10.213.0.2 /proc/net/nf_conntrack || true"
    assert world.on_host(flows) != "0\n"
    box = world.sandbox(**small)
    assert world.on_host(flows) == "0\n"
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"


def test_a_sandbox_whose_keeper_was_killed_is_cut_off_by_the_next(world: World) -> None:
    orphan = world.sandbox()
    orphan.keeper.kill()
    orphan.keeper.wait()
    world.sandbox()
    assert "eth0" not in orphan.ask("run", "ip", "link")
    assert orphan.ask("connect", PUBLIC[0], 443) == "ENETUNREACH"


def test_flushing_all_rules_cuts_the_sandbox_off(world: World) -> None:
    box = world.sandbox()
    own = world.on_host("nft list table inet own")
    world.on_host("nft flush ruleset")
    assert box.keeper.wait(timeout=60) == 1
    assert box.ask("connect", PUBLIC[0], 443) == "ENETUNREACH"
    assert "flush ruleset" in box.finish().error
    world.on_host(f"nft -f - <<'END'\n{own}\nEND")


def test_another_hosts_table_that_goes_means_nothing(world: World) -> None:
    box = world.sandbox()
    world.on_host("nft add table inet passing; nft delete table inet passing")
    assert box.ask("connect", PUBLIC[0], 443) == f"internet {UPLINK}"


def test_roots_keeper_keeps_one_capability(world: World) -> None:
    box = world.sandbox()
    with open(f"/proc/{box.keeper.pid}/status", encoding="ascii") as file:
        found = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    net_admin = f"{1 << 12:016x}"
    assert [found[name] for name in ("CapEff", "CapPrm", "CapBnd")] == [net_admin] * 3
    assert {found[name] for name in ("CapInh", "CapAmb")} == {"0" * 16}


def test_no_rules_no_link(world: World) -> None:
    for stand_in in ("exit 1", "exec sleep 1", 'case "$*" in *-f*) exit 1;; *) exec /run/nft "$@";; esac'):
        script = f"cp /usr/sbin/nft /run/nft; printf '%s\\n' '#!/bin/sh' '{stand_in}' >/run/faulty"
        world.on_host(f"{script}; chmod 755 /run/faulty; mount --bind /run/faulty /usr/sbin/nft")
        try:
            box = world.start()
            box.hand_over()
            assert box.answer() == 0
            assert "eth0" not in box.ask("run", "ip", "link")
            assert "hbx0" not in world.on_host("ip link")
            box.finish()
        finally:
            world.on_host("umount /usr/sbin/nft")


def test_leases_are_those_of_one_network_namespace(world: World) -> None:
    # Two namespaces may share a /run: neither keeps the other's bridge nor takes its addresses.
    box = world.sandbox()
    here = os.stat(f"/proc/{world.host}/ns/net").st_ino
    held = os.listdir(f"/proc/{box.keeper.pid}/fd")
    files = {os.readlink(f"/proc/{box.keeper.pid}/fd/{number}") for number in held}
    assert f"/run/hardbox/net/hbx0-{here}.leases" in files
