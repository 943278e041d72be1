"""Leases of a bridge's addresses: one byte of a file for each, locked while the keeper lives.

Run by: hardbox.net.veth, in the keeper's process, as root. Open file description locks (fcntl(2)) belong
to a descriptor, so a lease ends with the process that holds it, whatever kills it; nothing has to be tidied.
Byte 0 is the bridge's own: who holds it may change links and rules. What the file contains is how many have
held it, so that whoever waits can tell a long queue from a holder that does not go on.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("FIRST", "FOLDER", "PATIENCE", "Leases")

FOLDER: Final = "/run/hardbox/net"
FIRST: Final = 2  # 0 is the network itself, 1 the bridge's address
# Seconds that one other may take with links and rules, which is a matter of moments; between two looks; and
# between two times that whoever waits for us is told of the queue.
PATIENCE: Final = 20.0
_PAUSE: Final = 0.02
_TELL: Final = 1.0
_TURN: Final = struct.Struct("=Q")
_TURNS: Final = 1 << 64
# struct flock, 64 bits: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK: Final = struct.Struct("hhqqi4x")


class Leases:
    """The addresses of one bridge.

    name: of the file; one for each bridge of each network namespace.
    size: addresses in the subnet; the last one is broadcast and is not given.
    """

    def __init__(self, name: str, size: int, folder: str = FOLDER) -> None:
        """Open the file; raises OSError, and Trouble if others than root could write there."""
        self._size = size
        self._path = os.path.join(folder, f"{name}.leases")
        for path in (os.path.dirname(folder), folder):
            with _existing():
                os.mkdir(path, 0o700 if path == folder else 0o755)
            _guard(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, 0o600)

    def close(self) -> None:
        """Give back everything."""
        os.close(self._file)

    @contextmanager
    def alone(self, queued: Callable[[], None], patience: float = PATIENCE) -> Iterator[None]:
        """Be the only one that changes the bridge's links and rules; waits for its turn.

        queued:   called now and then while others get theirs.
        patience: seconds for one other. Raises Trouble after them: a keeper that is stopped would stop all
                  others for good.
        """
        turn, told = self._turn(), time.monotonic()
        deadline = told + patience
        while not self._try(0):
            now = time.monotonic()
            if turn != (turn := self._turn()):
                deadline = now + patience
                if now >= told + _TELL:
                    told = now
                    queued()
            if now >= deadline:
                raise self._occupied(patience)
            time.sleep(_PAUSE)
        try:
            os.pwrite(self._file, _TURN.pack((self._turn() + 1) % _TURNS), 0)
            yield
        finally:
            self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, 0)

    def _turn(self) -> int:
        """Give how many have been alone so far."""
        found = os.pread(self._file, _TURN.size, 0)
        return int(_TURN.unpack(found)[0]) if len(found) == _TURN.size else 0

    def take(self) -> int:
        """Lease an address that nobody has. Raises Trouble if there is none.

        The search starts anywhere: what is on its way to the last holder should not meet the next one.
        """
        count = self._size - 1 - FIRST
        start = secrets.randbelow(count)
        for step in range(count):
            offset = FIRST + (start + step) % count
            if self._try(offset):
                return offset
        raise Trouble(
            what="the pool has no address left",
            why=f"{count} sandboxes on this bridge run already",
            instead="wait for one to end, or give network.subnet more addresses",
        )

    def release(self, offset: int) -> None:
        """Give an address back."""
        self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, offset)

    def held(self, offset: int) -> bool:
        """Say whether another process has an address."""
        return self._blocker(offset, 1)

    def alive(self) -> bool:
        """Say whether another process has any address."""
        return self._blocker(FIRST, 0)

    def _occupied(self, patience: float) -> Trouble:
        # F_OFD_GETLK says that there is a holder, and not which one: its l_pid is -1 (fcntl_locking(2)).
        return Trouble(
            what="another sandbox's keeper does not let go of the bridge",
            why=f"a process has held the lock on {self._path} for more than {patience:g} seconds",
            instead=f"see who holds it: fuser -v {self._path}; let it go on (kill -CONT), or end it",
        )

    def _try(self, offset: int) -> bool:
        try:
            self._lock(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, offset)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def _blocker(self, start: int, length: int) -> bool:
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        found = _FLOCK.unpack(fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, wanted))
        return bool(found[0] != fcntl.F_UNLCK)

    def _lock(self, how: int, kind: int, start: int) -> None:
        fcntl.fcntl(self._file, how, _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0))


@contextmanager
def _existing() -> Iterator[None]:
    """Take a directory that is there for one that was made."""
    try:
        yield
    except FileExistsError:
        return


def _guard(path: str) -> None:
    """Raise Trouble if somebody else could put a file of theirs below a directory of ours."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Trouble(
            what=f"{path} is not a directory that only its owner writes to",
            why="two sandboxes could be given the same address",
            instead=f"remove {path}; hardbox makes it anew",
        )
