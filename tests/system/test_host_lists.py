"""Files that say what may be reached: none lies where the job could change it.  Run by: pytest."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    import subprocess

    from conftest import Hardbox
    from support.callers import Caller

ROW: Final = '[[host]]\ndestination = "b.example.org:443"\nadded = 2026-11-28\nreason = "the test of it"\n'
LOCK: Final = (
    '{"lockfileVersion": 3, "packages": {"node_modules/x": {"resolved": "https://b.example.org/x.tgz"}}}'
)


class Places:
    """A folder that the job may write, and one that it may not."""

    def __init__(self, hardbox: Hardbox, caller: Caller, place: str) -> None:
        self._hardbox, self._caller = hardbox, caller
        self.work = faults.own_dir(caller, f"{place}/work")
        self.safe = faults.own_dir(caller, f"{place}/safe")

    def put(self, folder: str, kind: str) -> tuple[str, str]:
        """Write a file of one kind; gives the words that name it."""
        if kind == "lock file":
            return "--lockfile", faults.own(self._caller, f"{folder}/package-lock.json", LOCK)
        return "--allow", "@" + faults.own(self._caller, f"{folder}/ours.toml", ROW)

    def plan(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Plan a job that may write the one folder."""
        return self._hardbox(
            "plan", "--json", "--profile", "agent", "--write", self.work, *words, "--", "true"
        )


@pytest.fixture
def places(hardbox: Hardbox, caller: Caller, place: str) -> Places:
    return Places(hardbox, caller, place)


BOTH: Final = pytest.mark.parametrize("kind", ["lock file", "host list"])


@BOTH
def test_outside_of_what_the_job_may_write(places: Places, kind: str) -> None:
    """The near miss of all others here."""
    steps = json.loads(faults.ran(places.plan(*places.put(places.safe, kind))))
    assert "443" in json.dumps(steps)
    named = places.put(places.work, kind)
    faults.ran(places.plan(*places.put(places.safe, kind), "--read", named[1].removeprefix("@") + ":/home/x"))


@BOTH
def test_in_a_tree_that_the_job_may_write(places: Places, kind: str) -> None:
    flag, name = places.put(places.work, kind)
    path = name.removeprefix("@")
    faults.refusal(places.plan(flag, name), "HB221", says=path)
    # By another name: over a link from outside; with dots a lock file has none (HB412).
    link = f"{places.safe}/{os.path.basename(path)}"
    os.symlink(path, link)
    faults.refusal(places.plan(flag, name.replace(path, link)), "HB221")
    dotted = f"{places.safe}/../work/./{os.path.basename(path)}"
    faults.refusal(places.plan(flag, name.replace(path, dotted)), "HB221", "HB412")


@BOTH
def test_a_link_that_the_job_could_turn_elsewhere(places: Places, kind: str) -> None:
    flag, name = places.put(places.safe, kind)
    path = name.removeprefix("@")
    link = f"{places.work}/{os.path.basename(path)}"
    os.symlink(path, link)
    faults.refusal(places.plan(flag, name.replace(path, link)), "HB221")


def test_names_on_a_bridge_are_refused_before_anything_starts(hardbox: Hardbox) -> None:
    words = ("--network", "bridge", "--loosen", "network.mode=the test of it", "--allow", "b.example.org:443")
    faults.refusal(
        hardbox("plan", "--profile", "net-client", *words, "--", "true"), "HB433", says="a name is for"
    )
