"""Two hundred sandboxes, forty at once: each right, and nothing left of them. Fewer under emulation.

Run by: pytest. Other workers of pytest-xdist run sandboxes at the same time, so that what is left
is attributed: orphans fall to this process, and ids are those of the runs' own reports.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from support import faults, patience

if TYPE_CHECKING:
    import subprocess

    from support.callers import Caller
    from support.installed import Installed

RUNS: Final = 200 if patience.SLOWER == 1 else 45
AT_ONCE: Final = 40 if patience.SLOWER == 1 else 12
# What other tests of this suite make while these run.
NEIGHBOURS: Final = ("hardbox-tests-", "pytest-of-")
SHARED: Final = ("mounts", "cgroups", "/tmp", "/var/tmp", "/run", "/dev/shm")
# struct flock: type, whence, start, length, pid
LOCK: Final = "hhqqi4x"
FORK = """
import os
pids = [os.fork() or os._exit(n) for n in range(20)]
print(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids))
"""


@dataclass(frozen=True)
class Case:
    """One kind of run: its words, and what has to come of it; @ stands for the run's number."""

    words: tuple[str, ...]
    status: int = 0
    stdout: str = ""
    stderr: str = ""
    outcome: str = "exited"
    stdin: str = ""


CASES: Final = (
    Case(("true",)),
    Case(("false",), 1),
    Case(("sh", "-c", "exit 7"), 7),
    Case(("sh", "-c", "kill -9 $$"), 137, outcome="signaled"),
    Case(("sh", "-c", "echo @ >&2; kill -TERM $$"), 143, stderr="@\n", outcome="signaled"),
    Case(("python3", "-c", "print(@)"), 0, "@\n"),
    Case(("ls", "-A", "/tmp", "/home/box"), 0, "/home/box:\n\n/tmp:\n"),
    Case(("--timeout", "1s", "sleep", "600"), 124, stderr="time limit", outcome="limit"),
    Case(("no-such-command-@",), 127, stderr="no-such-command-@", outcome="not-found"),
    Case(("/etc/passwd",), 126, stderr="/etc/passwd", outcome="not-executable"),
    Case(("python3", "-c", FORK), 0, "190\n"),
    # Processes that outlive the job end with the sandbox.
    Case(("sh", "-c", "for i in $(seq 20); do setsid sleep 600 & done; echo @; exit 3"), 3, "@\n"),
    Case(("sh", "-c", "echo @ > /tmp/x; echo @ > /dev/shm/y; cat /tmp/* /dev/shm/*"), 0, "@\n@\n"),
    Case(("cat",), 0, "@ in", stdin="@ in"),
    Case(("--profile", "build", "sh", "-c", "echo @; mkdir /tmp/d; cd /tmp/d; pwd"), 0, "@\n/tmp/d\n"),
)


@dataclass(frozen=True)
class Run:
    """One run that has ended."""

    number: int
    case: Case
    done: subprocess.CompletedProcess[str]
    report: dict[str, object]


# One test, not many over one fixture: workers of pytest-xdist would each run all of it.
def test_two_hundred_at_once(caller: Caller, program: Installed) -> None:
    faults.adopt_orphans()
    folder = faults.own_dir(caller, f"{caller.home}/crowd")
    for profile in ("strict", "build"):  # fills the cache of filters, and keeps a last run
        report = f"{folder}/{profile}.json"
        faults.ran(caller.run(program.hardbox, "run", "--profile", profile, "--report", report, "--", "true"))
    children = faults.children()
    before = host_state(caller)

    def one(number: int) -> Run:
        case = CASES[number % len(CASES)]
        words = [word.replace("@", str(number)) for word in case.words]
        given = case.stdin.replace("@", str(number))
        report = f"{folder}/{number}.json"
        done = caller.run(program.hardbox, "run", "--report", report, *words, stdin=given)
        assert os.path.exists(report), done
        return Run(number, case, done, faults.read_json(report))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(one, range(RUNS)))
    after = host_state(caller)
    # Whoever lost its parent is this process's child now, whatever it is called.
    orphans = faults.children() - children
    faults.end(orphans)
    shutil.rmtree(folder)

    assert len(runs) == RUNS
    assert [problem for run in runs for problem in wrong(run)] == []
    assert not orphans
    assert after["descriptors"] == before["descriptors"]
    assert after["home"] == before["home"]
    for what in SHARED:
        new = after[what] - before[what]
        # It may be another test's for a while; what a run has left stays.
        faults.eventually(partial(gone, new, caller, what), f"{what} as before, without {sorted(new)}")
    check_ids(caller, program, {outside(run.report) for run in runs})


