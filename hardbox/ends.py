"""How a job ends where its status alone does not say it, in words: the one table of them in Python.

Run by: cli/ended.py, view/run.py; data only. launch/outcome.c says the same where there is no Python
(tests/unit/test_ends.py compares them).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

LOST: Final = "the sandbox was killed from outside"
# What a signal says about a limit, or about who sent it.
SIGNALS: Final = MappingProxyType(
    {
        "SIGXFSZ": "a file grew beyond limits.file_size",
        "SIGSYS": "a call of another architecture (i386, x32), or a filter of its own",
        "SIGXCPU": "a process used more CPU time than limits.cpu_time",
        "SIGKILL": "by itself, by limits.memory, for lack of memory on the host, or after limits.cpu_time of"
        " CPU time",
    }
)
# Limit of a report -> what is said of it.
LIMITS: Final = MappingProxyType(
    {
        "wall": "ended by its wall time limit after {seconds:.1f} s",
        "output": "ended by its output limit after {seconds:.1f} s",
        "memory": "ended by its memory limit of {size} ({means})",
        "file_size": f"ended by SIGXFSZ: {SIGNALS['SIGXFSZ']}",
        "cpu_time": "ended by a signal, after the CPU time that limits.cpu_time gives a process",
    }
)
SIGSYS: Final = f"ended by SIGSYS: {SIGNALS['SIGSYS']}"
