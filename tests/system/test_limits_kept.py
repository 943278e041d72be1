"""Ways round the limits that were found by attacking them.  Run by: pytest.

Each is first seen to work where it may: with a larger limit, or on a process of one's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller

PYTHON: Final = "/usr/bin/python3"
ROOMY: Final = ("--memory", "2G", "--loosen", "limits.memory=a control that has room enough")
# A process whose first thread has ended shows no memory in /proc/PID/stat; its other thread has all of it.
DEAD_LEADERS: Final = """
import ctypes, os, threading, time
def hold():
    kept = bytearray(100 << 20)
    time.sleep(3)
    os._exit(0)
for _ in range(3):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        time.sleep(0.5)
        ctypes.CDLL(None).syscall(60, 0)
for _ in range(3):
    os.wait()
print("done")
"""
# What has been sent and not been read waits in the sockets.
TCP: Final = """
import socket
listener = socket.create_server(("127.0.0.1", 0), backlog=100)
total, kept = 0, []
for _ in range(60):
    sender = socket.create_connection(listener.getsockname())
    kept += [sender, listener.accept()[0]]
    sender.setblocking(False)
    try:
        while True:
            total += sender.send(bytes(1 << 16))
    except OSError:
        pass
print(total >> 20)
"""
INIT: Final = """
import os, resource, sys
resource.prlimit(int(sys.argv[1]) or os.getppid(), resource.RLIMIT_CORE, (0, 0))
"""


def test_a_process_without_its_first_thread_is_counted(hardbox: Hardbox) -> None:
    assert faults.ran(hardbox("run", *ROOMY, "--", PYTHON, "-c", DEAD_LEADERS)) == "done\n"
    done = hardbox("run", "--memory", "160M", "--", PYTHON, "-c", DEAD_LEADERS)
    assert done.returncode == 137, done
    assert "memory limit of 160M" in done.stderr


def test_what_waits_in_tcp_sockets_is_counted(hardbox: Hardbox, caller: Caller) -> None:
    if caller.uid != 0:
        pytest.skip("the watch does not count what waits in sockets: docs/limits.md")
    words = ("run", "--network", "loopback", "--loosen", "network.mode=a socket is to be filled")
    room = int(hardbox(*words, *ROOMY, "--", PYTHON, "-c", TCP).stdout)
    assert room > 100, "the sockets take more than the limit below"
    done = hardbox(*words, "--memory", "64M", "--", PYTHON, "-c", TCP)
    assert done.returncode == 137 or int(done.stdout) < room * 2 // 3, (room, done)


def test_the_limits_of_init_are_not_the_jobs(hardbox: Hardbox, caller: Caller) -> None:
    outside = caller.run("sh", "-c", f'{PYTHON} -c "$1" 0; exit $?', "sh", INIT)
    assert outside.returncode == 0, outside
    inside = hardbox("run", "--", PYTHON, "-c", INIT, "1")
    assert inside.returncode == 1, inside
    assert "PermissionError" in inside.stderr
    own = hardbox("run", "--", PYTHON, "-c", INIT.replace("int(sys.argv[1]) or os.getppid()", "0"))
    assert own.returncode == 0, own


def test_strict_has_no_sockets_that_count_nowhere(hardbox: Hardbox, caller: Caller) -> None:
    script = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); print('open')"
    outside = caller.run(PYTHON, "-c", script)
    assert outside.stdout == "open\n"
    inside = hardbox("run", "--", PYTHON, "-c", script)
    assert inside.returncode == 1, inside
    assert "PermissionError" in inside.stderr
