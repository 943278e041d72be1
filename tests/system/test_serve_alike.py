"""Whom `hardbox serve` takes for itself: a process from which a job would inherit the same.

Run by: pytest. A program forks a child that changes one thing of its own, and asks `unlike` about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.said import said

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

PREAMBLE = """
import ctypes, json, os, resource, signal, struct, sys
from hardbox.pool import inherited
libc = ctypes.CDLL(None, use_errno=True)
def load_filter():
    allow = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000))
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    program = Program(1, ctypes.addressof(allow))
    assert libc.prctl(22, 2, ctypes.byref(program)) == 0, os.strerror(ctypes.get_errno())
def write(path, text):
    with open(path, "w") as file:
        file.write(text)
def of_child(change):
    "What `unlike` says of a child that has changed something."
    read, done = os.pipe()
    child = os.fork()
    if child == 0:
        change()
        os.write(done, b"x")
        signal.pause()
    os.close(done)
    assert os.read(read, 1) == b"x"
    try:
        return inherited.unlike(child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
# As in a container: the server has a filter itself.
assert libc.prctl(38, 1, 0, 0, 0) == 0
load_filter()
"""

CHANGES = {
    "nothing": ("pass", ""),
    "a filter": ("load_filter()", "rights"),
    "oom_score_adj": ('write("/proc/self/oom_score_adj", "500")', "oom_score_adj"),
    "priority": ("os.nice(3)", "priority"),
    "limits": ("resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))", "limits"),
    "name": ('write("/proc/self/comm", "other")', ""),
}


@pytest.mark.parametrize("what", CHANGES)
def test_who_has_other_circumstances_differs(caller: Caller, program: Installed, what: str) -> None:
    change, why = CHANGES[what]
    found = said(
        caller,
        program.python,
        PREAMBLE,
        f"""
        def change():
            {change}
        print(json.dumps(of_child(change)))
        """,
    )
    assert (why in found) if why else found == ""


@pytest.mark.parametrize("who", ["the client", "the server", "both"])
def test_labels_are_compared_where_there_are_any(caller: Caller, program: Installed, who: str) -> None:
    """This host may have no security module that labels processes, so what is read is put in its place."""
    found = said(
        caller,
        program.python,
        PREAMBLE,
        """
        plain, who = inherited._read, sys.argv[1]
        def read(path):
            if not path.endswith("/attr/current"):
                return plain(path)
            if who == "both" or (path == "/proc/self/attr/current") == (who == "the server"):
                return b"confined (enforce)"
            raise OSError(22, "no module has labels")
        inherited._read = read
        print(json.dumps(of_child(lambda: None)))
        """,
        who,
    )
    assert found == ("" if who == "both" else "the server has another security label")
