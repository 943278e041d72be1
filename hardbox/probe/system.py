"""Probes that only read: kernel series, libseccomp, cgroups, sysctls, the installation.

Run by: hardbox.probe.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import Final

from hardbox.probe import kernels, libc
from hardbox.probe.blockers import unmapped
from hardbox.probe.check import Check, Place

_LIBSECCOMP: Final = "libseccomp.so.2"
_FIXED: Final = (2, 6, 1)
_OVERFLOW_ID: Final = 65534  # /proc/sys/kernel/overflowuid
_ADVISORY: Final = "GHSA-4q85-33p6-j5g6"


def probe(place: Place) -> tuple[Check, ...]:
    """Read and judge."""
    return (
        kernel_series(place, time.strftime("%Y-%m", time.gmtime())),
        libseccomp(libc.library_version(_LIBSECCOMP)),
        cgroups(place),
        total_memory(place),
        cpu_bandwidth(place),
        ptrace_scope(place),
        core_pattern(place),
        legacy_tiocsti(place),
        Check("cpus", None, _cpus(place), "limits.cpu pins the job to that many"),
        launcher(place),
        interpreter(),
    )


def kernel_series(place: Place, month: str) -> Check:
    """Compare the running series with the dated list. month: now, "YYYY-MM"."""
    why = "a shared kernel is the one wall that every sandbox here leans on"
    release = place.facts.kernel
    series = ".".join(release.split("-")[0].split(".")[:2])
    end = kernels.END_OF_LIFE.get(series)
    source = f"list of {kernels.TAKEN}, {kernels.SOURCE}"
    if end is None:
        found = f"{release}: unknown series: not longterm, or later than the list ({source})"
        fix = "check that whoever supplies this kernel still supplies its fixes"
        return Check("kernel-series", ok=None, found=found, why=why, fix=fix)
    if month > end:
        found = f"{release}: series {series} ended in {end} ({source})"
        fix = "boot a supported series, unless the distribution vouches for this one itself"
        return Check("kernel-series", ok=False, found=found, why=why, fix=fix)
    found = f"{release}: series {series} is mended until {end} ({source})"
    return Check("kernel-series", ok=True, found=found, why=why)


def libseccomp(version: tuple[int, int, int] | None) -> Check:
    """Judge the library that filters are compiled with."""
    why = "compiles the filters; it is not used inside the sandbox"
    if version is None:
        fix = "package libseccomp2 (Debian, Ubuntu) or libseccomp"
        found = f"{_LIBSECCOMP} cannot be loaded"
        return Check("libseccomp", ok=False, found=found, why=why, fix=fix, required=True)
    said = ".".join(str(part) for part in version)
    if version >= _FIXED:
        return Check(
            "libseccomp", ok=True, found=f"{said}, with the fix of {_ADVISORY}", why=why, required=True
        )
    found = (
        f"{said}, before 2.6.1: {_ADVISORY} may weaken filters that compare one argument more than once,"
        " unless the distribution has backported the fix; hardbox compares each argument once in a rule and"
        " compiles programs of one action each"
    )
    fix = "nothing is needed for hardbox; 2.6.1 for other programs"
    return Check("libseccomp", ok=True, found=found, why=why, fix=fix, required=True)


def cgroup_version(place: Place) -> str:
    """Give "v2", "hybrid", "v1" or "none"."""
    kinds = set()
    for line in place.text("/proc/self/mountinfo").splitlines():
        after = line.partition(" - ")[2].split(" ")
        if after[0] in ("cgroup", "cgroup2"):
            kinds.add(after[0])
    names = {frozenset(("cgroup2",)): "v2", frozenset(("cgroup",)): "v1", frozenset(): "none"}
    return names.get(frozenset(kinds), "hybrid")


def cgroups(place: Place) -> Check:
    """Tell version, controllers and delegation, for information; what is made of it is `total-memory`."""
    why = "limits of a whole tree of processes; others are enforced by rlimits, CPU affinity and a clock"
    version = cgroup_version(place)
    if version != "v2":
        rows = [line.split("\t") for line in place.text("/proc/cgroups").splitlines()[1:]]
        names = ", ".join(row[0] for row in rows if row[-1] == "1") or "none"
        text = f"{version}; controllers: {names}; no delegation to speak of"
        return Check("cgroups", ok=None, found=text, why=why)
    own = next(
        (line[3:] for line in place.text("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/"
    )
    folder = f"/sys/fs/cgroup{own}".rstrip("/")
    names = ", ".join(place.text(f"{folder}/cgroup.controllers").split()) or "none"
    delegated = os.access(place.root + folder, os.W_OK) and os.access(
        f"{place.root}{folder}/cgroup.procs", os.W_OK
    )
    text = f"v2; controllers here: {names}; {'writable' if delegated else 'not writable'} by this caller"
    return Check("cgroups", ok=None, found=text, why=why)


def total_memory(place: Place) -> Check:
    """Say by which means the memory of a job as a whole would be limited."""
    why = "limits.memory for all processes of a job together; each one has a limit of its own beside"
    found, facts = place.facts.cgroup, place.facts
    if found is not None and (found.swap or not facts.swap):
        first = "cgroup v2, delegated" if found.version == 2 else "cgroup v1"  # noqa: PLR2004 (the version)
        return Check("total-memory", ok=True, found=f"{first}: {found.folder}", why=why)
    fix = "run it where a cgroup is delegated: systemd-run --user --scope hardbox ..."
    reason = "no cgroup may be made here" if found is None else "the cgroups here do not limit swap space"
    if facts.children:
        text = f"watch: {reason}; the launcher looks at all processes every 10 to 100 ms"
        return Check("total-memory", ok=None, found=text, why=why, fix=fix)
    text = f"none: {reason}, and this kernel does not list a process's children"
    more = f'{fix}; or [optional] memory-total = "reason" in a profile of your own'
    return Check("total-memory", ok=False, found=text, why=why, fix=more)


def cpu_bandwidth(place: Place) -> Check:
    """Say by which means a job's CPU bandwidth would be limited."""
    why = "limits.cpu_bandwidth, where a profile states it; limits.cpu needs nothing"
    facts = place.facts
    found = facts.cgroup if facts.cgroup is not None and (facts.cgroup.swap or not facts.swap) else None
    if found is not None and found.cpu:
        return Check("cpu-bandwidth", ok=None, found=f"cgroup v{found.version}: {found.cpu}", why=why)
    missing = "cgroup may be made here" if found is None else "cpu controller comes with the cgroups here"
    fix = "run it where the cpu controller is delegated: systemd-run --user --scope hardbox ..."
    return Check("cpu-bandwidth", ok=None, found=f"no {missing}: refused with HB563", why=why, fix=fix)


