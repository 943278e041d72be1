"""The public functions: run, make_plan, load_profile.

Run by: the Python front; what `hardbox run` and `hardbox plan` call too.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from hardbox import filters, host, profile, refusals, report
from hardbox import plan as planning
from hardbox.audit import Trail
from hardbox.engines.failures import set_up_failed
from hardbox.engines.namespaces import FORWARDED, Launch, Streams
from hardbox.engines.pumps import Drain, Feed
from hardbox.errors import HardboxError, SetupFailed, Usage
from hardbox.plan import steps, trees
from hardbox.profile import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardbox.engines.namespaces import Watch
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact
    from hardbox.report import Result

# Below the 16384 steps of a plan (plan.h), with room for all others.
MOST_ARGUMENTS: Final = 12000
# Of a word that is repeated in a message.
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan together with the policy that it carries out, and the paths that both looked at."""

    policy: Policy
    plan: LaunchPlan
    paths: Mapping[str, PathFact]


def load_profile(
    name_or_path: str, settings: Sequence[Setting] = (), reasons: Mapping[str, str] | None = None
) -> Policy:
    """Load a shipped profile by name or a file by path. Raises ProfileError, Refused or HostUnfit."""
    for setting in settings:
        # Said before a reason is asked for that would not help.
        if setting.key == "network.mode" and setting.value in ("allow", "bridge"):
            raise planning.no_such_network(str(setting.value), setting.flag)
    return profile.load(name_or_path, settings, reasons or {})


def prepare(policy: Policy, argv: Sequence[str], *, workdir: str | None = None) -> Prepared:
    """Check everything and make the plan; starts nothing, needs no privilege.

    Raises Usage, Refused, HostUnfit or ProfileError.
    """
    facts = host.read_facts()
    # One look: what the rules judge is what the plan binds.
    paths = trees.look_all(policy)
    refusals.check(policy, facts, paths)
    refuse = ("memfd",) if policy.filesystem.exec == "shown" else ()
    compiled = filters.compile_filter(
        policy.seccomp, refuse=refuse, keep=policy.capabilities.keep, machine=facts.machine
    )
    command = planning.Command(_words(argv), _inside(workdir), _cwd())
    return Prepared(policy, planning.build(policy, facts, paths, compiled, command), paths)


def make_plan(  # noqa: PLR0913 (all by keyword, as `run`)
    argv: Sequence[str],
    *,
    profile: str | Policy = "strict",
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    loosen: Mapping[str, str] | None = None,
    workdir: str | None = None,
) -> LaunchPlan:
    """Give the plan that `run` would carry out, and start nothing; arguments and errors as there."""
    return prepare(_policy(profile, read, write, env, settings, loosen), argv, workdir=workdir).plan


def _policy(
    profile: str | Policy,
    read: Sequence[str],
    write: Sequence[str],
    env: Mapping[str, str] | None,
    settings: Mapping[str, object] | None,
    loosen: Mapping[str, str] | None,
) -> Policy:
    """Load what `run` was asked for."""
    names: list[object] = [*(settings or {}), *(env or {}), *(loosen or {})]
    for name in names:
        if not isinstance(name, str):
            raise Usage(
                "HB002", "a key is no text", value=repr(name)[:120], instead='settings={"limits.wall": "30s"}'
            )
    wanted = [
        *(grant("filesystem.read", path, "read=") for path in read),
        *(grant("filesystem.write", path, "write=") for path in write),
        *(
            Setting("environment.set", {name: value}, "env=", append=True)
            for name, value in (env or {}).items()
        ),
        *(Setting(key, value, f"settings[{key!r}]") for key, value in (settings or {}).items()),
    ]
    if isinstance(profile, str):
        return load_profile(profile, wanted, loosen)
    if wanted or loosen:
        raise Usage(
            "HB007",
            "a loaded profile cannot be changed",
            value="read, write, env, settings or loosen",
            instead="give the profile by name, or load it with load_profile(name, settings)",
        )
    return profile


