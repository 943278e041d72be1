"""D: descriptors that lead out.

Run by: hardbox/verify/corpus/__init__.py; data only. What the caller holds is test_descriptors.py's.
"""

from __future__ import annotations

from typing import Final

from hardbox.verify.check import HIDDEN, SHUT, THROWAWAY, Check

_FIRST, _LAST = 3, 20

CHECKS: Final = (
    *(
        Check(
            f"D3-climb-{number}",
            f"climb out of the root through descriptor {number}, were it a directory",
            ("read", f"/proc/self/fd/{number}/../../../../../../..{{secret_tmp}}"),
            HIDDEN,
            "CVE-2024-21626",
            outside=("read", "/proc/self/cwd/../../../../../../..{secret_tmp}"),
        )
        for number in range(_FIRST, _LAST)
    ),
    *(
        Check(
            f"D1-init-fd-{number}",
            f"what descriptor {number} of init is",
            ("open", f"/proc/1/fd/{number}", "rd"),
            SHUT,
            "minijail test_minijail_no_fd_leaks",
            # The namespace's first process is the caller's own program there.
            control=(THROWAWAY,),
            outside=("open", "/proc/1/fd/0", "path"),
        )
        for number in (0, 1, 2, 3, 4, 5, 10)
    ),
    Check(
        "D8-chmod-stdout",
        "change the mode of what stands on descriptor 1, as a set-user-ID file",
        ("sys", "@fchmod", "1", "06777"),
        frozenset({"EPERM", "EACCES", "ENOSYS"}),
        "gVisor TestStdiosChown",
    ),
    Check(
        "D8-chown-stdout",
        "give what stands on descriptor 1 to another",
        ("sys", "@fchown", "1", "0", "0"),
        frozenset({"EPERM", "EACCES", "EINVAL", "ENOSYS"}),
        "runc TestSTDIOPermissions",
    ),
)
