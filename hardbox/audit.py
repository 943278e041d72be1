"""The audit log: one line of JSON for each run, added to a file that is never rewritten.

Run by: the Python front, for `--audit FILE` and the profile's audit.file. Format and promises:
docs/audit.md, docs/audit.schema.json. Each line is one write(2) on a descriptor with O_APPEND, which
the kernel does not mix with another's; a lock (flock(2)) is held meanwhile, so that a line that a full
disk has cut short can be taken back. There is no fsync: what is written survives the end of every
process, not a power cut; it would cost more than the launch.
"""

from __future__ import annotations

import os
import stat
import time
from signal import SIGKILL
from typing import TYPE_CHECKING, Final

from hardbox import report
from hardbox.errors import EXIT_SIGNAL_BASE, SetupFailed, plain
from hardbox.record_file import open_for_writing, tree_around

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hardbox.errors import HardboxError
    from hardbox.policy import Policy
    from hardbox.report import Result

SCHEMA: Final = "hardbox.audit/1"
# Of a line with its newline, in bytes.
MOST_BYTES: Final = 4096
# Characters of each text, from what fits nearly always to what fits in any case: one character
# takes up to 12 bytes.
_SHORTER: Final = (512, 128, 64, 32)
_NO_LOGIN: Final = 0xFFFFFFFF
# The same for one of all arguments, of which at least the first has to fit.
_ARGUMENT: Final = 100
# How long the lock is waited for; another program may hold it for ever.
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.005


