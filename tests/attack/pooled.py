"""`hardbox verify` with its sandboxes launched as members of a pool are.

Run by: the caller's interpreter, from tests/attack/test_pool.py: `last` or `open` (the hold point), then
words of `hardbox verify`. What judges is what judges without a pool.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from hardbox.cli import verify
from hardbox.engines.member import Member
from hardbox.engines.namespaces import Streams
from hardbox.plan import steps
from hardbox.pool import decision
from hardbox.runs import Prepared
from hardbox.verify import engine

if TYPE_CHECKING:
    from hardbox.plan import LaunchPlan
    from hardbox.verify.engine import Boxed
    from hardbox.verify.runner import Around


class Handed:
    """What verify's engine uses of a process, for a member that has a job."""

    def __init__(self, member: Member, stdout: int) -> None:
        self._member = member
        self.pid = member.pid
        self.stdout = os.fdopen(stdout)
        self.returncode: int | None = None

    def wait(self) -> int:
        self.returncode = self._member.close()
        return self.returncode

    def kill(self) -> None:
        self._member.cancel()


def feed(end: int, text: str) -> None:
    with os.fdopen(end, "w") as file:
        file.write(text)


def start(self: Boxed, plan: LaunchPlan, around: Around, given: str) -> None:
    """Stand in for Boxed._start."""
    policy = self.policy  # type: ignore[attr-defined]  # noted below
    taken = decision.kind_of(Prepared(policy, plan, {}))
    argv = [step.value for step in plan.steps if isinstance(step, steps.Arg)]
    workdir = next(step.path for step in plan.steps if isinstance(step, steps.Chdir))
    base = taken.template.filled(("true",), "/")
    binds = (*policy.filesystem.read, *policy.filesystem.write)
    own = [*(bind.dest for bind in binds), *policy.filesystem.scratch]
    at = decision.hold_point(base, own) if sys.argv[1] == "open" else 0
    member = Member(base, at)
    assert member.ready(60), member.trouble()
    environment = dict(around.environment)
    theirs = decision.spoken_out(plan, environment) if at else None
    content = theirs.encode() if theirs else taken.content(argv, workdir, environment)
    (stdin, feeding), (reading, stdout) = os.pipe(), os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    assert member.hand(plan, theirs, content, Streams(stdin, stdout, null), samples=False)
    for end in (stdin, stdout, null):
        os.close(end)
    threading.Thread(target=feed, args=(feeding, given), daemon=True).start()
    self.process = Handed(member, reading)  # type: ignore[assignment]
    self._status = os.dup(member._status)  # noqa: SLF001 (for Boxed.end)
    self._said = [*member._early]  # noqa: SLF001 (as above)
    HANDED.append(member.pid)


HANDED: list[int] = []
made = engine.Boxed.__init__


def noted(self: Boxed, plan: LaunchPlan, policy: object, around: Around, given: str = "") -> None:
    self.policy = policy  # type: ignore[attr-defined]
    made(self, plan, policy, around, given)  # type: ignore[arg-type]


engine.Boxed.__init__ = noted  # type: ignore[method-assign]
engine.Boxed._start = start  # type: ignore[method-assign]  # noqa: SLF001 (as above)
if __name__ == "__main__":
    status = verify.main(sys.argv[2:])
    print(f"members {len(HANDED)}", file=sys.stderr)
    sys.exit(status)
