"""The whole launcher under AddressSanitizer and UndefinedBehaviorSanitizer.

Run by: pytest, on plans of `hardbox compile`; as root, and as an ordinary user. Leaks are looked
for in the fuzzer of the decoder: the leak checker needs ptrace(2), which init's filter refuses.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import launched

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

FLAGS = ("-g", "-fno-omit-frame-pointer")
CHECKS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SETTINGS = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
REPORTS = ("Sanitizer", "runtime error", "stack smashing")
GIVEN_UP = "  nothing was run"


@pytest.fixture(scope="session")
def sanitized(base: str) -> str:
    return launched.compile_launcher(os.path.join(base, "hardbox-launch-sanitized"), *FLAGS, *CHECKS)


class Launcher:
    """A plan of one caller, run by the launcher with sanitizers."""

    def __init__(self, caller: Caller, program: Installed, binary: str, place: str) -> None:
        """Nothing is compiled yet."""
        self.caller, self.program, self.binary, self.place = caller, program, binary, place

    def compile(self, *flags: str, profile: str = "strict") -> str:
        plan = os.path.join(self.place, f"{profile}.plan")
        done = self.caller.run(
            self.program.hardbox, "compile", "--profile", profile, *flags, "-o", plan, "--", "true"
        )
        assert done.returncode == 0, done.stderr
        return plan

    def run(self, plan: str, *argv: str, stdin: int | None = None) -> subprocess.CompletedProcess[str]:
        done = self.caller.run(self.binary, plan, "--", *argv, stdin=stdin, env=SETTINGS)
        for word in REPORTS:
            assert word not in done.stderr, done.stderr
        return done

    def start(self, plan: str, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.caller.prefix, self.binary, plan, "--", *argv],
            env=self.caller.environment(**SETTINGS),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.place,
        )


@pytest.fixture
def launcher(caller: Caller, program: Installed, sanitized: str, place: str) -> Launcher:
    return Launcher(caller, program, sanitized, place)


def test_the_sanitizers_are_really_there(sanitized: str) -> None:
    """The control: a build that reports nothing would pass every test below."""
    symbols = subprocess.run(["nm", "-D", sanitized], capture_output=True, text=True, check=True).stdout

    assert "__asan_init" in symbols
    assert "__ubsan_handle_add_overflow_abort" in symbols


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143), ("sleep 9 & exit 3", 3)],
)
@pytest.mark.parametrize("profile", ["strict", "baseline", "build", "inspect"])
def test_an_end_is_the_commands_own(launcher: Launcher, profile: str, script: str, status: int) -> None:
    assert launcher.run(launcher.compile(profile=profile), "sh", "-c", script).returncode == status


@pytest.mark.parametrize(
    ("command", "status"), [("no-such-command", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/usr", 126)]
)
def test_what_cannot_be_executed_is_told(launcher: Launcher, command: str, status: int) -> None:
    done = launcher.run(launcher.compile(), command)

    assert done.returncode == status
    assert command in done.stderr


def test_the_wall_clock_ends_it(launcher: Launcher) -> None:
    plan = launcher.compile("--timeout", "1s")

    assert launcher.run(plan, "sh", "-c", "trap '' TERM; while :; do sleep 1; done").returncode == 124


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_forwarded_signal_reaches_the_command(launcher: Launcher, number: signal.Signals) -> None:
    script = f"trap 'exit 42' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.1; done"
    running = launcher.start(launcher.compile(), "sh", "-c", script)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"

    running.send_signal(number)
    _, errors = running.communicate(timeout=60)

    assert running.returncode == 42
    assert not any(word in errors for word in REPORTS), errors


def test_a_written_tree_is_mapped(launcher: Launcher) -> None:
    tree = os.path.join(launcher.place, "tree")
    os.mkdir(tree)
    os.chown(tree, launcher.caller.uid, launcher.caller.gid)
    plan = launcher.compile("--write", f"{tree}:/out", profile="build")

    assert launcher.run(plan, "sh", "-c", "echo text > /out/file").returncode == 0
    assert os.stat(os.path.join(tree, "file")).st_uid == launcher.caller.uid


def test_a_step_that_fails_runs_nothing(launcher: Launcher) -> None:
    tree = os.path.join(launcher.place, "tree")
    os.mkdir(tree)
    os.chown(tree, launcher.caller.uid, launcher.caller.gid)
    plan = launcher.compile("--write", f"{tree}:/out", profile="build")
    os.rmdir(tree)

    done = launcher.run(plan, "true")

    assert done.returncode == 125
    assert GIVEN_UP in done.stderr


@pytest.mark.parametrize(
    ("path", "flags"),
    [
        ("/", os.O_RDONLY | os.O_DIRECTORY),
        ("/dev/null", os.O_PATH),
        ("/dev/ptmx", os.O_RDWR | os.O_NOCTTY),
        ("/proc/self/mem", os.O_RDWR),
        ("/proc/self/ns/net", os.O_RDONLY),
    ],
)
def test_what_leads_out_is_refused_on_stdin(launcher: Launcher, path: str, flags: int) -> None:
    plan = launcher.compile()
    descriptor = os.open(path, flags)

    done = launcher.run(plan, "true", stdin=descriptor)
    os.close(descriptor)

    assert done.returncode == 125
    assert "[HB210]" in done.stderr
    assert GIVEN_UP in done.stderr


@pytest.mark.parametrize("cut", [0, 1, 55, 56, 57, 1000, -1])
def test_a_damaged_plan_is_refused(launcher: Launcher, cut: int) -> None:
    whole = Path(launcher.compile()).read_bytes()
    damaged = os.path.join(launcher.place, "damaged.plan")
    Path(damaged).write_bytes(whole[:cut])
    os.chmod(damaged, 0o644)

    done = launcher.run(damaged, "true")

    assert done.returncode == 125
    assert GIVEN_UP in done.stderr


@pytest.mark.parametrize("words", [(), ("--help",), ("-x", "y"), ("--plan-fd", "3", "--status-fd", "3")])
def test_a_wrong_command_line_is_refused(launcher: Launcher, words: tuple[str, ...]) -> None:
    done = launcher.caller.run(launcher.binary, *words, env=SETTINGS)

    assert done.returncode == 125
    assert GIVEN_UP in done.stderr
    assert not any(word in done.stderr for word in REPORTS)


def test_nothing_of_the_launcher_shows_inside(launcher: Launcher) -> None:
    """Neither its descriptors nor its command line, which names a path of the host."""
    done = launcher.run(
        launcher.compile(), "sh", "-c", "cat /proc/1/cmdline; ls /proc/self/fd; ls -l /proc/1/fd"
    )

    assert done.stdout.strip("\0").split() == ["0", "1", "2", "3"]  # 3 is the listed directory
    assert ".plan" not in done.stdout
    assert "Permission denied" in done.stderr


def test_a_privileged_place_among_processes_is_not_handed_on(launcher: Launcher) -> None:
    """What only root can have is taken away; what makes the job meeker stays."""
    root = launcher.caller.uid == 0
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    score, nice = (-500, -5 - ours) if root else (300, 2)
    script = (
        f"echo {score} >/proc/self/oom_score_adj; exec nice -n {nice} {launcher.binary} {launcher.compile()}"
        " -- sh -c 'cat /proc/self/oom_score_adj; nice'"
    )

    done = launcher.caller.run("sh", "-c", script, env=SETTINGS)

    assert done.stdout.split() == (["0", "0"] if root else ["300", str(ours + 2)]), done.stderr


@pytest.mark.usefixtures("nothing_left")
def test_a_launcher_that_is_killed_while_it_sets_up_leaves_nothing(launcher: Launcher) -> None:
    """Killed a little later each time, from before the first step to after the start."""
    tree = os.path.join(launcher.place, "tree")
    os.mkdir(tree)
    os.chown(tree, launcher.caller.uid, launcher.caller.gid)
    plan = launcher.compile("--write", f"{tree}:/out", profile="build")

    for tries in range(50):
        running = launcher.start(plan, "sleep", "600")
        time.sleep(tries / 1000)
        running.kill()
        running.communicate(timeout=60)
