"""Kills at random times, with no tracer in the way: the launcher, init, both; and under the API.

Run by: pytest. The seed is fixed, so that the times are too; what they hit is the machine's.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import TYPE_CHECKING, Final

from support import faults

from faults import trace

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from faults.trace import Ground

KILLS: Final = 120 if trace.ALL else 12
SPAN: Final = 0.04  # seconds: a launch takes a few milliseconds, its job a few more
JOB: Final = "echo ran >/w/canary$1; for i in 1 2 3 4 5 6 7 8; do ls / >/dev/null; done; echo end"
# In the caller's own Python: hardbox.run() while another thread kills its launcher.
API: Final = """
import json, os, random, signal, sys, threading, time
import hardbox
from hardbox.errors import HardboxError
draw, work, seen = random.Random(7), sys.argv[1], {}
def launchers():
    found = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children") as file:
            found += file.read().split()
    return found
def attack(delay):
    time.sleep(delay)
    for pid in launchers():
        os.kill(int(pid), signal.SIGKILL)
def once(delay, number):
    canary = f"{work}/canary{number}"  # its own: the job of a killed launcher ends a moment later
    thread = threading.Thread(target=attack, args=(delay,))
    thread.start()
    try:
        done = hardbox.run(["sh", "-c", sys.argv[3], "sh", str(number)], write=[work + ":/w"], capture=True)
        word = done.outcome
    except HardboxError as error:
        word = error.code
        if os.path.exists(canary):
            print(number, word, "nothing was run, but it was", file=sys.stderr)
            raise
    thread.join()
    return word
once(0.0, 0)
def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the directory itself
    return found
before = descriptors()
for number in range(1, int(sys.argv[2]) + 1):
    word = once(draw.uniform(0.0, 0.05), number)
    seen[word] = seen.get(word, 0) + 1
assert descriptors() == before, f"descriptors are left: {before} {descriptors()}"
assert not launchers(), "processes are left"
print(json.dumps(seen))
"""


def _strike(child: subprocess.Popen[bytes], whom: str) -> None:
    inits = faults.children(child.pid) if whom != "launcher" else set()
    if whom != "init":
        child.kill()
    for pid in inits:
        trace.kill(pid)


def test_kills_at_random_times(ground: Ground, count: Callable[[str], None]) -> None:
    draw = random.Random(1)  # noqa: S311 (times, no secret)
    outcomes: dict[int, int] = {}
    wrong: list[str] = []
    for number in range(KILLS):
        whom = ("launcher", "init", "both")[number % 3]
        child = faults.spawn(ground.caller, *ground.launch()[:-1], JOB)
        time.sleep(draw.uniform(0.0, SPAN))
        _strike(child, whom)
        done = faults.finish(child)
        outcomes[done.returncode] = outcomes.get(done.returncode, 0) + 1
        # Init outlives a killed launcher by a moment; its job is gone with it.
        faults.eventually(lambda: not list(ground.left()) or ground.canary(), "nothing is left")
        ran = ground.canary() or "end" in done.stdout
        if done.returncode == 125 and (ran or not trace.formed(done.stderr)):
            wrong.append(f"{whom}: 125, ran: {ran}, {done.stderr!r}")
        if done.returncode not in (0, 125, trace.KILLED, -9):
            wrong.append(f"{whom}: status {done.returncode}: {done.stderr!r}")
    count(f"{KILLS} kills at random times; status: {dict(sorted(outcomes.items()))}")
    assert not wrong, "\n".join(wrong)
    assert set(outcomes) - {0}, "some of the kills came in time"


def test_kills_under_the_api(ground: Ground, count: Callable[[str], None]) -> None:
    python = ground.program.python
    done = ground.caller.run(python, "-c", API, ground.work, str(KILLS), JOB, timeout=300)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    # The job of a killed launcher ends a moment after it.
    faults.eventually(lambda: not faults.mounts_below(ground.work), "all jobs have ended")
    for name in os.listdir(ground.work):
        assert name.startswith("canary")
        os.unlink(os.path.join(ground.work, name))
    count(f"{sum(outcomes.values())} launchers killed under hardbox.run(): {outcomes}")
    assert set(outcomes) - {"exited"}, "some of the kills came in time"
    assert set(outcomes) <= {"exited", "lost", "HB603", "HB602", "HB601", "HB612", "signaled"}, outcomes