def _words(argv: Sequence[str]) -> tuple[str, ...]:
    """Check what the kernel and the plan format cannot take."""
    if isinstance(argv, str | bytes) or not argv:
        raise Usage(
            "HB003",
            "the command is one string, not a list" if argv else "no command is given",
            value=f"argv = {argv!r}",
            why="a string is not split: which shell's rules would count?",
            instead=f"argv is a list: [{argv!r}]" if argv and len(argv) < _SHOWN else 'a list: ["ls", "-l"]',
        )
    given: Sequence[object] = argv
    for word in given:
        if not isinstance(word, str) or not _encodable(word):
            raise Usage(
                "HB002",
                "an argument of the command is no text that execve(2) takes",
                value=repr(word)[:120],
                why="an argument is a string without NUL",
                instead="strings; os.fsdecode() makes one of bytes",
            )
    if len(argv) > MOST_ARGUMENTS:
        raise Usage(
            "HB004",
            f"the command has more than {MOST_ARGUMENTS} arguments",
            value=f"{len(argv)} arguments",
            why="each one is a step of the plan",
            instead="xargs(1) inside, with the arguments on its stdin",
        )
    return tuple(argv)


def _encodable(word: str) -> bool:
    try:
        return b"\0" not in word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def _inside(workdir: str | None) -> str | None:
    if workdir is None or (workdir.startswith("/") and _encodable(workdir)):
        return workdir
    raise Usage(
        "HB002",
        "--workdir needs an absolute path",
        value=f"--workdir {workdir}",
        why="it is a place inside the sandbox, where the caller's own directory may not exist",
        instead="--workdir /home/box",
    )


def grant(key: str, text: str, flag: str) -> Setting:
    """Read "P[:DEST]" of --read and --write; relative host paths count from here.

    key:  "filesystem.read" or "filesystem.write".
    Raises Usage HB008, HB009.
    """
    given: object = text
    if not isinstance(given, str):
        raise Usage("HB008", f"{flag} needs host paths", value=repr(given)[:120], instead=f'{flag} "./src"')
    source, _, dest = text.partition(":")
    if not source or "\0" in text:
        raise Usage("HB008", f"{flag} needs a host path", value=f"{flag} {text}", instead=f"{flag} ./src")
    if problem := _misread(text, source, dest):
        what, instead = problem
        raise Usage("HB008", what, value=f"{flag} {text}", instead=instead)
    path = source if source.startswith("/") else os.path.join(_here(flag, text), source)
    path = _without_dots(path, flag, text)
    return Setting(key, [f"{path}:{dest}" if dest else path], flag, append=True)


def _misread(text: str, source: str, dest: str) -> tuple[str, str] | None:
    """Say what is wrong with a "P[:DEST]" that would be read otherwise than it is meant, and what to do."""
    if ":" in dest or (text != source and not dest.startswith("/") and os.path.lexists(text)):
        return "a colon cannot stand in a path of --read or --write", "name the directory above it"
    if text != source and not dest.startswith("/"):
        return "DEST, behind the colon, begins with /", f"{source}:/work/{dest or 'src'}"
    if (source[0] == "~" or "$" in source) and not os.path.lexists(source):
        return "~ and $VARIABLES are not expanded here", "the path itself; unquoted, the shell expands it"
    return None


def run(  # noqa: PLR0913 (all by keyword, as in subprocess.run)
    argv: Sequence[str],
    *,
    profile: str | Policy = "strict",
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    loosen: Mapping[str, str] | None = None,
    workdir: str | None = None,
    input: bytes | None = None,  # noqa: A002 (as in subprocess.run)
    capture: bool = False,
) -> Result:
    """Run a command in a sandbox and wait for it.

    read, write: host paths to show ("src" or "/src:/dest").
    env:         variables to set inside, beside the profile's.
    settings:    any keys of the profile, {"limits.wall": "30s"}; weaker ones need `loosen`.
    loosen:      reasons for settings that are weaker than the profile, key -> reason.
    workdir:     directory inside; default: the caller's own if it is shown, else HOME, else /.
    input:       bytes for the command's stdin; None: the caller's own stdin.
    capture:     collect stdout and stderr into the Result, each up to limits.file_size; a job that
                 writes more gets SIGPIPE.
    A line goes to the profile's audit.file; if it cannot be written after the run, that is a warning.
    Raises Usage, Refused, ProfileError, HostUnfit or SetupFailed: then nothing was run.
    """
    policy = _policy(profile, read, write, env, settings, loosen)
    trail = Trail(argv)
    try:
        trail.open(policy)
        prepared = prepare(policy, argv, workdir=workdir)
        if input is None and not capture:
            done = execute(prepared, Streams())
        else:
            done = _run_captured(prepared, input, capture=capture)
    except HardboxError as error:
        _warn(trail.refused(error))
        raise
    _warn(trail.ended(done))
    return done