class Trail:
    """Where one run leaves its lines: --audit FILE, the profile's file, both, or nowhere.

    Any failure before the run is a refusal; `open` comes before anything runs.
    """

    def __init__(self, argv: Sequence[str], flag: str = "", asked: Iterable[str] = ()) -> None:
        """Note who asks and when.

        flag:  the file of --audit, "" for none.
        asked: the host paths of --write, for a refusal that comes before the policy is known.
        """
        # From the Python API, still unchecked: one string is no list of letters.
        given: Iterable[object] = [argv] if isinstance(argv, str) else argv
        self._argv = tuple(word for word in given if isinstance(word, str))
        self._flag = flag
        self._asked = tuple(asked)
        self._began = time.time()
        self._policy: Policy | None = None
        self._files: list[int] = []
        self._refused = False

    def open(self, policy: Policy) -> None:
        """Open every file. Raises SetupFailed HB650, HB651."""
        self._policy = policy
        trees = [bind.source for bind in policy.filesystem.write]
        for path, origin in ((self._flag, "--audit"), (policy.audit.file, policy.origin("audit.file"))):
            if path:
                self._add(path, origin, trees)

    def holds(self, path: str) -> bool:
        """Say whether a path leads to one of the open files."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return False
        return any(os.path.samestat(found, os.fstat(file)) for file in self._files)

    def ended(self, result: Result) -> tuple[str, ...]:
        """Add the line of a run; gives what went wrong."""
        names = ("outcome", "exit_code", "signal", "limit", "seconds")
        count = sum(denial.count for denial in result.denials) + result.denials_dropped
        what = {name: getattr(result, name) for name in names}
        return self._write(what | {"plan": {"sha256": result.plan_sha256}, "denials": count})

    def refused(self, error: HardboxError) -> tuple[str, ...]:
        """Add the line of a request of which nothing was run; gives what went wrong."""
        found = report.refusal(error, ())
        return self._early({name: found[name] for name in ("outcome", "exit_code")} | {"code": error.code})

    def lost(self) -> tuple[str, ...]:
        """Add the line of a request that an exception has ended, whatever was run; gives what went wrong.

        After `ended` or `refused` there is nothing to add.
        """
        return self._early({"outcome": "lost", "exit_code": EXIT_SIGNAL_BASE + SIGKILL})

    def _early(self, what: dict[str, object]) -> tuple[str, ...]:
        if self._policy is None and self._flag:
            try:
                self._add(self._flag, "--audit", self._asked)
            except SetupFailed as problem:
                return (problem.what,)
        return self._write(what | dict.fromkeys(("signal", "limit", "seconds", "plan", "denials")))

    def _add(self, path: str, origin: str, trees: Iterable[str]) -> None:
        try:
            tree = tree_around(path, trees)
            if tree:
                raise SetupFailed(
                    "HB651",
                    "the audit log stands in a tree that the job may change",
                    value=path,
                    origin=origin,
                    why="a job could change what the log says of it",
                    instead="name a file outside " + tree,
                )
            file = open_for_writing(path, os.O_APPEND)
        except (OSError, ValueError) as error:
            raise _unusable(path, origin, getattr(error, "strerror", None) or str(error)) from error
        problem = _no_room(file)
        if problem:
            os.close(file)
            raise _unusable(path, origin, problem)
        if any(os.path.sameopenfile(file, other) for other in self._files):
            os.close(file)  # the flag names the profile's own: one line
        else:
            self._files.append(file)

    def _write(self, what: dict[str, object]) -> tuple[str, ...]:
        files, self._files = self._files, []
        if not files:
            return ()
        policy = self._policy
        line = _line(
            {
                "schema": SCHEMA,
                "time": _rfc3339(self._began),
                "who": _who(),
                "host": os.uname().nodename,
                "command": _command(self._argv, whole=policy is not None and policy.audit.argv),
                "profile": {"name": policy.name, "sha256": policy.digest} if policy else None,
                **what,
            }
        )
        return tuple(problem for problem in (_append(file, line) for file in files) if problem)


def _unusable(path: str, origin: str, problem: str) -> SetupFailed:
    return SetupFailed(
        "HB650",
        f"the audit log cannot be written: {problem}",
        value=path,
        origin=origin,
        why="a run that has to leave a line is not started where it cannot",
        instead="name a file that you may write, with room on its disk",
    )


def _no_room(file: int) -> str:
    """Say why a line cannot be added, "" if it can; an audit log is a regular file."""
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    disk = os.fstatvfs(file)
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < MOST_BYTES:
        return "its disk is full"
    import resource  # noqa: PLC0415 (only with an audit log)

    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if most != resource.RLIM_INFINITY and most < found.st_size + MOST_BYTES:
        return "the caller's limit on file sizes is reached (ulimit -f)"
    return ""


def _append(file: int, line: bytes) -> str:
    """Add a line and close the file; gives what went wrong."""
    try:
        locked = _locked(file)
        written = os.write(file, line)
        if written != len(line):
            _take_back(file, written, locked=locked)
            return "the disk is full"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(file)  # and with it the lock
    return ""


def _locked(file: int) -> bool:
    """Take the lock, if it can be had: the write does not depend on it."""
    import fcntl  # noqa: PLC0415 (only with an audit log)

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE)
        else:
            return True


def _take_back(file: int, written: int, *, locked: bool) -> None:
    """Take back the part of a line that was written, so that the next one starts on a line of its own."""
    end = os.lseek(file, 0, os.SEEK_CUR)
    if locked and os.fstat(file).st_size == end:
        os.ftruncate(file, end - written)


def _line(record: dict[str, object]) -> bytes:
    """Give one line of at most MOST_BYTES; what is too long is cut, and the line says so."""
    line = _encoded(record)
    for most in _SHORTER:
        if len(line) <= MOST_BYTES:
            break
        record = _cut(record, most)
        line = _encoded({**record, "cut": True})
    return line


def _encoded(record: object) -> bytes:
    import json  # noqa: PLC0415 (only with an audit log)

    # ASCII: one line whatever the text, and every byte of it printable.
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _cut(record: dict[str, object], most: int) -> dict[str, object]:
    """Shorten every text, and let go of whole arguments beyond a part of the line."""

    def shorter(value: object) -> object:
        if isinstance(value, str):
            return value[:most]
        if isinstance(value, dict):
            return {name: each if name == "sha256" else shorter(each) for name, each in value.items()}
        if isinstance(value, list):
            kept: list[object] = []
            room = MOST_BYTES // 3
            for item in value:
                cut = shorter(item[:_ARGUMENT] if isinstance(item, str) else item)
                room -= len(_encoded(cut))
                if room < 0:
                    break
                kept.append(cut)
            return kept
        return value

    return {name: shorter(value) for name, value in record.items()}


def _rfc3339(seconds: float) -> str:
    whole = int(seconds)
    micro = int((seconds - whole) * 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{micro:06}Z"


def _who() -> dict[str, object]:
    import pwd  # noqa: PLC0415 (only with an audit log)

    uid = os.getuid()
    try:
        name: str | None = plain(pwd.getpwuid(uid).pw_name)
    except KeyError:
        name = None
    return {"uid": uid, "name": name, "login_uid": _login_uid(), "pid": os.getpid()}


def _login_uid() -> int | None:
    """Give the user that logged in, before sudo or su; None where the kernel does not know."""
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            number = int(file.read())
    except (OSError, ValueError):
        return None
    return number if number != _NO_LOGIN else None


def _command(argv: tuple[str, ...], *, whole: bool) -> dict[str, object]:
    import hashlib  # noqa: PLC0415 (only with an audit log)

    # As in /proc/PID/cmdline: each argument with a NUL behind it.
    words = [_bytes(word) for word in argv]
    texts = [word.decode("utf-8", "replace") for word in words]
    found: dict[str, object] = {
        "program": texts[0] if texts else "",
        "sha256": hashlib.sha256(b"".join(word + b"\0" for word in words)).hexdigest(),
    }
    return found | {"argv": texts} if whole else found


def _bytes(word: str) -> bytes:
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no argument of any command: it is refused
        return word.encode("utf-8", "replace")
