"""What doctor says of network modes.  Run by: pytest."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import plans

from hardbox.probe import networks
from hardbox.probe.check import Check, Place

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.host import HostFacts


def host(root: Path, *programs: str, forwards: str = "1") -> str:
    """Make a root with some programs, and a sysctl."""
    for path in programs:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch(mode=0o755)
    sysctl = root / "proc/sys/net/ipv4/ip_forward"
    sysctl.parent.mkdir(parents=True)
    sysctl.write_text(f"{forwards}\n")
    status = root / "proc/self/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython3\nCapEff:\t000001ffffffffff\n")
    tun = root / "dev/net/tun"
    tun.parent.mkdir(parents=True)
    tun.touch()
    return str(root)


def bridge(facts: HostFacts, root: str) -> Check:
    return networks.probe(Place(facts, root))[1]


@pytest.mark.parametrize(
    ("facts", "programs", "forwards", "fix"),
    [
        (plans.ROOT, ("usr/sbin/nft",), "1", ""),
        (plans.ROOT, ("usr/sbin/nft",), "0", "sysctl -w net.ipv4.ip_forward=1"),
        (plans.ROOT, (), "1", "apt-get install nftables"),
        (plans.USER, ("usr/sbin/nft", "usr/bin/pasta"), "0", ""),
        (plans.USER, ("usr/sbin/nft",), "1", "apt-get install passt"),
        (plans.USER, (), "1", "apt-get install nftables passt"),
    ],
)
def test_a_bridge(
    facts: HostFacts, programs: tuple[str, ...], forwards: str, fix: str, tmp_path: Path
) -> None:
    found = bridge(facts, host(tmp_path, *programs, forwards=forwards))
    assert (found.name, found.ok) == ("network-bridge", not fix)
    assert found.fix.startswith(fix)


def test_a_bridge_without_rights(tmp_path: Path) -> None:
    root = host(tmp_path, "usr/sbin/nft", "usr/bin/pasta")
    (tmp_path / "proc/self/status").write_text("CapEff:\t0000000000000000\n")
    assert bridge(plans.ROOT, root).found == "root without CAP_NET_ADMIN in this network"
    (tmp_path / "dev/net/tun").unlink()
    assert bridge(plans.USER, root).found == "/dev/net/tun cannot be opened"


def test_allow_needs_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Place(plans.USER, os.sep)
    assert networks.probe(here)[0].found == "IPv4 and IPv6"
    old = replace(plans.USER, ipv6=False)
    assert networks.probe(Place(old, os.sep))[0].found.startswith("IPv4 alone")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "h11" else name)
    found = networks.probe(here)[0]
    assert (found.ok, found.found) == (False, "h11 not installed")
