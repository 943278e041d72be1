"""Steps of init that make sockets in the job's network, for a process outside that serves them.

Run by: the Python front; pure. hardbox/launch/network.c executes them.
"""

from __future__ import annotations

from typing import Final

from hardbox.destinations import place
from hardbox.plan.steps.base import Step

# What a socket of Listen is for (kinds.h).
LISTEN_TCP: Final = 1
LISTEN_UDP: Final = 2
LISTEN_BARE: Final = 3
_LISTENS: Final = {LISTEN_TCP: "TCP", LISTEN_UDP: "UDP"}


def address_text(address: bytes) -> str:
    """Write an address of 4 or 16 bytes; others, which the launcher refuses, in hexadecimal."""
    if len(address) not in (4, 16):
        return address.hex()
    import socket  # noqa: PLC0415 (2 ms; only plans with a network have such a step)

    return socket.inet_ntop(
        socket.AF_INET if len(address) == 4 else socket.AF_INET6,  # noqa: PLR2004 (bytes of IPv4)
        address,
    )


class Listen(Step, number=79, kind="listen", layout="ubu"):
    """Make a socket in the job's network, for the process outside that keeps it (launch/network.h).

    what: LISTEN_TCP, LISTEN_UDP or LISTEN_BARE. address: 4 or 16 bytes. port: 0 for LISTEN_BARE.
    """

    how: int
    address: bytes
    port: int

    def describe(self) -> str:  # noqa: D102
        if self.how == LISTEN_BARE:
            return "a socket tells the keeper outside which network is the job's"
        address = address_text(self.address)
        every = " (and IPv4)" if address == "::" else ""
        return f"{_LISTENS.get(self.how, self.how)} {place(address)}:{self.port}{every}, served from outside"


class Destination(Step, number=25, kind="destination", layout="s"):
    """What the job may reach (hardbox/destinations.py), for whoever reads the plan, and in its digest.

    The process that keeps the network is told it on its own; the launcher decides nothing by it.
    """

    text: str

    def describe(self) -> str:  # noqa: D102
        return f"{self.text} may be reached"


class LocalRoute(Step, number=80, kind="local-route", layout="bu"):
    """Make all addresses of a prefix the sandbox's own (rtnetlink(7), RTN_LOCAL)."""

    prefix: bytes
    bits: int

    def describe(self) -> str:  # noqa: D102
        return f"{address_text(self.prefix)}/{self.bits} is the sandbox's own"
