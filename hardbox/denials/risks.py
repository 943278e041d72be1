"""How risky it is to allow what a group of a filter refuses, and why.

Run by: denials/__init__.py; data only. "low": the job harms at most itself and the limits still hold;
"medium": it learns or reaches more than it was given; "high": kernel code opens up that attackers
look for, or another wall of hardbox no longer sees what the job does.
"""

from __future__ import annotations

from typing import Final

RISKS: Final = {
    "io-uring": "high: its operations pass by every filter, and its kernel code has a history of bugs",
    "tracing": "medium: processes of the sandbox can read and change one another",
    "profiling": "high: tells about other processes, and its kernel code has a history of bugs",
    "sysv-ipc": "low: shared memory and semaphores that no limit of the job counts",
    "watching": "low: tells which files of /usr the host opens; instances are counted per host user",
    "page-cache": "low: tells what other programs read lately",
    "filters": "medium: a filter of the job's own could hide from a supervisor what it does",
    "kernel-aio": "medium: kernel code with a history of bugs",
    "whole-disks": "low: flushing stalls everybody on the disk",
    "wx-memory": "medium: injected code needs memory that is writable and executable at once",
    "memfd": "medium: a memory file can be executed without ever having a path",
    "socket-families": "high: rare families are where kernel bugs are, and some ignore namespaces",
    "socket-protocols": "high: the kernel loads their modules on request, and they are where kernel bugs are",
    "kernel-code": "high: programs and faults inside the kernel",
    "keyrings": "high: kernel keyrings are only partly namespaced",
    "handles": "high: file handles walk past every directory permission",
    "administration": "high: administers the machine",
    "descriptors-of-others": "medium: takes descriptors out of other processes of the sandbox",
    "placement": "low: takes CPU time from others, within limits.cpu",
    "secret-memory": "medium: memory that the kernel itself cannot look into",
    "borrowed-pages": "medium: rarely used kernel code, often broken",
    "newer-mounts": "medium: tells about mounts",
    "newer-attributes": "low: nobody has looked at these calls yet",
    "ioctl": "high: drivers are the largest part of the kernel",
    "prctl": "medium: depends on the request",
    "personality": "medium: switches address randomisation off",
}
UNKNOWN: Final = "medium: nobody has judged it for this project"
FILTER: Final = "medium: everything else that the wider filter allows comes with it"
REFUSED: Final = "medium: the profile refuses the group on purpose"
EXEC: Final = "medium: what the job writes or downloads can then be executed"
