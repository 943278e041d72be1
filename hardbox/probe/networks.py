"""Probes of what network modes "allow" and "bridge" need beside namespaces.

Run by: hardbox.probe; only looks.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Final

from hardbox.probe.check import Check, Place

# As hardbox/net/programs.py starts them: never through PATH.
_NFT: Final = "/usr/sbin/nft"
_PASTA: Final = "/usr/bin/pasta"
_TUN: Final = "/dev/net/tun"
_LIBRARIES: Final = ("dns", "h11", "idna")
_NET_ADMIN: Final = 12  # capabilities(7)


def probe(place: Place) -> tuple[Check, ...]:
    """Look at both."""
    return (_allow(place), _bridge(place))


def _allow(place: Place) -> Check:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    addresses = "IPv4 and IPv6" if place.facts.ipv6 else "IPv4 alone: the kernel's IPv6 is off"
    return Check(
        "network-allow",
        not missing,
        f"{', '.join(missing)} not installed" if missing else addresses,
        'network.mode = "allow": destinations by name',
        fix="install hardbox again (pip install --force-reinstall hardbox)" if missing else "",
    )


def _may_administer(place: Place) -> bool:
    rows = (line.partition(":") for line in place.text("/proc/self/status").splitlines())
    effective = next((value.strip() for name, _, value in rows if name == "CapEff"), "0")
    return bool(int(effective, 16) >> _NET_ADMIN & 1)


def _bridge(place: Place) -> Check:
    root = place.facts.uid == 0
    wanted = {_NFT: "nftables"} | ({} if root else {_PASTA: "passt"})  # codespell:ignore passt
    missing = [path for path in wanted if not os.access(place.root + path, os.X_OK)]
    forwards = place.text("/proc/sys/net/ipv4/ip_forward") == "1"
    found, fix = "a bridge of hardbox's own" if root else "pasta", ""
    if missing:
        found = f"{', '.join(missing)} not installed"
        fix = "apt-get install " + " ".join(wanted[path] for path in missing)
    elif importlib.util.find_spec("pyroute2") is None:
        found, fix = "pyroute2 not installed", "install hardbox again (pip install --force-reinstall hardbox)"
    elif root and not _may_administer(place):
        found = "root without CAP_NET_ADMIN in this network"
        fix = "run outside of the container, or give it that capability"
    elif not root and not os.access(place.root + _TUN, os.R_OK | os.W_OK):
        found, fix = (
            f"{_TUN} cannot be opened",
            "as root: modprobe tun; chmod 666 /dev/net/tun, as Debian has it",
        )
    elif root and not forwards:
        found = "net.ipv4.ip_forward is 0"
        fix = "sysctl -w net.ipv4.ip_forward=1 (it makes the host a router: see to its own rules first)"
    return Check(
        "network-bridge", not fix, found, 'network.mode = "bridge": an address of the job\'s own', fix=fix
    )
