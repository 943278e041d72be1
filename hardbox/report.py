"""Result: what did happen, read back and not assumed.

Run by: the Python front; pure. Turns the launcher's status records into a Result and into
JSON (schema hardbox.report/1, docs/report.schema.json).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from signal import SIGKILL
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypedDict

from hardbox import enforced
from hardbox.errors import (
    EXIT_CANNOT_EXECUTE,
    EXIT_NOT_FOUND,
    EXIT_REFUSED,
    EXIT_SIGNAL_BASE,
    EXIT_TIME_LIMIT,
    SetupFailed,
    plain,
)
from hardbox.limit_report import (
    SAMPLE_SIZE,
    TOTAL_SIZE,
    limits,
    means_of_memory,
    of_each_process,
    read_samples,
    read_total,
)
from hardbox.plan.steps import Landlock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardbox.denials import Denial
    from hardbox.enforced import Enforced
    from hardbox.errors import HardboxError
    from hardbox.limit_report import Limit, Sample
    from hardbox.network_report import NetworkUse
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy

SCHEMA: Final = "hardbox.report/1"
# Numbers of wire.h, enum hb_record_type, and below enum hb_cause.
FAILED: Final = 1
_READ, _STARTED, _NO_EXEC, _ENDED = 2, 3, 4, 5
_DENIED, _OBSERVED, _SAMPLE, _LIMITS, _STREAMS = 6, 7, 8, 9, 10
# The least that a record of each type holds (wire.h).
_SIZES: Final = {
    FAILED: 8,
    _READ: 1,
    _STARTED: 8,
    _NO_EXEC: 4,
    _ENDED: 40,
    _DENIED: 16,
    _OBSERVED: 16,
    _SAMPLE: SAMPLE_SIZE,
    _LIMITS: TOTAL_SIZE,
    _STREAMS: 24,
}
# Records that only tell of what happened: a bad one costs what it tells.
_TELLING: Final = frozenset((_DENIED, _OBSERVED, _SAMPLE, _LIMITS, _STREAMS))
_BAD: Final = 0
_CAUSE_WALL, _CAUSE_CALLER, _CAUSE_LOST, _CAUSE_MEMORY = 1, 2, 3, 4
_CAUSE_OUTPUT: Final = 7
_LIMIT_CAUSES: Final = {_CAUSE_WALL: "wall", _CAUSE_OUTPUT: "output"}
_STDOUT_OR_STDERR: Final = 0b110


class _Streams(TypedDict):
    terminal: bool
    output: Output | None


@dataclass(frozen=True, slots=True)
class Record:
    """One status record as the launcher wrote it: type and payload."""

    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that failed: its 1-based number (0: none in particular) and the errno."""

    step: int
    errno: int


@dataclass(frozen=True, slots=True)
class Output:
    """How many bytes were copied to the caller's stdout (or terminal) and stderr."""

    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one run.

    outcome:   "exited", "signaled", "limit", "not-found", "not-executable" or "lost".
    exit_code: what `hardbox run` exits with.
    signal:    number of the signal that ended the command, or None.
    limit:     which limit ended it: "wall", "memory", "output", "cpu_time" or "file_size"; else None.
    limits:    every limit, by which means it held, and whether it was hit.
    samples:   what the job used while it ran, if that was asked for.
    seconds, user_seconds, system_seconds, max_rss_bytes: of the whole sandbox.
    start_seconds: from the launcher's first step to the command's exec.
    denials:   what was refused to the job, and why; empty if nothing was, or nobody listened.
    denials_dropped: refused calls beyond what the launcher keeps.
    stdout, stderr: captured output, if it was asked for.
    terminal:  a terminal of the caller's stood on 0-2, and the job had one of its own.
    output:    how much was copied, None where the job wrote to the caller's own descriptors.
    network:   what was reached and refused, with network modes "allow" and "bridge".
    landlock:  what the second wall covers: "files", "tcp", "scopes" (abstract sockets and signals),
               as far as this kernel's ABI goes; its steps have all succeeded.
    loosened:  what the profile has loosened, key -> reason.
    optional:  protections that were absent, as the profile accepts, with its reason.
    """

    argv: tuple[str, ...]
    outcome: str
    exit_code: int
    signal: int | None
    limit: str | None
    profile: str
    profile_sha256: str
    plan_sha256: str
    enforced: Enforced
    seconds: float
    start_seconds: float
    user_seconds: float
    system_seconds: float
    max_rss_bytes: int
    landlock: tuple[str, ...] = ()
    loosened: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    optional: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    limits: tuple[Limit, ...] = ()
    samples: tuple[Sample, ...] | None = None
    denials: tuple[Denial, ...] = ()
    denials_dropped: int = 0
    stdout: bytes | None = None
    stderr: bytes | None = None
    terminal: bool = False
    output: Output | None = None
    network: NetworkUse | None = None

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values, `schema` first; captured output is left out."""
        return {
            "schema": SCHEMA,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "limit": self.limit,
            "argv": [plain(argument) for argument in self.argv],
            "profile": {"name": self.profile, "sha256": self.profile_sha256},
            "plan": {"sha256": self.plan_sha256},
            "enforced": {
                "namespaces": list(self.enforced.namespaces),
                "uid_map": [list(row) for row in self.enforced.uid_map],
                "gid_map": [list(row) for row in self.enforced.gid_map],
                "capabilities": dict(self.enforced.capabilities),
                "no_new_privs": self.enforced.no_new_privs,
                "seccomp": self.enforced.seccomp,
                "seccomp_filters": self.enforced.seccomp_filters,
            },
            "landlock": list(self.landlock),
            "loosened": dict(self.loosened),
            "optional": dict(self.optional),
            "terminal": self.terminal,
            "output": self.output and {"stdout": self.output.stdout, "stderr": self.output.stderr},
            "seconds": self.seconds,
            "start_seconds": self.start_seconds,
            "user_seconds": self.user_seconds,
            "system_seconds": self.system_seconds,
            "max_rss_bytes": self.max_rss_bytes,
            "limits": [limit.to_json() for limit in self.limits],
            **({} if self.samples is None else {"samples": [sample.to_json() for sample in self.samples]}),
            **({} if self.network is None else {"network": self.network.to_json()}),
            "denials": [denial.to_json() for denial in self.denials],
            "denials_dropped": self.denials_dropped,
        }


