"""All figures of hardbox beside its peers: measured, judged against their goals, kept under docs/bench/.

Run by: `make bench`. usage: bench/main.py [--only ROW]... [--rounds N] [--out DIR]
As root it measures as an ordinary user too. It fails no test: what is missing on this machine is named with
its reason. What `--only` leaves out keeps the figures that it has, each with its own date.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final

import page
from measure import HARDBOX, HERE, NOBODY, MissingError, environment, said, who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SCHEMA: Final = "hardbox.bench/2"
OUT: Final = os.path.join(os.path.dirname(HERE), "docs", "bench")
# In the order of the table.
PARTS: Final = {
    "launch": ("python", "pool", "run", "plan"),
    "parallel": ("parallel",),
    "memory": ("memory",),
    "loops": ("loop-getpid", "loop-read", "loop-openat", "loop-futex", "loop-fork"),
    "filter_cost": ("filter-getpid", "filter-fcntl", "filter-load"),
    "build": ("build", "build-cpu"),
    "builders": ("make", "ninja", "xdist"),
    "scale": ("alive", "threads"),
    "in_a_row": ("in-a-row",),
    "binds": ("binds", "binds-run"),
}


def measured(wanted: frozenset[str], rounds: int, keep: Callable[[dict[str, Any]], None]) -> None:
    """Measure the rows that are wanted, as this user; hand them on by name, part by part."""
    for part, names in PARTS.items():
        if not wanted.intersection(names):
            continue
        began = time.monotonic()
        module = importlib.import_module(part)
        with tempfile.TemporaryDirectory(prefix="hardbox-bench-") as folder:
            os.chmod(folder, 0o755)  # noqa: S103 (root's jobs are other users)
            try:
                rows = module.measure(folder, rounds)
            except (OSError, RuntimeError, MissingError, subprocess.CalledProcessError) as error:
                print(f"{part}: not measured: {error}", file=sys.stderr)
                continue
        found: dict[str, Any] = {}
        for row in rows:
            if row.name in wanted:
                found[row.name] = {
                    **dataclasses.asdict(row),
                    "verdict": row.verdict,
                    "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
                    "load": round(os.getloadavg()[0], 1),
                    "rounds": rounds,
                }
        keep(found)
        print(f"{who()}: {part} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def machine() -> dict[str, str]:
    """Describe the machine and the versions of what was measured."""
    versions = {
        "hardbox": (HARDBOX, "--version"),
        "bubblewrap": ("bwrap", "--version"),
        "runsc": ("runsc", "--version"),
        "gcc": ("gcc", "-dumpfullversion"),
    }
    found = {
        "CPUs": f"{os.cpu_count()}, {_field('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) >> 20} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
        "virtual": said(("systemd-detect-virt",)).strip()
        if shutil.which("systemd-detect-virt")
        else "not known",
        "python": platform.python_version(),
    }
    for name, words in versions.items():
        try:
            found[name] = said(words).splitlines()[0].split()[-1]
        except (OSError, RuntimeError, IndexError) as error:
            found[name] = f"not there: {error}"
    return found


def _field(path: str, name: str) -> str:
    with open(path, encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "?")


def as_ordinary(wanted: Iterable[str], rounds: int) -> dict[str, Any]:
    """Measure the same in a process of an ordinary user, with a home as a user has one."""
    with tempfile.TemporaryDirectory(prefix="hardbox-bench-") as home:
        os.chmod(home, 0o755)  # noqa: S103 (the ordinary user passes through it)
        more = {}
        if "build" in wanted:
            import build as builds  # noqa: PLC0415 (it needs the tests' own folder)

            given = os.environ.get(builds.SOURCES, os.path.join(home, "debian"))
            try:
                builds.fetched(given)
                more[builds.SOURCES] = given
            except (RuntimeError, OSError) as error:
                print(f"sources are not fetched: {error}", file=sys.stderr)
        own = os.path.join(home, "own")
        os.mkdir(own)
        os.chown(own, NOBODY, NOBODY)
        result = os.path.join(own, "rows.json")
        words = [sys.executable, os.path.abspath(__file__), "--rounds", str(rounds), "--rows", result]
        for name in wanted:
            words += ["--only", name]
        setpriv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *words]
        done = subprocess.run(setpriv, check=False, env={**environment(), "HOME": own, **more})
        if done.returncode:
            print(f"as an ordinary user: status {done.returncode}", file=sys.stderr)
        if not os.path.exists(result):
            return {}
        with open(result, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
        return found


def kept_in(folder: str) -> dict[str, Any]:
    """Read what an earlier run has kept."""
    try:
        with open(os.path.join(folder, "figures.json"), encoding="utf-8") as file:
            kept: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        return {"schema": SCHEMA, "machine": {}, "rows": {}}
    return kept


def put(path: str, value: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
    os.replace(f"{path}.new", path)


def main() -> int:
    """Measure, keep, and print the table."""
    every = [name for names in PARTS.values() for name in names]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=every, metavar="ROW", help=f"one of {', '.join(every)}"
    )
    parser.add_argument("--rounds", type=int, default=60, help="launches of each system (default 60)")
    parser.add_argument("--out", default=OUT, help="folder of figures.json, README.md and plots")
    parser.add_argument("--user", choices=("root", "ordinary"), help="as root, measure as this one alone")
    parser.add_argument("--rows", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    wanted = frozenset(options.only or every)
    if options.rows:
        rows: dict[str, Any] = {}

        def hand_over(found: dict[str, Any]) -> None:
            rows.update(found)
            put(options.rows, rows)

        measured(wanted, options.rounds, hand_over)
        return 0
    os.makedirs(options.out, exist_ok=True)
    kept = kept_in(options.out)
    kept["machine"] = machine()

    def keep(found: dict[str, Any], user: str = who()) -> None:
        of_user = {**kept["rows"].get(user, {}), **found}
        kept["rows"][user] = {row: of_user[row] for row in every if row in of_user}
        put(os.path.join(options.out, "figures.json"), kept)

    if options.user != "ordinary" or os.geteuid() != 0:
        measured(wanted, options.rounds, keep)
    if os.geteuid() == 0 and options.user != "root":
        keep(as_ordinary(sorted(wanted), options.rounds), "ordinary user")
    print(page.written(kept, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
