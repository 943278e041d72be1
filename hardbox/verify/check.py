"""One attack as data, and how its outcome is judged.

Run by: verify/examine.py and the attack tests; pure. The same judge looks at the control: an
attempt whose outcome outside would not be called an escape cannot show anything, and is vacuous.
"""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox.verify.promise import PERMITS, filter_allows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hardbox.verify.promise import Promise

WORKED: Final = "worked"
HELD, ALLOWED, VACUOUS, ESCAPED = "held", "allowed", "vacuous", "escaped"
VERDICTS: Final = (HELD, ALLOWED, VACUOUS, ESCAPED)
# Where a control runs: as the caller; as the caller, root in namespaces of its own; as root.
CALLER, THROWAWAY, ROOT = "caller", "throwaway", "root"
NEEDS_ROOT: Final = "the control needs root"
# A defect of the corpus: the tests fail on it.
NO_KNOWN_REASON: Final = "NO KNOWN REASON"

FILTERED: Final = frozenset({"EPERM", "ENOSYS", "SIGSYS"})
HIDDEN: Final = frozenset({"ENOENT", "EACCES", "ENOTDIR"})
EMPTY: Final = HIDDEN | {"ENODATA"}
SHUT: Final = HIDDEN | {"EROFS", "EPERM"}
# Section of the catalogue -> class, as --class takes it, and its title.
CLASSES: Final = {
    "A": ("fs", "files"),
    "B": ("proc", "/proc and /sys"),
    "C": ("dev", "devices"),
    "D": ("fd", "descriptors"),
    "E": ("process", "processes"),
    "F": ("ipc", "IPC and keyrings"),
    "G": ("uts", "host name and time"),
    "H": ("net", "network"),
    "I": ("ids", "user namespace, ids"),
    "J": ("caps", "capabilities"),
    "K": ("seccomp", "system calls"),
    "L": ("tty", "terminal"),
    "M": ("mount", "mounts"),
    "N": ("resource", "resources"),
    "O": ("exec", "environment, exec"),
    "P": ("policy", "policy"),
    "W": ("host", "watched from outside"),
    "X": ("posture", "posture of a running job"),
}
TITLES: Final = dict(CLASSES.values())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to.

    word: "worked", the name of an errno ("EPERM"), or of a signal ("SIGSYS").
    text: what the attempt printed.
    """

    word: str
    text: str = ""

    @staticmethod
    def of(number: int, signal_number: int, text: str) -> Outcome:
        """Make an outcome from what the probe reports."""
        if signal_number:
            return Outcome(signal.Signals(signal_number).name, text)
        return Outcome(WORKED if number == 0 else errno.errorcode.get(number, str(number)), text)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the host looks like, for judging what an attempt saw.

    places:     name -> path or number, for {name} in an attempt.
    namespaces: "user:[4026531837]" and so on, of the caller.
    host_name:  of the machine.
    uid, gid:   of the caller.
    """

    places: Mapping[str, str] = field(default_factory=dict)
    namespaces: frozenset[str] = frozenset()
    host_name: str = ""
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One attack.

    id:       "K7-unshare-user": section and row of the catalogue, then the spelling.
    what:     the attempt in words.
    attempt:  words for the probe; {name} is a place, "@mount" a system call's number.
    refused:  outcomes that hold; anything else is an escape, unless `saw` finds it harmless.
    source:   CVE, standard item or test suite that the idea comes from.
    saw:      judges what a working attempt printed: "" if harmless, else what it gave away.
    control:  where the control may run; the first that is live counts.
    outside:  other words for the control, where the attempt itself would do harm there.
    vacuous:  why the control cannot be live on some machines; "" if it always must be.
    permit:   name of what a looser profile may allow (promise.py); "" for nothing.
    """

    id: str
    what: str
    attempt: tuple[str, ...]
    refused: frozenset[str]
    source: str
    saw: Callable[[str, Facts], str] | None = None
    control: tuple[str, ...] = (CALLER, THROWAWAY, ROOT)
    outside: tuple[str, ...] = ()
    vacuous: str = ""
    permit: str = ""

    @property
    def section(self) -> str:
        """The letter of the catalogue's section."""
        return self.id[0]

    @property
    def group(self) -> str:
        """The class, as --class takes it."""
        return CLASSES[self.section][0]

    @property
    def expects(self) -> str:
        """What must come out inside."""
        parts = [f"refused: {', '.join(sorted(self.refused))}"] if self.refused else []
        parts += ["shows nothing of the host, and no more than was granted"] if self.saw else []
        return "; or it ".join(parts)

    @property
    def observed(self) -> str:
        """How it is seen."""
        how = "what it printed, judged outside" if self.saw else "its errno or signal, by the parent process"
        return how + "; canaries outside"


def escape(check: Check, outcome: Outcome, facts: Facts) -> str:
    """Say what an outcome gave away; "" if the attack was held."""
    if outcome.word in check.refused:
        return ""
    if check.saw is not None and outcome.word == WORKED:
        return check.saw(outcome.text, facts)
    return f"{outcome.word}: {outcome.text.strip()[:200]}".rstrip(": ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of VERDICTS, and why."""

    word: str
    reason: str = ""


def judge(
    check: Check,
    controls: Mapping[str, Outcome],
    inside: Outcome,
    outside_facts: Facts,
    facts: Facts,
    promise: Promise | None = None,
) -> Verdict:
    """Judge one attack by its controls and its outcome inside.

    promise: what the profile allows; None: nothing that is an escape under any profile.
    """
    gave = escape(check, inside, facts)
    if gave:
        allowed = "" if promise is None else _allowed(check, promise)
        return Verdict(ALLOWED, allowed) if allowed else Verdict(ESCAPED, gave)
    live = live_control(check, controls, outside_facts)
    if live:
        return Verdict(HELD, f"{inside.word} (outside, as {live}: {controls[live].word})")
    seen = ", ".join(f"{where} {outcome.word}" for where, outcome in controls.items())
    needs_root = ROOT in check.control and ROOT not in controls
    why = check.vacuous or (NEEDS_ROOT if needs_root else NO_KNOWN_REASON)
    return Verdict(VACUOUS, f"{why} (controls: {seen or 'none possible'})")


def _allowed(check: Check, promise: Promise) -> str:
    if check.permit:
        return PERMITS[check.permit](promise)
    # A file's own protection is never the filter's matter.
    if check.refused.isdisjoint(HIDDEN - {"EACCES"}) and "EROFS" not in check.refused:
        return filter_allows(check.attempt, promise)
    return ""


def live_control(check: Check, controls: Mapping[str, Outcome], outside_facts: Facts) -> str:
    """Name the first place where the attempt is an escape; "" if there is none."""
    for where in check.control:
        if where in controls and escape(check, controls[where], outside_facts):
            return where
    return ""
