"""Notifications change no decision: not by filters, signals, races, deaths, nor by the supervisor itself.

Run by: pytest. Each attack's calls are first seen to work outside.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

SOURCE = Path(__file__).parent / "notified.c"


@pytest.fixture
def attack(place: str) -> str:
    path = f"{place}/notified"
    subprocess.run(["cc", "-O1", "-pthread", "-o", path, str(SOURCE)], check=True)
    os.chmod(path, 0o755)
    return path


def test_the_calls_work_outside(caller: Caller, attack: str) -> None:
    """The control: 1 means that it happened."""
    assert caller.run(attack, "unshare").returncode == 1
    assert caller.run(attack, "listener").returncode == 1


@pytest.mark.parametrize("flags", [(), ("--explain",)], ids=("told", "explain"))
@pytest.mark.parametrize("profile", ["build", "inspect"])
@pytest.mark.parametrize("how", ["unshare", "override", "signals", "killed"])
def test_what_is_refused_never_happens(
    hardbox: Hardbox, attack: str, how: str, profile: str, flags: tuple[str, ...]
) -> None:
    done = hardbox("run", *flags, "--profile", profile, "--read", attack, "--", attack, how)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"denied by profile {profile}" in done.stderr


def test_no_listener_even_where_filters_may_be_loaded_at_will(hardbox: Hardbox, attack: str) -> None:
    lifted = ("--set", 'seccomp.add=["filters"]', "--loosen", "seccomp.add=a test of it")
    done = hardbox("run", "--profile", "build", *lifted, "--read", attack, "--", attack, "override")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "seccomp(a listener of its own)" in done.stderr


def test_the_supervisor_lets_nothing_through(caller: Caller, program: Installed, attack: str) -> None:
    """Every answer that it gives, seen from outside: an errno, and no flag."""
    trace = f"{os.path.dirname(attack)}/trace"
    done = caller.run(
        *("strace", "-f", "-qq", "-e", "trace=ioctl", "-o", trace),
        *(program.hardbox, "run", "--profile", "build", "--read", attack, "--", attack, "override"),
    )
    assert done.returncode == 0, done.stderr
    with open(trace, encoding="utf-8", errors="replace") as file:
        text = file.read()
    answers = re.findall(r"SECCOMP_IOCTL_NOTIF_SEND, (\{[^}]*\})", text)
    assert answers, text[-2000:]
    for answer in answers:
        assert re.search(r"error=-(EPERM|ENOSYS)", answer), answer
        assert "flags=0" in answer, answer


def test_a_job_dies_with_its_supervisor(caller: Caller, program: Installed, attack: str, place: str) -> None:
    words = [*caller.prefix, program.hardbox, "run", "--profile", "build", "--read", attack, "--"]
    script = f"echo up; while {attack} killed; do :; done"
    with subprocess.Popen(
        [*words, "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=caller.environment(),
        cwd=place,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        (launcher,) = [
            pid
            for pid in faults.descendants(running.pid)
            if Path(f"/proc/{pid}/comm").read_text() == "hardbox-launch\n"
        ]
        os.kill(launcher, signal.SIGKILL)
        # The pipe closes when the last process inside has gone.
        running.stdout.read()
        assert running.wait(faults.PATIENCE) == 137
