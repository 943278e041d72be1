"""Links, addresses and routes of network mode "bridge".

Run by: hardbox.net.veth, in the keeper's process, as root; hardbox.net.pasta, as an ordinary user, asks for
the host's addresses alone. Beside flows.py the only importer of pyroute2. It makes and removes interfaces
of hardbox's own, and changes no other; every call raises OSError or Trouble.

There is no ARP: both ends know the other's MAC for good, so a sandbox has nothing to ask and nobody to answer
for. A port learns nothing and floods nothing: frames go to the one MAC that is written down for it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any, Final, Self

# No types are published, so what comes of it is Any.
from pyroute2 import IPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from hardbox.net.namespaces import CLONE_NEWNET, enter
from hardbox.net.nft_rules import MAC_PREFIX
from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.net.nft_rules import Box

__all__ = (
    "GUEST",
    "MARK",
    "Links",
    "Traffic",
    "check_forwarding",
    "host_addresses",
    "inside",
    "let_forward",
    "route_loopback",
)

MARK: Final = "hardbox"  # the alias of a bridge that is ours
GUEST: Final = "eth0"
_PERMANENT: Final = 0x80  # NUD_PERMANENT
_MASTER: Final = 0x04  # NTF_MASTER: the bridge's table, not the device's
_LINK_SCOPE: Final = 253
_AF_INET: Final = 2
_UP: Final = 1  # IFF_UP
_MAIN: Final = 254


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that a sandbox has sent and received, with the frames' headers."""

    sent: int = 0
    received: int = 0


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Be in another network namespace. The process has one thread; a socket stays where it was made."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            enter(home, CLONE_NEWNET)
    finally:
        os.close(home)


def host_addresses() -> tuple[IPv4Address, ...]:
    """Give all IPv4 addresses of this network namespace's interfaces; needs no privilege."""
    with IPRoute() as route:
        return tuple(IPv4Address(row.get("address")) for row in route.get_addr(family=_AF_INET))


