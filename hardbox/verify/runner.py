"""Runs lists of attempts outside of any sandbox, and reads what the probe answers.

Run by: verify/examine.py, verify/engine.py. One process carries the whole corpus: the probe
gives every attempt a process of its own and answers with a line of JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.errors import SetupFailed
from hardbox.verify.check import CALLER, ROOT, THROWAWAY, Outcome
from hardbox.verify.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hardbox.verify.check import Check

HERE: Final = os.path.dirname(os.path.abspath(__file__))
OWN_NAMESPACES: Final = (
    *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--uts"),
    *("--ipc", "--cgroup", "--mount-proc", "--kill-child", "--"),
)
INSIDE_PROBES: Final = "/probe"
PROBE, PROBE_I386 = "probe64", "probe32"
PRIVILEGED: Final = {"set-uid": 0o4755, "set-gid": 0o2755, "file-cap": 0o755}
PATIENCE_SECONDS: Final = 120
CAP_NET_RAW: Final = 1 << 13
_VFS_CAP_REVISION_2_EFFECTIVE: Final = 0x02000001
_MISUSE: Final = 255
# What an attempt needs that only x86_64 has.
_X86_ONLY: Final = ("int80", "int80-exec")


def fits(check: Check, machine: str, folder: str) -> str:
    """Say why an attempt cannot be made on this machine; "" if it can."""
    foreign = check.attempt[0] in _X86_ONLY or check.id.startswith("K17-")
    if foreign and machine != "x86_64":
        return "only x86_64 has this door"
    if f"{{probe}}/{PROBE_I386}" in check.attempt and not os.path.exists(os.path.join(folder, PROBE_I386)):
        return "this installation has no i386 probe: its compiler cannot build for i386"
    for name in PRIVILEGED:
        if f"{{probe}}/{name}" in check.attempt and not os.path.exists(os.path.join(folder, name)):
            return "only root can make such a program"
    for word in check.attempt:
        if word.startswith("@") and not word.startswith("@32:") and number(word[1:], machine) < 0:
            return f"{machine} has no such call"
    return ""


def lay_out(folder: str) -> None:
    """Copy the probes to where both worlds can execute them. Raises SetupFailed HB613."""
    os.chmod(folder, 0o755)  # noqa: S103 (a job with other ids reads them)
    for name in (PROBE, PROBE_I386):
        source = os.path.join(HERE, name)
        if os.path.exists(source):
            shutil.copy(source, folder)
            os.chmod(os.path.join(folder, name), 0o755)  # noqa: S103 (see above)
    if not os.path.exists(os.path.join(folder, PROBE)):
        raise SetupFailed(
            "HB613",
            "this installation has no probe, with which verify attacks",
            value=os.path.join(HERE, PROBE),
            why="the wheel was built without it, or runs from a checkout",
            instead="install hardbox again: make build, or pip install --force-reinstall hardbox",
        )
    if os.geteuid() == 0:
        _privileged_copies(folder)


def _privileged_copies(folder: str) -> None:
    """Make copies that carry privilege: set-user-ID root, set-group-ID root, a file capability."""
    for name, mode in PRIVILEGED.items():
        path = os.path.join(folder, name)
        shutil.copy(os.path.join(folder, PROBE), path)
        os.chmod(path, mode)
    capability = struct.pack("<IIIII", _VFS_CAP_REVISION_2_EFFECTIVE, CAP_NET_RAW, 0, 0, 0)
    os.setxattr(os.path.join(folder, "file-cap"), "security.capability", capability)


def script(checks: Iterable[Check], places: Mapping[str, str], machine: str, *, outside: bool = False) -> str:
    """Give the probe's script: one line for each attempt, places and numbers filled in."""
    rows = []
    for check in checks:
        attempt = check.outside if outside and check.outside else check.attempt
        words = (word(text.format_map(dict(places)), machine) for text in attempt)
        rows.append("\t".join((check.id, *words)) + "\n")
    return "".join(rows)


def word(text: str, machine: str = "x86_64") -> str:
    """Give one word of an attempt: "@mount" and "@32:mount" become numbers."""
    if text.startswith("@32:"):
        return str(number(text[4:], "i386"))
    return str(number(text[1:], machine)) if text.startswith("@") else text


def outcomes(
    lines: Iterable[str], checks: Sequence[Check], said: Callable[[], str], seen: Callable[[], None]
) -> dict[str, Outcome]:
    """Read the probe's answers as they come.

    said: gives what there is to say when answers are missing. seen: called for each answer.
    Raises SetupFailed HB614.
    """
    found: dict[str, Outcome] = {}
    for line in lines:
        row = json.loads(line)
        if row["errno"] == _MISUSE:
            raise _broken(row["id"], "is called wrongly by the corpus")
        found[row["id"]] = Outcome.of(row["errno"], row["signal"], row["text"])
        seen()
    missing = [check.id for check in checks if check.id not in found]
    if missing:
        which = f"{len(missing)} attempts, of which {missing[0]} is the first,"
        raise _broken(which, f"gave no outcome: {said()}")
    return found


def _broken(which: str, what: str) -> SetupFailed:
    return SetupFailed(
        "HB614",
        "verify could not finish",
        value=f"{which} {what}",
        why="the probe ended early: a limit of the profile, or a defect of hardbox",
        instead="run it again with one --class; report it if it happens again",
    )


def places_of_control() -> tuple[str, ...]:
    """Name where controls can run for this caller."""
    return (CALLER, THROWAWAY, ROOT) if os.geteuid() == 0 else (CALLER, THROWAWAY)


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds a list of attempts.

    folder:      of the probes. places: for {name} in attempts. environment: the caller's.
    cwd:         a directory of the caller's own; the script is put there too.
    terminal:    both ends of a pseudo-terminal; the second is their stderr.
    """

    folder: str
    places: Mapping[str, str]
    environment: Mapping[str, str]
    cwd: str
    machine: str
    terminal: tuple[int, int]


def run_outside(
    where: str, checks: Iterable[Check], around: Around, seen: Callable[[], None]
) -> dict[str, Outcome]:
    """Run the controls that may run in this place; no sandbox. {} where it cannot be made."""
    chosen = [check for check in checks if where in check.control]
    probe = os.path.join(around.folder, PROBE)
    # The same unusual parent as the sandbox has, so that what is inherited shows.
    prefix = {CALLER: (probe, "one", "odd"), THROWAWAY: OWN_NAMESPACES, ROOT: ()}[where]
    if not chosen or (where == THROWAWAY and not _can_make_namespaces()):
        return {}
    given = open_script(script(chosen, around.places, around.machine, outside=True), around.cwd)
    try:
        process = subprocess.Popen(  # noqa: S603 (our own probe)
            [*prefix, probe, "batch"],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=around.terminal[1],
            text=True,
            cwd=around.cwd,
            env=dict(around.environment),
            start_new_session=True,
        )
    finally:
        os.close(given)
    try:
        return outcomes(process.stdout or (), chosen, lambda: f"controls as {where}", seen)
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def open_script(text: str, folder: str) -> int:
    """Put a text into a file with a name, and open it for reading: memory files are no streams."""
    path = os.path.join(folder, "script")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _can_make_namespaces() -> bool:
    if not shutil.which("unshare"):
        return False
    words = [*OWN_NAMESPACES, "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0  # noqa: S603 (a fixed list)
