"""Signals to hardbox reach the job once; whoever dies, nothing outlives it.  Run by: pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pexpect
import pytest
from support import faults, patience

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

# Counts interrupts, and waits for a second one before it ends.
COUNT = """
trap 'n=x$n; echo got $n' INT; echo ready
while [ -z "$n" ]; do sleep 0.05; done
sleep 0.3; exit 9
"""
FORWARDED = ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH")
# Says which signals arrive, and ends a moment after the first one, when a second would show.
LISTEN = """
for s in INT TERM HUP QUIT USR1 USR2 WINCH; do trap "echo got $s; n=1" $s; done
echo ready
while [ -z "$n" ]; do sleep 0.05; done
sleep 0.3
echo end
"""


@pytest.mark.parametrize("name", FORWARDED)
@pytest.mark.parametrize("through", ["hardbox", "launcher"])
def test_a_signal_is_forwarded_once(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str, name: str, through: str
) -> None:
    if through == "hardbox":
        child = faults.spawn(caller, program.hardbox, "run", "--", "sh", "-c", LISTEN)
    else:
        faults.ran(hardbox("compile", "-o", f"{place}/p.plan", "--", "true"))
        child = faults.spawn(caller, program.launch, f"{place}/p.plan", "--", "sh", "-c", LISTEN)
    assert faults.read_line(child) == "ready"
    child.send_signal(signal.Signals[f"SIG{name}"])
    done = faults.finish(child)
    # A group signal also ends the `sleep` that the shell waits for; the shell says so itself.
    assert done.stdout == f"got {name}\nend\n", done
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_a_job_that_does_not_listen_dies_of_the_signal(caller: Caller, program: Installed, name: str) -> None:
    child = faults.spawn(caller, program.hardbox, "run", "--", "sh", "-c", "echo ready; exec sleep 60")
    assert faults.read_line(child) == "ready"
    number = signal.Signals[f"SIG{name}"]
    child.send_signal(number)
    assert faults.finish(child).returncode == 128 + number


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT"])
def test_a_signal_during_start_up_ends_it_without_a_traceback(
    caller: Caller, program: Installed, place: str, name: str
) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    # Not through sh: dash puts an interrupt off until the child that it is about to start has ended.
    words = ("run", "--write", f"{tree}:/w", "--", "perl", "-e", "sleep 60; open(my $f, '>', '/w/ran')")
    number = signal.Signals[f"SIG{name}"]
    # From before the first instruction to when the job is there; where that takes seconds, with larger steps.
    count = 24 if patience.SLOWER == 1 else 8
    for moment in range(count):
        child = faults.spawn(caller, program.hardbox, *words)
        time.sleep(moment / count * patience.spent(0.144))
        child.send_signal(number)
        done = faults.finish(child)
        assert done.returncode in (-number, 128 + number, 125), done
        assert "Traceback" not in done.stderr, done.stderr
        assert faults.listing(tree) == set()


@pytest.mark.parametrize("victim", ["hardbox", "launcher", "both", "init"])
def test_a_killed_part_takes_the_whole_tree_with_it(caller: Caller, program: Installed, victim: str) -> None:
    script = (
        "for i in 1 2 3; do (setsid sleep 600 &); done; trap '' TERM HUP; echo ready; sleep 600; sleep 600"
    )
    # Without its cache: a launch that was decided before is hardbox-launch itself, one process less.
    env = {"HARDBOX_NO_CACHE": "1"}
    child = faults.spawn(caller, program.hardbox, "run", "--", "sh", "-c", script, env=env)
    assert faults.read_line(child) == "ready"
    (launcher,) = faults.children(child.pid)
    (init,) = faults.children(launcher)
    below = faults.descendants(child.pid)
    assert len(below) >= 6, below
    targets = {"hardbox": [child.pid], "launcher": [launcher], "both": [child.pid, launcher], "init": [init]}
    for pid in targets[victim]:
        os.kill(pid, signal.SIGKILL)
    took = faults.eventually(lambda: not any(map(faults.alive, below)), "the tree is gone")
    print(f"{victim} killed: the tree was gone after {took * 1000:.0f} ms")
    done = faults.finish(child)
    if victim in ("launcher", "init"):
        assert done.returncode in (125, 137), done
        assert done.stderr.startswith("hardbox: "), done.stderr
        assert "Traceback" not in done.stderr
    else:
        assert done.returncode == -signal.SIGKILL


def test_a_killed_launcher_takes_the_whole_tree_with_it(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str
) -> None:
    faults.ran(hardbox("compile", "-o", f"{place}/p.plan", "--", "true"))
    script = "(setsid sleep 600 &); trap '' TERM HUP; echo ready; sleep 600; sleep 600"
    child = faults.spawn(caller, program.launch, f"{place}/p.plan", "--", "sh", "-c", script)
    assert faults.read_line(child) == "ready"
    below = faults.descendants(child.pid)
    child.kill()
    took = faults.eventually(lambda: not any(map(faults.alive, below)), "the tree is gone")
    print(f"the tree was gone after {took * 1000:.0f} ms")
    faults.finish(child)


@pytest.mark.parametrize("words", [("--quiet",), ("--report", "/dev/null"), ()])
def test_a_killed_front_has_the_launcher_say_nothing(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str, words: tuple[str, ...]
) -> None:
    """The control is a launcher without a front, whose init is killed: that one tells a person."""
    job = ("--", "sh", "-c", "unshare -U true; echo ready; sleep 600")
    faults.ran(hardbox("compile", "-o", f"{place}/p.plan", "--", "true"))
    child = faults.spawn(caller, program.launch, f"{place}/p.plan", *job)
    assert faults.read_line(child) == "ready"
    os.kill(faults.children(child.pid).pop(), signal.SIGKILL)
    assert "hardbox: the sandbox was killed from outside\n" in faults.finish(child).stderr

    child = faults.spawn(caller, program.hardbox, "run", *words, *job, env={"HARDBOX_NO_CACHE": "1"})
    assert faults.read_line(child) == "ready"
    assert faults.children(child.pid), "the front waits for its launcher"
    child.kill()
    done = faults.finish(child)  # at the end of its stderr, which the launcher has too
    assert "hardbox" not in done.stderr, done
    assert "denied" not in done.stderr, done


def test_a_stopped_hardbox_still_goes_when_killed(caller: Caller, program: Installed) -> None:
    child = faults.spawn(caller, program.hardbox, "run", "--", "sh", "-c", "echo ready; sleep 600")
    assert faults.read_line(child) == "ready"
    below = faults.descendants(child.pid)
    child.send_signal(signal.SIGSTOP)
    child.kill()
    faults.eventually(lambda: not any(map(faults.alive, below)), "the tree is gone")
    faults.finish(child)


def test_daemons_die_with_the_main_process(hardbox: Hardbox) -> None:
    # nothing_left then sees any that did not.
    script = "for i in 1 2 3 4; do (setsid sh -c 'setsid sleep 600 &' &); done; sleep 0.2; exit 5"
    assert hardbox("run", "--", "sh", "-c", script).returncode == 5


def test_zombies_are_reaped(hardbox: Hardbox) -> None:
    script = """