class Links:
    """The host's side: one netlink socket."""

    def __init__(self) -> None:
        """Open it."""
        self._route: Any = IPRoute()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Close the socket. What the kernel refused within leaves as Trouble."""
        self._route.close()
        if isinstance(error, NetlinkError):
            raise Trouble(
                what="the kernel refuses a step of the sandbox's network", why=str(error)
            ) from error

    def _index(self, name: str) -> int:
        """Give an interface's number, 0 if there is none."""
        return next(iter(self._route.link_lookup(ifname=name)), 0)

    def check_bridge(self, bridge: str, subnet: IPv4Network | None) -> bool:
        """Say whether the bridge is there. Raises Trouble if it is not ours or not as it should be.

        subnet: the addresses that it should have; None: any.
        """
        index = self._index(bridge)
        if not index:
            return False
        link = self._route.get_links(index)[0]
        kind = link.get(("linkinfo", "kind"))
        if kind != "bridge" or link.get("ifalias") != MARK:
            raise Trouble(
                what=f"interface {bridge} is there and is not hardbox's",
                why="its other ports and addresses would become the sandbox's neighbours",
                instead="give network.bridge a name that nothing on this host has",
            )
        if subnet is None:
            return True
        found = {f"{row.get('address')}/{row['prefixlen']}" for row in self._addresses(index)}
        if found - {f"{subnet[1]}/{subnet.prefixlen}"}:
            raise Trouble(
                what=f"bridge {bridge} has other addresses than those of {subnet}",
                why=f"found: {', '.join(sorted(found))}; another profile uses the bridge with another subnet",
                instead="give each subnet a bridge of its own",
            )
        return True

    def remove_unfinished(self, bridge: str) -> None:
        """Remove a bridge that a keeper was killed in the middle of making: setting it up is the last step.

        Its MAC is given when it is made, its alias just after.
        """
        index = self._index(bridge)
        if not index:
            return
        link = self._route.get_links(index)[0]
        ours = link.get(("linkinfo", "kind")) == "bridge" and link.get("ifalias") in (None, MARK)
        ours = ours and str(link.get("address")).startswith(MAC_PREFIX) and not link["flags"] & _UP
        if ours and not any(port.get("master") == index for port in self._route.get_links()):
            self.remove(bridge)

    def _addresses(self, index: int) -> list[Any]:
        return list(self._route.get_addr(family=_AF_INET, index=index))

    def check_subnet(self, bridge: str, subnet: IPv4Network) -> None:
        """Raise Trouble if the host already uses addresses of the subnet for something else."""
        own = self._index(bridge)
        places = [
            (IPv4Network(f"{row.get('address')}/{row['prefixlen']}", strict=False), row["index"])
            for row in self._route.get_addr(family=_AF_INET)
        ]
        places += [
            (IPv4Network(f"{row.get('dst')}/{row['dst_len']}"), row.get("oif"))
            for row in self._route.get_routes(family=_AF_INET, table=_MAIN)
            if row["dst_len"]
        ]
        for place, index in places:
            if index != own and place.overlaps(subnet):
                raise Trouble(
                    what=f"network.subnet {subnet} is in use on this host",
                    why=f"{place} is an address or a route of another interface, and would be cut off",
                    instead="give network.subnet addresses that this host does not use",
                )

    def make_bridge(self, box: Box) -> None:
        """Make the bridge; it is up when this returns, and has no port."""
        self._route.link("add", ifname=box.bridge, kind="bridge", address=box.gateway_mac)
        index = self._index(box.bridge)
        self._route.link("set", index=index, ifalias=MARK)
        self._route.link("set", index=index, kind="bridge", br_mcast_snooping=0, br_stp_state=0)
        _no_version_6(box.bridge)
        self._route.addr("add", index=index, address=str(box.gateway), prefixlen=box.subnet.prefixlen)
        self._route.link("set", index=index, state="up")

    def make_port(self, box: Box, namespace: int) -> None:
        """Make the pair: one end in the sandbox as eth0, the other a port of the bridge; both are down."""
        bridge = self._index(box.bridge)
        peer = {"ifname": GUEST, "net_ns_fd": namespace, "address": box.mac}
        self._route.link("add", ifname=box.port, kind="veth", peer=peer)
        index = self._index(box.port)
        _no_version_6(box.port)
        self._route.link("set", index=index, master=bridge)
        self._route.brport(
            "set", index=index, isolated=1, learning=0, unicast_flood=0, mcast_flood=0, bcast_flood=0
        )
        self._route.fdb("add", ifindex=index, lladdr=box.mac, flags=_MASTER)
        self._route.neigh("replace", ifindex=bridge, dst=str(box.address), lladdr=box.mac, state=_PERMANENT)

    def configure(self, box: Box, namespace: int) -> None:
        """Give the sandbox's end its address, its one neighbour and its routes, and set it up."""
        with inside(namespace):
            _no_version_6(GUEST)
            route: Any = IPRoute()
        with route:
            index = next(iter(route.link_lookup(ifname=GUEST)))
            route.addr("add", index=index, address=str(box.address), prefixlen=32)
            route.link("set", index=index, state="up")
            route.neigh("add", ifindex=index, dst=str(box.gateway), lladdr=box.gateway_mac, state=_PERMANENT)
            route.route("add", dst=f"{box.gateway}/32", oif=index, scope=_LINK_SCOPE)
            route.route("add", dst="0.0.0.0/0", gateway=str(box.gateway), oif=index)

    def open(self, box: Box) -> None:
        """Set the host's end up: from here on frames flow."""
        self._route.link("set", index=self._index(box.port), state="up")

    def ports(self, bridge: str) -> tuple[str, ...]:
        """Give the names of the interfaces that are what the bridge's ports are."""
        veths = (link for link in self._route.get_links() if link.get(("linkinfo", "kind")) == "veth")
        names = (str(link.get("ifname")) for link in veths)
        return tuple(name for name in names if name.startswith(f"{bridge}."))

    def traffic(self, box: Box) -> Traffic:
        """Give what has passed; what the port received was sent by the sandbox."""
        index = self._index(box.port)
        if not index:
            return Traffic()
        link = self._route.get_links(index)[0]
        return Traffic(link.get(("stats64", "rx_bytes")), link.get(("stats64", "tx_bytes")))

    def remove(self, name: str) -> None:
        """Remove an interface of ours, and with it its other end. One that is gone already is removed."""
        index = self._index(name)
        if not index:
            return
        try:
            self._route.link("del", index=index)
        except NetlinkError:
            # A namespace that ends takes its interfaces along, perhaps between the two calls.
            if self._index(name):
                raise

    def forget(self, box: Box) -> None:
        """Remove the bridge's knowledge of where the sandbox was."""
        bridge = self._index(box.bridge)
        if bridge and self._route.get_neighbours(ifindex=bridge, dst=str(box.address), family=_AF_INET):
            self._route.neigh("del", ifindex=bridge, dst=str(box.address))


def _no_version_6(name: str) -> None:
    """Keep IPv6 off an interface of ours, link-local addresses too."""
    path = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
    if os.path.exists("/proc/sys/net/ipv6"):
        _write(path, "1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def route_loopback(bridge: str) -> None:
    """Let packets to a port that is published on 127.0.0.1 leave by the bridge; the rules let none back."""
    _write(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet", "1")


def let_forward(bridge: str) -> None:
    """Let the kernel route what comes from the bridge: a setting of our own interface."""
    _write(f"/proc/sys/net/ipv4/conf/{bridge}/forwarding", "1")


def check_forwarding() -> None:
    """Raise Trouble if this host does not route for others: answers would never come back."""
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        if file.read().strip() == "1":
            return
    raise Trouble(
        what="this host does not forward packets",
        why="net.ipv4.ip_forward is 0, and hardbox changes no setting of the host",
        instead="as root: sysctl -w net.ipv4.ip_forward=1 (it makes the host a router: see to its own rules"
        ' first), or use network mode "allow", which needs none',
    )
