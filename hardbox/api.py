"""The public functions: run, plan, load_profile.

Run by: the Python front; what `hardbox run` and `hardbox plan` call too.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hardbox import filters, host, profile, refusals, report, trees
from hardbox import plan as planning
from hardbox.engines.namespaces import Launch, Streams
from hardbox.errors import SetupFailed
from hardbox.failures import set_up_failed
from hardbox.profile import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.report import Result

_FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan together with the policy that it carries out."""

    policy: Policy
    plan: LaunchPlan


def load_profile(
    name_or_path: str, settings: Sequence[Setting] = (), reasons: Mapping[str, str] | None = None
) -> Policy:
    """Load a shipped profile by name or a file by path. Raises ProfileError or Refused."""
    return profile.load(name_or_path, settings, reasons or {})


def prepare(policy: Policy, argv: Sequence[str], *, workdir: str | None = None) -> Prepared:
    """Check everything and make the plan; starts nothing, needs no privilege.

    Raises Refused, HostUnfit or ProfileError.
    """
    facts = host.read_facts()
    refusals.check(policy, facts)
    refuse = ("memfd",) if policy.filesystem.exec == "shown" else ()
    compiled = filters.compile_filter(
        policy.seccomp, refuse=refuse, keep=policy.capabilities.keep, machine=facts.machine
    )
    command = planning.Command(tuple(argv), workdir, _cwd())
    return Prepared(policy, planning.build(policy, facts, trees.look_all(policy), compiled, command))


def plan(argv: Sequence[str], *, profile: str = "strict") -> LaunchPlan:
    """Give the plan for a command under a profile."""
    return prepare(load_profile(profile), argv).plan


def run(  # noqa: PLR0913 (all by keyword, as in subprocess.run)
    argv: Sequence[str],
    *,
    profile: str | Policy = "strict",
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    workdir: str | None = None,
    input: bytes | None = None,  # noqa: A002 (as in subprocess.run)
    capture: bool = False,
) -> Result:
    """Run a command in a sandbox and wait for it.

    read, write: host paths to show ("/src" or "/src:/dest"), absolute.
    env:         variables to set inside, beside the profile's.
    input:       bytes for the command's stdin; None: the caller's own stdin.
    capture:     collect stdout and stderr into the Result.
    Raises Refused, ProfileError, HostUnfit or SetupFailed: then nothing was run.
    """
    settings = [
        Setting(f"filesystem.{key}", [path], f"{key}=", append=True)
        for key, paths in (("read", read), ("write", write))
        for path in paths
    ]
    if env:
        settings.append(Setting("environment.set", dict(env), "env=", append=True))
    if isinstance(profile, str):
        policy = load_profile(profile, settings)
    elif settings:
        raise SetupFailed(
            "HB605",
            "a loaded profile cannot be widened",
            value="read, write or env",
            instead="give the profile by name, or load it with load_profile(name, settings)",
        )
    else:
        policy = profile
    prepared = prepare(policy, argv, workdir=workdir)
    if input is None and not capture:
        return execute(prepared, Streams())
    return _run_captured(prepared, input, capture=capture)


def execute(prepared: Prepared, streams: Streams) -> Result:
    """Launch a prepared plan and wait; signals are not forwarded (see `forwarding`)."""
    return finish(prepared, Launch(prepared.plan, dict(os.environ), streams))


def finish(prepared: Prepared, launch: Launch) -> Result:
    """Wait for a launch and say what happened. Raises SetupFailed."""
    status, records = launch.wait()
    failed = report.failure(records)
    argv = tuple(step.value for step in prepared.plan.steps if step.kind == "arg")  # type: ignore[attr-defined]
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


def forwarding(launch: Launch) -> None:
    """Forward the caller's signals to a launch from here on; main thread only."""

    def forward(number: int, _frame: object) -> None:
        launch.signal(number)

    for number in _FORWARDED:
        signal.signal(number, forward)


def _run_captured(prepared: Prepared, given: bytes | None, *, capture: bool) -> Result:
    """Feed stdin and collect output through memory files: no pipe that could fill or hang."""
    files = [os.memfd_create(f"hardbox-{name}", os.MFD_CLOEXEC) for name in ("in", "out", "err")]
    try:
        if given is not None:
            with os.fdopen(os.dup(files[0]), "wb") as writer:
                writer.write(given)
            os.lseek(files[0], 0, os.SEEK_SET)
        streams = Streams(
            stdin=files[0] if given is not None else 0,
            stdout=files[1] if capture else 1,
            stderr=files[2] if capture else 2,
        )
        done = execute(prepared, streams)
        if not capture:
            return done
        return replace(done, stdout=b"".join(_content(files[1])), stderr=b"".join(_content(files[2])))
    finally:
        for file in files:
            os.close(file)


def _content(file: int) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(file, 1 << 20, offset):
        offset += len(chunk)
        yield chunk


def _cwd() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
