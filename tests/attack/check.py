"""One attack as data, and how its outcome is judged.

Run by: the attack tests; pure. The same judge looks at the control: an attempt whose outcome
outside would not be called an escape cannot show anything, and is vacuous.
"""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WORKED: Final = "worked"
# Where a control runs: as the caller; as the caller, root in namespaces of its own; as root.
CALLER, THROWAWAY, ROOT = "caller", "throwaway", "root"

FILTERED: Final = frozenset({"EPERM", "ENOSYS", "SIGSYS"})
HIDDEN: Final = frozenset({"ENOENT", "EACCES", "ENOTDIR"})
EMPTY: Final = HIDDEN | {"ENODATA"}
SHUT: Final = HIDDEN | {"EROFS", "EPERM"}


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

    @property
    def section(self) -> str:
        """The letter of the catalogue's section."""
        return self.id[0]


def escape(check: Check, outcome: Outcome, facts: Facts) -> str:
    """Say what an outcome gave away; "" if the attack was held."""
    if outcome.word in check.refused:
        return ""
    if check.saw is not None and outcome.word == WORKED:
        return check.saw(outcome.text, facts)
    return f"{outcome.word}: {outcome.text.strip()[:200]}".rstrip(": ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """held, vacuous or escaped, and why."""

    word: str
    reason: str = ""


def judge(
    check: Check, controls: Mapping[str, Outcome], inside: Outcome, outside_facts: Facts, facts: Facts
) -> Verdict:
    """Judge one attack by its controls and its outcome inside."""
    gave = escape(check, inside, facts)
    if gave:
        return Verdict("escaped", gave)
    live = live_control(check, controls, outside_facts)
    if live:
        return Verdict("held", f"{inside.word} (outside, as {live}: {controls[live].word})")
    seen = ", ".join(f"{where} {outcome.word}" for where, outcome in controls.items())
    return Verdict("vacuous", f"{check.vacuous or 'NO KNOWN REASON'} (controls: {seen or 'none possible'})")


def live_control(check: Check, controls: Mapping[str, Outcome], outside_facts: Facts) -> str:
    """Name the first place where the attempt is an escape; "" if there is none."""
    for where in check.control:
        if where in controls and escape(check, controls[where], outside_facts):
            return where
    return ""
