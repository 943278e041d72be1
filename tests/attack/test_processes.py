"""E: processes that are killed, that stay, that stop, that hurry; each with its own launch.

Run by: pytest. Processes of a sandbox are found on the host by a mark in their command line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support import patience

from attack import batch
from hardbox.verify.world import alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

PATIENCE = patience.seconds(10)


def marked(mark: str) -> list[int]:
    """Find the live processes of the host with `mark` among their arguments."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as stream:
                words = stream.read().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The probe itself: not the launcher's command line, which also names the mark.
        if words[0].endswith(b"probe64") and mark.encode() in words and alive(int(name)):
            found.append(int(name))
    return found


def gone(mark: str) -> bool:
    """Wait until no marked process is left."""
    end = time.monotonic() + PATIENCE
    while marked(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def appeared(mark: str, count: int) -> bool:
    """Wait until so many marked processes are there."""
    end = time.monotonic() + PATIENCE
    while len(marked(mark)) < count:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def mark() -> Iterator[str]:
    """A word that no other process has; what carries it is ended afterwards."""
    word = f"mark-{os.urandom(6).hex()}"
    yield word
    for pid in marked(word):
        os.kill(pid, signal.SIGKILL)


def _start(caller: Caller, words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*caller.prefix, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=caller.home,
        env=caller.environment(),
        start_new_session=True,
    )


def _children(pid: int) -> list[int]:
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as stream:
            found += [int(word) for word in stream.read().split()]
    return found


def _tree(pid: int) -> list[int]:
    return [pid, *(below for child in _children(pid) for below in _tree(child))]


def _linger_outside(caller: Caller, probes: str, mark: str) -> str:
    """The control: outside, what a killed parent started lives on."""
    own = f"{mark}-control"
    bare = _start(caller, ["/bin/sh", "-c", '"$@" & wait', "sh", f"{probes}/probe64", "one", "linger", own])
    assert appeared(own, 4)
    bare.kill()
    bare.wait()
    assert bare.stdout is not None
    bare.stdout.close()
    left = marked(own)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return f"outside: {len(left)} processes live on" if left else ""


@pytest.mark.parametrize("whom", [0, 1, 2])
def test_killed_launcher(
    whom: int, caller: Caller, program: Installed, probes: str, mark: str, settle: Settle
) -> None:
    """E5: SIGKILL to the front, to the launcher, or to init ends everything inside."""
    started = _start(caller, [*batch.sandbox(program, probes), "/probe/probe64", "one", "linger", mark])
    assert appeared(mark, 4), "the tree did not come up"
    chain = _tree(started.pid)
    victims = [pid for pid in chain if pid not in marked(mark)]
    os.kill(victims[min(whom, len(victims) - 1)], signal.SIGKILL)
    ended = gone(mark)
    left = marked(mark)
    if not ended:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        started.kill()
    assert started.stdout is not None
    started.stdout.close()
    started.wait(timeout=PATIENCE * 2)
    # The launcher outlives the job by as long as it takes to be told, and to be scheduled.
    end = time.monotonic() + PATIENCE
    while (others := [pid for pid in victims[1:] if alive(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    gave = f"{len(left)} processes of the job live on" if not ended else f"left: {others}" if others else ""
    settle(f"E5-kill-{('front', 'launcher', 'init')[whom]}", gave, _linger_outside(caller, probes, mark))


def test_daemon(caller: Caller, program: Installed, probes: str, mark: str, settle: Settle) -> None:
    """E6: a double-forked daemon ends with the command, and does not keep the launcher waiting."""
    words = ["one", "daemon", mark]
    bare = caller.run(f"{probes}/probe64", *words, timeout=30)
    outside = marked(mark)
    for pid in outside:
        os.kill(pid, signal.SIGKILL)
    assert bare.returncode == 0
    boxed = caller.run(*batch.sandbox(program, probes), "/probe/probe64", *words, timeout=30)
    gave = "" if gone(mark) and boxed.returncode == 0 else f"exit {boxed.returncode}, left {marked(mark)}"
    settle("E6-daemon", gave, f"outside: {len(outside)} stays" if outside else "")


def test_kill_everybody(caller: Caller, program: Installed, base: str, probes: str, settle: Settle) -> None:
    """E1: kill(-1, 9) and a walk over all numbers reach nobody outside."""
    watched = batch.canaries(caller, base)
    try:
        for words in (("kill-everybody", "9"), ("kill-range", "1", "40000", "9")):
            boxed = caller.run(*batch.sandbox(program, probes), "/probe/probe64", "one", *words, timeout=60)
            living = alive(watched.process.pid)
            # Outside, in a process namespace of its own: a sleeping sibling is reached.
            attempt = " ".join(words).replace("40000", "400")
            script = f'sleep 5 & "{probes}/probe64" one {attempt}; wait $!; test $? = 137'
            bare = caller.run(*batch.OWN_NAMESPACES, "/bin/sh", "-c", script, timeout=60)
            live = "outside: a sibling was reached" if bare.returncode == 0 else ""
            gave = "" if living else "the canary is dead"
            settle(
                f"E1-{words[0]}", gave or ("" if boxed.returncode < 126 else f"exit {boxed.returncode}"), live
            )
    finally:
        watched.remove()


def test_wall_limit(caller: Caller, program: Installed, probes: str, mark: str, settle: Settle) -> None:
    """E11: a tree that ignores SIGTERM ends at its time limit, with status 124."""
    words = (
        program.hardbox,
        "run",
        "--read",
        f"{probes}:/probe",
        "--timeout",
        "1s",
        "--set",
        "limits.grace=200ms",
    )
    boxed = caller.run(*words, "--", "/probe/probe64", "one", "linger", mark, timeout=60)
    left = not gone(mark)
    gave = "" if boxed.returncode == 124 and not left else f"exit {boxed.returncode}, left {marked(mark)}"
    settle("E11-wall", gave, _linger_outside(caller, probes, mark))


def test_stopped(caller: Caller, program: Installed, probes: str, mark: str, settle: Settle) -> None:
    """E14: a job that has stopped everybody, itself included, still ends at its time limit."""
    words = (
        program.hardbox,
        "run",
        "--read",
        f"{probes}:/probe",
        "--timeout",
        "1s",
        "--set",
        "limits.grace=200ms",
    )
    boxed = caller.run(*words, "--", "/probe/probe64", "one", "stop-everybody", mark, timeout=60)
    gave = "" if boxed.returncode == 124 and gone(mark) else f"exit {boxed.returncode}, left {marked(mark)}"
    settle("E14-stopped-limit", gave, _linger_outside(caller, probes, mark))


def test_stopped_and_killed(
    caller: Caller, program: Installed, probes: str, mark: str, settle: Settle
) -> None:
    """E14: ending the launcher ends a stopped job."""
    started = _start(
        caller, [*batch.sandbox(program, probes), "/probe/probe64", "one", "stop-everybody", mark]
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    started.kill()
    started.wait()
    ended = gone(mark)
    started.stdout.close()
    settle("E14-stopped-kill", "" if ended else f"left {marked(mark)}", _linger_outside(caller, probes, mark))


EXITS = (
    *((("exit", str(number)), number) for number in (0, 1, 7, 125, 126, 127, 128, 200, 254)),
    *((("die", str(number)), 128 + number) for number in (1, 2, 6, 9, 11, 13, 15)),
)


@pytest.mark.parametrize(("words", "status"), EXITS, ids=["-".join(words) for words, _ in EXITS])
def test_exit_status(
    words: tuple[str, ...], status: int, caller: Caller, program: Installed, probes: str, settle: Settle
) -> None:
    """E9: the command's own status, or 128 and the signal; the job cannot pass for the launcher."""
    boxed = caller.run(*batch.sandbox(program, probes), "/probe/probe64", "one", *words)
    said_refused = "nothing was run" in boxed.stderr
    gave = "" if boxed.returncode == status and not said_refused else f"{boxed.returncode}: {boxed.stderr}"
    wrong = caller.run(*batch.sandbox(program, probes), "/probe/no-such-program")
    settle(f"E9-{'-'.join(words)}", gave, "no such program: 127" if wrong.returncode == 127 else "")
