"""Limits that a profile may state beside the common ones: what each one refuses, and that it is the one.

Run by: pytest. Each attempt works outside, and inside with a larger limit (the controls); inside with the
limit it gets the error that the kernel has for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller

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
