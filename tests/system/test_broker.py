"""The broker's process: its life, and its walls. The sandbox around it is other tests' matter."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import broker_process, confined, installed

from hardbox import host
from hardbox.net import confine

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

NOBODY: Final = str(confine.NOBODY)
PORT: Final = broker_process.PORT
PUBLIC: Final = broker_process.PUBLIC


def scenario(caller: Caller, program: Installed, name: str) -> dict[str, Any]:
    """Run one in a namespace of its own."""
    world: tuple[str, ...] = ("unshare", "--net", "--mount")
    if caller.uid != 0:
        # The capabilities of the user namespace are inherited: the broker has some to drop.
        world = ("unshare", "--user", "--map-current-user", "--keep-caps", "--net", "--mount")
    done = caller.run(*world, "--", program.python, broker_process.__file__, name)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    return found


@pytest.fixture(scope="module")
def life(caller: Caller, program: Installed) -> dict[str, Any]:
    return scenario(caller, program, "serves")


def test_it_is_ready_and_serves_and_ends_with_the_sandbox(life: dict[str, Any]) -> None:
    assert life["first"] == {"event": "ready"}
    assert life["go"] is True
    assert life["status_code"] == 0
    assert [event["event"] for event in life["events"]] == ["end"]


def test_what_is_asked_for_is_decided_by_rule_and_by_where_it_leads(life: dict[str, Any]) -> None:
    assert life["asked"] == {
        f"index.example.org:{PORT}": PUBLIC,
        f"INDEX.example.org.:{PORT}": PUBLIC,
        f"10.0.3.7:{PORT + 1}": "10.0.3.7",
        f"own.example.org:{PORT}": "403",
        f"inwards.example.org:{PORT}": "403",
        f"metadata.example.org:{PORT}": "403",
        f"loop.example.org:{PORT}": "403",
        f"other.example.org:{PORT}": "403",
        f"{PUBLIC}:{PORT}": "403",
        f"gone.example.org:{PORT}": "502",
    }
    assert life["own"] == broker_process.OWN
    assert life["connected"] == [PUBLIC, "reset"]
    assert life["socks"] == [0, 2]
    assert life["names"][0] == [0, "198.18.0.1"]
    assert life["names"][1][0] == 3


def test_its_rows_say_what_was_asked(life: dict[str, Any]) -> None:
    end = life["events"][0]
    rows = {(row["verdict"], row["host"], row["via"], row["reason"]): row for row in end["rows"]}
    assert rows["allowed", "index.example.org", "connect", ""]["count"] == 2
    assert rows["allowed", "index.example.org", "transparent", ""]["received"] == len(PUBLIC) + 1
    assert ("denied", "inwards.example.org", "connect", "unfit-address") in rows
    assert ("denied", "inwards.example.org", "transparent", "unfit-address") in rows
    own = rows["denied", "own.example.org", "connect", "unfit-address"]
    assert own["detail"] == f"resolves to {broker_process.OWN}: the host's own"
    assert ("denied", "other.example.org", "connect", "not-allowed") in rows
    assert ("failed", "gone.example.org", "connect", "unresolved") in rows
    assert end["connections"] == 14
    assert end["dropped"] == 0


def test_it_has_no_privileges(caller: Caller, life: dict[str, Any]) -> None:
    status = life["status"]
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[capabilities], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    if caller.uid == 0:
        assert status["Uid"].split() == status["Gid"].split() == [NOBODY] * 4
        assert status["Groups"] == ""
    else:
        assert set(status["Uid"].split()) == {str(caller.uid)}
        assert life["memory"] is False, "it is not dumpable"
    core = next(line for line in life["limits"].splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_an_installation_that_nobody_can_read_serves_too(
    caller: Caller, program: Installed, place: str
) -> None:
    """As root the broker becomes nobody: what it would import later, it imports before."""
    if caller.uid != 0:
        pytest.skip("only root becomes somebody else")
    own = installed.copy(program, os.path.join(place, "venv"))
    folder = sysconfig.get_path("purelib")
    for name in ("dns", "h11", "idna"):
        source = os.path.join(folder, name)
        target = os.path.join(own.prefix, os.path.relpath(source, sys.prefix))
        shutil.copytree(source, target, dirs_exist_ok=True)
    os.chmod(place, 0o700)
    life = scenario(caller, own, "serves")
    assert life["first"] == {"event": "ready"}
    assert life["connected"] == [PUBLIC, "reset"]
    assert life["socks"] == [0, 2]
    assert [code for code, _ in life["names"]] == [0, 3]
    assert life["asked"][f"index.example.org:{PORT}"] == PUBLIC


def test_settings_that_are_wrong_end_it(caller: Caller, program: Installed) -> None:
    for name, (first, code, rest) in scenario(caller, program, "refuses").items():
        assert first["event"] == "error", name
        assert set(first) == {"event", "message", "why", "instead"}, name
        assert all(first.values()), name
        assert code == 1, name
        assert rest == [], name


def test_a_supervisor_that_is_none_ends_it(caller: Caller, program: Installed) -> None:
    for name, (code, events) in scenario(caller, program, "breaks").items():
        assert code == 1, name
        # No "end": it would say that all there was to see was nothing.
        assert [event["event"] for event in events] == ["error"], name
        assert set(events[0]) == {"event", "message", "why", "instead"}, name


def test_words_that_are_wrong_end_it(caller: Caller, program: Installed) -> None:
    for words in (
        (),
        ("--settings-fd", "3"),
        ("--settings-fd", "a", "--sockets-fd", "4", "--events-fd", "5"),
    ):
        done = caller.run(program.python, "-I", "-m", "hardbox.net", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage" in done.stderr


def test_its_walls_leave_what_it_needs_and_nothing_else(
    caller: Caller, program: Installed, place: str
) -> None:
    for name in ("file", "file2"):
        with open(os.path.join(place, name), "w") as file:
            file.write("x")
        os.chown(os.path.join(place, name), caller.uid, caller.gid)
    done = caller.run(program.python, confined.__file__, place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["before"].values()) == {0}, "the control: all of it works without walls"
    refused = {act.__name__ for act in confined.REFUSED}
    if host.landlock_abi() < 4:
        refused -= {act.__name__ for act in confined.SINCE_6_7}
    assert {name for name, problem in found["after"].items() if problem} == refused
