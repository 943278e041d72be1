"""Whether hardbox's rules are still there: notices of the kernel's about nftables.

Run by: hardbox.net.veth, in the keeper's process, as root. `nft flush ruleset`, as in a restart of
the host's own firewall, takes hardbox's tables along. Whoever notices cuts the sandbox off.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

__all__ = ("Watch", "deleted_tables")

_NETLINK_NETFILTER: Final = 12
_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP: Final = 1
_GROUP_NFTABLES: Final = 7
_DELTABLE: Final = (10 << 8) | 2  # NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NFGENMSG: Final = 4
_TABLE_NAME: Final = 1
_MOST: Final = 1 << 16


class Watch:
    """A socket that hears of every table that is deleted."""

    def __init__(self) -> None:
        """Listen from now on. Raises OSError."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)

    def fileno(self) -> int:
        """Give the descriptor, to wait on."""
        return self._socket.fileno()

    def lost(self, name: str) -> bool | None:
        """Read what has come: whether a table of that name was deleted. None: notices were lost, ask nft."""
        unsure = False
        while True:
            try:
                data = self._socket.recv(_MOST)
            except BlockingIOError:
                return None if unsure else False
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                unsure = True
                continue
            if name in deleted_tables(data):
                return True

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def deleted_tables(data: bytes) -> list[str]:
    """Give the names of the tables that a batch of notices says were deleted."""
    names = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind = _HEADER.unpack_from(data, at)[:2]
        if length < _HEADER.size or at + length > len(data):
            break
        if kind == _DELTABLE:
            names.append(_name(data[at + _HEADER.size + _NFGENMSG : at + length]))
        at += (length + 3) & ~3
    return names


def _name(attributes: bytes) -> str:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if length < _ATTRIBUTE.size:
            break
        if kind == _TABLE_NAME:
            return attributes[at + _ATTRIBUTE.size : at + length].rstrip(b"\0").decode("utf-8", "replace")
        at += (length + 3) & ~3
    return ""
