"""Launch time of hardbox beside its peers: Python, the pool, the shell's door, a sealed plan.

Run by: bench/main.py (`make bench`). Everything launches `true` in turn, in one run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from measure import (
    BWRAP,
    HARDBOX,
    LAUNCH,
    TRUE,
    System,
    alternate,
    build,
    compiled,
    environment,
    row,
    spawn,
)
from opened import Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measure import Row

ROWS = ("python", "pool", "run", "plan")
_BWRAP = "bwrap --unshare-all"
_SUBPROCESS = "bwrap, by subprocess.run"
_PYTHON = "hardbox.run() in Python"
_RUN = "hardbox run --profile strict"
_PLAN = "hardbox-launch FILE.plan"
_POOL = "hardbox.Pool, call to exec"
_POOL_WHOLE = "hardbox.Pool, whole run of true"
_REFILL = 0.05


def measure(folder: str, rounds: int) -> list[Row]:
    """Measure all launches; `folder` is ours."""
    with _pool() as pool:
        figures = alternate([*_systems(folder), *pool], rounds, what="launches:")
    peers = "`true`, against `bwrap --unshare-all`"
    return [
        row(
            "python",
            "`hardbox.run()` in Python, against `subprocess.run` of bwrap",
            0.60,
            figures,
            _PYTHON,
            _SUBPROCESS,
        ),
        row(
            "pool",
            "warm pool: from the call to the exec of `true`, against a launch by `bwrap --unshare-all`",
            0.15,
            figures,
            _POOL,
            _BWRAP,
        ),
        row("run", f"`hardbox run --profile strict`: {peers}", 1.0, figures, _RUN, _BWRAP),
        row("plan", f"`hardbox-launch FILE.plan`: {peers}", 0.55, figures, _PLAN, _BWRAP),
    ]


def _systems(folder: str) -> Iterator[System]:
    floor = build(folder, "floor")
    plan = compiled(folder, "strict", "--profile", "strict", "--", "true")
    bwrap = (*BWRAP, "--", TRUE)
    yield System("nothing (fork and exec)", spawn(TRUE))
    yield System("floor: six namespaces, a bind, no walls", spawn(floor, TRUE))
    yield System(_BWRAP, spawn(*bwrap))
    yield System(_SUBPROCESS, _by_subprocess(*bwrap))
    yield System(_PLAN, spawn(LAUNCH, plan, "--", TRUE))
    yield System(_RUN, spawn(HARDBOX, "run", "--profile", "strict", "--", TRUE))
    yield System(_PYTHON, _in_python())
    yield System("python3 -I -S -c pass, alone", spawn("/usr/bin/python3", "-I", "-S", "-c", "pass"))
    if os.geteuid() == 0:
        yield System(
            "firejail --noprofile --net=none",
            spawn("firejail", "--quiet", "--noprofile", "--net=none", TRUE),
        )
        yield System(
            "runc run, default spec", spawn("runc", "run", "--bundle", bundle(folder), f"bench-{os.getpid()}")
        )


def _by_subprocess(*argv: str) -> Callable[[], None]:
    words = environment()

    def launch() -> None:
        subprocess.run(argv, check=True, env=words)

    return launch


def _in_python() -> Callable[[], None]:
    """Give a launch through the Python API, in this process."""
    import hardbox  # noqa: PLC0415 (the thing that is measured)

    def launch() -> None:
        done = hardbox.run([TRUE], profile="strict")
        if done.exit_code != 0:
            message = f"hardbox.run: exit code {done.exit_code}"
            raise RuntimeError(message)

    return launch


@contextmanager
def _silent() -> Iterator[None]:
    """Have /dev/null on 0-2, which a member takes; a terminal or a file there would make it a launch."""
    kept = [os.dup(fd) for fd in range(3)]
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
    try:
        yield
    finally:
        for fd, was in enumerate(kept):
            os.dup2(was, fd)
            os.close(was)


@contextmanager
def _pool() -> Iterator[tuple[System, ...]]:
    """Give launches by a warm pool, which ends with this.

    The moment of the exec is seen from outside. After each job the pool makes a new member, for which the
    others are not made to wait.
    """
    import hardbox  # noqa: PLC0415 (as above)

    with Opened(TRUE) as seen, hardbox.Pool(profile="strict", size=8) as pool:

        def run() -> tuple[float, float]:
            handed = pool.handed
            seen.forget()
            pool.wait_ready(1)
            with _silent():
                sent = time.monotonic_ns()
                done = pool.run([TRUE])
                ended = time.monotonic_ns()
            if done.exit_code != 0 or pool.handed != handed + 1:
                message = f"hardbox.Pool: exit code {done.exit_code}, {pool.handed - handed} handed over"
                raise RuntimeError(message)
            time.sleep(_REFILL)
            return (seen.next() - sent) / 1e6, (ended - sent) / 1e6

        yield System(_POOL, lambda: run()[0]), System(_POOL_WHOLE, lambda: run()[1])


def bundle(folder: str) -> str:
    """Make an OCI bundle whose root holds a static `true`."""
    path = os.path.join(folder, "bundle")
    os.makedirs(os.path.join(path, "rootfs"))
    source = os.path.join(folder, "true.c")
    with open(source, "w", encoding="ascii") as file:
        file.write("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", os.path.join(path, "rootfs", "true"), source], check=True)
    if shutil.which("runc") is None:
        return path
    subprocess.run(["runc", "spec"], cwd=path, check=True)
    with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config["process"]["args"] = ["/true"]
    config["process"]["terminal"] = False
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    return path
