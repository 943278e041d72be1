"""Where the job starts.  Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_the_default_is_home_where_the_callers_directory_is_not_shown(hardbox: Hardbox, place: str) -> None:
    faults.ran(hardbox("run", "--", "pwd", cwd=place), "/home/box\n")
    faults.ran(hardbox("run", "--", "pwd", cwd="/"), "/home/box\n")
    faults.ran(hardbox("run", "--env", "HOME=/nowhere", "--", "pwd", cwd=place), "/\n")


def test_the_default_is_the_callers_directory_where_it_is_shown(
    hardbox: Hardbox, caller: Caller, place: str
) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    deep = faults.own_dir(caller, f"{tree}/deep")
    faults.ran(hardbox("run", "--read", tree, "--", "pwd", cwd=tree), f"{tree}\n")
    faults.ran(hardbox("run", "--write", tree, "--", "pwd", cwd=deep), f"{deep}\n")
    faults.ran(hardbox("run", "--read", f"{tree}:/w", "--", "pwd", cwd=tree), "/w\n")
    faults.ran(hardbox("run", "--read", f"{tree}:/w", "--", "pwd", cwd=deep), "/w/deep\n")
    faults.ran(hardbox("run", "--read", ".", "--", "pwd", cwd=tree), f"{tree}\n")
    other = faults.own_dir(caller, f"{place}/w2")
    faults.ran(hardbox("run", "--read", f"{tree}:/w", "--", "pwd", cwd=other), "/home/box\n")


@pytest.mark.parametrize("chosen", ["/", "/tmp", "/usr/bin", "/home/box", "/proc/self", "/bin"])
def test_workdir_is_a_place_inside(hardbox: Hardbox, chosen: str) -> None:
    done = hardbox("run", "--workdir", chosen, "--", "sh", "-c", "cd . && pwd -P")
    assert done.returncode == 0, done.stderr
    if chosen not in ("/proc/self", "/bin"):
        assert done.stdout == f"{chosen}\n"


@pytest.mark.parametrize(
    "chosen",
    ["/nowhere", "/etc/passwd", "/usr/nowhere/deep", "/root", "/x" * 3000, "/" + "x" * 300, "/new\nline"],
    ids=lambda chosen: chosen[:20].replace("\n", "\\n"),
)
def test_a_workdir_that_is_not_there_is_refused(hardbox: Hardbox, chosen: str) -> None:
    faults.refusal(hardbox("run", "--workdir", chosen, "--", "true"))


@pytest.mark.parametrize("chosen", ["", "tmp", ".", "..", "./tmp"])
def test_a_relative_workdir_is_refused(hardbox: Hardbox, chosen: str) -> None:
    """Relative to what: the caller's directory, or the root inside? It is not guessed."""
    faults.refusal(hardbox("run", "--workdir", chosen, "--", "true"), says="--workdir")


def test_dots_in_a_workdir_lead_nowhere_outside(hardbox: Hardbox) -> None:
    done = hardbox("run", "--workdir", "/tmp/../../../..", "--", "pwd")
    if done.returncode == 125:
        faults.refusal(done)
    else:
        faults.ran(done, "/\n")


GONE = 'mkdir "$2/gone" && cd "$2/gone" && rmdir "$2/gone" && shift 2 && exec "$@"'


def test_a_deleted_directory_is_no_obstacle(caller: Caller, program: Installed, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")

    def from_nowhere(*words: str) -> str:
        return faults.ran(faults.shell(caller, GONE, "x", place, program.hardbox, *words))

    assert from_nowhere("run", "--", "pwd") == "/home/box\n"
    assert from_nowhere("run", "--workdir", "/tmp", "--read", tree, "--", "pwd") == "/tmp\n"
    assert from_nowhere("run", "--report", f"{place}/r.json", "--", "pwd") == "/home/box\n"
    assert from_nowhere("plan", "--", "pwd")
    assert from_nowhere("compile", "-o", f"{place}/p.plan", "--", "pwd")
    assert from_nowhere("profile", "list")


@pytest.mark.parametrize(
    "words",
    [
        ("--read", "."),
        ("--write", "x"),
        ("--read", "../x"),
        ("--profile", "./x.toml"),
        ("--report", "r.json"),
        ("--set", 'filesystem.read=["x"]'),
        ("--set", "seccomp.filter=./f.toml"),
    ],
    ids=faults.words,
)
def test_a_deleted_directory_makes_relative_paths_an_error(
    caller: Caller, program: Installed, place: str, words: tuple[str, ...]
) -> None:
    faults.refusal(faults.shell(caller, GONE, "x", place, program.hardbox, "run", *words, "--", "true"))


def test_a_directory_that_the_caller_may_not_enter_is_no_obstacle(
    caller: Caller, program: Installed, place: str
) -> None:
    faults.own_dir(caller, f"{place}/shut")
    script = 'cd "$2/shut" && chmod 0 "$2/shut" && "$1" run -- pwd'
    faults.ran(faults.shell(caller, script, program.hardbox, place), "/home/box\n")