for i in 1 2 3 4 5 6 7 8; do (sleep 0.05 &); done
sleep 0.6
for f in /proc/[0-9]*/stat; do read -r pid name state rest <$f && echo $state; done 2>/dev/null | grep -c Z
"""
    assert hardbox("run", "--", "sh", "-c", script).stdout == "0\n"


PROLOGUES = {
    "SIGCHLD ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "SIGPIPE ignored": "signal.signal(signal.SIGPIPE, signal.SIG_IGN)",
    "SIGTERM ignored": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "SIGINT ignored": "signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "SIGHUP ignored": "signal.signal(signal.SIGHUP, signal.SIG_IGN)",
    "all blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
    "SIGCHLD blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
}


@pytest.mark.parametrize("prologue", PROLOGUES)
@pytest.mark.parametrize("through", ["hardbox", "launcher"])
def test_what_the_caller_ignores_or_blocks_is_not_handed_on(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str, prologue: str, through: str
) -> None:
    """A job starts with a clean slate, and its own status is not lost."""
    faults.ran(hardbox("compile", "-o", f"{place}/p.plan", "--", "true"))
    before = f"import os, signal, sys; {PROLOGUES[prologue]}; os.execv(sys.argv[1], sys.argv[1:])"
    front = (program.hardbox, "run") if through == "hardbox" else (program.launch, f"{place}/p.plan")
    script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; exit 41"
    done = caller.run("/usr/bin/python3", "-c", before, *front, "--", "sh", "-c", script)
    assert done.returncode == 41, done
    assert done.stdout.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]


@pytest.mark.parametrize("prologue", ["SIGTERM ignored", "SIGINT ignored", "SIGHUP ignored", "all blocked"])
def test_a_signal_that_the_caller_ignores_stays_ignored_or_is_forwarded(
    caller: Caller, program: Installed, prologue: str
) -> None:
    """Under nohup(1) a hang-up must not kill the job; never may it kill hardbox and leave the job."""
    before = f"import os, signal, sys; {PROLOGUES[prologue]}; os.execv(sys.argv[1], sys.argv[1:])"
    script = "trap 'echo got; exit 3' TERM INT HUP; echo ready; for i in $(seq 20); do sleep 0.05; done"
    child = faults.spawn(
        caller, "/usr/bin/python3", "-c", before, program.hardbox, "run", "--", "sh", "-c", script
    )
    assert faults.read_line(child) == "ready"
    name = prologue.split(maxsplit=1)[0] if prologue != "all blocked" else "SIGTERM"
    child.send_signal(signal.Signals[name])
    done = faults.finish(child)
    assert (done.returncode, done.stdout) in ((3, "got\n"), (0, "")), done


@pytest.fixture
def terminal(caller: Caller, program: Installed) -> pexpect.spawn:
    """An interactive shell of the caller's on a terminal, with job control."""
    words = [*caller.prefix, "sh", "-i"]
    child = pexpect.spawn(
        words[0],
        words[1:],
        env=caller.environment(PS1="$ ", HB=program.hardbox, ENV="", COUNT=COUNT),
        cwd=caller.home,
        encoding="utf-8",
        timeout=faults.PATIENCE,
    )
    child.expect_exact("$ ")
    yield child
    child.close(force=True)


