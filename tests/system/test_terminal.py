"""The job's own terminal: it feels native, and the caller's is as it was, however a run ends.

Run by: pytest.
"""

from __future__ import annotations

import os
import re
import signal
import termios
from typing import TYPE_CHECKING

import pexpect
import pytest
from support import faults, patience, terminals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")
PROMPT = "inside> "


@pytest.fixture
def terminal(caller: Caller, program: Installed) -> Iterator[pexpect.spawn]:
    """An interactive shell of the caller's, in which HB runs hardbox."""
    child = terminals.shell(caller, HB=program.hardbox, LAUNCH=program.launch)
    yield child
    child.close(force=True)


@pytest.fixture
def inside(terminal: pexpect.spawn) -> pexpect.spawn:
    """`hardbox run --profile inspect -- bash`, at its prompt."""
    terminal.sendline(f"$HB run --profile inspect --env 'PS1={PROMPT}' -- bash --norc")
    terminal.expect_exact("bash --norc")
    terminal.expect_exact(PROMPT)
    assert "no job control" not in terminal.before
    return terminal


def leave(inside: pexpect.spawn) -> None:
    inside.sendline("exit 7")
    inside.expect_exact("$ ")
    assert terminals.say(inside, "echo status $?") == "status 7\n"


def modes(child: pexpect.spawn) -> str:
    return terminals.say(child, "stty -a")


def test_a_shell_has_job_control_and_a_name_for_its_terminal(inside: pexpect.spawn) -> None:
    assert terminals.say(inside, "tty", PROMPT) == "/dev/pts/0\n"
    assert terminals.say(inside, "readlink /proc/self/fd/0", PROMPT) == "/dev/pts/0\n"
    assert terminals.say(inside, "stat -c '%U %a' $(tty)", PROMPT) == "box 620\n"
    assert "m" in terminals.say(inside, "echo $-", PROMPT)
    assert terminals.say(inside, "stty size", PROMPT) == "30 100\n"
    inside.sendline("sleep 600")
    terminals.pause(0.3)
    inside.send("\x1a")
    inside.expect_exact("Stopped")
    inside.expect_exact(PROMPT)
    assert "Stopped" in terminals.say(inside, "jobs", PROMPT)
    assert terminals.say(inside, "bg", PROMPT)
    assert "Running" in terminals.say(inside, "jobs", PROMPT)
    inside.sendline("fg")
    inside.expect_exact("sleep 600")
    terminals.pause(0.3)
    inside.sendintr()
    inside.expect_exact(PROMPT)
    assert terminals.say(inside, "echo status $?", PROMPT) == "status 130\n"
    leave(inside)


def test_a_new_size_reaches_the_job(inside: pexpect.spawn) -> None:
    # A shell of its own: an interactive one gives the terminal to each command in turn.
    loop = "trap 'echo changed to $(stty size)' WINCH; echo re\"\"ady; while :; do sleep 0.1; done"
    inside.sendline(f'sh -c "{loop}"'.replace("$(", "\\$("))
    inside.expect_exact("ready")
    inside.setwinsize(41, 123)
    inside.expect_exact("changed to 41 123")
    inside.sendintr()
    inside.expect_exact(PROMPT)
    leave(inside)


def test_a_password_is_asked_for_on_dev_tty(inside: pexpect.spawn) -> None:
    ask = 'python3 -c \'import getpass; print(len(getpass.getpass("sec"+"ret? ")))\' </dev/null | cat'
    inside.sendline(ask)
    inside.expect_exact("print(len")
    inside.expect_exact("secret? ")
    inside.sendline("hunter2")
    inside.expect_exact(PROMPT)
    said = terminals.plain(inside.before)
    assert "7\n" in said
    assert "hunter2" not in said
    leave(inside)


