"""One report, read for people: every field checked, what is missing named.

Run by: view/*, cli/report.py, cli/explain.py. A report is a file that somebody hands over: no field is
taken to be what the schema says.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox import ends
from hardbox.denials import Denial
from hardbox.limit_report import Sample
from hardbox.report import SCHEMA
from hardbox.view import amounts, network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.view.network import Network

MOST_BYTES: Final = 16 << 20
# Rows of a table that people still look at.
MOST_ROWS: Final = 500
_MOST_SAMPLES: Final = 5000
_NAMESPACES: Final = ("user", "mnt", "pid", "net", "ipc", "uts")
# Keys that came after the first reports, and what a reader misses without them.
_LATER: Final = {
    "limits": "by which means each limit held, and what was used of it",
    "samples": "the course of memory, CPU, tasks and I/O (they are taken only when asked for)",
    "denials": "what was denied (looked for by newer versions)",
    "terminal": "whether the job had a terminal of its own",
}
_ERROR: Final = ("code", "what", "value", "origin", "why", "rule", "instead")


class NoReportError(ValueError):
    """A file is no report; the message says why, in a few words."""


class Wall(NamedTuple):
    """One thing that was read back from the running job: it held or not, and the detail."""

    name: str
    held: bool
    detail: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit: what it is, by which means it held, what was used of it, how often it was met."""

    key: str
    value: float | None
    means: str
    peak: float | None
    hits: int | None
    detail: str

    def value_text(self) -> str:
        """Give the limit as text."""
        return amounts.of_key(self.key, self.value) if self.value is not None else "?"

    def peak_text(self) -> str:
        """Give what was used, and how much of the limit that is; "" if it is not known."""
        if self.peak is None:
            return ""
        share = 100 * self.peak / self.value if self.value else 0.0
        part = f", {share:.0f} %" if share >= 1 else ", under 1 %" if share else ""
        return amounts.of_key(self.key, self.peak) + part


@dataclass(frozen=True, slots=True)
class Run:
    """One report.

    good:    the command ended by itself with 0.
    ran:     the command was started, so there is something that was enforced.
    error:   parts of a refusal or failure, in order; empty if there was none.
    facts:   names and values of the run, as text.
    network: None if the job had none that reached outside.
    missing: what this report does not tell, in words.
    """

    argv: tuple[str, ...]
    outcome: str
    status: str
    good: bool
    ran: bool
    error: dict[str, str]
    facts: dict[str, str]
    walls: tuple[Wall, ...]
    limits: tuple[LimitRow, ...]
    denials: tuple[Denial, ...]
    denials_dropped: int
    network: Network | None
    samples: tuple[Sample, ...]
    weaker: dict[str, str]
    missing: tuple[str, ...]

    def command(self) -> str:
        """Give the command as one line, as a shell would take it."""
        import shlex  # noqa: PLC0415 (imports re)

        return shlex.join(self.argv)

    def limit(self, key: str) -> LimitRow | None:
        """Give one limit."""
        return next((limit for limit in self.limits if limit.key == key), None)


def load(path: str, schemas: tuple[str, ...] = (SCHEMA,)) -> dict[str, object]:
    """Read a file of one of the schemas. Raises NoReportError."""
    try:
        data = _content(path)
    except (OSError, ValueError) as error:
        raise NoReportError(getattr(error, "strerror", None) or str(error)) from error
    if len(data) > MOST_BYTES:
        message = "it is larger than any report"
        raise NoReportError(message)
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        message = "it is not JSON"
        raise NoReportError(message) from error
    if not isinstance(report, dict) or report.get("schema") not in schemas:
        message = f'its "schema" is not "{SCHEMA}"'
        raise NoReportError(message)
    return report


def _content(path: str) -> bytes:
    """Give what a regular file holds: a FIFO would be waited for, a device may have no end.

    Raises OSError or ValueError.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        message = "it is no regular file"
        raise ValueError(message)
    with open(file, "rb") as stream:
        return stream.read(MOST_BYTES + 1)


def read(report: dict[str, object]) -> Run:
    """Read a report. Raises NoReportError if it lacks what every report has."""
    argv, code = report.get("argv"), report.get("exit_code")
    if not isinstance(argv, list) or not isinstance(code, int) or not isinstance(report.get("outcome"), str):
        message = "it lacks the command, the outcome or the exit status"
        raise NoReportError(message)
    error = report.get("error")
    seen = report.get("enforced")
    ran = not isinstance(error, dict)
    dropped = amounts.number(report.get("denials_dropped"))
    return Run(
        argv=tuple(str(word) for word in argv),
        outcome=outcome(report),
        status=f"exit status {code}",
        good=report["outcome"] == "exited" and code == 0,
        ran=ran,
        error={name: str(error[name]) for name in _ERROR if error.get(name)}
        if isinstance(error, dict)
        else {},
        facts=dict(_facts(report)),
        walls=(*walls(_table(seen)), *_second(report)) if ran else (),
        limits=tuple(_limits(report)),
        denials=tuple(_denials(report)),
        denials_dropped=int(dropped or 0),
        network=network.read(report.get("network")),
        samples=tuple(sorted(_samples(report), key=lambda sample: sample.t)),
        weaker={
            f"{word} {key}": str(reason)
            for name, word in (("loosened", "loosened"), ("optional", "without"))
            for key, reason in _table(report.get(name)).items()
        },
        missing=tuple(f"{key}: {what}" for key, what in _LATER.items() if ran and key not in report),
    )


def outcome(report: dict[str, object]) -> str:
    """Say in a sentence how a run ended."""
    word = str(report.get("outcome"))
    return {
        "exited": "the command ended by itself",
        "signaled": _signaled(report.get("signal")),
        "limit": f'the limit "{report.get("limit")}" ended the command',
        "not-found": "the command does not exist inside the sandbox; nothing was run",
        "not-executable": "the command cannot be executed inside the sandbox; nothing was run",
        "lost": ends.LOST,
        "refused": "hardbox refused; nothing was run",
        "set-up-failed": "setting up the sandbox failed; nothing was run",
    }.get(word, f"{word}, which this version does not know")


def signal_name(number: int) -> str:
    """Give "SIGKILL" for 9, "" for a number that is none."""
    import signal  # noqa: PLC0415 (only on this path)

    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def signal_words(name: str) -> str:
    """Give a signal's name, and what it says about limits."""
    return f"{name}: {ends.SIGNALS[name]}" if name in ends.SIGNALS else name


