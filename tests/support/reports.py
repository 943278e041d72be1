"""Reports made by hand, with every field that a report can have.  Run by: tests/unit, tests/system."""

from __future__ import annotations

import math
from typing import Any, Final

# What a job may be called, and call its files: markup, SVG, terminal control, a turned direction.
HOSTILE: Final = (
    "</td></table></text></svg><script>document.title='owned'</script>"
    "<img src=x onerror=document.title='owned'><svg onload=document.title='owned'>"
    "&\"'`\x1b]0;owned\x07\x1b[2J\u202e\u2028\r\n\x00\x9b"
)
_KINDS: Final = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]


def old() -> dict[str, Any]:
    """Give a report of the first version: none of the later fields."""
    return {
        "schema": "hardbox.report/1",
        "outcome": "exited",
        "exit_code": 0,
        "signal": None,
        "limit": None,
        "argv": ["make", "-j2", "a file"],
        "profile": {"name": "build", "sha256": "ab" * 32},
        "plan": {"sha256": "cd" * 32},
        "enforced": {
            "namespaces": list(_KINDS),
            "uid_map": [[1000, 1234, 1]],
            "gid_map": [[1000, 1234, 1]],
            "capabilities": dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0),
            "no_new_privs": True,
            "seccomp": True,
            "seccomp_filters": 1,
        },
        "landlock": ["files", "tcp", "scopes"],
        "loosened": {},
        "optional": {},
        "seconds": 61.2,
        "start_seconds": 0.0031,
        "user_seconds": 80.5,
        "system_seconds": 9.25,
        "max_rss_bytes": 211 << 20,
    }


def refused() -> dict[str, Any]:
    """Give the report of a refusal."""
    return {
        "schema": "hardbox.report/1",
        "outcome": "refused",
        "exit_code": 125,
        "argv": ["curl", "localhost"],
        "error": {
            "verdict": "refused",
            "code": "HB103",
            "what": "the host's network is asked for",
            "value": "--network host",
            "origin": "--network",
            "why": "services on localhost become reachable",
            "rule": "host-network: CIS-5.10",
            "instead": 'network.mode = "none"',
        },
    }


def full() -> dict[str, Any]:
    """Give a report with everything: a build that ended by its memory limit."""
    return {
        **old(),
        "outcome": "limit",
        "limit": "memory",
        "exit_code": 137,
        "signal": 9,
        "loosened": {"limits.memory": "the linker needs more than strict gives"},
        "terminal": False,
        "output": {"stdout": 48211, "stderr": 1202},
        "limits": [
            limit("limits.memory", 512 << 20, "cgroup v1", 1, 512 << 20, "the kernel ended cc1plus"),
            limit("limits.tasks", 1024, "cgroup v1", 0, 23),
            limit("limits.cpu", 2, "affinity", 0, None),
            limit("limits.cpu_time", 14400, "rlimit", 0, 41),
            limit("limits.wall", 7_200_000, "clock", 0, 61200),
            limit("limits.file_size", 1 << 30, "rlimit", 0, None),
        ],
        "samples": samples(),
        "denials": [
            denial("io_uring_setup", 3, "node", allow='[seccomp] add = ["io-uring"] with a [loosen] reason'),
            denial(
                "/home/x/.ssh/config",
                1,
                "git",
                kind="file",
                where="filesystem.show (profiles/strict.toml)",
                why="not in the sandbox (ENOENT inside)",
                allow="--read /home/x/.ssh/config",
                risk="high: this is a credential",
                sure="likely",
            ),
        ],
        "denials_dropped": 4,
        "network": network(),
    }


def hostile() -> dict[str, Any]:
    """Give a report in which every text is HOSTILE; still valid."""
    found = full()
    found["argv"] = [HOSTILE, HOSTILE * 3]
    found["profile"]["name"] = HOSTILE
    found["loosened"] = {HOSTILE: HOSTILE}
    found["optional"] = {HOSTILE: HOSTILE}
    found["limits"] = [limit("limits." + HOSTILE, 5, "rlimit", 1, 3, HOSTILE), *found["limits"]]
    found["limits"][1]["detail"] = HOSTILE
    found["denials"] = [
        denial(HOSTILE, 1, HOSTILE, where=HOSTILE, why=HOSTILE, allow=HOSTILE, risk="low") for _ in range(2)
    ]
    found["network"]["contacts"] = [
        contact("denied", HOSTILE, 443, HOSTILE, "spelling", HOSTILE),
        *found["network"]["contacts"],
    ]
    return found


def network() -> dict[str, Any]:
    """Give the network of a job that fetched something and tried more."""
    return {
        "mode": "allow",
        "complete": True,
        "problem": "",
        "connections": 41,
        "most": 6,
        "sent": 91_204,
        "received": 190 << 20,
        "dropped": 2,
        "contacts": [
            contact("allowed", "index.example.org", 443, "connect", "", "", 38, 90_000, 189 << 20),
            contact("denied", "tracker.example.net", 443, "transparent", "not-allowed", "", 3),
            contact("denied", "2001:db8::7", 22, "socks", "not-allowed", ""),
            contact("denied", "metadata.example.net", 0, "dns", "not-allowed", "", 4),
            contact("denied", "", 0, "transparent", "limit-rate", "", 1200),
            contact("failed", "old.example.org", 80, "http", "unreachable", "Connection refused"),
        ],
    }


def contact(  # noqa: PLR0913, PLR0917 (a row)
    verdict: str,
    host: str,
    port: int,
    via: str,
    reason: str,
    detail: str,
    count: int = 1,
    sent: int = 0,
    received: int = 0,
) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "host": host,
        "port": port,
        "via": via,
        "reason": reason,
        "detail": detail,
        "count": count,
        "sent": sent,
        "received": received,
    }


def limit(
    key: str, value: int, means: str, hits: int, peak: float | None, detail: str = ""
) -> dict[str, Any]:
    return {"key": key, "value": value, "means": means, "hits": hits, "peak": peak, "detail": detail}


def denial(  # noqa: PLR0913 (a row)
    what: str,
    count: int,
    process: str,
    *,
    kind: str = "syscall",
    where: str = "seccomp/strict.toml group io-uring",
    why: str = "its operations bypass system call filters",
    allow: str = "",
    risk: str = "high: it reaches much of the kernel",
    sure: str = "certain",
) -> dict[str, Any]:
    return {
        "kind": kind,
        "what": what,
        "count": count,
        "process": process,
        "where": where,
        "why": why,
        "allow": allow,
        "risk": risk,
        "sure": sure,
    }


def samples(count: int = 240) -> list[dict[str, Any]]:
    """Give the course of a build: waves of compilers, then a linker that takes all memory."""
    found = []
    cpu = 0.0
    for number in range(count):
        share = number / count
        busy = 1.5 + 0.45 * math.sin(number / 9) if share < 0.8 else 1.0
        cpu += busy * 61.2 / count
        memory = 90 + 60 * math.sin(number / 7) ** 2 if share < 0.8 else 90 + 422 * (share - 0.8) / 0.2
        found.append(
            {
                "t": round(number * 61.2 / count, 3),
                "memory": int(memory * (1 << 20)),
                "cpu": round(cpu, 3),
                "tasks": 6 + round(8 * abs(math.sin(number / 5))) if share < 0.8 else 3,
                "read": int(share * 190e6),
                "written": int(share**2 * 88e6),
            }
        )
    return found
