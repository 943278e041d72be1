"""With --explain a job's names make nobody act: no automounter is asked, and nothing waits for one.

Run by: pytest; as root, in a mount namespace that is thrown away. The same name is first seen to ask outside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

# An automounter that never answers: runs a command, and tells how it ended and whether a name was asked for.
# The process that mounts has a group of its own: the kernel asks for nobody who is in the automounter's.
AUTOMOUNTER: Final = """
import ctypes, json, os, select, subprocess, sys
net, *command = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
asked, told = os.pipe()
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    options = f"fd={told},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect"
    os._exit(0 if libc.mount(b"auto", net.encode(), b"autofs", 0, options.encode()) == 0 else 1)
assert os.waitpid(child, 0)[1] == 0, "the automounter's file system could not be mounted"
with subprocess.Popen(
    command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    start_new_session=True,
) as running:
    try:
        errors = running.communicate(timeout=float(os.environ["LONGEST"]))[1]
        status = running.returncode
    except subprocess.TimeoutExpired:
        status, errors = None, ""
        requests = os.read(asked, 4096)
        # Only this ends who waits for the automounter.
        os.killpg(running.pid, 9)
    else:
        requests = os.read(asked, 4096) if select.select([asked], [], [], 0)[0] else b""
print(json.dumps({"status": status, "errors": errors, "asked": b"evil.example" in requests}))
"""


@pytest.fixture
def net(caller: Caller, place: str) -> str:
    if caller.uid != 0:
        pytest.skip("only root can mount an automounter's file system")
    if "autofs" not in Path("/proc/filesystems").read_text(encoding="utf-8"):
        pytest.skip("this kernel has no autofs")
    return faults.own_dir(caller, f"{place}/net")


def ran(net: str, *command: str, longest: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", AUTOMOUNTER, net, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LONGEST": str(longest)},
        timeout=faults.PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_name_asks_the_automounter_outside(net: str) -> None:
    """The control: it is asked, and whoever looks waits for its answer."""
    told = ran(net, "cat", f"{net}/evil.example/x", longest=2)
    assert (told["status"], told["asked"]) == (None, True)


@pytest.mark.parametrize("name", ["{0}/evil.example/x", "//{0}/./evil.example", "{0}/../link/evil.example/x"])
def test_a_job_asks_no_automounter_of_the_host(program: Installed, net: str, place: str, name: str) -> None:
    os.symlink(net, f"{place}/link")
    path = name.format(net)
    command = (program.hardbox, "run", "--explain", "--", "cat", path)
    told = ran(net, *command, longest=faults.PATIENCE / 2)
    assert (told["status"], told["asked"]) == (1, False), told
    assert "was not looked at: it lies on a file system of type autofs" in told["errors"]


def test_the_wall_time_holds(program: Installed, net: str) -> None:
    command = (program.hardbox, "run", "--explain", "--timeout", "2s", "--")
    script = f"cat {net}/evil.example/x; sleep 1000"
    told = ran(net, *command, "sh", "-c", script, longest=faults.PATIENCE / 2)
    assert (told["status"], told["asked"]) == (124, False), told


def test_a_tree_that_holds_an_automounter_is_refused_with_explain(program: Installed, net: str) -> None:
    for tree in (net, os.path.dirname(net)):
        command = (program.hardbox, "run", "--explain", "--read", tree, "--", "true")
        told = ran(net, *command, longest=faults.PATIENCE / 2)
        assert (told["status"], told["asked"]) == (125, False), told
        assert "[HB632]" in told["errors"]
        assert "of type autofs" in told["errors"]
