"""Check: one requirement, what was found, and the narrowest fix.

Run by: every file of hardbox/probe, and `hardbox doctor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.host import read_bytes

if TYPE_CHECKING:
    from hardbox.host import HostFacts

APPARMOR: Final = "apparmor"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one probe.

    name:     stable, for scripts: "user-namespaces".
    ok:       True, False, or None: for information, there is nothing to demand.
    found:    what was found here, one clause.
    why:      what hardbox needs it for.
    fix:      the narrowest fix, possibly of several lines; "" where there is nothing to mend.
    required: without it the shipped profiles do not run.
    blocker:  which known obstacle it was, "" if none or unknown.
    """

    name: str
    ok: bool | None
    found: str
    why: str
    fix: str = ""
    required: bool = False
    blocker: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """What a probe looks at: the facts, and the root of the files that it reads.

    root:     stands for "/" where files are read; tests use it.
    launcher: path of hardbox-launch, "" if it is not installed.
    """

    facts: HostFacts
    root: str = ""
    launcher: str = ""

    def text(self, path: str) -> str:
        """Give a file's text without surrounding space, "" if it cannot be read."""
        return read_bytes(self.root + path).decode("utf-8", "replace").strip()
