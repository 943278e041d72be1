"""Each newer system call, and each option of prctl(2), does not exist: an older kernel.

Run by: pytest. Then hardbox refuses, saying which call is missing and since when it exists; or
the job runs, and the report's `enforced` and all that the job sees of its walls are as ever.
The front and the launcher lack the call; the job has it again, or it could not show its walls.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from support import faults

from faults import trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.trace import Ground, Trace

# Numbers of asm/unistd_64.h, and the Linux that brought them.
CALLS: Final = {
    "seccomp (3.17)": 317,
    "execveat (3.19)": 322,
    "statx (4.11)": 332,
    "pidfd_send_signal (5.1)": 424,
    "open_tree (5.2)": 428,
    "move_mount (5.2)": 429,
    "fsopen (5.2)": 430,
    "fsconfig (5.2)": 431,
    "fsmount (5.2)": 432,
    "pidfd_open (5.3)": 434,
    "clone3 (5.3)": 435,
    "close_range (5.9)": 436,
    "openat2 (5.6)": 437,
    "pidfd_getfd (5.6)": 438,
    "faccessat2 (5.8)": 439,
    "mount_setattr (5.12)": 442,
    "landlock_create_ruleset (5.13)": 444,
    "landlock_add_rule (5.13)": 445,
    "landlock_restrict_self (5.13)": 446,
    "keyctl (CONFIG_KEYS)": 250,
    "prlimit64 (2.6.36)": 302,
    "signalfd4 (2.6.27)": 289,
}
# Options of prctl(2), which an older kernel answers with EINVAL (linux/prctl.h).
PRCTL: Final = 157
OPTIONS: Final = {
    "PR_SET_PDEATHSIG": 1,
    "PR_SET_DUMPABLE": 4,
    "PR_SET_NAME": 15,
    "PR_CAPBSET_DROP": 24,
    "PR_SET_SECUREBITS": 28,
    "PR_SET_TIMERSLACK": 29,
    "PR_SET_NO_NEW_PRIVS": 38,
    "PR_CAP_AMBIENT": 47,
}
# Without these hardbox has to refuse: a wall, or the way to build one, is missing.
NEEDED: Final = frozenset(
    (
        *("seccomp", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "clone3", "close_range"),
        *("openat2", "mount_setattr", "landlock_create_ruleset", "landlock_add_rule"),
        *("landlock_restrict_self", "keyctl", "PR_SET_PDEATHSIG", "PR_SET_DUMPABLE", "PR_CAPBSET_DROP"),
        *("PR_SET_SECUREBITS", "PR_SET_NO_NEW_PRIVS", "PR_CAP_AMBIENT"),
    )
)
# Where the launcher's set-up fails outside of a step, its own words have to do.
CLEAR: Final = ("why      ", "instead  ")


def front(ground: Ground, report: str) -> tuple[str, ...]:
    """Give the words that run the look through the front, with a report."""
    run = (ground.program.hardbox, "run", "--write", f"{ground.work}:/w", "--report", report, "--")
    return ("env", "HARDBOX_NO_CACHE=1", *run, "sh", "-c", trace.LOOK)


def enforced(report: str) -> object:
    """Read `enforced` of a report, and forget the report; ids of a lease differ between runs."""
    found = faults.read_json(report)["enforced"]
    os.unlink(report)
    assert isinstance(found, dict)
    return {
        key: [[row[0], row[2]] for row in value] if key.endswith("_map") else value
        for key, value in found.items()
    }


def verdict(ground: Ground, name: str, report: str, good: tuple[object, str], seen: Trace) -> str:
    """Say what is wrong with a run on an older kernel; "" if nothing is."""
    ran = ground.canary()
    if seen.returncode == 0:
        if name in NEEDED and seen.done:
            return "ran without it"
        said = trace.walls(seen.stdout + seen.stderr)
        if not ran or said != good[1]:
            return f"ran with other walls: {[x for x in good[1].splitlines() if x not in said][:5]}"
        return "" if enforced(report) == good[0] else "another `enforced` in the report"
    if os.path.exists(report):
        os.unlink(report)
    if seen.returncode != 125 or ran or seen.stdout:
        return f"status {seen.returncode}, ran: {ran}: {seen.stderr[:300]}"
    if not faults.FORM.fullmatch(seen.stderr):
        return f"of no form: {seen.stderr!r}"
    missing = [word for word in CLEAR if word not in seen.stderr]
    return f"without {missing}: {seen.stderr!r}" if missing else ""


def test_without_each_newer_call(ground: Ground, count: Callable[[str], None]) -> None:
    report = os.path.join(ground.work, "..", "log.json")
    report = os.path.normpath(report)
    usual = ground.trace("look", command=front(ground, report))
    assert usual.returncode == 0, usual.stderr
    assert ground.canary()
    good = (enforced(report), trace.walls(usual.stdout + usual.stderr))
    wrong, refused, ran = [], 0, 0
    faulty = {name: (str(call), "any", errno.ENOSYS) for name, call in CALLS.items()}
    faulty |= {name: (str(PRCTL), str(option), errno.EINVAL) for name, option in OPTIONS.items()}
    for name, (call, first, error) in faulty.items():
        seen = ground.trace("without", call, first, str(error), command=front(ground, report))
        refused += seen.returncode == 125
        ran += seen.returncode == 0
        word = name.partition(" ")[0]
        problem = verdict(ground, word, report, good, seen)
        if word in NEEDED and not seen.done:
            problem = problem or "never called: is the number right?"
        if problem:
            wrong.append(f"{name}: {problem}")
    count(f"{len(faulty)} older kernels: {refused} refused, {ran} ran with the same walls")
    assert not wrong, "\n".join(wrong)
    assert refused >= len(NEEDED)


def test_an_end_without_pidfds(ground: Ground) -> None:
    """The launcher ends a job by pidfd_send_signal(2); a container's filter may not know it."""
    limits = ("--set", "limits.wall=1s", "--set", "limits.grace=1s")
    stubborn = "trap '' TERM; echo ran >/w/canary; sleep 60"
    run = (ground.program.hardbox, "run", *limits, "--write", f"{ground.work}:/w", "--", "sh", "-c", stubborn)
    seen = ground.trace(
        "without", str(CALLS["pidfd_send_signal (5.1)"]), "any", str(errno.ENOSYS), command=run
    )
    assert seen.done, "the call was made, and failed"
    assert seen.returncode == 124, seen.stderr
    assert ground.canary()
