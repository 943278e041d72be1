"""A sandbox's namespaces, found and entered from outside.

Run by: hardbox.net.veth and hardbox.net.pasta, in the keeper's process.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import struct
from typing import TYPE_CHECKING, Final

from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Inside", "enter", "in_child", "namespace_of", "owner_of")

CLONE_NEWNET: Final = 0x40000000
CLONE_NEWUSER: Final = 0x10000000
_SIOCGSKNS: Final = 0x894C
_NS_GET_USERNS: Final = 0xB701
_CAP_NET_ADMIN: Final = 12
_CAPABILITY_VERSION_3: Final = 0x20080522
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_IN: Final = b"."
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def namespace_of(descriptor: int) -> int:
    """Give the network namespace that a socket was made in. Raises Trouble if it is our own."""
    namespace = fcntl.ioctl(descriptor, _SIOCGSKNS)
    found, own = os.fstat(namespace), os.stat("/proc/self/ns/net")
    if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino):
        os.close(namespace)
        raise Trouble(what="the socket that should be the sandbox's is one of the host's")
    return namespace


def owner_of(namespace: int) -> int:
    """Give the user namespace that owns another namespace (ioctl_ns(2))."""
    return fcntl.ioctl(namespace, _NS_GET_USERNS)


def enter(namespace: int, kind: int) -> None:
    """Be in another namespace from now on. kind: CLONE_*."""
    _checked(_LIBC.setns(namespace, kind), "setns")


class Inside:
    """A child in a sandbox's user and network namespace that does one thing there, and ends.

    Programs that it starts have CAP_NET_ADMIN there, and no other capability.
    """

    def __init__(self, user: int, network: int, act: Callable[[], str]) -> None:
        """Start it; it is inside when this returns. Raises Trouble if it cannot enter."""
        said, say = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(say, user, network, act)
        os.close(say)
        self._said, self._begin = os.fdopen(said, "rb"), b""
        first = self._said.read(1)
        if first != _IN:
            self._begin = first
            self.result()
            raise Trouble(what="the sandbox's namespaces cannot be entered")

    def fileno(self) -> int:
        """Give a descriptor that can be read once it has ended."""
        return self._said.fileno()

    def result(self) -> str:
        """Wait for its end, and give what it found. Raises the Trouble that it had."""
        with self._said:
            words = self._begin + self._said.read()
        _, status = os.waitpid(self.pid, 0)
        if status or not words:
            raise Trouble(what="the sandbox's namespaces cannot be prepared", why=f"wait status {status}")
        heard = json.loads(words)
        if isinstance(heard, str):
            return heard
        raise Trouble(**heard)

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)
        self._said.close()
        os.waitpid(self.pid, 0)


def in_child(user: int, network: int, act: Callable[[], str]) -> str:
    """Do something in a sandbox's namespaces, and give what it gives. Raises the Trouble that it had."""
    return Inside(user, network, act).result()


def _be_child(say: int, user: int, network: int, act: Callable[[], str]) -> None:
    said: object = None
    status = 1
    try:
        enter(user, CLONE_NEWUSER)
        enter(network, CLONE_NEWNET)
        _keep_net_admin()
        os.write(say, _IN)
        said = act()
        status = 0
    except Trouble as error:
        said = {"what": error.what, "why": error.why, "instead": error.instead}
        status = 0
    except (OSError, ValueError) as error:
        said = {"what": "the sandbox's namespaces cannot be entered", "why": str(error)}
        status = 0
    finally:
        if status == 0:
            words = json.dumps(said).encode()
            while words:
                words = words[os.write(say, words) :]
        os._exit(status)


def _keep_net_admin() -> None:
    """Let CAP_NET_ADMIN alone survive execve(2), whatever the caller's id is in that namespace."""
    bit = 1 << _CAP_NET_ADMIN
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack("=6I", bit, bit, bit, 0, 0, 0)
    _checked(_LIBC.capset(header, sets), "capset")
    _checked(_LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_NET_ADMIN, 0, 0), "prctl")


def _checked(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