def test_full_screen_programs_work(inside: pexpect.spawn) -> None:
    """Vim: writes what was typed, is stopped and continued; less pages; top draws and quits."""
    inside.sendline("vim -u NONE /tmp/file")
    # The name alone is in the echo too, and before vim is there ctrl-Z throws away what was typed.
    inside.expect_exact("[New")
    inside.send("ione two\x1b")
    inside.send("\x1a")
    inside.expect_exact("Stopped")
    inside.expect_exact(PROMPT)
    inside.sendline("fg")
    terminals.pause(0.5)
    inside.send(":wq\r")
    inside.expect_exact(PROMPT)
    assert terminals.say(inside, "cat /tmp/file", PROMPT) == "one two\n"
    inside.sendline("seq 1000 | less")
    inside.expect_exact("28")
    inside.send("G")
    inside.expect_exact("1000")
    inside.send("q")
    inside.expect_exact(PROMPT)
    inside.sendline("top -d 1")
    inside.expect_exact("PID")
    inside.send("q")
    inside.expect_exact(PROMPT)
    leave(inside)


def test_terminals_inside_the_terminal(inside: pexpect.spawn) -> None:
    """script(1) takes a second pseudo-terminal of the sandbox; Python's prompt edits lines."""
    inside.sendline("script -qc 'tty; stty size' /tmp/log")
    inside.expect_exact("/dev/pts/1")
    inside.expect_exact("30 100")
    inside.expect_exact(PROMPT)
    inside.sendline("python3 -q")
    inside.expect_exact(">>> ")
    inside.send("6 * 8\x087\r")  # backspace
    inside.expect_exact("42")
    inside.expect_exact(">>> ")
    inside.send("\x04")
    inside.expect_exact(PROMPT)
    leave(inside)


@pytest.mark.parametrize("through", ["hardbox", "sealed", "launcher"])
def test_every_way_to_start_gives_the_same(terminal: pexpect.spawn, through: str, place: str) -> None:
    """As Python launches it, as the door does from a sealed decision, and from a plan."""
    script = "'tty; stty size; tty </dev/tty; read line; echo \"<$line>\"; exit 5'"
    if through == "launcher":
        terminals.say(terminal, f"$HB compile -o {place}/p.plan -- true")
    start = {
        "hardbox": "HARDBOX_NO_CACHE=1 $HB run",
        "sealed": "$HB run -- true; $HB run -- true; $HB run",
        "launcher": f"$LAUNCH {place}/p.plan",
    }[through]
    before = modes(terminal)
    terminal.sendline(f"{start} -- sh -c {script}")
    terminal.expect_exact("exit 5")
    terminal.expect_exact("/dev/pts/0")
    terminal.expect_exact("30 100")
    terminal.expect_exact("/dev/tty")
    terminal.sendline("typed")
    terminal.expect_exact("<typed>")
    terminal.expect_exact("$ ")
    assert terminals.say(terminal, "echo status $?") == "status 5\n"
    assert modes(terminal) == before


def test_a_pipe_and_a_terminal(terminal: pexpect.spawn) -> None:
    """Stdin is no terminal: nothing is typed, and each line ends as it does outside."""
    terminal.sendline(
        "printf 'a\\nb\\n' | $HB run -- sh -c 'cat; tty <&1; stty size <&2; echo ' | od -c | head -1"
    )
    terminal.expect_exact("$ ")
    assert "a  \\n   b  \\n" in terminal.before
    terminal.sendline("printf 'one\\ntwo\\n' | $HB run -- cat")
    terminal.expect_exact("run -- cat\r\n")
    terminal.expect_exact("$ ")
    assert terminal.before == "one\r\ntwo\r\n"
    # Nothing can be typed there, and whoever tries is told at once.
    said = terminals.say(
        terminal, "echo x | $HB run -- sh -c 'test -t 1 && echo yes; read a <&1; cat /dev/tty'"
    )
    assert "yes\n" in said
    assert "No such device or address" in said


def test_what_was_written_before_the_end_arrives(terminal: pexpect.spawn) -> None:
    terminal.sendline("$HB run -- seq 40000 | cksum; $HB run -- seq 40000; echo END")
    terminal.expect_exact("echo END")
    terminal.expect_exact("END\r\n")
    lines = terminals.plain(terminal.before).split("\n")
    assert lines[-40001:-1] == [str(number) for number in range(1, 40001)]


def test_who_stays_behind_does_not_hang_the_caller(terminal: pexpect.spawn) -> None:
    """A grandchild that holds the terminal, or a pipe, ends with the job."""
    said = terminals.say(terminal, "$HB run -- sh -c 'sleep 1000 & (setsid sleep 1000 &); echo started'")
    assert "started\n" in said
    said = terminals.say(terminal, "$HB run -- sh -c 'sleep 1000 & echo started' | cat")
    assert said == "started\n"


