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
