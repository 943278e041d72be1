"""Fifty threads of one process with a sandbox each, all alive at once: own ids, own cgroups, nothing left.

Run by: pytest. The threads start together, so that id leases, cgroups and the cache are asked for at the same
time; the second time everything is taken again that the first has given back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
from support import faults, patience

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

THREADS: Final = 50 if patience.SLOWER == 1 else 12
# The jobs share the process's own 0 and 1: each says that it lives, and ends with the end of its stdin.
PROGRAM: Final = """
import json, os, select, sys, threading
import hardbox

THREADS = int(sys.argv[1])
ARGV = ["/usr/bin/sh", "-c", "echo up; cat; exit 7"]
KINDS = ("user", "mnt", "pid", "net", "ipc")

def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            found += map(int, file.read().split())
    return found

def read(path):
    with open(path) as file:
        return file.read()

def wave():
    stdin, release = os.pipe()
    up, stdout = os.pipe()
    os.dup2(stdin, 0), os.dup2(stdout, 1)
    os.close(stdin), os.close(stdout)
    codes, start = [], threading.Barrier(THREADS)
    def work():
        start.wait()
        try:
            codes.append(hardbox.run(ARGV, profile="strict").exit_code)
        except hardbox.HardboxError as error:
            codes.append(error.render())
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    lines = b""
    while lines.count(b"up\\n") < THREADS and len(codes) == 0:
        if select.select([up], [], [], 1)[0]:
            lines += os.read(up, 4096)
    inits = [child for launcher in children(os.getpid()) for child in children(launcher)]
    jobs = [child for init in inits for child in children(init)]
    maps = [read(f"/proc/{job}/uid_map").split() for job in jobs]
    cgroups = [read(f"/proc/{job}/cgroup") for job in jobs]
    spaces = {os.readlink(f"/proc/{job}/ns/{kind}") for job in jobs for kind in KINDS}
    os.close(release)
    for thread in threads:
        thread.join()
    os.close(up)
    return {"codes": codes, "maps": maps, "cgroups": cgroups, "spaces": len(spaces)}

say = os.dup(1)
null = os.open("/dev/null", os.O_RDWR)
first = wave()
os.dup2(null, 0), os.dup2(null, 1)
before = sorted(os.listdir("/proc/self/fd"))
second = wave()
os.dup2(null, 0), os.dup2(null, 1)
after = sorted(os.listdir("/proc/self/fd"))
waves = [first, second]
left = children(os.getpid())
os.write(say, json.dumps({"waves": waves, "before": before, "after": after, "left": left}).encode())
"""


def test_fifty_threads_take_ids_and_cgroups_at_the_same_time(caller: Caller, program: Installed) -> None:
    done = caller.run(program.python, "-c", PROGRAM, str(THREADS), timeout=300)
    found = json.loads(faults.ran(done))
    for wave in found["waves"]:
        assert wave["codes"] == [7] * THREADS, wave["codes"]
        assert len(wave["maps"]) == THREADS
        assert wave["spaces"] == 5 * THREADS
        if caller.uid == 0:
            hosts = [int(one[1]) for one in wave["maps"]]
            assert len({host // 65536 for host in hosts}) == THREADS, sorted(hosts)
            # Each has its own, where there are any at all.
            assert len(set(wave["cgroups"])) in (1, THREADS)
        else:
            assert {tuple(one) for one in wave["maps"]} == {("1000", str(caller.uid), "1")}
    assert found["left"] == []
    assert found["after"] == found["before"]
