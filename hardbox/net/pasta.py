"""Engine "pasta": packets of a sandbox copied by the host's pasta, for everybody but root.

Run by: hardbox.net.bridge, in the keeper's process. pasta makes an interface in the
sandbox and connections of its own for what comes out of it, with the caller's rights and from the host's
addresses. Rules of the host's cannot tell those from the caller's own, so the rules are in the sandbox's
namespace, which the job cannot change: it has no capabilities there.

The order makes it fail closed: rules, pasta, a route, GO. Rules and the look at the route are the work of
children that enter the sandbox's namespaces and end before the job is executed.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Final

from hardbox.net import links, nft_rules, nft_state, programs
from hardbox.net.keeper_wire import row
from hardbox.net.namespaces import Inside, in_child, namespace_of, owner_of
from hardbox.net.trouble import Trouble
from hardbox.net.wire import READY, end

if TYPE_CHECKING:
    from hardbox.net.bridge_settings import BridgeSettings
    from hardbox.net.keeper_wire import Say, Supervisor

__all__ = ("keep",)

_TUN: Final = "/dev/net/tun"
_PATIENCE: Final = 20.0  # seconds until the interface has to be there
_PAUSE: Final = 0.005
_RECEIVED: Final = 0  # columns of /proc/net/dev
_SENT: Final = 8


def keep(wanted: BridgeSettings, supervisor: Supervisor, say: Say) -> dict[str, object]:
    """Keep pasta beside one sandbox; give the end event. Raises Trouble, OSError, ValueError."""
    if os.geteuid() == 0:
        raise Trouble(
            what="pasta is for ordinary users",
            why="as root it would run as nobody, who may not enter the sandbox",
            instead='use engine "veth"',
        )
    programs.check(programs.NFT)
    programs.check(programs.PASTA)
    if not os.access(_TUN, os.R_OK | os.W_OK):
        raise Trouble(
            what=f"{_TUN} cannot be opened by this user",
            why="pasta makes the sandbox's interface with it",
            instead="as root: modprobe tun, then chmod 666 /dev/net/tun, as Debian has it",
        )
    say(READY)
    with ExitStack() as stack:
        descriptor = supervisor.sandbox_socket()
        network = namespace_of(descriptor)
        os.close(descriptor)
        stack.callback(os.close, network)
        user = owner_of(network)
        stack.callback(os.close, user)
        text = nft_rules.inside(wanted, links.host_addresses())
        in_child(user, network, lambda: _load(text))
        said = stack.enter_context(tempfile.TemporaryFile())
        # The child's entries in /proc are the one name of the namespaces that pasta can still open once it
        # has joined the first.
        child = Inside(user, network, _wait_for_route)
        process = _start(wanted, child.pid, said)
        stack.callback(_stop, process)
        ended = os.pidfd_open(process.pid)
        stack.callback(os.close, ended)
        _join(child, ended, said)
        supervisor.go()
        _wait(supervisor, ended, said)
        # The sandbox is gone; its namespace is not, as long as it is open here.
        listed, devices = json.loads(in_child(user, network, _look_back))
    denied = [one for _, one in nft_state.read(listed).denied]
    sent, received = _passed(devices)
    rows = [row(one.address, one.port, one.protocol, one.count, "pasta") for one in denied]
    return end(rows, sent=sent, received=received)


def words(wanted: BridgeSettings, pid: int) -> list[str]:
    """Give pasta's command line: one interface, nothing forwarded but what is published, no services.

    pid: a process in the sandbox's namespaces.
    """
    subnet = wanted.subnet
    published = [f"{port.address}/{port.host_port}:{port.box_port}" for port in wanted.publish]
    return [
        programs.PASTA,
        *("--foreground", "--stderr", "--quiet", "--config-net", "--ipv4-only"),
        *("--ns-ifname", links.GUEST, "--address", str(subnet[2]), "--netmask", str(subnet.netmask)),
        *("--gateway", str(subnet[1])),
        # No way to the host's loopback: neither by the gateway's address nor by the ports' short cut.
        *("--no-map-gw", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"),
        *("--tcp-ports", ",".join(published) or "none"),
        *("--no-dhcp", "--no-dhcpv6", "--no-ndp", "--no-ra"),
        *("--userns", f"/proc/{pid}/ns/user", "--netns", f"/proc/{pid}/ns/net"),
    ]


def _start(wanted: BridgeSettings, pid: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (a fixed program; words are ours)
        words(wanted, pid),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env=programs.ENVIRONMENT,
        start_new_session=True,  # away from the terminal's signals
        preexec_fn=programs.end_with_keeper(),  # noqa: PLW1509 (one thread)
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _join(child: Inside, ended: int, said: IO[bytes]) -> None:
    """Wait until the child has seen a route. Raises Trouble if pasta ends before."""
    ready, _, _ = select.select([child.fileno(), ended], [], [])
    if child.fileno() in ready:
        child.result()
        return
    child.kill()
    raise Trouble(what="pasta cannot make the sandbox's interface", why=_heard(said))


def _load(text: str) -> str:
    """Load the rules, and read back that they are there; a program that says so is no proof."""
    programs.nft(text)
    if not nft_state.closed(programs.nft_table("inet", nft_rules.INSIDE)):
        raise Trouble(
            what="the sandbox's rules are not in force",
            why=f"{programs.NFT} has loaded them and does not list them",
            instead=f"see whether {programs.NFT} is Debian's",
        )
    return ""


def _look_back() -> str:
    """Give what was refused, and the interface's counters."""
    with open("/proc/self/net/dev", encoding="ascii") as file:
        return json.dumps([programs.nft_table("inet", nft_rules.INSIDE), file.read()])


def _passed(devices: str) -> tuple[int, int]:
    """Give the bytes that the sandbox has sent and received, of /proc/net/dev's text."""
    for line in devices.splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == links.GUEST:
            columns = rest.split()
            return int(columns[_SENT]), int(columns[_RECEIVED])
    return 0, 0


def _wait_for_route() -> str:
    """Wait until this namespace has a default route, and an interface that is up with it."""
    end_at = time.monotonic() + _PATIENCE
    while time.monotonic() < end_at:
        with open("/proc/self/net/route", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
        if any(row[0] == links.GUEST and int(row[1], 16) == 0 and int(row[7], 16) == 0 for row in rows):
            return ""
        time.sleep(_PAUSE)
    raise Trouble(what="pasta has made no route for the sandbox", why=f"none after {_PATIENCE:.0f} seconds")


def _wait(supervisor: Supervisor, ended: int, said: IO[bytes]) -> None:
    """Wait for the sandbox's end. Raises Trouble if pasta ends before: the sandbox is then cut off."""
    ready, _, _ = select.select([supervisor.fileno(), ended], [], [])
    if supervisor.fileno() in ready:
        supervisor.ended()
        return
    raise Trouble(what="the sandbox was cut off: pasta has ended", why=_heard(said))


def _heard(said: IO[bytes]) -> str:
    said.seek(0)
    return programs.said(said.read().decode("utf-8", "backslashreplace")) or "it said nothing"