def _warn(problems: Sequence[str]) -> None:
    """Say what the audit log lacks, where it is too late to refuse."""
    for problem in problems:
        import warnings  # noqa: PLC0415 (only on this path)

        warnings.warn(f"HB652: the audit log has no line about this run: {problem}", stacklevel=3)


def execute(prepared: Prepared, streams: Streams) -> Result:
    """Launch a prepared plan and wait; signals are not forwarded (see `Forwarding`)."""
    return finish(prepared, Launch(prepared.plan, dict(os.environ), streams))


def finish(prepared: Prepared, launch: Launch, watch: Watch | None = None) -> Result:
    """Wait for a launch and say what happened; for `watch` see Launch.wait. Raises SetupFailed."""
    status, records = launch.wait(watch)
    failed = report.failure(records)
    argv = tuple(step.value for step in prepared.plan.steps if isinstance(step, steps.Arg))
    if failed is not None:
        raise set_up_failed(prepared.plan, failed)
    try:
        return report.result(prepared.policy, prepared.plan, argv, records, report.start_seconds(records))
    except ValueError as error:
        raise SetupFailed(
            "HB612",
            f"{error} (exit status {status})",
            why="hardbox-launch was killed, or is not the one of this installation",
            instead="run it again; if it happens again: hardbox doctor",
        ) from error


class Forwarding:
    """Forwards the caller's signals to one launch; main thread only.

    From the `with` on they are held back, so that none is lost or ends the caller before
    there is a launch to forward them to.
    """

    def __enter__(self) -> Self:
        """Hold signals back."""
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        self._before: dict[signal.Signals, object] = {}
        return self

    def to(self, launch: Launch) -> None:
        """Forward from here on."""

        def forward(number: int, _frame: object) -> None:
            launch.signal(number)

        self._before = {number: signal.signal(number, forward) for number in FORWARDED}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)

    def __exit__(self, *_: object) -> None:
        """Give the caller its own handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)


def _run_captured(prepared: Prepared, given: bytes | None, *, capture: bool) -> Result:
    """Feed stdin and collect output through pipes, each with a thread of its own.

    No memory files: a job could execute what it wrote into one (filesystem.exec = "shown").
    """
    feed = Feed(given) if given is not None else None
    most = prepared.policy.limits.file_size
    drains = (Drain(most), Drain(most)) if capture else ()
    streams = Streams(feed.end if feed else 0, *(drain.end for drain in drains))
    parts = (*((feed,) if feed else ()), *drains)
    try:
        try:
            launch = Launch(prepared.plan, dict(os.environ), streams)
        finally:
            # Only the job holds the other ends from here on: when it is gone, so are they.
            for part in parts:
                os.close(part.end)
                part.start()
        done = finish(prepared, launch)
    finally:
        # Also where nothing was run: each closes its own end, last of all.
        for part in parts:
            part.join()
    return replace(done, stdout=drains[0].content, stderr=drains[1].content) if drains else done


def _without_dots(path: str, flag: str, text: str) -> str:
    """Take ".." out as the kernel would; behind a symlink it means another place than its text says."""
    here = "/"
    for name in path.split("/"):
        if name == ".." and os.path.islink(here):
            raise Usage(
                "HB008",
                f'".." stands behind the symlink {here}',
                value=f"{flag} {text}",
                why="an earlier job may have put the symlink there, to lead this one elsewhere",
                instead=f"{flag} {os.path.realpath(path)}",
            )
        here = os.path.dirname(here) if name == ".." else os.path.normpath(os.path.join(here, name))
    return here


def _here(flag: str, text: str) -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise Usage(
            "HB009",
            "a relative path, and the working directory is gone",
            value=f"{flag} {text}",
            why="the directory that this shell stands in was deleted",
            instead="cd to a directory that exists, or give an absolute path",
        ) from error


def _cwd() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