def wrong(run: Run) -> list[str]:
    """Say what is wrong with a run, if anything."""
    case, done, report = run.case, run.done, run.report
    stderr = case.stderr.replace("@", str(run.number))
    enforced = report["enforced"]
    assert isinstance(enforced, dict)
    checks = {
        "status": done.returncode == report["exit_code"] == case.status,
        "stdout": done.stdout == case.stdout.replace("@", str(run.number)),
        "stderr": stderr in done.stderr if stderr else not done.stderr,
        "outcome": report["outcome"] == case.outcome,
        "namespaces": {"user", "mnt", "pid", "net", "ipc", "uts"} <= set(enforced["namespaces"]),
        "capabilities": set(enforced["capabilities"].values()) == {0},
        "walls": enforced["no_new_privs"] and enforced["seccomp"],
    }
    return [f"run {run.number}, {name}: {done}" for name, right in checks.items() if not right]


def gone(new: set[str], caller: Caller, what: str) -> bool:
    return not new & host_state(caller)[what]


def check_ids(caller: Caller, program: Installed, used: set[tuple[int, int]]) -> None:
    """Assert that the host ids of the runs were as promised, and that they are free again."""
    if caller.uid != 0:
        assert used == {(caller.uid, caller.gid)}
        return
    lease = lease_step(caller, program)
    slots = {(uid - 1000 - lease.first) // lease.size for uid, _ in used}
    assert all(uid == gid > 65536 for uid, gid in used)
    assert slots <= set(range(lease.count))
    assert len(slots) > AT_ONCE // 2
    for slot in slots:
        faults.eventually(partial(is_free, lease.file, slot), f"range {slot} is free")


def outside(report: dict[str, object]) -> tuple[int, int]:
    """Give host uid and gid of a run, from what the supervisor read back."""
    enforced = report["enforced"]
    assert isinstance(enforced, dict)
    (uids,), (gids,) = enforced["uid_map"], enforced["gid_map"]
    assert uids[0] == gids[0] == 1000
    assert uids[2] == gids[2] == 1
    return uids[1], gids[1]


def host_state(caller: Caller) -> dict[str, set[str]]:
    """Look at everything that a sandbox might leave on the host."""
    state = {
        path: {entry for entry in listing(path) if not entry.startswith(NEIGHBOURS)} for path in SHARED[2:]
    }
    state["home"] = {
        f"{name} of {os.lstat(os.path.join(caller.home, name)).st_uid}"
        for name in faults.listing(caller.home)
        if not name.startswith("crowd/")
    }
    state["mounts"] = mounts()
    state["cgroups"] = {folder for folder, _, _ in os.walk("/sys/fs/cgroup")}
    state["descriptors"] = set(os.listdir("/proc/self/fd"))
    return state


def listing(path: str) -> set[str]:
    """Give a directory's entries with their owners."""
    found = set()
    for entry in os.scandir(path) if os.path.isdir(path) else ():
        try:
            found.add(f"{entry.name} of {entry.stat(follow_symlinks=False).st_uid}")
        except FileNotFoundError:
            continue  # a neighbour's, and just removed
    return found


def mounts() -> set[str]:
    """Give this namespace's mounts without their numbers; neighbours' folders are left out."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="backslashreplace") as file:
        lines = [line.split() for line in file]
    return {" ".join(line[2:]) for line in lines if not any(name in line[4] for name in NEIGHBOURS)}


@dataclass(frozen=True)
class Lease:
    """The ranges of host ids, as the plan names them."""

    file: str
    first: int
    size: int
    count: int


def lease_step(caller: Caller, program: Installed) -> Lease:
    said = faults.ran(caller.run(program.hardbox, "plan", "--json", "--", "true"))
    (step,) = [step for step in json.loads(said)["steps"] if step["kind"] == "id-lease"]
    words = re.fullmatch(
        r"take one of (?P<count>\d+) ranges of (?P<size>\d+) host ids"
        r" from (?P<first>\d+) \(locked in (?P<file>.+)\)",
        step["describe"],
    )
    assert words is not None, step
    return Lease(words["file"], int(words["first"]), int(words["size"]), int(words["count"]))


def is_free(file: str, slot: int) -> bool:
    """Ask for the lock of a range as the launcher does (fcntl(2), open file description locks)."""
    lock = struct.pack(LOCK, fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0)
    with open(file, "r+b") as opened:
        answer = fcntl.fcntl(opened, fcntl.F_OFD_GETLK, lock)
    kind: int = struct.unpack(LOCK, answer)[0]
    return kind == fcntl.F_UNLCK