def refusal(error: HardboxError, argv: Sequence[str]) -> dict[str, object]:
    """Give the report of a launch that was refused or failed: nothing was run."""
    failed = isinstance(error, SetupFailed)
    return {
        "schema": SCHEMA,
        "outcome": "set-up-failed" if failed else "refused",
        "exit_code": EXIT_REFUSED,
        "argv": [plain(argument) for argument in argv],
        "error": error.to_json(),
    }


def parse_records(data: bytes, *, whole: bool = True) -> tuple[Record, ...]:
    """Split the launcher's bytes into records. Raises ValueError if they are cut short.

    Once the command may have run there is no such error: what comes behind a bad record is left out, so
    that nobody takes it for a launch that failed. One that only tells of what happened, and is too short,
    becomes a record of kind 0.
    whole: False for a launcher that was killed: the record that it was at is left out.
    """
    records: list[Record] = []
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data[at : at + 8].ljust(8, b"\xff"))
        payload = data[at + 8 : at + 8 + length]
        cut = len(payload) != length
        short = length < _SIZES.get(kind, 0)
        if cut or (short and kind not in _TELLING):
            if may_have_run(records) or (not whole and cut):
                break
            message = "a status record is cut short"
            raise ValueError(message)
        records.append(Record(_BAD if short else kind, payload))
        at += 8 + length
    return tuple(records)


def may_have_run(records: Sequence[Record]) -> bool:
    """Say whether the command may have run: "pid" is written just before the job is told to go."""
    return any(
        record.kind == _STARTED or (record.kind == _READ and record.payload.startswith(b"pid\0"))
        for record in records
    )


def sample(record: Record) -> Sample | None:
    """Give what a record says of one moment, None if it is of another kind."""
    return read_samples([record.payload])[0] if record.kind == _SAMPLE else None


def failure(records: tuple[Record, ...]) -> Failure | None:
    """Give the failed step, if set-up failed; nothing fails any more behind the exec."""
    for record in records:
        if record.kind == _STARTED:
            return None
        if record.kind == FAILED:
            return Failure(*struct.unpack_from("<Ii", record.payload))
    return None


def no_exec(records: tuple[Record, ...]) -> int:
    """Give the errno of a failed exec, 0 if it worked."""
    for record in records:
        if record.kind == _NO_EXEC:
            number: int = struct.unpack_from("<i", record.payload)[0]
            return number
    return 0


def denied(records: tuple[Record, ...]) -> bytes:
    """Give the launcher's table of refused calls (hardbox/denials), empty if nothing was refused."""
    return b"".join(record.payload for record in records if record.kind == _DENIED)


def observed(records: tuple[Record, ...]) -> bytes:
    """Give the launcher's table of calls that were in vain, empty without --explain."""
    return b"".join(record.payload for record in records if record.kind == _OBSERVED)


