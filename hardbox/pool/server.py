"""`hardbox serve`: a pool behind a socket, for commands of the same user (front/served.c is the client).

Run by: cli/serve.py. One thread looks at the connections, and each job has one of its own. A client counts
as the caller itself only where everything that the kernel would hand down from it is as ours is
(inherited.py); else it is told to decide as usual, by which it runs with no more than it has.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox import __version__
from hardbox.engines.namespaces import FORWARDED, Streams
from hardbox.errors import HardboxError
from hardbox.pool import inherited, peers, socket_file
from hardbox.pool.turns import Cancelled, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.engines.namespaces import Launch
    from hardbox.pool import Pool
    from hardbox.report import Result

_MAGIC: Final = b"HBXASK\x01\0"
_MESSAGE: Final = struct.Struct("<Ii")
_TAKEN, _DECLINED, _SAY, _END, _SIGNAL, _READY = 1, 2, 3, 4, 5, 6
_HANDED: Final = 4
_SAY_MOST: Final = 65000
_ASK_MOST: Final = 16 << 20
# Seconds: for a client to ask once it has connected, and to take an answer.
_PATIENCE: Final = 10.0
# And after a connection that could not be taken.
_REST: Final = 0.05
_DEFAULT: Final = "strict"


@dataclass(eq=False, slots=True)
class _Client:
    """One connection."""

    link: socket.socket
    process: int
    since: float = field(default_factory=time.monotonic)
    ticket: Ticket = field(default_factory=Ticket)
    launch: Launch | None = None
    signals: list[int] = field(default_factory=list)
    asked: bool = False
    left: int = 1

    def say(self, word: int, value: int = 0, text: str = "") -> bool:
        """Answer, and say whether there was somebody to hear it."""
        data = text.encode("utf-8", "backslashreplace")
        with suppress(OSError):
            while True:
                self.link.send(_MESSAGE.pack(word, value) + data[:_SAY_MOST])
                data = data[_SAY_MOST:]
                if not data:
                    return True
        return False


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a client asks for."""

    profile: str
    cwd: str
    argv: tuple[str, ...]
    environment: dict[str, str]