ENDS = {
    "by itself": "sh -c 'echo re\"\"ady; exit 3'",
    "by a signal": "sh -c 'echo re\"\"ady; kill -9 $$'",
    # In which the job has to come to its word, on a slow machine too.
    "by its time": f"--timeout {patience.spent(1):.0f}s -- sh -c 'stty -echo raw; echo re\"\"ady; sleep 600'",
    "by its output": "--set limits.output=64 -- sh -c 'stty raw; echo re\"\"ady; yes'",
    "not found": 'nothing-of-the-kind; echo re""ady',
    "refused": '--network host -- true; echo re""ady',
}


@pytest.mark.parametrize("how", ENDS)
def test_the_terminal_is_as_it_was_however_the_job_ends(terminal: pexpect.spawn, how: str) -> None:
    before = modes(terminal)
    words = ENDS[how]
    terminal.sendline(f"$HB run {words if words.startswith('--') else '-- ' + words}")
    terminal.expect_exact("ready")
    terminal.expect_exact("$ ")
    assert modes(terminal) == before


KILLED = {
    "term": signal.SIGTERM,
    "hangup": signal.SIGHUP,
    "quit": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}


@pytest.mark.parametrize("how", KILLED)
@pytest.mark.parametrize("who", ["front", "supervisor", "relay"])
def test_the_terminal_is_as_it_was_whoever_is_killed(
    caller: Caller, program: Installed, who: str, how: str
) -> None:
    """Without a shell that would mend it: the program is the terminal's own leader."""
    script = 'HARDBOX_NO_CACHE=1 "$0" run -- sh -c "echo ready; sleep 60"; sleep 60'
    child = terminals.start(caller, "sh", "-c", script, program.hardbox)
    child.expect_exact("ready")
    before_raw = termios.tcgetattr(child.child_fd)
    assert not before_raw[3] & termios.ICANON
    names = {"front": "hardbox-never", "supervisor": "hardbox-launch", "relay": "hardbox-relay"}
    below = {pid: _comm(pid) for pid in faults.descendants(child.pid)}
    (launcher,) = (pid for pid, comm in below.items() if comm == "hardbox-launch")
    target = (
        next(pid for pid in below if launcher in faults.children(pid))
        if who == "front"
        else next(pid for pid, comm in below.items() if comm == names[who])
    )
    os.kill(target, KILLED[how])
    if who == "relay" and KILLED[how] != signal.SIGKILL:
        terminals.pause(0.5)  # it takes no notice; the supervisor is who is to be told
        assert faults.alive(target)
        os.kill(launcher, signal.SIGTERM)
    faults.eventually(lambda: termios.tcgetattr(child.child_fd)[3] & termios.ICANON, "restored")
    faults.eventually(
        lambda: not any(faults.alive(pid) for pid in below if pid != child.pid), "all have ended"
    )
    child.close(force=True)


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()


def test_in_the_background_nothing_stops_and_nothing_is_stolen(terminal: pexpect.spawn) -> None:
    """Started with &: not stopped by setting modes, reads nothing until `fg`, then all."""
    terminal.sendline('$HB run -- sh -c \'echo start""ed; read line; echo "<$line>"\' &')
    terminal.expect_exact("started")
    assert terminals.say(terminal, "echo for the shell").endswith("for the shell\n")
    assert "Running" in terminals.say(terminal, "jobs")
    terminal.sendline("fg")
    terminal.expect_exact("run -- sh")
    terminals.pause(1)  # a shell does not say when it gives the terminal away
    terminal.sendline("for the job")
    terminal.expect_exact("<for the job>")
    terminal.expect_exact("$ ")
    assert terminals.say(terminal, "echo still here").endswith("still here\n")


def test_stopped_from_outside_and_continued(terminal: pexpect.spawn) -> None:
    before = modes(terminal)
    script = 'stty -echo; echo re""ady; while read line; do echo "<$line>"; done'
    terminal.sendline(f"$HB run -- sh -c '{script}'")
    terminal.expect_exact("ready")
    group = os.tcgetpgrp(terminal.child_fd)
    os.killpg(group, signal.SIGTSTP)
    terminal.expect_exact("$ ")
    assert modes(terminal) == before
    terminal.sendline("fg")
    terminals.pause(1)
    terminal.sendline("again")
    terminal.expect_exact("<again>")
    terminal.send("\x04")
    terminal.expect_exact("$ ")
    assert modes(terminal) == before


