"""Builds the probes, and runs lists of attempts inside the sandbox and outside of it.

Run by: the attack tests. One launch carries the whole corpus: the probe gives every attempt
a process of its own and answers with a line of JSON.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING, Final

from attack.check import CALLER, ROOT, THROWAWAY, Outcome
from attack.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from support.callers import Caller
    from support.installed import Installed

    from attack.check import Check

SOURCES: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probes")
FLAGS: Final = ("-static", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result")
OWN_NAMESPACES: Final = (
    *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--uts"),
    *("--ipc", "--cgroup", "--mount-proc", "--kill-child", "--"),
)
INSIDE_PROBES: Final = "/probe"
CAP_NET_RAW: Final = 1 << 13
_VFS_CAP_REVISION_2_EFFECTIVE: Final = 0x02000001
_MISUSE: Final = 255


def build(folder: str) -> None:
    """Compile both probes. Raises RuntimeError that names the package where one is missing."""
    sources = sorted(glob.glob(os.path.join(SOURCES, "*.c")))
    for bits in ("64", "32"):
        target = os.path.join(folder, f"probe{bits}")
        done = subprocess.run(
            ["gcc", f"-m{bits}", *FLAGS, "-o", target, *sources], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            message = f"probe{bits} does not build (Debian: gcc, gcc-multilib): {done.stderr}"
            raise RuntimeError(message)
        os.chmod(target, 0o755)
    if os.geteuid() == 0:
        _privileged_copies(folder)


def _privileged_copies(folder: str) -> None:
    """Make copies that carry privilege: set-user-ID root, set-group-ID root, a file capability."""
    probe = os.path.join(folder, "probe64")
    for name, mode in (("set-uid", 0o4755), ("set-gid", 0o2755), ("file-cap", 0o755)):
        path = os.path.join(folder, name)
        shutil.copy(probe, path)
        os.chmod(path, mode)
    capability = struct.pack("<IIIII", _VFS_CAP_REVISION_2_EFFECTIVE, CAP_NET_RAW, 0, 0, 0)
    os.setxattr(os.path.join(folder, "file-cap"), "security.capability", capability)


def words(check: Check, places: Mapping[str, str], *, outside: bool) -> list[str]:
    """Give the probe's words for an attempt: places and system call numbers filled in."""
    attempt = check.outside if outside and check.outside else check.attempt
    return [word(text.format_map(dict(places))) for text in attempt]


def word(text: str) -> str:
    """Give one word of an attempt: "@mount" and "@32:mount" become numbers."""
    if text.startswith("@32:"):
        return str(number(text[4:], "probe32"))
    return str(number(text[1:])) if text.startswith("@") else text


def _script(checks: Iterable[Check], places: Mapping[str, str], *, outside: bool) -> str:
    rows = ("\t".join((check.id, *words(check, places, outside=outside))) for check in checks)
    return "".join(f"{row}\n" for row in rows)


def _outcomes(text: str, said: str, checks: Iterable[Check]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for line in text.splitlines():
        row = json.loads(line)
        if row["errno"] == _MISUSE:
            message = f"the corpus calls the probe wrongly: {row['id']}"
            raise RuntimeError(message)
        found[row["id"]] = Outcome.of(row["errno"], row["signal"], row["text"])
    missing = [check.id for check in checks if check.id not in found]
    if missing:
        message = f"no outcome for {missing[:5]} of {len(missing)}: {said}"
        raise RuntimeError(message)
    return found


def outside(
    where: str, caller: Caller, checks: Iterable[Check], probes: str, places: Mapping[str, str]
) -> dict[str, Outcome]:
    """Run the controls that may run in this place; no sandbox."""
    chosen = [check for check in checks if where in check.control]
    prefix = {
        CALLER: caller.prefix,
        THROWAWAY: (*caller.prefix, *OWN_NAMESPACES),
        ROOT: (),
    }[where]
    done = subprocess.run(
        [*prefix, os.path.join(probes, "probe64"), "batch"],
        input=_script(chosen, places, outside=True),
        capture_output=True,
        text=True,
        cwd=caller.home,
        env=caller.environment(),
        check=False,
        timeout=300,
        start_new_session=True,
    )
    return _outcomes(done.stdout, done.stderr, chosen)


def inside(
    caller: Caller, program: Installed, checks: Iterable[Check], probes: str, places: Mapping[str, str]
) -> dict[str, Outcome]:
    """Run the attempts in one sandbox."""
    chosen = list(checks)
    done = caller.run(
        *sandbox(program, probes),
        f"{INSIDE_PROBES}/probe64",
        "batch",
        stdin=_script(chosen, places, outside=False),
        timeout=300,
    )
    return _outcomes(done.stdout, f"exit {done.returncode}: {done.stderr}", chosen)


def sandbox(program: Installed, probes: str, *more: str) -> tuple[str, ...]:
    """Give the words that start the strict sandbox with the probes visible in it."""
    read = f"{probes}:{INSIDE_PROBES}"
    return (program.hardbox, "run", "--profile", "strict", "--read", read, *more, "--")