class Server:
    """Serves jobs of one profile until it is told to stop."""

    def __init__(self, pool: Pool, profile: str, path: str, told: Callable[[Result], str]) -> None:
        """Make the socket. Raises Usage or SetupFailed.

        profile: the pool's, by its shipped name.
        told:    what a client's stderr is to say of a run.
        """
        self._pool = pool
        self._profile = profile
        self._told = told
        self._path = path
        self._most = 2 * pool.waiting + 64
        self._clients: set[_Client] = set()
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = socket.socketpair()
        self._listener = socket_file.listen(path)

    def stop(self) -> None:
        """Let `serve` return; may be called in a signal handler."""
        with suppress(OSError):
            self._wake_write.send(b"x")

    def serve(self) -> None:
        """Serve until `stop`; then no job is left."""
        looks = selectors.DefaultSelector()
        looks.register(self._listener, selectors.EVENT_READ, None)
        looks.register(self._wake_read, selectors.EVENT_READ, None)
        try:
            while True:
                for key, _ in looks.select(_PATIENCE / 2):
                    if key.fileobj is self._wake_read:
                        return
                    if key.data is None:
                        self._accept(looks)
                    else:
                        self._hear(looks, key.data)
                late = time.monotonic() - _PATIENCE
                for client in tuple(self._clients):
                    if not client.asked and client.since < late:
                        self._forget(looks, client)
        finally:
            self._listener.close()
            with suppress(OSError):
                os.unlink(self._path)
            for client in tuple(self._clients):
                client.ticket.cancel()
            self._pool.close()
            looks.close()

    def _accept(self, looks: selectors.BaseSelector) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:
            # No descriptor left, say: it would be asked for again at once, and others have to go on.
            time.sleep(_REST)
            return
        link.settimeout(_PATIENCE)
        _pid, uid, _gid = peers.peer(link)
        if uid != os.geteuid() or len(self._clients) >= self._most:
            link.close()
            return
        client = _Client(link, peers.process(link))
        self._clients.add(client)
        looks.register(link, selectors.EVENT_READ, client)
        client.say(_READY)

    def _hear(self, looks: selectors.BaseSelector, client: _Client) -> None:
        """Take what a client says; when it goes, so does its job."""
        descriptors: list[int] = []
        try:
            if client.asked:
                said = client.link.recv(64, socket.MSG_DONTWAIT)
            else:
                said, descriptors = _receive(client.link)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said == _MAGIC and not client.asked and len(descriptors) == _HANDED:
            client.asked = True
            client.left += 1
            threading.Thread(target=self._work, args=(client, descriptors), daemon=True).start()
            return
        for descriptor in descriptors:
            os.close(descriptor)
        if len(said) == _MESSAGE.size and client.asked:
            word, number = _MESSAGE.unpack(said)
            if word == _SIGNAL and number in FORWARDED:
                self._signal(client, number)
                return
        # Gone, or speaking out of turn.
        self._forget(looks, client)

    def _forget(self, looks: selectors.BaseSelector, client: _Client) -> None:
        """End what a client has asked for, if it has, and be done with it."""
        looks.unregister(client.link)
        self._clients.discard(client)
        client.ticket.cancel()
        self._leave(client)

    def _leave(self, client: _Client) -> None:
        """Be done with a connection; the last of those who use it closes it."""
        with suppress(OSError):
            client.link.shutdown(socket.SHUT_RDWR)
        with self._lock:
            client.left -= 1
            last = client.left == 0
        if last:
            client.link.close()
            if client.process >= 0:
                os.close(client.process)

    def _signal(self, client: _Client, number: int) -> None:
        with self._lock:
            launch = client.launch
            if launch is None:
                client.signals.append(number)
        if launch is not None:
            with suppress(ProcessLookupError):
                launch.signal(number)
        elif number != signal.SIGWINCH:
            client.ticket.cancel_waiting()

    def _work(self, client: _Client, descriptors: list[int]) -> None:
        """Do one job, in a thread of its own."""
        try:
            self._answer(client, descriptors)
        except HardboxError as error:
            client.say(_SAY, text=error.render())
            client.say(_END, 125)
        except Cancelled:
            client.say(_SAY, text="hardbox: interrupted\n  nothing was run\n")
            client.say(_END, 125)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            # Whoever looks at the connections finds it shut, and forgets it.
            self._leave(client)

    def _answer(self, client: _Client, descriptors: list[int]) -> None:
        asked = _read_request(descriptors[0])
        why = "it is of another version" if asked is None else _unlike(client)
        if asked is None or why:
            client.say(_DECLINED, text=why)
            return
        if (asked.profile or _DEFAULT) != self._profile:
            client.say(_DECLINED)
            return

        def told(launch: Launch) -> None:
            with self._lock:
                client.launch = launch
                before = tuple(client.signals)
            for number in before:
                launch.signal(number)

        # Before anything may have run. A client that has lost patience decides by itself.
        if not client.say(_TAKEN):
            return
        try:
            result = self._pool.run_for(
                client.ticket,
                asked.argv,
                environment=asked.environment,
                cwd=asked.cwd,
                streams=Streams(*descriptors[1:]),
                told=told,
            )
        finally:
            with self._lock:
                client.launch = None
        if text := self._told(result):
            client.say(_SAY, text=text)
        client.say(_END, result.exit_code)


def _unlike(client: _Client) -> str:
    """Say why a client does not count as the caller, "" if it does.

    A number means the process that has connected only as long as that lives: another one may have it then.
    """
    if client.process < 0:
        return "this kernel cannot say for sure who asks (Linux 6.5 can)"
    why = inherited.unlike(peers.peer(client.link)[0])
    ended, _, _ = select.select([client.process], [], [], 0)
    return why or ("who connected has ended" if ended else "")


def _receive(link: socket.socket) -> tuple[bytes, list[int]]:
    """Receive a request; no child of another thread's inherits its descriptors. Raises OSError."""
    size = struct.calcsize("i")
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    said, parts, _, _ = link.recvmsg(64, socket.CMSG_SPACE(_HANDED * size), flags)
    descriptors: list[int] = []
    for level, kind, data in parts:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors += struct.unpack(f"{len(data) // size}i", data[: len(data) // size * size])
    return said, descriptors


def _read_request(file: int) -> _Asked | None:
    """Read a client's request, None if it is of another version or none at all."""
    size = os.fstat(file).st_size
    if not 0 < size <= _ASK_MOST:
        return None
    words = os.pread(file, size, 0).decode("utf-8", "surrogateescape").split("\0")
    # version, profile, working directory, number of arguments, these, variables, "" behind the last NUL
    if len(words) < 5 or words[0] != __version__ or not (words[3].isascii() and words[3].isdigit()):  # noqa: PLR2004 (see above)
        return None
    last = 4 + int(words[3])
    if not 4 < last < len(words):  # noqa: PLR2004 (as above)
        return None
    variables = (word.partition("=") for word in words[last:-1])
    return _Asked(
        words[1], words[2], tuple(words[4:last]), {name: value for name, equals, value in variables if equals}
    )