def test_a_stopped_terminal_does_not_stop_the_clock(caller: Caller, program: Installed) -> None:
    """Output stops (^S), the job's time goes on: the limit ends it, and the caller is told."""
    script = 'echo | "$0" run --timeout 2s -- yes; echo status $?'
    child = terminals.start(caller, "sh", "-c", script, program.hardbox)
    child.expect_exact("y\r\ny\r\n")
    child.send("\x13")
    faults.eventually(lambda: not _launched(child), "the sandbox is gone")
    child.send("\x11")
    child.expect_exact("status 124")
    child.close(force=True)


def _launched(child: pexpect.spawn) -> bool:
    return any(_comm_or_none(pid) == "hardbox-init" for pid in faults.descendants(child.pid))


def _comm_or_none(pid: int) -> str:
    try:
        return _comm(pid)
    except OSError:
        return ""


def test_a_raw_caller_gets_raw_bytes(caller: Caller, program: Installed) -> None:
    """A program around us, such as another pseudo-terminal, that has set its modes keeps them."""
    script = (
        'stty raw -echo; stty -a | cksum; "$0" run -- stty -a; stty -a | cksum; stty sane; stty -a | cksum'
    )
    child = terminals.start(caller, "sh", "-c", script, program.hardbox)
    child.expect(pexpect.EOF)
    assert "-icanon" in child.before
    assert "-echo " in child.before
    before, after, other = re.findall(r"^(\d+ \d+)\r?$", str(child.before), re.MULTILINE)
    assert before == after
    assert other != before, "the control: other modes have another sum"


def test_a_terminal_on_stderr_alone(terminal: pexpect.spawn, place: str) -> None:
    said = terminals.say(
        terminal,
        f"$HB run --report {place}/r.json -- sh -c 'test -t 2 && echo err >&2; test -t 1 || echo out'"
        f" </dev/null >{place}/out; cat {place}/out",
    )
    assert said == "err\nout\n"
    report = faults.read_json(f"{place}/r.json")
    assert report["terminal"] is True
    assert report["output"] == {"stdout": 4, "stderr": 0}


def test_a_terminal_that_was_opened_for_reading_alone(terminal: pexpect.spawn) -> None:
    """The control is the echo: it is written to a terminal that nobody opened for writing."""
    terminal.sendline('$HB run -- sh -c \'echo re""ady; read line; echo "<$line>"\' </dev/tty 2>&1 | cat')
    terminal.expect_exact("ready")
    terminal.sendline("typed")
    terminal.expect_exact("$ ")
    # The echo comes by the relay, the answer by cat: in either order.
    said = terminals.plain(str(terminal.before))
    assert "<typed>\n" in said
    assert "typed" in said.replace("<typed>", "")


@pytest.mark.parametrize("call", ["ioctl", "openat2", "fchown", "sendmsg", "dup2", "setsid", "fork"])
def test_failed_calls(terminal: pexpect.spawn, call: str, place: str) -> None:
    """In each process the call fails once, the first to the sixth time: refused, or all as ever."""
    call = "clone" if call == "fork" else call
    terminals.say(terminal, f"$HB compile -o {place}/p.plan -- true")
    before = modes(terminal)
    host = os.stat("/dev/pts").st_dev
    refused = 0
    for number in range(1, 7):
        strace = f"strace -f -o /dev/null -e trace={call} -e inject={call}:error=EIO:when={number}"
        job = "sh -c 'echo device $(stat -Lc %d /proc/self/fd/0)'"
        said = terminals.say(terminal, f"{strace} $LAUNCH {place}/p.plan -- {job}; echo status $?")
        refused += "nothing was run" in said
        assert f"device {host}\n" not in said
        assert ("device " in said) != ("nothing was run" in said) or "status 0\n" not in said, said
        assert modes(terminal) == before
    assert refused


def test_no_terminal_no_relay(hardbox: Hardbox, place: str) -> None:
    hardbox("run", "--report", f"{place}/r.json", "--", "echo", "x")
    report = faults.read_json(f"{place}/r.json")
    assert (report["terminal"], report["output"]) == (False, None)
