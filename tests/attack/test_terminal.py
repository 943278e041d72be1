"""L: a job that was started from a terminal, with all of 0-2 on it, does to it whatever it can.

Run by: pytest. The control is the same program without a sandbox, on a terminal of its own.
`hardbox verify` has more rows, all of them on descriptor 2 alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest
from support import faults, terminals

from attack import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pexpect
    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

# One act, on every way to the terminal that is open; what fails, fails.
ATTACKER = """
import fcntl, os, signal, struct, sys, termios, time
def chmod(fd):
    os.fchmod(fd, 0o666)
def modes(fd):
    now = termios.tcgetattr(fd)
    now[0] |= termios.IXANY
    now[3] &= ~termios.ECHOK
    termios.tcsetattr(fd, termios.TCSANOW, now)
def size(fd):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 6, 0, 0))
def group(fd):
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    tried, trying = os.pipe()
    if os.fork() == 0:
        try:
            os.setpgid(0, 0)
            os.tcsetpgrp(fd, os.getpid())
        finally:
            os.close(trying)
            time.sleep(600)
    os.close(trying)
    os.read(tried, 1)
ways = [0, 1, 2]
for name in ("/dev/tty", "/proc/self/fd/0", "/dev/stdout", "/dev/pts/0", sys.argv[2]):
    try:
        ways.append(os.open(name, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        pass
print("begin", flush=True)
sys.stdin.readline()
for fd in ways:
    try:
        globals()[sys.argv[1]](fd)
    except OSError:
        pass
print("done", flush=True)
time.sleep(600)
"""
LOOKS: dict[str, Callable[[pexpect.spawn], object]] = {
    "chmod": lambda child: os.stat(terminals.name(child)).st_mode & 0o777,
    "modes": lambda child: termios.tcgetattr(child.child_fd)[:4],
    "size": lambda child: child.getwinsize(),
    "group": lambda child: os.tcgetpgrp(child.child_fd),
}


@contextlib.contextmanager
def _started(caller: Caller, *words: str) -> Iterator[pexpect.spawn]:
    """Start a program on a terminal; in the end nothing of it is left, however the test ends."""
    others = faults.children()
    child = terminals.start(caller, *words)
    try:
        yield child
    finally:
        below = faults.descendants(child.pid)
        child.close(force=True)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        faults.eventually(lambda: not any(map(faults.alive, below)), "all that was started has ended")
        faults.orphans(others)  # reaps what this worker may have adopted


def _attack(caller: Caller, what: str, attacker: str, *before: str) -> str:
    """Give what an act has changed of the caller's terminal, "" if nothing."""
    # The shell before it is the terminal's leader.
    script = 'act=$1; shift; "$@" "$act" "$(tty)"; echo'
    words = ("sh", "-c", script, "sh", what, *before, "/usr/bin/python3", attacker)
    with _started(caller, *words) as child:
        child.expect_exact("begin")
        first = LOOKS[what](child)
        child.sendline("go")
        child.expect_exact("done")
        second = LOOKS[what](child)
    return "" if first == second else f"{first} became {second}"


@pytest.mark.parametrize("profile", ["strict", "inspect"])
@pytest.mark.parametrize("what", LOOKS)
def test_acts_on_a_terminal(
    what: str, profile: str, caller: Caller, program: Installed, settle: Settle, place: str
) -> None:
    attacker = faults.own(caller, f"{place}/attacker.py", ATTACKER)
    control = _attack(caller, what, attacker)
    words = (program.hardbox, "run", "--profile", profile, "--read", attacker, "--")
    gave = _attack(caller, what, attacker, *words)
    settle(f"L7-{profile}-{what}", gave, f"outside: {control}" if control else "")


def test_nobody_of_the_sandbox_holds_the_callers_terminal(
    caller: Caller, program: Installed, settle: Settle, place: str
) -> None:
    """Not on a descriptor, not as what controls a session: of the job, or of its init."""
    attacker = faults.own(caller, f"{place}/attacker.py", ATTACKER)
    words = [program.hardbox, "run", "--read", attacker, "--", "/usr/bin/python3", attacker, "size", "none"]
    with _started(caller, *words) as child:
        child.expect_exact("begin")
        name = terminals.name(child)
        found = {pid: _holds(pid, name) for pid in faults.descendants(child.pid) | {child.pid}}
    inside = {pid: held for pid, (boxed, held) in found.items() if boxed and held}
    outside = [held for boxed, held in found.values() if not boxed and held]
    settle("L7-holds", str(inside or ""), f"outside: {outside[0]}" if outside else "")


def _holds(pid: int, name: str) -> tuple[bool, str]:
    """Say whether a process is in a sandbox, and by what it has the terminal."""
    terminal = os.stat(name)
    held = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        seen = os.stat(f"/proc/{pid}/fd/{fd}")
        if (seen.st_dev, seen.st_rdev) == (terminal.st_dev, terminal.st_rdev):
            held.append(fd)
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        (levels,) = (line.split()[1:] for line in file if line.startswith("NSpid:"))
    return len(levels) > 1, f"{pid} has it on {' '.join(sorted(held))}" if held else ""


def test_a_socket_pair_is_none_inside(
    caller: Caller, program: Installed, probes: str, settle: Settle
) -> None:
    """A socket of the caller's belongs to the host's network, and tells who made it."""
    here, there = socket.socketpair()
    words = ["/usr/bin/python3", "-c", "import socket; s = socket.socket(fileno=0); print(s.family)"]
    with here, there:
        done = [
            subprocess.run(
                [*caller.prefix, *before, *words],
                stdin=there.fileno(),
                capture_output=True,
                text=True,
                env=caller.environment(),
                cwd=caller.home,
                check=False,
            )
            for before in ((), batch.sandbox(program, probes))
        ]
    outside, inside = done
    gave = "" if "ENOTSOCK" in inside.stderr or "non-socket" in inside.stderr else str(inside)
    settle("D9-socket-pair", gave, f"outside: {outside.stdout}" if outside.returncode == 0 else "")
