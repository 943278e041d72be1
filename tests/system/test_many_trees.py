"""Many trees of the host in one sandbox: as root each is a descriptor while the launch is set up.

Run by: pytest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

# More than the descriptors that most callers may have open at once.
MANY: Final = 1500
COUNT: Final = "ls /data | wc -l; cat /data/*/name | sort -n | uniq | wc -l; ulimit -n"


@pytest.fixture
def words(caller: Caller, place: str) -> list[str]:
    """The options that show MANY directories, each with a file of its own."""
    found = []
    for number in range(MANY):
        folder = faults.own_dir(caller, f"{place}/d{number}")
        faults.own(caller, f"{folder}/name", f"{number}\n")
        found += ["--read", f"{folder}:/data/d{number}"]
    return found


def test_more_trees_than_a_caller_may_have_files_open(
    caller: Caller, program: Installed, words: list[str]
) -> None:
    """strict's own limit on open files, which is far lower, is the job's alone."""
    script = 'ulimit -Sn 200; exec "$@"'
    done = caller.run("bash", "-c", script, "sh", program.hardbox, "run", *words, "--", "sh", "-c", COUNT)
    faults.ran(done, f"{MANY}\n{MANY}\n256\n")


def test_where_there_is_no_room_for_them_nothing_runs(
    caller: Caller, program: Installed, words: list[str]
) -> None:
    """An ordinary user's trees are bound one after another, and need none."""
    script = 'ulimit -n 200; exec "$@"'
    done = caller.run("bash", "-c", script, "sh", program.hardbox, "run", *words, "--", "sh", "-c", COUNT)
    if caller.uid:
        faults.ran(done, f"{MANY}\n{MANY}\n200\n")
        return
    assert (done.returncode, done.stdout) == (125, "")
    assert "Too many open files" in done.stderr
    assert done.stderr.endswith("nothing was run\n")


def test_a_plan_with_many_writable_trees(caller: Caller, program: Installed, place: str) -> None:
    """Root's have an id map, one for all of them; what the job writes belongs to the caller."""
    folders = [faults.own_dir(caller, f"{place}/w{number}") for number in range(300)]
    shown = [word for folder in folders for word in ("--write", f"{folder}:/data/{os.path.basename(folder)}")]
    faults.ran(caller.run(program.hardbox, "compile", *shown, "-o", f"{place}/p.plan", "--", "true"))
    script = "for each in /data/*; do echo x >$each/made; done"
    faults.ran(caller.run(program.launch, f"{place}/p.plan", "--", "sh", "-c", script))
    assert {os.stat(f"{folder}/made").st_uid for folder in folders} == {caller.uid}
