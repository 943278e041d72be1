"""Limits that a profile may state beside the common ones: what each one refuses, and that it is the one.

Run by: pytest. Each attempt works outside, and inside with a larger limit (the controls); inside with the
limit it gets the error that the kernel has for it.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import bombs, faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")
PYTHON = "/usr/bin/python3"
LOCK = """
import ctypes, errno, mmap, sys
libc = ctypes.CDLL(None, use_errno=True)
area = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(area)))
failed = libc.mlock(at, ctypes.c_size_t(len(area)))
print(errno.errorcode[ctypes.get_errno()] if failed else "locked")
"""
FILES = """
import errno, os, sys
place, count = sys.argv[1], int(sys.argv[2])
os.chdir(place)
made = 0
try:
    for number in range(count):
        {make}
        made += 1
    print(made)
except OSError as error:
    print(made, errno.errorcode[error.errno])
"""
MAKE = {
    "files": 'open(f"f{number}", "x").close()',
    "directories": 'os.mkdir(f"d{number}")',
    "symlinks": 'os.symlink("/", f"s{number}")',
    "hard links": 'os.link("l0", f"l{number}") if number else open("l0", "x").close()',
}


def stated(key: str, value: object) -> tuple[str, ...]:
    """Give the words that set a limit that is weaker than the profile's."""
    return ("--set", f"{key}={value}", "--loosen", f"{key}=a test of this limit")


def row(path: str, key: str) -> dict[str, object]:
    rows = faults.read_json(path)["limits"]
    assert isinstance(rows, list)
    (found,) = [row for row in rows if row["key"] == key]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("words", "size", "says"),
    [
        ((), 65536, "locked"),
        ((), 131072, "ENOMEM"),
        (stated("limits.locked", "256K"), 131072, "locked"),
        (("--set", "limits.locked=8K"), 8192, "locked"),
        (("--set", "limits.locked=8K"), 65536, "ENOMEM"),
        (("--set", "limits.locked=0"), 4096, "EPERM"),
    ],
)
def test_locked_memory(
    hardbox: Hardbox, caller: Caller, place: str, words: tuple[str, ...], size: int, says: str
) -> None:
    attempt = (PYTHON, "-c", LOCK, str(size))
    assert faults.ran(caller.run(*attempt)) == "locked\n", "this host's own limit is too small for the test"
    report = f"{place}/report.json"

    assert faults.ran(hardbox("run", "--report", report, *words, "--", *attempt)) == f"{says}\n"
    held = {"limits.locked=8K": 8192, "limits.locked=0": 0, "limits.locked=256K": 262144}
    wanted = next((held[word] for word in words if word in held), 65536)
    found = row(report, "limits.locked")
    assert (found["value"], found["means"], found["hits"]) == (wanted, "rlimit", None)


@pytest.mark.parametrize("kind", sorted(MAKE))
def test_files_in_scratch(hardbox: Hardbox, caller: Caller, place: str, kind: str) -> None:
    attempt = (PYTHON, "-c", FILES.format(make=MAKE[kind]))
    faults.own_dir(caller, f"{place}/outside")
    assert faults.ran(caller.run(*attempt, f"{place}/outside", "100")) == "100\n"
    more = ("--set", "limits.scratch_files=200")
    few, report = ("--set", "limits.scratch_files=20"), f"{place}/report.json"

    assert faults.ran(hardbox("run", "--", *attempt, "/tmp", "100")) == "100\n"
    assert faults.ran(hardbox("run", *more, "--", *attempt, "/tmp", "100")) == "100\n"
    assert (
        faults.ran(hardbox("run", *few, "--report", report, "--", *attempt, "/tmp", "100")) == "20 ENOSPC\n"
    )
    assert faults.ran(hardbox("run", *few, "--", *attempt, "/dev/shm", "20")) == "20\n"
    found = row(report, "limits.scratch_files")
    assert (found["value"], found["means"], found["hits"]) == (20, "tmpfs", None)


def test_a_number_of_files_beyond_the_size_gives_no_more(hardbox: Hardbox) -> None:
    """One for each page of the size, and 1023: what a directory of this size has without the key."""
    words = ("--set", 'filesystem.scratch={"/tmp"="64K"}', "--set", "limits.scratch_files=4000000000")
    attempt = (PYTHON, "-c", FILES.format(make=MAKE["directories"]), "/tmp", "5000")
    assert faults.ran(hardbox("run", *words, "--", *attempt)) == "1039 ENOSPC\n"


