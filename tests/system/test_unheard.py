"""Where nobody can read what hardbox says, the exit status is still the job's.  Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

PYTHON: Final = "/usr/bin/python3"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("sh -c 'unshare -U true; exit 7'", 7),
        ("nosuch", 127),
        ("sh -c 'kill -9 $$'", 137),
    ],
)
@pytest.mark.parametrize("sink", ["2>/dev/full", "2>&1 >/dev/null | true"])
def test_stderr_that_takes_nothing(
    caller: Caller, program: Installed, words: str, status: int, sink: str
) -> None:
    # With --env it is never sealed: Python is there at the end, too.
    script = f'{{ {program.hardbox} run --env A=1 -- {words}; echo "status $?" >&3; }} 3>&1 {sink}'
    script = f"exec 4>&1; ( {program.hardbox} run --env A=1 -- {words}; echo status $? >&4 ) {sink}"
    assert f"status {status}\n" in faults.shell(caller, script).stdout


def test_a_limit_with_stderr_that_takes_nothing(caller: Caller, program: Installed) -> None:
    script = f"{program.hardbox} run --env A=1 --timeout 1s -- sleep 60 2>/dev/full; echo status $?"
    assert faults.shell(caller, script).stdout == "status 124\n"


def test_input_that_is_no_bytes(caller: Caller, program: Installed) -> None:
    script = "import hardbox; hardbox.run(['cat'], input='text', capture=True)"
    done = caller.run(program.python, "-c", script)
    assert done.returncode == 1
    assert "input= takes bytes" in done.stderr


def test_a_page_does_not_replace_its_report(caller: Caller, program: Installed, place: str) -> None:
    report = f"{place}/r.json"
    faults.ran(caller.run(program.hardbox, "run", "--report", report, "--", "true"))
    faults.refusal(caller.run(program.hardbox, "report", report, "--html", report), "HB002")
    faults.ran(caller.run(program.hardbox, "report", report))
