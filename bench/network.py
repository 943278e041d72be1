"""A sandbox's network beside its peers: one run, interleaved, medians, ratios to a direct connection.

Run by: `make bench-more`. Everything stands in a network namespace of its own, in which a server has the
address of a pair of virtual interfaces. It fails no test: a peer that is missing or does not run here is
named with its reason.
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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BIN: Final = os.path.join(sys.prefix, "bin")
HERE: Final = os.path.dirname(os.path.abspath(__file__))
ENDS: Final = os.path.join(HERE, "network_ends.py")
_TUN: Final = "/dev/net/tun"
HOST, PORT = "10.9.9.1", 7007
_SET_UP: Final = (
    "link set lo up",
    "link add out0 type veth peer name out1",
    f"addr add {HOST}/24 dev out0",
    "link set out0 up",
    "link set out1 up",
    "route add default via 10.9.9.2",
)
# Starts a namespace, waits for slirp4netns to have made its interface, measures.
_SLIRP: Final = """
unshare --user --map-root-user --net sh -c 'echo $$ >pid; read go <go; exec "$@"' sh "$@" >out &
job=$!
while [ ! -s pid ]; do sleep 0.02; done
slirp4netns --configure --mtu=65520 --ready-fd=4 "$(cat pid)" tap0 4>ready >/dev/null 2>slirp.log &
slirp=$!
tries=0
while [ ! -s ready ]; do
	sleep 0.05; tries=$((tries + 1))
	if [ $tries -gt 100 ] || ! kill -0 $slirp; then cat slirp.log >&2; kill $job; exit 1; fi
done
echo go >go
wait $job; status=$?
kill $slirp; cat out; exit $status
"""
PASTA: Final = ("pasta", "-q", "--config-net", "-a", "10.9.9.77", "-n", "24", "-g", "10.9.9.2")
# Root's pasta would become nobody, who may not open every machine's /dev/net/tun.
_AS_ROOT: Final = ("--runas", "0", "--netns-only")


@dataclass(frozen=True)
class System:
    """One thing to measure.

    words:  before the client.
    way:    that the client takes.
    client: where the sandbox sees it.
    tool:   the program that makes its interface, if it is not a sandbox of ours.
    """

    name: str
    words: tuple[str, ...]
    way: str = "straight"
    client: str = ENDS
    tool: str = ""


def hardbox() -> tuple[str, ...]:
    """Give the words that start a sandbox in which the server may be reached."""
    more = ("connections=600", "rate=10000")
    looser = [word for one in more for word in ("--set", f"network.{one}")]
    looser += [
        word for one in more for word in ("--loosen", f"network.{one.partition('=')[0]}=it is measured")
    ]
    return (
        *(
            os.path.join(BIN, "hardbox"),
            "run",
            "--profile",
            "net-client",
            "--allow",
            f"{HOST}:{PORT}",
            *looser,
        ),
        *("--set", "limits.open_files=1024", "--loosen", "limits.open_files=it is measured"),
        *("--set", "limits.cpu=64", "--loosen", "limits.cpu=it is measured"),
        *("--read", f"{ENDS}:/ends.py", "--"),
    )


def systems() -> list[System]:
    """Name what is compared."""
    plain = ("--set", "network.sni=off", "--loosen", "network.sni=it is measured")
    ours = hardbox()
    return [
        System("direct", ()),
        System("hardbox, transparent", ours, client="/ends.py"),
        System("hardbox, transparent, sni off", (*ours[:-1], *plain, "--"), client="/ends.py"),
        System("hardbox, CONNECT", ours, "connect", "/ends.py"),
        System("hardbox, SOCKS", ours, "socks", "/ends.py"),
        System("pasta", (*PASTA, *(_AS_ROOT if os.geteuid() == 0 else ()), "--"), tool="pasta"),
        System("slirp4netns", ("sh", "-c", _SLIRP, "sh"), tool="slirp4netns"),
    ]


def once(system: System, size: int) -> dict[str, float]:
    """Measure one system once. Raises RuntimeError with what it said."""
    with tempfile.TemporaryDirectory(prefix="hardbox-bench-") as folder:
        os.mkfifo(os.path.join(folder, "go"))
        client = ("/usr/bin/python3", "-I", system.client, "measure", system.way, HOST, str(PORT), str(size))
        done = subprocess.run(
            ["timeout", "--kill-after=5", "120", *system.words, *client],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": os.environ.get("HOME", "/")},
        )
    if done.returncode:
        message = f"{done.returncode}: {' / '.join(done.stderr.split(chr(10))[:3])[:300]}"
        raise RuntimeError(message)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def lacking(system: System) -> str:
    """Say what a system lacks here; "" if nothing. pasta does not end without the device that it needs."""
    program = system.tool or (system.words[0] if system.words else "sh")
    if shutil.which(program) is None:
        return "not installed"
    return "" if not system.tool or os.access(_TUN, os.W_OK) else f"{_TUN} is shut to this user"


Figures = dict[str, dict[str, list[float]]]


def measure(found: Sequence[System], rounds: int, size: int) -> tuple[Figures, dict[str, str]]:
    """Measure everything in turn, `rounds` times; give the figures, and why one was left out."""
    figures: Figures = {system.name: {} for system in found}
    missing: dict[str, str] = {}
    for number in range(rounds):
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds} ", end="", file=sys.stderr)
        for system in found:
            if system.name in missing:
                continue
            if reason := lacking(system):
                missing[system.name] = reason
                continue
            try:
                row = once(system, size)
            except (OSError, RuntimeError, ValueError) as error:
                missing[system.name] = str(error)
                continue
            for name, value in row.items():
                figures[system.name].setdefault(name, []).append(value)
    for name in missing:
        del figures[name]
    if sys.stderr.isatty():
        print("\r" + " " * 30, end="\r", file=sys.stderr)
    return figures, missing


def table(figures: Figures, missing: dict[str, str]) -> str:
    """Give the figures as text: medians, and the ratio to the direct connection."""
    base = {name: statistics.median(values) for name, values in figures.get("direct", {}).items()}
    lines = [f"{'':<30}" + "".join(f"{name:>24}" for name in base)]
    for system, rows in figures.items():
        cells = []
        for name, values in rows.items():
            middle = statistics.median(values)
            cells.append(f"{f'{middle:.3g} ({middle / base[name]:.2f})':>24}")
        lines.append(f"{system:<30}" + "".join(cells))
    lines += [f"{name:<30}not measured: {why}" for name, why in missing.items()]
    lines.append("in parentheses: the ratio to direct")
    return "\n".join(lines)


def inside(options: argparse.Namespace) -> int:
    """Measure in the namespaces that main() has made."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(_SET_UP), text=True, check=True)
    serve = ["/usr/bin/python3", "-I", ENDS, "serve", HOST, str(PORT)]
    with subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None or server.stdout.readline() != "up\n":
            return 1
        figures, missing = measure(systems(), options.rounds, options.megabytes * 1_000_000)
        server.kill()
    who = "root" if os.geteuid() == 0 else "ordinary user"
    print(f"\nas {who}, {options.rounds} rounds, {os.cpu_count()} CPUs, Linux {platform.release()}")
    print(table(figures, missing), flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {"schema": "hardbox.bench-network/1", "who": who, "figures": figures, "missing": missing},
                file,
            )
    return 0


def main() -> int:
    """Make namespaces, and measure in them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each system (default 5)")
    parser.add_argument("--megabytes", type=int, default=1000, help="of each transfer (default 1000)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON too")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options)
    own = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
    again = (sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--inside")
    return subprocess.run(["unshare", *own, "--net", "--", *again], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
