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

# Fewer than most hard limits on open files allow.
MANY: Final = 900
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


def test_each_owner_has_an_id_map_of_its_own(caller: Caller, program: Installed, place: str) -> None:
    """The map of the last tree is kept for the next one with the same owner, and for no other."""
    if caller.uid:
        pytest.skip("an ordinary user's trees have no id map of their own, and one owner")
    owners = [(0, 0), (1234, 1234), (1234, 1234), (0, 0), (1234, 5678), (4321, 5678), (0, 5678)]
    words = []
    for number, (uid, gid) in enumerate(owners):
        folder = faults.own_dir(caller, f"{place}/o{number}")
        os.chown(folder, uid, gid)
        words += ["--write", f"{folder}:/data/o{number}"]
    script = "for each in /data/*; do echo x >$each/made || exit 1; stat -c %u:%g $each; done | uniq"
    faults.ran(caller.run(program.hardbox, "run", *words, "--", "sh", "-c", script), "1000:1000\n")
    made = [os.stat(f"{place}/o{number}/made") for number in range(len(owners))]
    assert [(one.st_uid, one.st_gid) for one in made] == owners