def means(hardbox: Hardbox, place: str) -> str:
    """Give by which means the memory of a job as a whole is held here."""
    faults.ran(hardbox("run", "--report", f"{place}/means.json", "--", "true"))
    return str(row(f"{place}/means.json", "limits.memory")["means"])


def of_the_cgroup(pid: int, *names: str) -> dict[str, str]:
    """Give files of the cgroups that hardbox has made for a process."""
    paths = re.findall(r":(/.*hardbox-[0-9a-f]+)$", Path(f"/proc/{pid}/cgroup").read_text(), re.MULTILINE)
    tops = ("/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*"))
    files = [(name, Path(f"{top}{path}/{name}")) for name in names for path in paths for top in tops]
    return {name: file.read_text().strip() for name, file in files if file.exists()}


@pytest.mark.parametrize("swap", [0, 64 << 20])
def test_swap_space(hardbox: Hardbox, caller: Caller, program: Installed, place: str, swap: int) -> None:
    words = ("--memory", "96M", *(stated("limits.swap", swap) if swap else ()))
    means_here = means(hardbox, place)
    if swap and not means_here.startswith("cgroup"):
        faults.refusal(hardbox("run", *words, "--", "true"), "HB562", says="limits.swap = 67108864")
        return
    report = f"{place}/report.json"
    run = ("run", "--report", report, *words, "--", "sh", "-c", "echo ready; read line")
    child = faults.spawn(caller, program.hardbox, *run, stdin=subprocess.PIPE)
    assert faults.read_line(child) == "ready"
    if means_here.startswith("cgroup"):
        (launcher,) = faults.children(child.pid)
        (init,) = faults.children(launcher)
        found = of_the_cgroup(init, "memory.memsw.limit_in_bytes", "memory.swap.max")
        assert found in (
            {"memory.memsw.limit_in_bytes": str((96 << 20) + swap)},
            {"memory.swap.max": str(swap)},
            {},  # a kernel that has no swap space to limit
        )
        limits = Path(f"/proc/{init}/limits").read_text()
        assert re.search(rf"^Max data size +{(96 << 20) + swap} ", limits, re.MULTILINE)
    faults.finish(child)
    found_row = row(report, "limits.swap")
    assert (found_row["value"], found_row["means"]) == (swap, means_here)


