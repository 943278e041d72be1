"""HostFacts: what is possible here, as a frozen value.

Run by: the Python front. `read_facts()` only reads (a few hundred microseconds, used
by every run); really trying things in a child is `probe.py`, for `hardbox doctor`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class IdRange:
    """A run of subordinate ids: first host id and how many (subuid(5))."""

    start: int
    count: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The facts that a plan depends on; tests make their own.

    uid, gid, groups: of the caller (effective).
    user_name:        login name, "" if the uid has none.
    kernel, machine:  uname release and machine ("x86_64").
    last_cap:         highest capability number of this kernel (/proc/sys/kernel/cap_last_cap).
    landlock_abi:     0 if there is no Landlock, else its ABI (landlock_create_ruleset(2)).
    cpus:             CPU numbers that the caller may run on.
    subuid, subgid:   the caller's (for root: user "hardbox"'s) ranges, read separately.
    newuidmap, newgidmap: absolute paths, "" where not installed.
    proc_entries:     names in /proc that are not process ids.
    root_links:       top-level symlinks of the host, "/bin" -> "usr/bin".
    root_dirs:        top-level directories of the host, "/usr"...
    cgroup_namespaces: CLONE_NEWCGROUP exists here.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    user_name: str = ""
    kernel: str = ""
    machine: str = "x86_64"
    last_cap: int = 40
    landlock_abi: int = 0
    cpus: tuple[int, ...] = (0,)
    subuid: tuple[IdRange, ...] = ()
    subgid: tuple[IdRange, ...] = ()
    newuidmap: str = ""
    newgidmap: str = ""
    proc_entries: frozenset[str] = frozenset()
    root_links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    root_dirs: frozenset[str] = frozenset()
    cgroup_namespaces: bool = True