def _signaled(number: object) -> str:
    name = signal_name(number) if isinstance(number, int) else ""
    return f"signal {number} ended the command" + (f" ({signal_words(name)})" if name else "")


def walls(seen: dict[str, object]) -> Iterator[Wall]:
    """Say wall by wall what was read back from the running job; what is missing counts as not enforced."""
    found = seen.get("namespaces")
    kinds = found if isinstance(found, list) else []
    missing = [kind for kind in _NAMESPACES if kind not in kinds]
    caps = _table(seen.get("capabilities"))
    held = [name for name, mask in caps.items() if mask]
    rows = seen.get("uid_map")
    maps = rows if isinstance(rows, list) else []
    root = [row for row in maps if isinstance(row, list) and len(row) > 1 and row[1] == 0]
    yield _wall(
        not missing,
        "own namespaces",
        ", ".join(map(str, kinds)),
        f"shared with the host: {', '.join(missing)}",
    )
    yield _wall(
        bool(maps) and not root,
        "own user ids",
        f"uid map {maps}",
        "host root is mapped" if root else "no map was seen",
    )
    yield _wall(
        bool(caps) and not held,
        "no capabilities",
        "all sets empty",
        f"kept in {', '.join(held) or 'unknown sets'}",
    )
    yield _wall(seen.get("no_new_privs") is True, "no new privileges", "set", "not set")
    yield _wall(
        seen.get("seccomp") is True,
        "system call filter",
        f"{seen.get('seccomp_filters')} loaded",
        "none was seen",
    )


def _wall(held: bool, name: str, yes: str, no: str) -> Wall:  # noqa: FBT001 (what the row is about)
    return Wall(name, held, yes if held else no)


def _second(report: dict[str, object]) -> Iterator[Wall]:
    covers = report.get("landlock")
    if isinstance(covers, list):
        yield Wall("Landlock", bool(covers), ", ".join(map(str, covers)) or "absent, as the profile accepts")


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _facts(report: dict[str, object]) -> Iterator[tuple[str, str]]:
    profile, plan = _table(report.get("profile")), _table(report.get("plan"))
    yield "profile", str(profile.get("name", ""))
    yield "profile sha256", str(profile.get("sha256", ""))
    yield "plan sha256", str(plan.get("sha256", ""))
    for name, key in (("wall time", "seconds"), ("start-up", "start_seconds")):
        if (found := amounts.number(report.get(key))) is not None:
            yield name, amounts.duration(found)
    user, system = amounts.number(report.get("user_seconds")), amounts.number(report.get("system_seconds"))
    if user is not None and system is not None:
        yield "CPU time", f"{amounts.duration(user)} user, {amounts.duration(system)} system"
    if (rss := amounts.number(report.get("max_rss_bytes"))) is not None:
        yield "largest process", amounts.size(rss)
    if isinstance(report.get("terminal"), bool):
        yield "terminal", "one of its own" if report["terminal"] else "none of its own"
    written = [
        f"{amounts.size(count)} to {name}"
        for name in ("stdout", "stderr")
        if (count := amounts.number(_table(report.get("output")).get(name))) is not None
    ]
    yield "output", ", ".join(written)


def _rows(value: object) -> Iterator[dict[str, object]]:
    rows = value if isinstance(value, list) else []
    return (row for row in rows[:MOST_ROWS] if isinstance(row, dict))


def _limits(report: dict[str, object]) -> Iterator[LimitRow]:
    for row in _rows(report.get("limits")):
        yield LimitRow(
            key=str(row.get("key", "")),
            value=amounts.number(row.get("value")),
            means=str(row.get("means", "")),
            peak=amounts.number(row.get("peak")),
            hits=None if (hits := amounts.number(row.get("hits"))) is None else int(hits),
            detail=str(row.get("detail", "")),
        )


def _denials(report: dict[str, object]) -> Iterator[Denial]:
    return map(Denial.from_json, _rows(report.get("denials")))


def _samples(report: dict[str, object]) -> Iterator[Sample]:
    rows = report.get("samples")
    for row in (rows if isinstance(rows, list) else [])[:_MOST_SAMPLES]:
        if not isinstance(row, dict):
            continue
        found = [amounts.number(row.get(name)) for name in ("t", "memory", "cpu", "tasks", "read", "written")]
        t, *rest = (max(value, 0.0) if value is not None else None for value in found)
        if t is not None:
            memory, cpu, tasks, read_, written = (value or 0.0 for value in rest)
            yield Sample(t, int(memory), cpu, int(tasks), int(read_), int(written))
