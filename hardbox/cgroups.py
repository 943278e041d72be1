"""Where a cgroup for one sandbox could be made here (cgroups(7)): facts, and nothing is changed.

Run by: host.py, for HostFacts. What is made of it is decided in plan/bounds.py; hardbox-launch makes
the cgroup (launch/cgroup.c).
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hardbox.mountinfo import parse

if TYPE_CHECKING:
    from hardbox.mountinfo import Mount

_MEMORY: Final = "memory"
_CPU: Final = "cpu"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which this caller may make a cgroup whose memory can be limited.

    version:  1 or 2.
    folder:   absolute path.
    delegate: version 2: the memory controller has to be given to the folder's children first.
    swap:     swap space can be limited there.
    cpu:      folder in which CPU bandwidth can be limited: with version 2 the same, with version 1 one of
              its own hierarchy; "" if there is none, or nobody has looked (find_cpu).
    delegate_cpu: version 2: the cpu controller has to be given to the folder's children first.
    bound:    version 2: the least memory.max, in bytes, of the folders between our own cgroup and the place,
              None if none of them has a limit. They do not lie around what is made in the place.
    """

    version: int
    folder: str
    delegate: bool = False
    swap: bool = False
    cpu: str = ""
    delegate_cpu: bool = False
    bound: int | None = None


def find(own: str, mounts: str, root: str = "", uid: int = 0) -> Place | None:
    """Give the best place of this caller, None if there is none.

    own:    the text of /proc/self/cgroup.
    mounts: the text of /proc/self/mountinfo.
    root:   a directory that stands for "/"; tests use it.
    uid:    the caller's; only root is offered the top of a hierarchy.
    """
    hierarchies = _mounted(mounts)
    for hierarchy in hierarchies:
        if hierarchy.kind == "cgroup2" and (place := _second(hierarchy, own, root, uid)):
            most = [_words(root + path) for path in _between(hierarchy, place.folder, own)]
            # "max", and no such file, are no limit.
            return replace(
                place, bound=min((int(word[0]) for word in most if word and word[0].isdigit()), default=None)
            )
    for hierarchy in hierarchies:
        if hierarchy.kind == "cgroup" and _MEMORY in hierarchy.options:
            return _first(hierarchy, own, root)
    return None


def bounds_files(place: str, own: str, mounts: str) -> tuple[str, ...]:
    """Name the files that hold the limits on memory of our own cgroup and those up to a place of version 2.

    place: its folder; own, mounts: see `find`. Empty where the place is our own cgroup.
    """
    second = (hierarchy for hierarchy in _mounted(mounts) if hierarchy.kind == "cgroup2")
    return next((found for hierarchy in second if (found := _between(hierarchy, place, own))), ())


def _between(hierarchy: Mount, place: str, own: str) -> tuple[str, ...]:
    """Name the files of one hierarchy; empty where the place does not lie on our way up."""
    folder = _own_folder(hierarchy, own)
    if not folder or not (folder + "/").startswith(place.rstrip("/") + "/"):
        return ()
    files = []
    while folder not in (place.rstrip("/"), "/"):
        files.append(f"{folder}/memory.max")
        folder = os.path.dirname(folder)
    return tuple(files)


def find_cpu(place: Place, own: str, mounts: str, root: str = "", uid: int = 0) -> Place:
    """Give a place with `cpu` looked for: only a profile that limits CPU bandwidth needs it.

    Arguments as those of `find`, which has given the place.
    """
    if place.version == 1:
        for hierarchy in _mounted(mounts):
            if hierarchy.kind == "cgroup" and _CPU in hierarchy.options:
                folder = _own_folder(hierarchy, own, _CPU)
                if not folder or not _writable(root, folder, "cgroup.procs"):
                    return place
                there = os.path.exists(f"{root}{folder}/cpu.cfs_quota_us")
                return replace(place, cpu=folder) if there else place
        return place
    if _CPU in _words(f"{root}{place.folder}/cgroup.subtree_control"):
        return replace(place, cpu=place.folder)
    # As with memory: only root, and only at the top.
    if uid == 0 and _can_give(_CPU, place.folder, root):
        return replace(place, cpu=place.folder, delegate_cpu=True)
    return place


