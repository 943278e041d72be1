"""--progress: on a terminal only, and never into the job's output.  Run by: pytest."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from typing import TYPE_CHECKING

import pexpect
import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

SHOWN = r"hardbox: \d[\d.]* (ms|s) of 5 min, memory [\d.]+ (KiB|MiB) of 512 MiB, tasks [1-9]\d* of 64"


def on_a_terminal(caller: Caller, program: Installed, script: str) -> pexpect.spawn:
    words = [*caller.prefix, "sh", "-c", script, "sh", program.hardbox]
    return pexpect.spawn(
        words[0], words[1:], env=caller.environment(), cwd=caller.home, timeout=60, dimensions=(24, 120)
    )


@pytest.mark.parametrize("where", [">out", ">out 2>err", "2>&1 | cat >out"])
def test_shown_where_the_output_goes_elsewhere(caller: Caller, program: Installed, where: str) -> None:
    script = f'"$1" run --progress -- sh -c "echo said; sleep 3; exit 0" {where}; echo "status $?"; cat out'
    child = on_a_terminal(caller, program, script)
    child.expect(SHOWN)
    child.expect(SHOWN)
    assert "said" not in child.before.decode()
    child.expect("status 0")
    # The line is taken away before anything else is said.
    assert re.search(r"\r +\r$", child.before.decode()), child.before
    child.expect("said")
    child.expect(pexpect.EOF)
    child.close()
    with open(f"{caller.home}/out", encoding="utf-8") as file:
        assert file.read() == "said\n"


def test_not_shown_where_the_output_goes_to_the_terminal(caller: Caller, program: Installed) -> None:
    child = on_a_terminal(caller, program, '"$1" run --progress -- sh -c "sleep 1.5; echo said"; echo end')
    child.expect("said")
    before = child.before.decode()
    assert "--progress is not shown" in before
    assert "memory" not in before
    child.expect("end")
    child.expect(pexpect.EOF)
    child.close()


def test_not_shown_without_a_terminal(hardbox: Hardbox) -> None:
    done = hardbox("run", "--progress", "--", "sh", "-c", "sleep 1; echo said")
    faults.ran(done, "said\n")
    # pytest may have a terminal of its own, which setsid would take away; stderr has nothing in any case.
    assert done.stderr == ""


def test_not_shown_from_the_background(caller: Caller, program: Installed) -> None:
    """A background process that writes to a terminal with `tostop` would be stopped."""
    script = 'stty tostop; set -m; "$1" run --progress -- sleep 2 >out 2>err & wait $!; echo "status $?"'
    child = on_a_terminal(caller, program, script)
    child.expect("status 0")
    assert "memory" not in child.before.decode()
    child.expect(pexpect.EOF)
    child.close()


def test_a_stopped_terminal_stops_nothing(caller: Caller, program: Installed, place: str) -> None:
    """Ctrl-S: the line is skipped, and the run goes on."""
    script = f'"$1" run --progress --report {place}/r.json -- sleep 2 >out'
    child = on_a_terminal(caller, program, script)
    child.expect("memory")
    child.send("\x13")
    faults.eventually(
        lambda: os.path.exists(f"{place}/r.json") and os.path.getsize(f"{place}/r.json") > 0, "it has ended"
    )
    child.send("\x11")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_hung_up_terminal_ends_nothing_early(caller: Caller, program: Installed, place: str) -> None:
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [*caller.prefix, program.hardbox, "run", "--progress", "--", "sh", "-c", "sleep 2; exit 5"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env=caller.environment(),
        cwd=place,
        start_new_session=True,
    )
    os.close(slave)
    assert b"memory" in os.read(master, 4096)
    os.close(master)
    assert child.wait(timeout=60) == 5


def test_a_signal_reaches_the_job_while_it_is_watched(caller: Caller, program: Installed, place: str) -> None:
    job = "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done"
    script = f'trap : INT; "$1" run --progress -- sh -c "{job}" >{place}/out; echo "status $?"'
    child = on_a_terminal(caller, program, script)
    child.expect("memory")
    faults.eventually(lambda: os.path.getsize(f"{place}/out") > 0, "the job listens")
    child.sendintr()
    child.expect("status 9")
    child.expect(pexpect.EOF)
    child.close()
