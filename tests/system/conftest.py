"""What every system test is followed by: a look at what it left behind.  Run by: pytest."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support import faults, installed
from support.bridges import World
from support.internet import Internet
from support.kept import Kept
from support.questions import Asker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.callers import Caller
    from support.installed import Installed


@pytest.fixture
def nothing_left(place: str) -> Iterator[None]:
    """Fail if a test's runs leave a process, or a mount that others can see."""
    faults.adopt_orphans()
    before = faults.children()
    yield
    try:
        faults.eventually(lambda: not faults.orphans(before), "all processes of the test have ended")
    finally:
        faults.end(faults.orphans(before))
    assert not faults.mounts_below(place)


@pytest.fixture
def kept(caller: Caller, program: Installed, place: str) -> Iterator[Kept]:
    own = installed.copy(program, os.path.join(place, "venv"))
    time.sleep(0.1)  # what has changed a moment ago is not sealed
    if caller.uid != 0:
        yield Kept(caller, own, place, None)
        return
    script = "mount -t tmpfs none /var/cache && echo ready && exec sleep 600"
    with subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield Kept(caller, own, place, holder.pid)
        holder.kill()


@pytest.fixture(scope="session")
def internet(base: str) -> Iterator[Internet]:
    """The tests' own internet, one for each worker."""
    made = Internet.start(os.path.join(base, "internet"))
    yield made
    made.end()


@pytest.fixture
def asker(caller: Caller, internet: Internet, program: Installed, place: str) -> Asker:
    """The caller in that internet."""
    return Asker(caller, internet, program, place)


@pytest.fixture(scope="module")
def made(program: Installed) -> Iterator[World]:
    """Give a host and an internet for network mode "bridge", as root."""
    with World(program.python) as world:
        yield world


@pytest.fixture
def world(made: World) -> Iterator[World]:
    """Give the same, which has to be as it was afterwards."""
    with made.unchanged():
        yield made