def ptrace_scope(place: Place) -> Check:
    """Tell who may trace whom on this host (Yama)."""
    why = "the job's own pid namespace and the filter stop tracing; Yama is one more wall on the host"
    value = place.text("/proc/sys/kernel/yama/ptrace_scope")
    meaning = {"0": "any process of the same user", "1": "only children", "2": "only root", "3": "nobody"}
    found = f"kernel.yama.ptrace_scope is {value}: {meaning.get(value, 'unknown')}"
    return Check("ptrace-scope", ok=None, found=found if value else "Yama is not in this kernel", why=why)


def core_pattern(place: Place) -> Check:
    """Tell whether a crash would start a program on the host."""
    why = "a core handler runs as root outside every sandbox; the job's core limit is 0"
    value = place.text("/proc/sys/kernel/core_pattern")
    if value.startswith("|"):
        found = f"a crash starts a program on the host: {value[1:80].split(' ')[0]}"
        fix = "the handler is called even with limit 0: keep it up to date, or use a plain file pattern"
        return Check("core-pattern", ok=None, found=found, why=why, fix=fix)
    return Check("core-pattern", ok=None, found=f"a file: {value or 'none'}", why=why)


def legacy_tiocsti(place: Place) -> Check:
    """Tell whether the kernel lets a job type into a shared terminal."""
    why = "typing into the caller's terminal; the filter refuses TIOCSTI and TIOCLINUX in any case"
    value = place.text("/proc/sys/dev/tty/legacy_tiocsti")
    if value == "0":
        return Check("legacy-tiocsti", ok=True, found="off", why=why)
    found = "on: the filter is the only wall" if value else "no such switch: the filter is the only wall"
    fix = "sysctl -w dev.tty.legacy_tiocsti=0" if value else ""
    return Check("legacy-tiocsti", ok=None, found=found, why=why, fix=fix)


def _cpus(place: Place) -> str:
    numbers = place.facts.cpus
    return f"{len(numbers)} for this caller: {', '.join(str(number) for number in numbers[:16])}"


def writable_by_others(place: Place, path: str) -> str:
    """Give the first of the path and the directories above it that others may write, "" if none.

    A directory with the sticky bit (/tmp) protects what its owner put there (chmod(2)). An ordinary
    user's own files may be open to that user's own group, as a umask of 002 leaves them. In a user
    namespace, owners that do not exist there are shown as the overflow id (user_namespaces(7)).
    """
    uid = place.facts.uid
    owners = {0, uid}
    if unmapped(place, _OVERFLOW_ID):
        owners.add(_OVERFLOW_ID)
    while True:
        found = os.stat(path)
        own_group = found.st_gid == 0 or (uid != 0 and (found.st_uid, found.st_gid) == (uid, place.facts.gid))
        loose = found.st_mode & (stat.S_IWOTH if own_group else stat.S_IWOTH | stat.S_IWGRP)
        if loose and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
            return path
        if found.st_uid not in owners:
            return path
        if path == "/":
            return ""
        path = os.path.dirname(path)


def launcher(place: Place) -> Check:
    """Judge hardbox-launch: there, executable, and only its owner's to write."""
    why = "the one program that carries plans out"
    path = os.path.realpath(place.launcher) if place.launcher else ""
    if not path or not os.path.isfile(path):
        found, fix = "hardbox-launch is not installed beside hardbox", "make build, or install hardbox again"
    elif not os.access(path, os.X_OK):
        found, fix = f"{path} may not be executed by this caller", f"chmod a+rx {path}"
    elif os.statvfs(path).f_flag & os.ST_NOEXEC:
        found, fix = f"{path} is on a file system mounted noexec", "install hardbox on another one"
    elif open_at := writable_by_others(place, path):
        found = f"{open_at} can be written by others, who could replace the launcher"
        fix = f"chown root {open_at}; chmod go-w {open_at}"
    else:
        return Check("launcher", ok=True, found=path, why=why, required=True)
    return Check("launcher", ok=False, found=found, why=why, fix=fix, required=True)


def interpreter() -> Check:
    """Tell whether other users could run this installation too."""
    why = "ordinary users start hardbox with this interpreter and package"
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for path in (os.path.abspath(sys.executable), os.path.realpath(sys.executable), package):
        current = path
        while current != "/":
            mode = os.stat(current).st_mode
            wanted = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
            if not mode & wanted:
                found = f"{current} is closed to other users: only its owner can start hardbox"
                return Check("interpreter", ok=None, found=found, why=why, fix="install under /usr or /opt")
            current = os.path.dirname(current)
    return Check("interpreter", ok=True, found=f"{sys.executable}, open to every user", why=why)
