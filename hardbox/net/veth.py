"""Engine "veth": a pair of interfaces between a sandbox and a bridge of the host's, as root.

Run by: hardbox.net.bridge, in the keeper's process.

The order makes it fail closed: lease, rules, interfaces (down), the sandbox's end up, the host's end up, GO.
A failure in the middle takes back what was made, and the supervisor, which hears no GO, ends the sandbox.

Nothing is remembered but what the kernel has: a lease that nobody holds means that what is named by it was
left by a keeper that was killed, and the next one removes it. The last one takes bridge and tables along.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from hardbox.net import flows, links, nft_rules, nft_state, privileges, programs
from hardbox.net.keeper_wire import row
from hardbox.net.leases import FOLDER, Leases
from hardbox.net.links import Links
from hardbox.net.namespaces import namespace_of
from hardbox.net.nft_rules import Box
from hardbox.net.trouble import Trouble
from hardbox.net.watch import Watch
from hardbox.net.wire import IN_QUEUE, READY, end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardbox.net.bridge_settings import BridgeSettings, Published
    from hardbox.net.keeper_wire import Say, Supervisor
    from hardbox.net.nft_state import State

__all__ = ("keep",)

_TO_KEEP: Final = (privileges.NET_ADMIN,)
_TO_MAKE: Final = (*_TO_KEEP, privileges.NET_BIND_SERVICE, privileges.SETPCAP, privileges.SYS_ADMIN)


def keep(wanted: BridgeSettings, supervisor: Supervisor, say: Say) -> dict[str, object]:
    """Keep one sandbox on its bridge; give the end event. Raises Trouble, OSError, ValueError."""
    if os.geteuid() != 0:
        raise Trouble(
            what="interfaces between a sandbox and this host are made by root alone",
            instead='use engine "pasta", or run as root',
        )
    privileges.keep_only(_TO_MAKE)
    programs.check(programs.NFT)
    links.check_forwarding()
    with ExitStack() as stack:
        for port in wanted.publish:
            stack.enter_context(closing(_reserve(port)))
        # Network namespaces may share a /run; each has bridges of its own.
        name = f"{wanted.bridge}-{os.stat('/proc/self/ns/net').st_ino}"
        leases = stack.enter_context(closing(Leases(name, wanted.subnet.num_addresses, FOLDER)))
        host = stack.enter_context(Links())
        queued = partial(say, IN_QUEUE)

        def both_queued() -> None:
            # The job may be ready by now, and the supervisor wait: it was started at the same time.
            queued()
            supervisor.queued()

        with leases.alone(both_queued):  # nobody is in the middle of making the bridge
            host.remove_unfinished(wanted.bridge)
            host.check_bridge(wanted.bridge, wanted.subnet)
            host.check_subnet(wanted.bridge, wanted.subnet)
        keeper = _Keeper(wanted, leases, host)
        with keeper.leased(queued):
            say(READY)
            descriptor = supervisor.sandbox_socket()
            namespace = namespace_of(descriptor)
            os.close(descriptor)
            # Open until the end: what has passed is read from the interface, which goes with its namespace.
            stack.callback(os.close, namespace)
            watch = keeper.make(namespace, supervisor.queued)
            stack.callback(watch.close)
            privileges.keep_only(_TO_KEEP)
            supervisor.go()
            keeper.wait(supervisor, watch)
        return keeper.ended


class _Keeper:
    """One sandbox's place on the bridge."""

    def __init__(self, wanted: BridgeSettings, leases: Leases, host: Links) -> None:
        self._wanted = wanted
        self._leases = leases
        self._host = host
        self._box = Box(wanted.bridge, wanted.subnet, 0)
        self.ended: dict[str, object] = {}

    @contextmanager
    def leased(self, queued: Callable[[], None]) -> Iterator[None]:
        """Have an address; leave nothing behind. queued: as for Leases.alone."""
        self._box = Box(self._wanted.bridge, self._wanted.subnet, self._leases.take())
        try:
            yield
        finally:
            with self._leases.alone(queued):
                self._remove()

    def make(self, namespace: int, queued: Callable[[], None]) -> Watch:
        """Put the sandbox on the bridge. Give the watch over its rules, which began before they did.

        queued: as for Leases.alone.
        """
        box, host, wanted = self._box, self._host, self._wanted
        with self._leases.alone(queued):
            state, stale = self._tidy()
            flows.forget(box.address)
            watch = Watch()  # not before: what _tidy deletes is no loss
            programs.nft(nft_rules.load(wanted, box, state, stale))
            self._check_loaded()
            # Another keeper may have made or removed it since the first look.
            if not host.check_bridge(wanted.bridge, wanted.subnet):
                host.check_subnet(wanted.bridge, wanted.subnet)
                host.make_bridge(box)
                links.let_forward(wanted.bridge)
            if any(port.address.is_loopback for port in wanted.publish):
                links.route_loopback(wanted.bridge)
            host.make_port(box, namespace)
            host.configure(box, namespace)
            host.open(box)
        return watch

    def wait(self, supervisor: Supervisor, watch: Watch) -> None:
        """Wait for the sandbox's end. Raises Trouble if the rules go: the sandbox is cut off first."""
        poll = select.poll()
        poll.register(supervisor, select.POLLIN)
        poll.register(watch, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if watch.fileno() in ready:
                self._check_rules(watch)
            if supervisor.fileno() in ready:
                supervisor.ended()
                return

    def _check_rules(self, watch: Watch) -> None:
        name = nft_rules.table(self._wanted.bridge)
        lost = watch.lost(name)
        if lost is None:
            lost = not all(programs.nft_table(family, name) for family in ("bridge", "inet"))
        if lost:
            self._host.remove(self._box.port)
            raise Trouble(
                what="the sandbox was cut off from its network",
                why=f"somebody has deleted hardbox's table {name}, as `nft flush ruleset` does",
                instead="while sandboxes run, reload the host's rules table by table, without flushing all",
            )

    def _check_loaded(self) -> None:
        """Read back that the sandbox has rules; a program that says so is no proof."""
        box = self._box
        port = nft_state.ports(programs.nft_table("bridge", nft_rules.table(box.bridge)))
        if box.offset not in self._state().boxes or (box.port, box.mac, str(box.address)) not in port:
            raise Trouble(
                what="the sandbox's rules are not in force",
                why=f"{programs.NFT} has loaded them and does not list them",
                instead=f"see whether {programs.NFT} is Debian's, and what else changes this host's rules",
            )

    def _tidy(self) -> tuple[State, frozenset[int]]:
        """Remove what killed keepers have left; give what is in force, and what of it is nobody's."""
        bridge, subnet = self._wanted.bridge, self._wanted.subnet
        self._host.remove_unfinished(bridge)
        if not self._leases.alive():
            self._remove_all()
            return nft_state.NOTHING, frozenset()
        for name in self._host.ports(bridge):
            if not self._leases.held(int(name.removeprefix(f"{bridge}."), 16)):
                self._host.remove(name)
        state = self._state()
        stale = frozenset(offset for offset in state.boxes if not self._leases.held(offset))
        for offset in stale:
            self._host.forget(Box(bridge, subnet, offset))
        return state, stale

    def _state(self) -> State:
        text = programs.nft_table("inet", nft_rules.table(self._wanted.bridge))
        return nft_state.read(text) if text else nft_state.NOTHING

    def _remove(self) -> None:
        """Take the sandbox's place away: first its interface, then its rules, then its lease."""
        box = self._box
        traffic = self._host.traffic(box)
        self._host.remove(box.port)
        self._host.forget(box)
        state = self._state()
        text = nft_rules.unload(box.bridge, box.subnet, state, (box.offset,))
        if text:
            programs.nft(text)
        self._leases.release(box.offset)
        if not self._leases.alive():
            self._remove_all()
        denied = [denied for offset, denied in state.denied if offset == box.offset]
        rows = [row(one.address, one.port, one.protocol, one.count, "bridge") for one in denied]
        self.ended = end(rows, sent=traffic.sent, received=traffic.received)

    def _remove_all(self) -> None:
        """Leave the host as it was before the first sandbox: nobody else has a lease."""
        bridge = self._wanted.bridge
        for name in self._host.ports(bridge):
            self._host.remove(name)
        if self._host.check_bridge(bridge, None):
            self._host.remove(bridge)
        programs.nft(nft_rules.unload_all(bridge))


def _reserve(port: Published) -> socket.socket:
    """Hold a port of the host, so that nobody else's service is taken over."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.bind((str(port.address), port.host_port))
    except OSError as error:
        held.close()
        why = {
            errno.EADDRINUSE: "another program or sandbox has it",
            errno.EADDRNOTAVAIL: "this host has no such address",
        }.get(error.errno or 0, str(error))
        raise Trouble(what=f"port {port.address}:{port.host_port} cannot be published", why=why) from error
    return held
