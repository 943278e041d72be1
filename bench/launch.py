"""Launch time of hardbox beside its peers: one run, interleaved, medians and ratios to bwrap.

Run by: `make bench`. As root it measures as an ordinary user too (in a process of its own).
It fails no test: a peer that is missing or does not run here is named with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BIN: Final = os.path.join(sys.prefix, "bin")
HERE: Final = os.path.dirname(os.path.abspath(__file__))
NOBODY: Final = 65534
BWRAP: Final = (
    *("bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc"),
    *("--dev", "/dev", "--tmpfs", "/tmp", "--"),  # noqa: S108 (inside)
)


@dataclass(frozen=True)
class System:
    """One thing to measure: its name, and what one launch of `true` is."""

    name: str
    launch: Callable[[], None]


def spawn(*argv: str) -> Callable[[], None]:
    """Give a launch that starts a program and waits for it."""
    path = shutil.which(argv[0]) or argv[0]
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}

    def launch() -> None:
        pid = os.posix_spawn(path, argv, environment)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            message = f"{argv[0]}: exit status {os.waitstatus_to_exitcode(status)}"
            raise RuntimeError(message)

    return launch


def in_python() -> Callable[[], None]:
    """Give a launch through the Python API, in this process."""
    import hardbox  # noqa: PLC0415 (the thing that is measured)

    def launch() -> None:
        done = hardbox.run(["/usr/bin/true"], profile="strict")
        if done.exit_code != 0:
            message = f"hardbox.run: exit code {done.exit_code}"
            raise RuntimeError(message)

    return launch


def systems(folder: str) -> list[System]:
    """Name what is compared; `folder` is ours."""
    floor = os.path.join(folder, "floor")
    subprocess.run(["gcc", "-O2", "-static", "-o", floor, os.path.join(HERE, "floor.c")], check=True)
    plan = os.path.join(folder, "strict.plan")
    subprocess.run(
        [os.path.join(BIN, "hardbox"), "compile", "--profile", "strict", "-o", plan, "--", "true"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    true = "/usr/bin/true"
    found = [
        System("nothing (fork and exec)", spawn(true)),
        System("floor: six namespaces, a bind, no walls", spawn(floor, true)),
        System("bwrap --unshare-all", spawn(*BWRAP, true)),
        System("hardbox-launch FILE.plan", spawn(os.path.join(BIN, "hardbox-launch"), plan, "--", true)),
        System("hardbox run", spawn(os.path.join(BIN, "hardbox"), "run", "--profile", "strict", "--", true)),
        System("hardbox.run() in Python", in_python()),
        System("python3 -I -S -c pass, alone", spawn("/usr/bin/python3", "-I", "-S", "-c", "pass")),
    ]
    if os.geteuid() == 0:
        found += [
            System(
                "firejail --noprofile --net=none",
                spawn("firejail", "--quiet", "--noprofile", "--net=none", true),
            ),
            System(
                "runc run, default spec",
                spawn("runc", "run", "--bundle", _bundle(folder), f"bench-{os.getpid()}"),
            ),
        ]
    return found


def _bundle(folder: str) -> str:
    """Make an OCI bundle whose root holds a static `true`."""
    bundle = os.path.join(folder, "bundle")
    os.makedirs(os.path.join(bundle, "rootfs"))
    source = os.path.join(folder, "true.c")
    with open(source, "w", encoding="ascii") as file:
        file.write("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", os.path.join(bundle, "rootfs", "true"), source], check=True)
    if shutil.which("runc") is None:
        return bundle
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["process"]["args"] = ["/true"]
    config["process"]["terminal"] = False
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return bundle


def measure(found: Sequence[System], rounds: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Launch everything in turn, `rounds` times; give milliseconds, and why one was left out."""
    times: dict[str, list[float]] = {system.name: [] for system in found}
    missing: dict[str, str] = {}
    for number in range(-3, rounds):
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds} ", end="", file=sys.stderr)
        for system in found:
            if system.name in missing:
                continue
            began = time.perf_counter_ns()
            try:
                system.launch()
            except (OSError, RuntimeError) as error:
                missing[system.name] = str(error)
                del times[system.name]
                continue
            if number >= 0:
                times[system.name].append((time.perf_counter_ns() - began) / 1e6)
    if sys.stderr.isatty():
        print("\r" + " " * 30, end="\r", file=sys.stderr)
    return times, missing


def table(times: dict[str, list[float]], missing: dict[str, str]) -> str:
    """Give the figures as text: median, middle half, ratio to bwrap."""
    base = statistics.median(times["bwrap --unshare-all"]) if "bwrap --unshare-all" in times else None
    lines = [f"{'':<42}{'median ms':>10}{'middle half':>16}{'to bwrap':>10}"]
    for name, values in times.items():
        middle = statistics.median(values)
        low, _, high = statistics.quantiles(values, n=4)
        ratio = f"{middle / base:.2f}" if base else "-"
        lines.append(f"{name:<42}{middle:>10.2f}{f'{low:.2f}..{high:.2f}':>16}{ratio:>10}")
    lines += [f"{name:<42}not measured: {why}" for name, why in missing.items()]
    return "\n".join(lines)


def main() -> int:
    """Measure as this user, and as an ordinary one if this is root."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="launches of each system (default 60)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hardbox-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 (the ordinary user reads from it)
        times, missing = measure(systems(folder), options.rounds)
    who = "root" if os.geteuid() == 0 else "ordinary user"
    print(f"\nas {who}, {options.rounds} rounds, {os.cpu_count()} CPUs, Linux {platform.release()}")
    print(table(times, missing), flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {"schema": "hardbox.bench/1", "who": who, "milliseconds": times, "missing": missing}, file
            )
    if os.geteuid() == 0:
        again = [sys.executable, os.path.abspath(__file__), "--rounds", str(options.rounds)]
        words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *again]
        with tempfile.TemporaryDirectory(prefix="hardbox-bench-") as home:
            os.chown(home, NOBODY, NOBODY)  # with a place for the cache, as a user has
            return subprocess.run(words, check=False, env={"PATH": "/usr/bin:/bin", "HOME": home}).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
