"""K19: every system call number, compared with what the profile's filter says.

Run by: pytest. The probe calls each number with arguments of all ones; the model in
hardbox/filters/model.py, which docs/filters.md states, says what must come back.
"""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING, Final

import hardbox
from attack import batch
from attack.numbers import names, number
from hardbox import filters
from hardbox.filters.model import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

LAST: Final = 600
ONES: Final = (2**64 - 1,) * 6
# The kernel lets these past every filter (arch_seccomp_ignored() in kernel/seccomp.c): its own
# probes' trampolines call them, and from anywhere else they give SIGILL and ENXIO.
UNFILTERED: Final = {335: (-1, int(signal.SIGILL)), 336: (errno.ENXIO, 0)}
# Calls that end or jump the process that makes them, whatever the filter says.
NO_ANSWER: Final = frozenset({"rt_sigreturn", "exit", "exit_group"})


def _results(text: str) -> dict[int, tuple[int, int]]:
    rows = (tuple(int(word) for word in line.split()) for line in text.splitlines())
    return {call: (result, ended_by) for call, result, ended_by in rows}


def test_sweep(caller: Caller, program: Installed, probes: str, settle: Settle) -> None:
    policy = hardbox.load_profile("strict")
    refuse = ("memfd",) if policy.filesystem.exec == "shown" else ()
    rules = filters.compile_filter(policy.seccomp, refuse=refuse, machine="x86_64").rules
    known = names()
    boxed = caller.run(*batch.sandbox(program, probes), "/probe/probe64", "one", "sweep", "0", str(LAST))
    assert boxed.returncode == 0, boxed.stderr
    inside = _results(boxed.stdout)
    assert sorted(inside) == list(range(LAST + 1))
    wrong = []
    for call, (result, ended_by) in inside.items():
        name = known.get(call, "")
        if name in NO_ANSWER or UNFILTERED.get(call) == (result, ended_by):
            continue
        wanted = answer(rules, name, ONES) if name else errno.ENOSYS
        if ended_by == signal.SIGSYS or (wanted and (result, ended_by) != (wanted, 0)):
            wrong.append(f"{call} {name}: {result}, signal {ended_by}, and the filter says {wanted}")
    # Outside, an unfiltered kernel answers in its own words: a call that is refused by name
    # (umount2 with a bad pointer) gives EFAULT there.
    bare = caller.run(f"{probes}/probe64", "one", "sys", str(number("umount2")), "-1", "-1")
    live = "outside: umount2 is EFAULT" if bare.returncode in (errno.EFAULT, errno.EINVAL) else ""
    settle("K19-sweep", "; ".join(wrong[:20]), live)
