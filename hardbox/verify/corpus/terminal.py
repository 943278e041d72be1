"""L: the terminal that the sandbox was started from; it stands on descriptor 2 of the launcher.

Run by: hardbox/verify/corpus/__init__.py; data only. The controls work on a terminal of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, FILTERED, HIDDEN, ROOT, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

_NOT_OURS: Final = FILTERED | {"ENOTTY", "EACCES", "EIO", "ENXIO"}


def of_the_caller(text: str, facts: Facts) -> str:
    """Find no harm in what is done to a terminal of the sandbox's own, which is of another devpts."""
    found = text.strip().removeprefix("device ")
    own = found.isdigit() and found != facts.places.get("pts_device")
    return "" if own else f"the caller's terminal, {text.strip()}"


_ACTS: Final = (
    ("L1", "inject", "type into it, for the caller's shell to read", "CVE-2017-5226", ""),
    ("L1", "inject-high", "the same with rubbish in the command's upper half", "CVE-2019-10063", ""),
    ("L1", "inject-reopened", "the same through /proc/self/fd", "CVE-2017-5226", ""),
    ("L3", "paste", "paste into it as a console", "CVE-2023-28100", "only a virtual console takes it"),
    ("L2", "discipline", "change its line discipline", "evalbox", ""),
    ("L2", "console", "take the console's output", "tty_ioctl(4)", "the control needs root"),
    ("L2", "control", "become the one whom it controls", "bubblewrap --new-session", ""),
    ("L2", "steal", "steal it from the session that it controls", "bubblewrap --new-session", ""),
    ("E13", "foreground", "become its foreground group", "bubblewrap; nsjail skip_setsid", ""),
    ("L2", "open-controlling", "open /dev/tty", "sandlock test_tty.rs", ""),
    ("L5", "set-uid", "make it a set-user-ID file", "gVisor TestStdiosChown", ""),
    ("L6", "look", "have it on descriptor 2", "docker run -t; nsjail", ""),
    ("L6", "modes", "change its modes", "runc TestSTDIOPermissions", ""),
    ("L6", "size", "change its size", "tty_ioctl(4)", ""),
)

CHECKS: Final = (
    Check(
        "L5-chmod",
        "the caller's terminal: open it to everybody",
        ("tty", "chmod", "2"),
        _NOT_OURS,
        "gVisor TestStdiosChown; runc TestSTDIOPermissions",
        saw=of_the_caller,
        control=(CALLER,),
    ),
    *(
        Check(
            f"{row}-{name}",
            f"the caller's terminal: {what}",
            ("tty", name, "2"),
            _NOT_OURS,
            source,
            saw=of_the_caller,
            control=(CALLER, ROOT),
            # This one is done to the terminal that is watched, which shows that the watch is awake.
            outside=("tty", name, "2") if name == "set-uid" else ("own-tty", name),
            vacuous=vacuous,
        )
        for row, name, what, source, vacuous in _ACTS
    ),
    *(
        Check(
            f"L1-{around}-inject",
            f"type into the caller's terminal, {around}",
            (around, "tty", "inject", "2"),
            _NOT_OURS,
            "CVE-2017-5226",
            saw=of_the_caller,
            control=(CALLER,),
            outside=("own-tty", "inject"),
        )
        for around in ("thread", "grandchild", "after-exec", "twice")
    ),
    Check(
        "L5-name",
        "open the caller's terminal by its name",
        ("tty-name", "{pts}"),
        HIDDEN | {"EIO"},
        "crun test_tty.py",
        saw=of_the_caller,
        control=(CALLER, ROOT),
    ),
)
