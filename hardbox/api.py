"""The public functions: run, make_plan, load_profile.

Run by: the Python front; what `hardbox run` and `hardbox plan` call too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox import filters, grants, host, profile, recall, record_file, refusals, report, rested
from hardbox import plan as planning
from hardbox.audit import Trail
from hardbox.engines.namespaces import Streams
from hardbox.engines.pumps import Drain, Feed
from hardbox.errors import HardboxError, Usage
from hardbox.filters.of_policy import compile_for
from hardbox.plan import trees
from hardbox.policy import UNLIMITED
from hardbox.profile import Setting
from hardbox.runs import Prepared, execute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.report import Result
    from hardbox.runs import Start

# Below the 16384 steps of a plan (plan.h), with room for all others.
MOST_ARGUMENTS: Final = 12000
# Of a word that is repeated in a message.
_SHOWN: Final = 100


def load_profile(
    name_or_path: str, settings: Sequence[Setting] = (), reasons: Mapping[str, str] | None = None
) -> Policy:
    """Load a shipped profile by name or a file by path. Raises ProfileError, Refused or HostUnfit."""
    return profile.load(name_or_path, settings, reasons or {})


def prepare(
    policy: Policy,
    argv: Sequence[str],
    *,
    workdir: str | None = None,
    elsewhere: bool = False,
    explain: bool = False,
) -> Prepared:
    """Check everything and make the plan; starts nothing, needs no privilege.

    elsewhere: the plan is kept and may be launched from another session or service, so it must not
               name the cgroup that we are in; its memory is watched.
    explain: look at calls that name files, addresses, processes and ids too, to say which failed.
    Raises Usage, Refused, HostUnfit or ProfileError.
    """
    facts = host.read_facts()
    if elsewhere:
        facts = replace(facts, cgroup=None)
    if policy.limits.cpu_bandwidth < UNLIMITED:
        facts = host.look_for_bandwidth(facts)
    # One look: what the rules judge is what the plan binds.
    paths = trees.look_all(policy)
    refusals.check(policy, facts, paths)
    if explain:
        from hardbox.denials.showable import check_trees  # noqa: PLC0415 (only with --explain)

        check_trees(paths)
    tells = filters.WATCHING if explain else _tells(policy)
    compiled = compile_for(policy, facts.machine, tells=tells)
    command = planning.Command(command_words(argv), inside_path(workdir), grants.cwd())
    return Prepared(policy, planning.build(policy, facts, paths, compiled, command), paths)


def _tells(policy: Policy) -> int:
    return filters.SILENT if policy.seccomp.denials == "silent" else filters.TELLING


def make_plan(  # noqa: PLR0913 (all by keyword, as `run`)
    argv: Sequence[str],
    *,
    profile: str | Policy = "strict",
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    allow: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    loosen: Mapping[str, str] | None = None,
    workdir: str | None = None,
    explain: bool = False,
) -> LaunchPlan:
    """Give the plan that `run` would carry out, and start nothing; arguments and errors as there."""
    policy = decide(profile, Added(read, write, allow, env), settings, loosen)
    return prepare(policy, argv, workdir=workdir, explain=explain).plan


class Added(NamedTuple):
    """What a caller adds to a profile, as far as it grants that."""

    read: Sequence[str]
    write: Sequence[str]
    allow: Sequence[str]
    env: Mapping[str, str] | None


def decide(
    profile: str | Policy,
    added: Added,
    settings: Mapping[str, object] | None,
    loosen: Mapping[str, str] | None,
) -> Policy:
    """Load what `run` was asked for."""
    names: list[object] = [*(settings or {}), *(added.env or {}), *(loosen or {})]
    for name in names:
        if not isinstance(name, str):
            raise Usage(
                "HB002", "a key is no text", value=repr(name)[:120], instead='settings={"limits.wall": "30s"}'
            )
    for name, trees_given in (("read", added.read), ("write", added.write), ("allow", added.allow)):
        if isinstance(trees_given, str | bytes):
            raise Usage(
                "HB002",
                f"{name} is one string, not a list",
                value=f"{name}={trees_given!r}",
                instead=f"a list: {name}=[{trees_given!r}]",
            )
    wanted = [
        *(grants.grant("filesystem.read", path, "read=") for path in added.read),
        *(grants.grant("filesystem.write", path, "write=") for path in added.write),
        *(Setting("network.allow", [place], "allow=", append=True) for place in added.allow),
        *(
            Setting("environment.set", {name: value}, "env=", append=True)
            for name, value in (added.env or {}).items()
        ),
        *(Setting(key, value, f"settings[{key!r}]") for key, value in (settings or {}).items()),
    ]
    if isinstance(profile, str):
        return load_profile(profile, wanted, loosen)
    if wanted or loosen:
        raise Usage(
            "HB007",
            "a loaded profile cannot be changed",
            value="read, write, allow, env, settings or loosen",
            instead="give the profile by name, or load it with load_profile(name, settings)",
        )
    return profile


def command_words(argv: Sequence[str]) -> tuple[str, ...]:
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


def inside_path(workdir: str | None) -> str | None:
    """Check a place inside. Raises Usage HB002."""
    if workdir is None or (workdir.startswith("/") and _encodable(workdir)):
        return workdir
    raise Usage(
        "HB002",
        "--workdir needs an absolute path",
        value=f"--workdir {workdir}",
        why="it is a place inside the sandbox, where the caller's own directory may not exist",
        instead="--workdir /home/box",
    )


def run(  # noqa: PLR0913 (all by keyword, as in subprocess.run)
    argv: Sequence[str],
    *,
    profile: str | Policy = "strict",
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    allow: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    loosen: Mapping[str, str] | None = None,
    workdir: str | None = None,
    input: bytes | None = None,  # noqa: A002 (as in subprocess.run)
    capture: bool = False,
    output_dir: str | None = None,
    samples: bool = False,
    explain: bool = False,
) -> Result:
    """Run a command in a sandbox and wait for it.

    read, write: host paths to show ("src" or "/src:/dest").
    allow:       destinations that the job may reach ("index.example.org:443"), with a profile for a network.
    env:         variables to set inside, beside the profile's.
    settings:    any keys of the profile, {"limits.wall": "30s"}; weaker ones need `loosen`.
    loosen:      reasons for settings that are weaker than the profile, key -> reason.
    workdir:     directory inside; default: the caller's own if it is shown, else HOME, else /.
    input:       bytes for the command's stdin; None: the caller's own stdin.
    capture:     collect stdout and stderr into the Result, each up to limits.file_size; a job that
                 writes more gets SIGPIPE.
    output_dir:  a directory, outside of what the job may change, in which the files `stdout` and
                 `stderr` are written, with the same bound.
    samples:     look at what the command uses every 50 ms, later less often (Result.samples).
    explain:     look at more calls, slowly, for Result.denials to say which failed (docs/denials.md).
    A line goes to the profile's audit.file, also where an exception such as KeyboardInterrupt ends the job;
    if it cannot be written after the run, that is a warning.
    Raises Usage, Refused, ProfileError, HostUnfit or SetupFailed: then nothing was run; and OSError
    if there was no room for the output of a command that was run.
    """
    shown = read or write or allow or explain
    wanted = None if shown else recall.key(profile, env, settings, loosen, workdir)
    known = recall.find(wanted)
    before = rested.look() if wanted is not None and known is None else None
    policy = known.policy if known else decide(profile, Added(read, write, allow, env), settings, loosen)
    trail = Trail(argv)
    try:
        trail.open(policy)
        if known:
            prepared = Prepared(policy, known.template.filled(command_words(argv)), known.paths)
        else:
            prepared = prepare(policy, argv, workdir=workdir, explain=explain)
            if before:
                recall.keep(wanted, profile, policy, prepared.plan, prepared.paths, before)
        done, problem = run_prepared(prepared, input, capture=capture, output_dir=output_dir, samples=samples)
    except HardboxError as error:
        warn(trail.refused(error))
        raise
    except BaseException:
        warn(trail.lost())
        raise
    warn(trail.ended(done))
    if problem is not None:
        raise problem
    return done


def run_prepared(
    prepared: Prepared,
    given: bytes | None,
    *,
    capture: bool,
    output_dir: str | None,
    samples: bool,
    by: Start | None = None,
) -> tuple[Result, OSError | None]:
    """Launch with the streams that `run` was asked for; gives what went wrong with the output, too.

    by: see `hardbox.runs.execute`.
    """
    if capture and output_dir is not None:
        raise Usage(
            "HB002",
            "capture and output_dir exclude one another",
            value=f"capture=True, output_dir={output_dir!r}",
            instead="one of them",
        )
    if given is None and not capture and output_dir is None:
        return execute(prepared, Streams(), samples=samples, by=by), None
    most = prepared.policy.limits.file_size
    drains: tuple[Drain, ...] = (Drain(most), Drain(most)) if capture else ()
    if output_dir is not None:
        write = [bind.source for bind in prepared.policy.filesystem.write]
        drains = tuple(Drain(most, file) for file in record_file.output_files(output_dir, write))
    return _run_piped(prepared, given, drains, samples=samples, by=by)


def warn(problems: Sequence[str]) -> None:
    """Say what the audit log lacks, where it is too late to refuse."""
    for problem in problems:
        import warnings  # noqa: PLC0415 (only on this path)

        warnings.warn(f"HB652: the audit log has no line about this run: {problem}", stacklevel=3)


def _run_piped(
    prepared: Prepared,
    given: bytes | None,
    drains: tuple[Drain, ...],
    *,
    samples: bool,
    by: Start | None,
) -> tuple[Result, OSError | None]:
    """Feed stdin and take output through pipes, each with a thread of its own.

    No memory files: a job could execute what it wrote into one (filesystem.exec = "shown").
    """
    feed = Feed(given) if given is not None else None
    streams = Streams(feed.end if feed else 0, *(drain.end for drain in drains))
    parts = (*((feed,) if feed else ()), *drains)
    try:
        done = execute(prepared, streams, samples=samples, parts=parts, by=by)
    finally:
        # Also where nothing was run: each closes its own end, last of all.
        for part in parts:
            part.join()
    if any(drain.into_file for drain in drains):
        return replace(done, output=report.Output(*(drain.taken for drain in drains))), _problem(drains)
    return replace(done, stdout=drains[0].content, stderr=drains[1].content) if drains else done, None


def _problem(drains: tuple[Drain, ...]) -> OSError | None:
    """Say what does not stand in the files; the command has run."""
    for drain in drains:
        if drain.problem is not None:
            problem = drain.problem
            message = f"the output is not complete, but the command was run: {problem.strerror}"
            return OSError(problem.errno, message)
    return None
