"""Sandboxes that live at the same time: root's have disjoint host ids, and none sees another.

Run by: pytest. The maps are read from outside, in /proc of the running jobs.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

TOGETHER: Final = 12
NAMESPACES: Final = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
# Says its name and that it lives, then waits for its stdin to end.
JOB: Final = "hostname; set -- /proc/[0-9]*; echo $#; echo $$ >> /tmp/pids; cat /tmp/pids; read x"
RANGE: Final = ("--set", "identity.ids=range", "--loosen", "identity.ids=many ids are what this tests")


@contextmanager
def living(caller: Caller, program: Installed, *options: str) -> Iterator[list[int]]:
    """Give the host pids of jobs that all live now, one for each sandbox."""
    job = (*options, "--", "sh", "-c", JOB)
    fronts = [
        faults.spawn(caller, program.hardbox, "run", "--hostname", f"box{n}", *job, stdin=subprocess.PIPE)
        for n in range(TOGETHER)
    ]
    said = [[faults.read_line(front) for _ in range(3)] for front in fronts]
    try:
        if all(all(lines) for lines in said):
            yield [job_of(front.pid) for front in fronts]
    finally:
        ends = [faults.finish(front) for front in fronts]
    # `read` fails at the end of its input.
    assert [end.returncode for end in ends] == [1] * TOGETHER, ends
    # Each alone with its own init, and each with the same pids as the others.
    assert said == [[f"box{n}", "2", "2"] for n in range(TOGETHER)]


def job_of(front: int) -> int:
    """Walk from the front over the launcher and init to the job."""
    (launcher,) = faults.children(front)
    (init,) = faults.children(launcher)
    (job,) = faults.children(init)
    return job


def rows(pid: int, name: str) -> list[tuple[int, int, int]]:
    """Give an id map as the host sees it: inside, outside, count."""
    with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
        return [(int(a), int(b), int(c)) for a, b, c in map(str.split, file)]


def test_ids_and_namespaces_of_living_sandboxes_are_disjoint(caller: Caller, program: Installed) -> None:
    with living(caller, program) as jobs:
        check_maps(caller, jobs, 1)
        for kind in NAMESPACES:
            links = {os.readlink(f"/proc/{job}/ns/{kind}") for job in jobs}
            assert len(links) == TOGETHER, (kind, links)
            assert os.readlink(f"/proc/self/ns/{kind}") not in links
    if caller.uid == 0:
        with living(caller, program, *RANGE) as jobs:
            check_maps(caller, jobs, 65536)


def check_maps(caller: Caller, jobs: list[int], count: int) -> None:
    for name, own in (("uid_map", caller.uid), ("gid_map", caller.gid)):
        maps = [rows(job, name) for job in jobs]
        if caller.uid != 0:
            assert maps == [[(1000, own, 1)]] * TOGETHER
            continue
        assert all(len(found) == 1 and found[0][2] == count for found in maps), maps
        firsts = sorted(found[0][1] for found in maps)
        assert firsts[0] > 65536, firsts
        # Single ids, too, keep the distance of whole ranges.
        assert all(after - before >= 65536 for before, after in pairwise(firsts)), firsts