@functools.lru_cache(maxsize=2)
def _mounted(mounts: str) -> tuple[Mount, ...]:
    """Give the mounted hierarchies; with version 1 their options name the controllers."""
    return tuple(mount for mount in parse(mounts) if mount.kind in ("cgroup", "cgroup2"))


@functools.lru_cache(maxsize=16)
def _own_folder(hierarchy: Mount, own: str, controller: str = _MEMORY) -> str:
    """Give the path of our own cgroup below the mount point, "" if it does not lie there."""
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        mine = names == "" if hierarchy.kind == "cgroup2" else controller in names.split(",")
        if not mine:
            continue
        top = hierarchy.root.rstrip("/")
        # "/../x": outside of what our cgroup namespace shows.
        if ".." in path.split("/") or not (path + "/").startswith(top + "/"):
            return ""
        return (hierarchy.point + path[len(top) :]).rstrip("/")
    return ""


def _writable(root: str, folder: str, *files: str) -> bool:
    return all(os.access(f"{root}{path}", os.W_OK) for path in (folder, *(f"{folder}/{f}" for f in files)))


def _first(hierarchy: Mount, own: str, root: str) -> Place | None:
    """Version 1: below our own cgroup, so that whatever bounds us bounds the job too."""
    folder = _own_folder(hierarchy, own)
    if not folder or not _writable(root, folder, "cgroup.procs"):
        return None
    if not os.path.exists(f"{root}{folder}/memory.limit_in_bytes"):
        return None
    swap = os.path.exists(f"{root}{folder}/memory.memsw.limit_in_bytes")
    return Place(1, folder, swap=swap)


def _second(hierarchy: Mount, own: str, root: str, uid: int) -> Place | None:
    """Version 2: the nearest folder, from our own cgroup upwards, whose children have the controller.

    A cgroup with processes cannot give its children controllers (the kernel's "no internal process"
    rule), so that is our own only at the very top; in a delegated tree, such as the slices that systemd
    gives a user, it is one further up. All of the way has to be ours to write: the kernel asks for
    cgroup.procs of the common ancestor when a process is moved. What lies between our own cgroup and that
    folder bounds us and not the job: `find` reads its limits on memory (Place.bound); others are not carried
    over (docs/limits.md).
    """
    own_folder = _own_folder(hierarchy, own)
    if not own_folder:
        return None
    folder = own_folder
    while _writable(root, folder, "cgroup.procs"):
        if _MEMORY in _words(f"{root}{folder}/cgroup.subtree_control"):
            swap = os.path.exists(f"{root}{own_folder}/memory.swap.max")
            return Place(2, folder, swap=swap or folder == hierarchy.point)
        if folder == hierarchy.point:
            break
        folder = os.path.dirname(folder)
    # The top of all, which alone has no type, may hold processes and give controllers.
    top = hierarchy.point
    if uid == 0 and _can_give(_MEMORY, top, root):
        return Place(2, top, delegate=_MEMORY not in _words(f"{root}{top}/cgroup.subtree_control"), swap=True)
    return None


def _can_give(controller: str, top: str, root: str) -> bool:
    """Say whether a folder is the top of all, and may give a controller to its children."""
    return (
        not os.path.exists(f"{root}{top}/cgroup.type")
        and controller in _words(f"{root}{top}/cgroup.controllers")
        and _writable(root, top, "cgroup.procs", "cgroup.subtree_control")
    )


def _words(path: str) -> list[str]:
    try:
        # Unbuffered: a text file costs more to set up than to read.
        with open(path, "rb", buffering=0) as file:
            return file.read().decode("ascii", "replace").split()
    except OSError:
        return []
