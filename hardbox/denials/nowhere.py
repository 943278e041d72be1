"""Programs and shared libraries that were looked for and found nowhere.

Run by: denials/seen.py; pure. The launcher has taken out what was found in another directory later
(launch/missing.c), and what the caller sees on the host is told as not shown.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from hardbox.denials.denial import POSSIBLE, Denial
from hardbox.denials.paste import pasteable

if TYPE_CHECKING:
    from collections.abc import Collection

    from hardbox.denials.seen import Seen

WHERE: Final = "missing everywhere, on the host too"
# Before the exec: hardbox itself says that there is no such command.
_BEFORE: Final = ("hardbox-init", "hardbox-launch")
# What programs look for beside themselves, or by habit, and do without.
_HABITS: Final = frozenset(("pyvenv.cfg", "pybuilddir.txt", "lesspipe", "dircolors", "editor", "pager"))
# Who looks before it executes, and means it; compilers and the like look for what they can do without.
_SHELLS: Final = ("ash", "bash", "busybox", "dash", "fish", "ksh", "mksh", "sh", "zsh")
_PLUGINS: Final = ("libnss_", "libgconv")


def nowhere(row: Seen, call: str, hidden: Collection[str]) -> Denial | None:
    """Say that something was missing.

    call:   open(2) and its like is a library's loader's; others are for a program.
    hidden: names that were found on the host, in a place that is not shown.
    """
    folder, name = os.path.split(row.text)
    if row.comm in _BEFORE or name in _HABITS or name.startswith(_PLUGINS) or name in hidden:
        return None
    if not call.startswith(("open", "exec")) and not _shell(row.comm):
        return None
    what = f"reading of {name} (ENOENT)" if call.startswith("open") else f"execution of {name} (ENOENT)"
    why = f"it was in none of the places that were looked in, of which {folder} was the last"
    named = pasteable(name) or "it"
    allow = f"install the package that has {named}, or show the directory that it is in: --read DIR"
    return Denial("file", what, row.count, row.comm, WHERE, why, allow, "", POSSIBLE)


def _shell(comm: str) -> bool:
    """Whether a process is a shell, or a script that is named as one."""
    return comm in _SHELLS or comm.endswith(".sh")
