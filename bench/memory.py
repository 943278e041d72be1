"""Memory of one idle sandbox: the proportional set size of all its processes but the job's own.

Run by: bench/main.py (`make bench`). PSS shares a page out among those that map it (proc_pid_smaps(5)).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from measure import (
    BWRAP,
    HARDBOX,
    LAUNCH,
    NOBODY,
    MissingError,
    System,
    alternate,
    compiled,
    environment,
    row,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measure import Row

ROWS = ("memory",)
_JOB: Final = ("/usr/bin/sleep", "60")
_BWRAP = "bwrap --unshare-all"
_RUN = "hardbox run --profile strict"
_PATIENCE: Final = 5.0
_SETTLE: Final = 0.2


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure KiB; `folder` is ours."""
    plan = compiled(folder, "memory", "--profile", "strict", "--", *_JOB)
    bwrap = (*BWRAP, "--", *_JOB)
    run = (HARDBOX, "run", "--profile", "strict", "--", *_JOB)
    systems = [
        System(_BWRAP, idle(*bwrap), "KiB"),
        System(_RUN, idle(*run)),
        System("hardbox-launch FILE.plan", idle(LAUNCH, plan, "--", *_JOB)),
    ]
    if os.geteuid() == 0:
        # The kernel does not show an ordinary user what its own set-up processes hold; it shows root.
        ordinary = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
        home = os.path.join(folder, "home")
        os.mkdir(home)
        os.chown(home, NOBODY, NOBODY)
        systems += [
            System(f"{name}, of an ordinary user", idle(*ordinary, "env", f"HOME={home}", *words))
            for name, words in ((_BWRAP, bwrap), (_RUN, run))
        ]
    figures = alternate(
        systems,
        max(5, rounds // 12),
        warm_up=1,
        what="memory:",
    )
    about = "memory (PSS) of one idle sandbox, `hardbox run` against bwrap: all processes but the job's own"
    return [row("memory", about, 1.0, figures, _RUN, _BWRAP)]


def idle(*argv: str) -> Callable[[], float]:
    """Give what starts a sandbox, waits until its job sleeps, and gives KiB of PSS."""

    def launch() -> float:
        front = subprocess.Popen(argv, env=environment())
        try:
            job = _job(front)
            time.sleep(_SETTLE)
            pids = [pid for pid in tree(front.pid) if pid != job]
            return float(sum(pss(pid) for pid in pids))
        finally:
            front.send_signal(signal.SIGTERM)
            try:
                front.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                front.kill()
                front.wait()

    return launch


def _job(front: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and front.poll() is None:
        for pid in tree(front.pid):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if file.read().split(b"\0")[0] == os.fsencode(_JOB[0]):
                        return pid
            except OSError:
                continue
        time.sleep(0.01)
    message = "the job did not start"
    raise RuntimeError(message)


def tree(pid: int) -> Iterator[int]:
    """Give a process and all below it."""
    yield pid
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
    except OSError:
        return
    for child in children:
        yield from tree(int(child))


def pss(pid: int) -> int:
    """Give a process's PSS in KiB. Raises MissingError if the kernel does not tell this user."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except PermissionError as error:
        message = f"smaps_rollup of {_name(pid)} is shut to this user (root's row has it)"
        raise MissingError(message) from error


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process that has ended"
