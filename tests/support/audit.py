"""Looks into a running sandbox's network from outside: interfaces, routes, rules, listeners.

Run by: tests/system/test_network_*.py. Uses ip(8) and ss(8), not hardbox's own eyes.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support import faults

if TYPE_CHECKING:
    import subprocess as processes


@dataclass(frozen=True)
class Network:
    """What one network namespace holds.

    links:   interface name -> flags.
    routes:  (table, type, destination, device) of every route of both families.
    rules:   the policy rules that differ from the kernel's own three.
    sockets: (protocol, local address, port) of everything that listens or is bound.
    unix:    names of abstract sockets.
    """

    links: dict[str, frozenset[str]]
    routes: frozenset[tuple[str, str, str, str]]
    rules: tuple[str, ...]
    sockets: frozenset[tuple[str, str, int]]
    unix: tuple[str, ...]


def of(pid: int) -> str:
    """Give a process's network namespace; "" if it has ended or may not be looked at."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def inside(child: processes.Popen[bytes], outside: str) -> int:
    """Wait for a process below `child` with a network of its own; gives its id."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [pid for pid in faults.descendants(child.pid) if of(pid) not in ("", outside)]
        return bool(found)

    faults.eventually(look, "a process in a network of its own")
    return min(found)


def network(pid: int) -> Network:
    """Look at the network of a process."""
    links = _json(pid, "ip", "-j", "link")
    routes = [
        (
            str(row.get("table", "main")),
            str(row.get("type", "unicast")),
            str(row["dst"]),
            str(row.get("dev", "")),
        )
        for family in ("-4", "-6")
        for row in _json(pid, "ip", "-j", family, "route", "show", "table", "all")
    ]
    rules = [
        f"{row['priority']} {row.get('table')}"
        for family in ("-4", "-6")
        for row in _json(pid, "ip", "-j", family, "rule")
        if (row["priority"], row.get("table")) not in {(0, "local"), (32766, "main"), (32767, "default")}
    ]
    sockets = []
    for line in _enter(pid, "ss", "-Hlntu").splitlines():
        protocol, _, _, _, local, *_ = line.split()
        address, _, port = local.rpartition(":")
        sockets.append((protocol, address.strip("[]"), int(port)))
    # Of all the tables only this one is that of whoever reads it.
    unix = _enter(pid, "cat", "/proc/thread-self/net/unix").splitlines()[1:]
    return Network(
        {row["ifname"]: frozenset(row["flags"]) for row in links},
        frozenset(routes),
        tuple(rules),
        frozenset(sockets),
        tuple(line.split()[7] for line in unix if "@" in line),
    )


def _enter(pid: int, *argv: str) -> str:
    own = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
    done = subprocess.run(
        ["nsenter", f"--target={pid}", *own, "--net", "--", *argv],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _json(pid: int, *argv: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_enter(pid, *argv) or "[]")
    return found


def broker_of(child: processes.Popen[bytes]) -> int:
    """Give the broker's process id: the one below the front that runs hardbox.net."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [
            pid for pid in (child.pid, *faults.descendants(child.pid)) if b"hardbox.net" in command(pid)
        ]
        return bool(found)

    faults.eventually(look, "there is a broker")
    assert len(found) == 1
    return found[0]


def command(pid: int) -> bytes:
    """Give a process's words; none if it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def status(pid: int) -> dict[str, str]:
    """Give /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