def _say(terminal: pexpect.spawn, line: str) -> str:
    terminal.sendline(line)
    terminal.expect_exact("$ ")
    return str(terminal.before).partition("\n")[2].replace("\r", "")


def test_ctrl_c_reaches_the_job_once_and_the_terminal_is_as_before(terminal: pexpect.spawn) -> None:
    before = _say(terminal, "stty -a")
    terminal.sendline('$HB run -- sh -c "$COUNT"')
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.expect_exact("got x")
    terminal.expect_exact("$ ")
    assert "got xx" not in terminal.before
    assert _say(terminal, "echo status $?") == "status 9\n"
    assert _say(terminal, "stty -a") == before
    assert _say(terminal, "echo still here") == "still here\n"


def test_ctrl_c_and_ctrl_backslash_end_a_job_that_does_not_listen(terminal: pexpect.spawn) -> None:
    for key, number in (("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)):
        terminal.sendline("$HB run -- sh -c 'echo re\"\"ady; sleep 60'")
        terminal.expect_exact("ready")
        terminal.send(key)
        terminal.expect_exact("$ ")
        assert _say(terminal, "echo status $?") == f"status {128 + number}\n"


def test_a_job_reads_and_writes_the_terminal(terminal: pexpect.spawn) -> None:
    terminal.sendline(
        "$HB run -- sh -c 'tty; read line; echo \"<$line>\"; stty size >/dev/null && echo sized'"
    )
    terminal.sendline("hello")
    terminal.expect_exact("<hello>")
    terminal.expect_exact("sized")
    terminal.expect_exact("$ ")


def test_a_closed_terminal_takes_the_job_with_it(caller: Caller, program: Installed) -> None:
    words = [*caller.prefix, program.hardbox, "run", "--", "sh", "-c", "echo ready; sleep 600"]
    child = pexpect.spawn(
        words[0], words[1:], env=caller.environment(), cwd=caller.home, timeout=faults.PATIENCE
    )
    child.expect_exact("ready")
    below = faults.descendants(child.pid)
    assert len(below) >= 3
    child.close(force=False)  # SIGHUP, as from a terminal that is closed
    faults.eventually(lambda: not any(map(faults.alive, below)), "the tree is gone")


def test_hardbox_in_the_background_of_a_script_is_not_stopped(caller: Caller, program: Installed) -> None:
    done = faults.shell(caller, '"$1" run -- sh -c "cat; echo done" </dev/null & wait $!', program.hardbox)
    faults.ran(done, "done\n")


def test_a_reader_that_leaves_ends_the_job_by_sigpipe(caller: Caller, program: Installed) -> None:
    done = faults.shell(caller, '"$1" run -- yes | head -1', program.hardbox)
    assert done.stdout == "y\n"
    assert "Traceback" not in done.stderr
    bash = [
        "bash",
        "-c",
        '"$1" run -- yes | head -1 >/dev/null; echo ${PIPESTATUS[0]}',
        "sh",
        program.hardbox,
    ]
    piped = subprocess.run(
        [*caller.prefix, *bash], capture_output=True, env=caller.environment(), cwd=caller.home, check=True
    )
    assert piped.stdout == b"141\n", piped
