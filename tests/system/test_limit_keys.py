"""Limits that a profile may state beside the common ones: what each one refuses, and that it is the one.

Run by: pytest. Each attempt works outside, and inside with a larger limit (the controls); inside with the
limit it gets the error that the kernel has for it.
"""

from __future__ import annotations

import glob
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import faults

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
