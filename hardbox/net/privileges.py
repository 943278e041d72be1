"""What root's keeper may still do.

Run by: hardbox.net.veth, in the keeper's process. Root with few of its forty capabilities: a defect of
the keeper, or of nft, which it runs, is then not a defect of everything.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final

from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ("NET_ADMIN", "NET_BIND_SERVICE", "SETPCAP", "SYS_ADMIN", "keep_only")

SETPCAP: Final = 8  # to give up more, later
NET_BIND_SERVICE: Final = 10  # to hold a published port below 1024
NET_ADMIN: Final = 12
SYS_ADMIN: Final = 21  # to enter the sandbox's network namespace, once
_VERSION_3: Final = 0x20080522
_WORDS: Final = 2
_BITS: Final = 32
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def keep_only(capabilities: Collection[int]) -> None:
    """Give up all capabilities but these, also for programs that are started. Raises OSError, Trouble."""
    if missing := [number for number in capabilities if not _effective() >> number & 1]:
        raise Trouble(
            what="this root is not root of the host's network",
            why=f"it has not the capabilities numbered {missing} (a container's root?)",
            instead='run as the host\'s root, or as an ordinary user with engine "pasta"',
        )
    for number in range(_last() + 1):
        if number not in capabilities and _LIBC.prctl(_PR_CAPBSET_READ, number, 0, 0, 0):
            _checked(_LIBC.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "prctl")
    words = [0] * _WORDS
    for number in capabilities:
        words[number // _BITS] |= 1 << number % _BITS
    rows = [value for word in words for value in (word, word, 0)]
    header = struct.pack("=Ii", _VERSION_3, 0)
    _checked(_LIBC.capset(header, struct.pack(f"={len(rows)}I", *rows)), "capset")


def _effective() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))


def _last() -> int:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def _checked(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
