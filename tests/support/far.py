"""A network namespace behind a pair of virtual interfaces: there the tests' servers have their addresses.

Run by: the servers of the tests' internet, and tests/support/broker_process.py, each in a namespace of its
own. An address of the namespace that a broker is in would be the host's own for it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NEWNET: Final = 0x40000000
# Of the two ends: there and here.
_LINK: Final = ("192.0.2.1", "192.0.2.2")
_LINK_6: Final = ("2001:db8::1", "2001:db8::2")
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Far:
    """The namespace; this process has to be in one of its own, and to have one thread so far."""

    def __init__(self, addresses: Sequence[str], own: Sequence[str] = ()) -> None:
        """Make it.

        addresses: what the servers there have.
        own:       what this side has itself.
        """
        self._here = _opened()
        _check(_libc.unshare(_NEWNET))
        self.fd: Final = _opened()
        try:
            link = f"link add wan0 type veth peer name isp0 netns {os.getpid()}"
            _ip(link, here=self._here)
            self._join("isp0", addresses, own, end=0)
            self._join("wan0", own, addresses, end=1, here=self._here)
        finally:
            _check(_libc.setns(self._here, _NEWNET))

    @staticmethod
    def _join(
        link: str, ours: Sequence[str], theirs: Sequence[str], end: int, here: int | None = None
    ) -> None:
        """Give one end its addresses, and the ways to those of the other one."""
        addresses = [*ours, f"{_LINK[end]}/24"]
        if any(":" in one for one in (*ours, *theirs)):
            addresses.append(f"{_LINK_6[end]}/64")
        given = [f"addr add {one} dev {link}{' nodad' if ':' in one else ''}" for one in addresses]
        ways = [f"route add {one} via {(_LINK_6 if ':' in one else _LINK)[1 - end]}" for one in theirs]
        _ip("link set lo up", f"link set {link} up", *given, *ways, here=here)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Be there: sockets that are made meanwhile stay."""
        _check(_libc.setns(self.fd, _NEWNET))
        try:
            yield
        finally:
            _check(_libc.setns(self._here, _NEWNET))


def _opened() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(*commands: str, here: int | None = None) -> None:
    """Run commands of ip(8) where this process is, or in the namespace of a descriptor."""
    enter = () if here is None else ("nsenter", f"--net=/proc/self/fd/{here}", "--")
    subprocess.run(
        [*enter, "ip", "-batch", "-"],
        input="\n".join(commands),
        text=True,
        check=True,
        pass_fds=() if here is None else (here,),
    )
