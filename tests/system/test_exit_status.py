"""The exit status map: the command's own, 124, 125, 126, 127, 128+N.  Run by: pytest."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

OWN = (0, 1, 2, 63, 64, 99, 100, 123, 124, 125, 126, 127, 128, 129, 137, 143, 200, 254, 255)
SIGNALS = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2"),
    *("PIPE", "ALRM", "TERM", "XCPU", "XFSZ", "VTALRM", "PROF", "IO", "PWR", "SYS"),
)
# (what to run, what must be tried, status): files below the caller's own tree, shown as /w.
NOT_EXECUTED = (
    ("/w/no-x-bit", 126),
    ("/w/directory", 126),
    ("/w/bad-format", 126),
    ("/w/empty", 126),
    ("/usr", 126),
    ("/etc/passwd", 126),
    ("/dev/null", 126),
    ("/w/no-x-bit/below", 127),
    ("/w/missing", 127),
    ("/w/dangling", 127),
    ("/w/bad-interpreter", 127),
    ("no-such-command", 127),
    ("./missing", 127),
    ("", 127),
    ("x" * 300, 126),
    ("no such command\n\x1b[31m", 127),
)


@pytest.fixture
def tree(caller: Caller, place: str) -> str:
    folder = faults.own_dir(caller, f"{place}/w")
    faults.own(caller, f"{folder}/no-x-bit", "#!/bin/sh\n", 0o644)
    faults.own(caller, f"{folder}/bad-format", b"\x7fELF nonsense", 0o755)
    faults.own(caller, f"{folder}/empty", b"", 0o755)
    faults.own(caller, f"{folder}/bad-interpreter", "#!/no/such/program\n", 0o755)
    faults.own(caller, f"{folder}/script", "#!/bin/sh\necho ran\n", 0o755)
    faults.own_dir(caller, f"{folder}/directory")
    os.symlink("nowhere", f"{folder}/dangling")
    return folder


@pytest.mark.parametrize("status", OWN)
def test_the_commands_own_status_is_passed_on(hardbox: Hardbox, status: int) -> None:
    done = hardbox("run", "--", "sh", "-c", f"exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize("name", SIGNALS)
def test_death_by_a_signal_is_128_and_its_number(hardbox: Hardbox, name: str) -> None:
    done = hardbox("run", "--", "sh", "-c", f"kill -{name} $$; sleep 5")
    assert done.returncode == 128 + signal.Signals[f"SIG{name}"], done.stderr


def test_death_by_a_realtime_signal_is_128_and_its_number(hardbox: Hardbox) -> None:
    assert hardbox("run", "--", "sh", "-c", "kill -34 $$; sleep 5").returncode == 128 + 34
    assert hardbox("run", "--", "sh", "-c", "kill -64 $$; sleep 5").returncode == 128 + 64


@pytest.mark.parametrize(("command", "status"), NOT_EXECUTED)
def test_what_cannot_be_executed_is_126_and_what_is_not_there_127(
    hardbox: Hardbox, tree: str, command: str, status: int
) -> None:
    done = hardbox("run", "--read", f"{tree}:/w", "--", command)
    assert done.returncode == status, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) in (1, 2), done.stderr  # what, and what helps
    assert all(line.startswith("hardbox: ") for line in lines), done.stderr
    assert not faults.CONTROL.search(done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_a_written_file_is_not_executable_under_strict(hardbox: Hardbox, tree: str) -> None:
    script = "cp /w/script /tmp/script && chmod 755 /tmp/script && exec /tmp/script"
    assert hardbox("run", "--read", f"{tree}:/w", "--", "sh", "-c", script).returncode == 126
    assert hardbox("run", "--write", f"{tree}:/w", "--", "/w/script").returncode == 126
    faults.ran(hardbox("run", "--read", f"{tree}:/w", "--", "/w/script"), "ran\n")


@pytest.mark.parametrize(
    "script",
    [
        "sleep 60",
        "trap '' TERM; sleep 60; sleep 60",
        "trap '' TERM; sleep 60 & sleep 60 & sleep 60 & wait; wait; sleep 60",
        "(setsid sleep 60 &) ; sleep 60",
        "kill -STOP $$; sleep 60",
        "trap 'exit 0' TERM; sleep 60 & wait",
        "while :; do :; done",
        "exec sleep 60 >&- 2>&- <&-",
        "while :; do (exit 0); done",
    ],
)
def test_the_time_limit_is_124_whatever_the_job_does(hardbox: Hardbox, script: str) -> None:
    done = hardbox("run", "--timeout", "300ms", "--set", "limits.grace=200ms", "--", "sh", "-c", script)
    assert done.returncode == 124, (done.returncode, done.stderr)
    assert "time limit" in done.stderr


def test_the_grace_period_lets_the_job_clean_up(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    script = "trap 'echo clean >/w/end; exit 3' TERM; echo >/w/begun; sleep 60 & wait"
    done = hardbox("run", "--timeout", "1s", "--write", f"{tree}:/w", "--", "sh", "-c", script)
    assert done.returncode == 124, done.stderr
    assert faults.listing(tree) == {"begun", "end"}


def test_a_refusal_is_125_and_runs_nothing(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    touch = ("--write", f"{tree}:/w", "--", "touch", "/w/ran")
    for words in (
        ("--network", "host"),
        ("--privileged",),
        ("--pid=host",),
        ("--memory", "0"),
        ("--workdir", "/nowhere"),
        ("--read", f"{place}/missing"),
        ("--report", f"{place}/no/such/directory"),
        ("--profile", "no-such-profile"),
    ):
        faults.refusal(hardbox("run", *words, *touch))
        assert faults.listing(tree) == set(), words
    faults.ran(hardbox("run", *touch), "")
    assert faults.listing(tree) == {"ran"}


def test_the_jobs_children_do_not_outlive_it(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    script = "(sleep 2; touch /w/late) & (setsid sh -c 'sleep 2; touch /w/late' &) ; exit 7"
    done = hardbox("run", "--write", f"{tree}:/w", "--", "sh", "-c", script)
    assert done.returncode == 7
    assert faults.listing(tree) == set()


@pytest.fixture
def plan(hardbox: Hardbox, place: str) -> str:
    path = f"{place}/p.plan"
    done = hardbox(
        *("compile", "--timeout", "400ms", "--set", "limits.grace=100ms", "-o", path, "--", "true")
    )
    faults.ran(done)
    return path


def test_the_launcher_has_the_same_map(caller: Caller, program: Installed, plan: str) -> None:
    def status(*command: str) -> int:
        return caller.run(program.launch, plan, "--", *command).returncode

    assert [status("sh", "-c", f"exit {n}") for n in OWN] == list(OWN)
    for name in ("HUP", "KILL", "SEGV", "SYS", "TERM"):
        assert status("sh", "-c", f"kill -{name} $$") == 128 + signal.Signals[f"SIG{name}"]
    assert status("sleep", "60") == 124
    assert status("sh", "-c", "trap '' TERM; sleep 60; sleep 60") == 124
    assert status("/etc/passwd") == 126
    assert status("no-such-command") == 127
    assert status("/no/such/command") == 127
    assert caller.run(program.launch, plan, "true").returncode == 0


def test_the_launcher_says_why_it_did_not_run(caller: Caller, program: Installed, plan: str) -> None:
    missing = caller.run(program.launch, plan, "--", "no-such\x1b[31m")
    assert missing.stderr.startswith("hardbox: not found in the sandbox: no-such\\x1b[31m\n")
    for argv in ((), (plan, "--"), ("--version", "x"), ("--plan-fd", "0"), ("-x", plan, "true")):
        done = caller.run(program.launch, *argv)
        assert done.returncode == 125, argv
        assert "nothing was run" in done.stderr