def read_enforced(records: tuple[Record, ...]) -> Enforced:
    """Give what the supervisor has read back of the job."""
    return enforced.read([record.payload for record in records if record.kind == _READ])


def result(
    policy: Policy,
    plan: LaunchPlan,
    argv: tuple[str, ...],
    records: tuple[Record, ...],
    started: float,
    *,
    sampled: bool = False,
) -> Result:
    """Build the Result. Raises ValueError if the launcher never said how it ended.

    started: seconds from first step to exec, 0.0 if it was never reached.
    sampled: samples were asked for.
    """
    ended = [record for record in records if record.kind == _ENDED]
    if not ended and not may_have_run(records):
        message = "the launcher ended without a word"
        raise ValueError(message)
    # Killed from outside after the command had started: what it used is not known.
    status, cause, wall, user, system, rss = (
        struct.unpack_from("<iIQQQQ", ended[-1].payload) if ended else (SIGKILL, _CAUSE_LOST, 0, 0, 0, 0)
    )
    problem = no_exec(records)
    signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    limit = of_each_process(signal, (user + system) / 1e6, policy)
    outcome, code = "exited", os.WEXITSTATUS(status) if signal is None else EXIT_SIGNAL_BASE + signal
    if problem:
        import errno  # noqa: PLC0415 (only on this path)

        missing = problem in (errno.ENOENT, errno.ENOTDIR)
        outcome = "not-found" if missing else "not-executable"
        code, signal, limit = EXIT_NOT_FOUND if missing else EXIT_CANNOT_EXECUTE, None, None
    elif cause in _LIMIT_CAUSES:
        outcome, code, limit = "limit", EXIT_TIME_LIMIT, _LIMIT_CAUSES[cause]
    elif cause == _CAUSE_MEMORY:
        # The job's own end may have come a moment before ours, with any status.
        outcome, code, limit, signal = "limit", EXIT_SIGNAL_BASE + SIGKILL, "memory", int(SIGKILL)
    elif cause in (_CAUSE_CALLER, _CAUSE_LOST):
        outcome, limit = "lost", None
    elif signal is not None:
        outcome = "limit" if limit else "signaled"
    total = next((read_total(record.payload) for record in records if record.kind == _LIMITS), None)
    streams = _streams(records)
    return Result(
        argv=argv,
        outcome=outcome,
        exit_code=code,
        signal=signal,
        limit=limit,
        profile=policy.name,
        profile_sha256=policy.digest,
        plan_sha256=plan.digest(),
        enforced=read_enforced(records),
        seconds=wall / 1e9,
        start_seconds=started,
        user_seconds=user / 1e6,
        system_seconds=system / 1e6,
        max_rss_bytes=rss * 1024,
        landlock=second_wall(plan),
        loosened=policy.loosen,
        optional=absent(policy, plan),
        limits=limits(policy, plan, total, limit, _copied(streams["output"])),
        samples=read_samples([record.payload for record in records if record.kind == _SAMPLE])
        if sampled
        else None,
        **streams,
    )


def _streams(records: tuple[Record, ...]) -> _Streams:
    for record in records:
        if record.kind == _STREAMS:
            terminals, relayed, out, err = struct.unpack_from("<IIQQ", record.payload)
            copied = Output(out, err) if (terminals | relayed) & _STDOUT_OR_STDERR or terminals else None
            return {"terminal": bool(terminals), "output": copied}
    return {"terminal": False, "output": None}


def _copied(output: Output | None) -> int | None:
    return None if output is None else output.stdout + output.stderr


def second_wall(plan: LaunchPlan) -> tuple[str, ...]:
    """Name what Landlock covers in a plan; empty if the plan does without it."""
    for step in plan.steps:
        if isinstance(step, Landlock):
            covers = {"files": step.filesystem, "tcp": step.network, "scopes": step.scoped}
            return tuple(name for name, rights in covers.items() if rights)
    return ()


def absent(policy: Policy, plan: LaunchPlan) -> dict[str, str]:
    """Give the optional protections that a plan does without, with the profile's reason."""
    if not policy.optional:
        return {}
    there = {"landlock": bool(second_wall(plan)), "memory-total": bool(means_of_memory(plan))}
    return {name: reason for name, reason in policy.optional.items() if not there.get(name)}


def start_seconds(records: tuple[Record, ...]) -> float:
    """Give the time from the launcher's first step to the exec, 0.0 if it was not reached."""
    for record in records:
        if record.kind == _STARTED:
            nanoseconds: int = struct.unpack_from("<Q", record.payload)[0]
            return nanoseconds / 1e9
    return 0.0
