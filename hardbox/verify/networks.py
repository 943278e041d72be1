"""The job's network: what the plan promises of it, and what /proc of the job says.

Run by: verify/promised.py and verify/record.py.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, Final

from hardbox.destinations import place
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardbox.plan import LaunchPlan

NOTHING: Final = "none"
_INTERNET: Final = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")
_OTHERS: Final = ("unix", "packet")
# /proc/net/ipv6_route, flags: RTF_LOCAL.
_LOCAL_FLAG: Final = 0x80000000
_IPV6_COLUMNS: Final = 10
_IPV4: Final = 4
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


def promised(plan: LaunchPlan) -> dict[str, str]:
    """Give what a plan promises of the network."""
    up = any(isinstance(step, s.LoopbackUp) for step in plan.steps)
    own = list(_LOOPBACK) if up else []
    sockets = []
    for step in plan.steps:
        if isinstance(step, s.LocalRoute):
            own.append(f"{s.address_text(step.prefix)}/{step.bits}")
        elif isinstance(step, s.Listen) and step.how != s.LISTEN_BARE:
            sockets.append(_socket("tcp" if step.how == s.LISTEN_TCP else "udp", step.address, step.port))
    return {
        "interfaces": "lo",
        "routes": NOTHING,
        "sockets": _all(sockets),
        "loopback": "up" if up else "down",
        "own addresses": _all(own),
    }


def found(job: str, read: Callable[[str], str]) -> dict[str, str]:
    """Give what /proc says; job: its folder there. What cannot be read stands there as such."""
    devices = [row.partition(":")[0].strip() for row in read(f"{job}/net/dev").splitlines()[2:]]
    # Of IPv6 the kernel gives lo several, none of which leads anywhere.
    routes = read(f"{job}/net/route").splitlines()[1:]
    routes += [row for row in read(f"{job}/net/ipv6_route").splitlines() if row.split()[-1:] != ["lo"]]
    own = sorted({*_own_ipv4(read(f"{job}/net/fib_trie")), *_own_ipv6(read(f"{job}/net/ipv6_route"))})
    return {
        "interfaces": " ".join(devices),
        "routes": "; ".join(routes) or NOTHING,
        "sockets": _all(_sockets(job, read)),
        "loopback": "up" if any(prefix in _LOOPBACK for prefix in own) else "down",
        "own addresses": _all(own),
    }


def listeners(plan: LaunchPlan) -> list[str]:
    """Give the sockets that a plan makes, as /proc/net/tcp and udp write them: "0100007F:0035"."""
    return [
        f"{struct.unpack('=I', step.address)[0]:08X}:{step.port:04X}"
        for step in plan.steps
        if isinstance(step, s.Listen) and step.how != s.LISTEN_BARE and len(step.address) == _IPV4
    ]


def _all(words: list[str]) -> str:
    return " ".join(sorted(words)) or NOTHING


def _socket(protocol: str, address: bytes, port: int) -> str:
    return f"{protocol}:{place(s.address_text(address))}:{port}"


def _sockets(job: str, read: Callable[[str], str]) -> list[str]:
    rows = [
        _socket(table.removesuffix("6"), *_local(row.split()[1]))
        for table in _INTERNET
        for row in read(f"{job}/net/{table}").splitlines()[1:]
    ]
    return rows + [
        f"{table}:{row.split()[0]}"
        for table in _OTHERS
        for row in read(f"{job}/net/{table}").splitlines()[1:]
    ]


def _local(text: str) -> tuple[bytes, int]:
    """Read "0100007F:0035": words of four bytes, each as this machine keeps a number, and the port."""
    address, _, port = text.partition(":")
    words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
    return b"".join(struct.pack("=I", word) for word in words), int(port, 16)


def _own_ipv4(trie: str) -> Iterator[str]:
    """Read the prefixes of the local table from the drawing of the routing tree."""
    address = ""
    for line in trie.partition("Local:")[2].splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[1:] == ["host", "LOCAL"]:
            prefix = f"{address}{words[0]}"
            # The interface's own address lies within the range that is its own as well.
            if prefix != "127.0.0.1/32":
                yield prefix


def _own_ipv6(table: str) -> Iterator[str]:
    for line in table.splitlines():
        words = line.split()
        if len(words) == _IPV6_COLUMNS and int(words[8], 16) & _LOCAL_FLAG:
            yield f"{ipaddress.IPv6Address(bytes.fromhex(words[0]))}/{int(words[1], 16)}"
