"""Where a launch may be told to wait for its job.  Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

LAUNCH: Final = (
    'exec 5<"$1" 6>"$2" 7</dev/null; exec "$0" --plan-fd 5 --status-fd 6 --hold-fd 7 --hold-at "$3"'
)


@pytest.mark.parametrize("at", ["1", "100000", "last"])
def test_a_place_that_the_plan_does_not_come_to_runs_nothing(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str, at: str
) -> None:
    """The control: without a place the plan runs its own command."""
    plan, ran = f"{place}/p.plan", "ran\n"
    said = faults.ran(hardbox("compile", "-o", plan, "--", "echo", "ran"))
    assert faults.ran(caller.run(program.launch, plan)) == ran
    number = said.partition(": ")[2].split()[0] if at == "last" else at
    done = caller.run("bash", "-c", LAUNCH, program.launch, plan, f"{place}/status", number)
    assert (done.returncode, done.stdout) == (125, "")
    assert "no such step to wait behind" in done.stderr
    assert done.stderr.endswith("nothing was run\n")
