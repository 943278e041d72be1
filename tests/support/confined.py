"""Tries what the broker may not do, before and after its walls are up.

Run by: tests/system/test_broker.py, as a program. Prints JSON: attempt -> errno, 0 if it worked.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from hardbox.net import confine, decide

if TYPE_CHECKING:
    from collections.abc import Callable

# Of the one rule; nobody listens there.
_PORT = 4431
_libc = ctypes.CDLL(None, use_errno=True)


def _write() -> None:
    os.close(os.open(sys.argv[1] + "/new", os.O_WRONLY | os.O_CREAT, 0o600))


def _change() -> None:
    os.close(os.open(sys.argv[1] + "/file", os.O_RDWR))


def _read() -> None:
    os.close(os.open(sys.argv[1] + "/file", os.O_RDONLY))


def _remove() -> None:
    os.unlink(sys.argv[1] + "/file2")


def _read_proc() -> None:
    os.close(os.open("/proc/self/environ", os.O_RDONLY))


def _fork() -> None:
    if not (pid := os.fork()):
        os._exit(0)
    os.waitpid(pid, 0)


def _execute() -> None:
    # In a child where one can be had, which tells of its failure by its status.
    pid = os.fork()
    if not pid:
        try:
            os.execv("/bin/true", ["true"])  # noqa: S606 (what is tried)
        finally:
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise OSError(errno.EACCES, "not executed")


def _signal() -> None:
    os.kill(os.getppid(), 0)


def _uevents() -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).close()


def _memory_file() -> None:
    os.close(os.memfd_create("x"))


def _trace() -> None:
    if _libc.ptrace(16, os.getpid() + 100_000, 0, 0) < 0 and ctypes.get_errno() != errno.ESRCH:
        raise OSError(ctypes.get_errno(), "ptrace")


def _stream() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def _thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _resolve() -> None:
    decide.resolve("localhost", 80)


def _import() -> None:
    import tabnanny  # noqa: F401, PLC0415 (any module that nobody has imported yet)


def _connect(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock, suppress(ConnectionRefusedError):
        sock.connect(("127.0.0.1", port))


def _connect_elsewhere() -> None:
    _connect(_PORT + 1)


def _connect_to_a_rule() -> None:
    _connect(_PORT)


def _bind() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))


def _local() -> None:
    socket.socket(socket.AF_UNIX).close()


# What Landlock holds from Linux 6.7 on.
SINCE_6_7 = (_connect_elsewhere, _bind)
REFUSED = (
    *SINCE_6_7,
    *(_write, _change, _read, _remove, _read_proc, _fork, _execute, _signal),
    *(_uevents, _local, _memory_file, _trace),
)
ALLOWED = (_connect_to_a_rule, _stream, _thread, _resolve, _import)


def attempt(act: Callable[[], None]) -> int:
    """Give what errno it ends with."""
    try:
        act()
    except OSError as error:
        return error.errno or -1
    except RuntimeError:
        return -1
    return 0


def main() -> None:
    """Try everything twice; the first time in a child, whose effects are its own."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reader, writer = os.pipe()
    if not os.fork():
        before = {act.__name__: attempt(act) for act in (*REFUSED, *ALLOWED)}
        os.write(writer, json.dumps(before).encode())
        os._exit(0)
    os.wait()
    before = json.loads(os.read(reader, 1 << 16))
    os.unlink(sys.argv[1] + "/new")
    with open(sys.argv[1] + "/file2", "w"):
        pass
    imported: list[bool] = []
    confine.confine(confine.compiled(), [_PORT], lambda: imported.append(True))
    after = {act.__name__: attempt(act) for act in (*REFUSED, *ALLOWED)}
    print(json.dumps({"before": before, "after": after, "imported": bool(imported)}))


if __name__ == "__main__":
    main()
