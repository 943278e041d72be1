"""The floor of every filter: what no filter file can allow, shipped or not.

Run by: filters/__init__.py on a cache miss; data and pure functions. Other walls and limits rest on it, so
it does not depend on the names of groups in a file. A file that allows one of these calls by name
is an error; rows of arguments are refused before anything else is asked. io_uring is not here: a
profile may add it with a reason, and its operations are seen by no filter.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hardbox.errors import ProfileError
from hardbox.filters.model import WORD, Compare, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardbox.filters.model import Rules

_MOUNTS: Final = "the job's view of files is final, and mounting is how it would be changed"
_POINTER: Final = "its flags or mode stand behind a pointer, which a filter cannot follow"
# Call -> why it is refused whatever its arguments are; with the file's own error, or ENOSYS.
CALLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "clone3": _POINTER,
        "openat2": _POINTER,
        "setns": "joining another namespace is what the sandbox exists to prevent",
        "sched_setaffinity": "limits.cpu hangs on it",
        **dict.fromkeys(
            (
                *("mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr"),
                *("move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
            ),
            _MOUNTS,
        ),
    }
)

_SET_ID_BITS: Final = (0o4000, 0o2000)
# Call -> which argument is its mode.
_MODES: Final = (
    *(("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2)),
    *(("creat", 1), ("mknod", 1), ("mknodat", 2)),
)
# Call -> arguments of flags and mode; the mode is read with O_CREAT or __O_TMPFILE only.
_OPENS: Final = (("open", 1, 2), ("openat", 2, 3))
_CREATES: Final = (0x40, 0x400000)
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_NAMESPACES: Final = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_NEWTIME: Final = 0x80  # for unshare only: to clone it is part of a signal number
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


def _bit(call: str, arg: int, bit: int) -> Row:
    return Row(call, (Compare(arg, bit, bit),))


# Why -> rows that are refused with EPERM.
ROWS: Final[Mapping[str, tuple[Row, ...]]] = MappingProxyType(
    {
        "a file with a set-user-ID or set-group-ID bit would carry privilege to the host": (
            *(_bit(call, arg, bit) for call, arg in _MODES for bit in _SET_ID_BITS),
            *(
                Row(call, (Compare(flags, creates, creates), Compare(mode, bit, bit)))
                for call, flags, mode in _OPENS
                for creates in _CREATES
                for bit in _SET_ID_BITS
            ),
        ),
        "what is typed or pasted into the caller's terminal is executed outside": (
            Row("ioctl", (Compare(1, WORD, _TIOCSTI),)),
            Row("ioctl", (Compare(1, WORD, _TIOCLINUX),)),
        ),
        "a new namespace gives capabilities in it, and the kernel code behind them": (
            *(_bit(call, 0, flag) for call in ("clone", "unshare") for flag in _NAMESPACES),
            _bit("unshare", 0, _NEWTIME),
        ),
    }
)
# Asked for by filesystem.exec = "shown", under any filter.
MEMFD: Final = Row("memfd_create")
# Under a filter that tells: of two listeners the kernel asks the newer one, which could let through
# what this filter refuses. It knows only one (EBUSY), as long as ours is open; here it is for good.
LISTENER: Final = Row("seccomp", (Compare(1, 8, 8),))


def put_under(rules: Rules, source: str, *, memfd: bool, tells: bool = False) -> Rules:
    """Give the rules with the floor below them.

    memfd: refuse memory files too.
    tells: the supervisor listens; refuse listeners of the job's own.
    Raises ProfileError HB462 if the rules allow what the floor refuses.
    """
    rows = tuple(row for some in ROWS.values() for row in some)
    for what, why in _conflicts(rules):
        raise ProfileError(
            "HB462",
            f"the filter allows {what}, which no filter may",
            value=what,
            origin=source,
            why=why,
            instead="take it out of the filter",
        )
    asked = (*((MEMFD,) if memfd else ()), *((LISTENER,) if tells else ()))
    return replace(rules, refuse_when=tuple(dict.fromkeys((*rules.refuse_when, *rows, *asked))))


def _conflicts(rules: Rules) -> Iterator[tuple[str, str]]:
    gone = {row.call for row in rules.refuse_when if not row.tests}
    for call in sorted({*rules.allow, *(row.call for row in rules.allow_when)} & CALLS.keys() - gone):
        yield call, CALLS[call]
    for why, rows in ROWS.items():
        for row in rules.allow_when:
            if any(_implies(row, refused) for refused in rows):
                yield f"{row.call} with arguments that are refused", why


def _implies(row: Row, refused: Row) -> bool:
    """Whether everything that a row matches is refused by the other one."""
    return row.call == refused.call and all(
        any(
            test.arg == wanted.arg
            and test.mask & wanted.mask == wanted.mask
            and test.value & wanted.mask == wanted.value
            for test in row.tests
        )
        for wanted in refused.tests
    )