def test_a_job_that_needs_its_swap_space_has_it(hardbox: Hardbox, place: str) -> None:
    free = [line.split() for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    if sum(int(size) - int(used) for _, _, size, used, _ in free) < 160 << 10:
        pytest.skip("this host has no swap space to give")
    if not means(hardbox, place).startswith("cgroup"):
        pytest.skip("nothing can give swap space here")
    attempt = ("--", PYTHON, "-c", "area = bytearray(b'x') * (128 << 20); print(len(area))")
    memory = ("--memory", "96M")

    assert hardbox("run", *memory, *attempt).stdout == ""
    assert faults.ran(hardbox("run", *memory, *stated("limits.swap", "128M"), *attempt)) == f"{128 << 20}\n"
    # Shared memory, which no process's own limit counts: both together hold it, and no less.
    shared = ("--", PYTHON, "-c", bombs.SOURCE, "shared")
    some = (*memory, *stated("limits.swap", "64M"))
    assert faults.ran(hardbox("run", *some, *shared, "128")) == "took\n"
    assert hardbox("run", *some, *shared, "192").returncode == 137


# Two busy loops for a while by the clock; then the CPU time of both, and the time that has passed.
BUSY = """
import os, sys, time
began, children = time.monotonic(), []
for _ in range(2):
    child = os.fork()
    if child == 0:
        while time.monotonic() < began + float(sys.argv[1]):
            pass
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
used = os.times()
print(used.children_user + used.children_system, time.monotonic() - began)
"""


def share(output: str) -> float:
    used, passed = map(float, output.split())
    return used / passed


def test_cpu_bandwidth(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """A quarter of a CPU for two loops, which by themselves take all that they are let have.

    A machine that is busy with other things gives less of it to both, never more to the limited ones.
    """
    words = ("--set", "limits.cpu_bandwidth=0.25")
    attempt = (PYTHON, "-c", BUSY, "2")
    if caller.uid != 0 and not means(hardbox, place).startswith("cgroup"):
        faults.refusal(hardbox("run", *words, "--", *attempt), "HB563", says='limits.cpu_bandwidth = "0.25"')
        return
    before = faults.cgroups_left()
    done = hardbox("run", "--report", f"{place}/report.json", *words, "--", *attempt)
    if "cpu controller" in done.stderr:
        faults.refusal(done, "HB563")
        pytest.skip("the cgroups here come without the cpu controller")
    held = share(faults.ran(done))
    assert held < 0.35
    # The controls; more than once, since others may have the machine just then.
    assert any(share(faults.ran(caller.run(*attempt))) > 1.4 * held for _ in range(5))
    assert any(share(faults.ran(hardbox("run", "--", *attempt))) > 1.4 * held for _ in range(5))
    found = row(f"{place}/report.json", "limits.cpu_bandwidth")
    assert found["value"] == 250
    assert str(found["means"]).startswith("cgroup v")
    hits = found["hits"]
    assert isinstance(hits, int)
    # On a machine that gives it less, it never gets as far as its limit.
    assert hits > 0 or held < 0.25
    faults.no_cgroups_left(before)


def test_without_the_key_there_is_no_bandwidth_limit(hardbox: Hardbox, place: str) -> None:
    report = f"{place}/report.json"
    faults.ran(hardbox("run", "--report", report, "--", "true"))
    rows = faults.read_json(report)["limits"]
    assert isinstance(rows, list)
    assert "limits.cpu_bandwidth" not in {row["key"] for row in rows}
    assert "cpu.cfs_quota_us" not in faults.ran(hardbox("plan", "--", "true"))


def test_more_bandwidth_than_a_cgroup_around_us_has_is_refused(
    caller: Caller, program: Installed, place: str
) -> None:
    top = "/sys/fs/cgroup/cpu"
    if caller.uid != 0 or not Path(f"{top}/cpu.cfs_quota_us").exists():
        pytest.skip("only root may make the cgroup of this test, and only version 1 refuses")
    folder = Path(f"{top}/test-bandwidth-{place.replace('/', '-')[-40:]}")
    folder.mkdir()
    try:
        (folder / "cpu.cfs_quota_us").write_text("50000")
        inside = ("sh", "-c", 'echo 0 >"$0/cgroup.procs"; exec "$@"', str(folder), program.hardbox, "run")
        less = caller.run(*inside, "--set", "limits.cpu_bandwidth=0.4", "--", "true")
        more = caller.run(*inside, "--set", "limits.cpu_bandwidth=0.6", "--", "true")
        faults.ran(less)
        faults.refusal(more, "HB601", says="cpu.cfs_quota_us = 60000")
    finally:
        faults.eventually(lambda: faults.removed(str(folder)), "the cgroup of the test is removed")


def test_a_killed_launcher_leaves_no_cgroup_for_bandwidth(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str
) -> None:
    words = ("run", "--set", "limits.cpu_bandwidth=0.5", "--report", f"{place}/r.json", "--")
    if caller.uid != 0 or hardbox(*words, "true").returncode == 125:
        pytest.skip("no cgroup for CPU bandwidth may be made here")
    children, before = faults.children(), faults.cgroups_left()
    child = faults.spawn(caller, program.hardbox, *words, "sh", "-c", "echo ready; sleep 600")
    assert faults.read_line(child) == "ready"
    (launcher,) = faults.children(child.pid)
    (init,) = faults.children(launcher)
    found = of_the_cgroup(init, "cpu.cfs_quota_us", "cpu.max")
    assert found in ({"cpu.cfs_quota_us": "50000"}, {"cpu.max": "50000 100000"})
    for pid in (*faults.descendants(child.pid), child.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    faults.finish(child)
    faults.eventually(lambda: not faults.orphans(children), "all has ended")
    faults.ran(hardbox(*words, "true"))
    faults.no_cgroups_left(before)


FORKS = """
import os, sys, time
forked = 0
try:
    for _ in range(int(sys.argv[1])):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        forked += 1
    print("done", flush=True)
except BlockingIOError:
    print("EAGAIN", forked, flush=True)
time.sleep(2)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("tasks", "says", "peak"), [("20", "EAGAIN 19\n", 20), ("40", "done\n", None)], ids=["full", "room"]
)
def test_tasks_that_were_all_there_are_seen(
    hardbox: Hardbox, place: str, tasks: str, says: str, peak: int | None
) -> None:
    report = f"{place}/report.json"
    done = hardbox("run", "--report", report, "--tasks", tasks, "--", PYTHON, "-c", FORKS, "30")
    assert faults.ran(done) == says
    found = row(report, "limits.tasks")
    assert found["peak"] == peak
    assert bool(found["hits"]) == (peak is not None)
    assert "the kernel does not say" in str(found["detail"])
