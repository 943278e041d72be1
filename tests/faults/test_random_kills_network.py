"""Kills at random times of runs whose network somebody keeps: the keeper, the launcher, the front.

Run by: pytest. The seed is fixed, so that the times are too; what they hit is the machine's.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Final

import pytest
from support import bridges, faults

from faults import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.callers import Caller
    from support.installed import Installed

KILLS: Final = 90 if trace.ALL else 9
# Seconds from the start of what is killed. The keeper starts within some tenths, the launcher is quick; the
# job then lasts half a second.
SPANS: Final = {"keeper": 1.2, "launcher": 0.1, "front": 1.2}
JOB: Final = "echo ran >/w/canary; sleep 0.5; echo end"
LOOSENED: Final = "hardbox: loosened network.mode: the test of it\n"
WHOM: Final = tuple(SPANS)


@pytest.fixture
def work(caller: Caller, place: str) -> Iterator[str]:
    """A writable tree; afterwards no process and no mount of the test's is left."""
    faults.adopt_orphans()
    before = faults.children()
    yield faults.own_dir(caller, os.path.join(place, "work"))
    try:
        faults.eventually(lambda: not faults.orphans(before), "all processes of the test have ended")
    finally:
        faults.end(faults.orphans(before))
    assert not faults.mounts_below(place)


@pytest.fixture
def count_of_root(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """As `count`, of a test that has no caller."""
    return lambda line: request.node.user_properties.append(("faults", f"root: {line}"))


def find(front: int, whom: str) -> list[int]:
    """Give the processes of a run that are to be killed."""
    if whom == "front":
        return [front]
    found = []
    for pid in faults.descendants(front):
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError),
            open(f"/proc/{pid}/cmdline", "rb") as file,
        ):
            words = file.read().split(b"\0")
            if (b"hardbox.net" in words) if whom == "keeper" else words[0] == b"hardbox-launch":
                found.append(pid)
    return found


def started(child: subprocess.Popen[bytes], whom: str) -> bool:
    """Say whether what is to be killed is there, or the run has ended; it is not waited for."""
    ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return ended or bool(find(child.pid, whom))


def wrong(done: subprocess.CompletedProcess[str], work: str) -> str:
    """Say what is wrong with a run in which something was killed; "" if nothing is."""
    canary, said = os.path.join(work, "canary"), done.stderr.removeprefix(LOOSENED)
    ran = os.path.exists(canary) or "end" in done.stdout
    if os.path.exists(canary):
        os.unlink(canary)
    if "Traceback" in done.stderr:
        return done.stderr
    if done.returncode == 125:
        return '"nothing was run", but it was' if ran else "" if trace.formed(said) else done.stderr
    if done.returncode == 0:
        return "" if ran else "a job that did not run has succeeded"
    good = done.returncode in (trace.KILLED, -signal.SIGKILL)
    return "" if good else f"status {done.returncode}: {done.stderr!r}"


def kill_some(start: Callable[[], subprocess.Popen[bytes]], work: str, count: Callable[[str], None]) -> None:
    """Kill one of them in each of many runs, at times that are drawn."""
    draw = random.Random(3)  # noqa: S311 (times, no secret)
    outcomes: dict[int, int] = {}
    problems, struck = [], 0
    before = faults.children()
    for number in range(KILLS):
        whom = WHOM[number % len(WHOM)]
        child = start()
        faults.eventually(functools.partial(started, child, whom), "it has started")
        time.sleep(draw.uniform(0.0, SPANS[whom]))
        for pid in find(child.pid, whom):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                struck += 1
        done = faults.finish(child)
        outcomes[done.returncode] = outcomes.get(done.returncode, 0) + 1
        # What outlives a killed front, and a keeper a killed launcher, does so by a moment.
        faults.eventually(lambda: not faults.orphans(before), f"{number}: all have ended")
        if problem := wrong(done, work):
            problems.append(f"{number} {whom}: {problem}")
    count(f"{struck} kills at random times; status: {dict(sorted(outcomes.items()))}")
    assert not problems, "\n".join(problems)
    assert struck > KILLS // 3, "some of the kills came in time"


def words(work: str, *more: str) -> tuple[str, ...]:
    """Give the words of a run."""
    return ("run", "--profile", "net-client", *more, "--write", f"{work}:/w", "--", "sh", "-c", JOB)


def test_kills_of_a_run_with_a_broker(
    caller: Caller, program: Installed, work: str, count: Callable[[str], None]
) -> None:
    def start() -> subprocess.Popen[bytes]:
        return faults.spawn(caller, program.hardbox, *words(work, "--allow", "a.example.org:443"))

    kill_some(start, work, count)
    done = faults.finish(start())
    assert (done.returncode, done.stdout) == (0, "end\n"), "the next one is as ever"


@pytest.mark.skipif(os.geteuid() != 0, reason="a bridge is root's")
def test_kills_of_a_run_on_a_bridge(
    program: Installed, base: str, count_of_root: Callable[[str], None]
) -> None:
    """What a killed keeper leaves of links, rules and leases is gone with the next run."""
    faults.adopt_orphans()
    work = tempfile.mkdtemp(dir=base)
    mode = ("--network", "bridge", "--loosen", "network.mode=the test of it", "--allow", "93.184.216.34:443")
    with bridges.World(program.python) as world:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [*bridges.inside(world.host), program.hardbox, *words(work, *mode)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

        with world.unchanged():
            kill_some(start, work, count_of_root)
            done = faults.finish(start())
            assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert os.listdir(work) == ["canary"]
