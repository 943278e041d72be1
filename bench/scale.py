"""Scale: a thousand sandboxes alive, fifty threads at once; and what is left of them.

Run by: bench/main.py (`make bench`). Samples are of the whole machine, with what others do on it.
"""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from measure import (
    BWRAP,
    LAUNCH,
    TRUE,
    Row,
    System,
    alternate,
    build,
    compiled,
    environment,
    progress,
    row,
    spawn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = ("alive", "threads")
ALIVE: Final = 1000
EVERY: Final = 100
THREADS, EACH = 50, 6
# Says that it runs, and ends with its stdin.
_JOB: Final = ("/usr/bin/sh", "-c", "echo up; exec cat")
_FIRST, _NEXT, _BWRAP = "hardbox-launch", "hardbox-launch, among the living", "bwrap --unshare-all"
_FLOOR = "floor: six namespaces, a bind, no walls"
_PATIENCE: Final = 10.0
# Caches of the kernel breathe by this much while nothing is wrong.
_KINDS: Final = ("processes", "mounts", "cgroups", "descriptors")


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure both; `folder` is ours."""
    about = f"launch time of the next with {ALIVE:,} sandboxes alive, against the first"
    failed = "50 threads of one process with `hardbox.run()`: runs that failed"
    return [
        attempt(Row("alive", about, 1.2), lambda: alive(folder, rounds)),
        attempt(Row("threads", failed, 0), threads),
    ]


def attempt(without: Row, what: Callable[[], Row]) -> Row:
    """Give a row, or with its reason the one that stands for it."""
    try:
        return what()
    except (OSError, RuntimeError) as error:
        return replace(without, missing=str(error))


def sample() -> dict[str, float]:
    """Count what a leak would be made of: processes, mounts, cgroups, descriptors; and memory, in MiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in file}
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = sum(1 for _ in file)
    with open("/proc/cgroups", encoding="ascii") as file:
        cgroups = sum(int(line.split()[2]) for line in file if not line.startswith("#"))
    return {
        "processes": sum(1 for name in os.listdir("/proc") if name.isdigit()),
        "mounts": mounts,
        "cgroups": cgroups,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "memory in use, MiB": (kib["MemTotal"] - kib["MemAvailable"]) / 1024,
        "slab that cannot be reclaimed, MiB": kib["SUnreclaim"] / 1024,
    }


def settled(before: dict[str, float]) -> dict[str, float]:
    """Give the counts when they are back at `before`, or after some seconds."""
    end = time.monotonic() + _PATIENCE
    while True:
        after = sample()
        if all(after[kind] <= before[kind] for kind in _KINDS) or time.monotonic() > end:
            return after
        time.sleep(0.2)


def left(before: dict[str, float], after: dict[str, float]) -> str:
    """Say what is more than before."""
    found = [f"{after[kind] - before[kind]:+.0f} {kind}" for kind in before]
    return f"left afterwards, of the whole machine: {', '.join(found)}"


def alive(folder: str, rounds: int) -> Row:
    """Start ALIVE sandboxes, and launch beside them."""
    plan = compiled(folder, "alive", "--profile", "strict", "--", *_JOB)
    true = compiled(folder, "true", "--profile", "strict", "--", TRUE)
    floor = build(folder, "floor")
    peers = [System(_BWRAP, spawn(*BWRAP, "--", TRUE)), System(_FLOOR, spawn(floor, TRUE))]
    before = sample()
    first = alternate([System(_FIRST, spawn(LAUNCH, true)), *peers], rounds, what="none alive:")
    stdin, release = os.pipe()
    stdout, write = os.pipe()
    fronts: list[subprocess.Popen[bytes]] = []
    curves: dict[str, list[tuple[float, float]]] = {"ms until it runs": [], "MiB for each": []}
    base = sample()["memory in use, MiB"]
    try:
        for number in range(1, ALIVE + 1):
            began = time.perf_counter_ns()
            fronts.append(subprocess.Popen([LAUNCH, plan], stdin=stdin, stdout=write, env=environment()))
            _up(stdout, fronts[-1])
            curves["ms until it runs"].append((number, (time.perf_counter_ns() - began) / 1e6))
            if number % EVERY == 0:
                progress(f"{number} alive")
                used = sample()["memory in use, MiB"] - base
                curves["MiB for each"].append((number, used / number))
        among = alternate([System(_NEXT, spawn(LAUNCH, true)), *peers], rounds, what=f"{ALIVE} alive:")
    finally:
        os.close(release)
        for front in fronts:
            front.wait()
        for fd in (stdin, stdout, write):
            os.close(fd)
    figures = first
    figures.values.update(
        {
            f"{name} ({ALIVE} alive)" if name != _NEXT else name: values
            for name, values in among.values.items()
        }
    )
    figures.missing.update(among.missing)
    about = f"launch time of the next with {ALIVE:,} sandboxes alive, against the first"
    each = curves["MiB for each"][-1][1]
    found = row(
        "alive",
        about,
        1.2,
        figures,
        _NEXT,
        _FIRST,
        note=f"{each:.2f} MiB of the machine's memory for each; {left(before, settled(before))}",
    )
    found.curves.update(curves)
    return found


def _up(stdout: int, front: subprocess.Popen[bytes]) -> None:
    os.set_blocking(stdout, False)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            if os.read(stdout, 16):
                return
        except BlockingIOError:
            pass
        if front.poll() is not None:
            message = f"hardbox-launch: exit status {front.returncode}"
            raise RuntimeError(message)
        time.sleep(0.0002)
    message = "the job does not start"
    raise RuntimeError(message)


def threads() -> Row:
    """Run from THREADS threads of this process at once: ids, cgroups, leases are asked for together."""
    import hardbox  # noqa: PLC0415 (the thing that is measured)

    def work(number: int) -> int:
        failed = 0
        for _ in range(EACH):
            try:
                done = hardbox.run(["/usr/bin/sh", "-c", f"echo {number}"], profile="strict", capture=True)
                failed += done.exit_code != 0 or done.stdout != b"%d\n" % number
            except hardbox.HardboxError:
                failed += 1
        return failed

    before = sample()
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as executor:
        failed = sum(executor.map(work, range(THREADS)))
    taken = time.perf_counter() - began
    return Row(
        "threads",
        f"{THREADS} threads of one process, {EACH} times `hardbox.run()` each: runs that failed",
        0,
        value=float(failed),
        low=float(failed),
        high=float(failed),
        figures={"each run, all together": taken * 1e3 / THREADS / EACH},
        note=left(before, settled(before)),
    )
