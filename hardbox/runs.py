"""One run: launch a prepared plan, hear it to its end, and say what happened.

Run by: api.py and cli/run.py.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hardbox import host, report
from hardbox.engines.failures import set_up_failed
from hardbox.engines.namespaces import Launch, Streams
from hardbox.errors import SetupFailed
from hardbox.plan import steps, trees
from hardbox.plan.network import kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from hardbox.engines.namespaces import Watch
    from hardbox.engines.pumps import Drain, Feed
    from hardbox.network_report import NetworkUse
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact
    from hardbox.report import Result

    class Start(Protocol):
        """Launches a prepared plan, as `start` does."""

        def __call__(self, prepared: Prepared, streams: Streams, *, samples: bool = False) -> Launch:
            """Give the launch."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan together with the policy that it carries out, and the paths that both looked at."""

    policy: Policy
    plan: LaunchPlan
    paths: Mapping[str, PathFact]


def execute(
    prepared: Prepared,
    streams: Streams,
    *,
    samples: bool = False,
    parts: Sequence[Drain | Feed] = (),
    by: Start | None = None,
) -> Result:
    """Launch a prepared plan and wait; signals are not forwarded (engines/forwarding.py).

    parts: what feeds and drains its streams, to be started.
    by:    what launches, if not `start`; a pool does otherwise. An exception meanwhile ends the job.
    """
    launch = None
    # An interrupt between the launch and the wait for it would leave a job that nobody ends.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        try:
            launch = (by or start)(prepared, streams, samples=samples)
        finally:
            # Only the job holds the other ends from here on: when it is gone, so are they.
            for part in parts:
                os.close(part.end)
                part.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return finish(prepared, launch)
    finally:
        if launch is not None:
            launch.close()
            if launch.keeper is not None:
                launch.keeper.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(
    prepared: Prepared,
    streams: Streams,
    *,
    samples: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Launch:
    """Launch a prepared plan, with the process that keeps its network if it has one. Raises SetupFailed.

    environment: the caller's, if that is another process.
    """
    if not kept(prepared.policy):
        return Launch(prepared.plan, environment, streams, samples=samples)
    from hardbox.engines.keeper import Keeper  # noqa: PLC0415 (few runs have such a network)

    keeper = Keeper(prepared.policy)
    launch = None
    try:
        # At the same time: the launcher lets the job wait for the keeper.
        launch = Launch(prepared.plan, environment, streams, samples=samples, keeper=keeper)
        keeper.wait_ready()
    except BaseException:
        if launch is not None:
            launch.close()
        keeper.close()
        raise
    return launch


def finish(prepared: Prepared, launch: Launch, watch: Watch | None = None) -> Result:
    """Wait for a launch and say what happened; for `watch` see Launch.wait. Raises SetupFailed."""
    keeper = launch.keeper
    if keeper is None:
        return _finish(prepared, launch, watch)
    try:
        result = _finish(prepared, launch, watch)
        return _with_network(result, prepared.policy, keeper.told())
    finally:
        keeper.close()


def _with_network(result: Result, policy: Policy, use: NetworkUse) -> Result:
    from hardbox.denials import contacts  # noqa: PLC0415 (few runs have such a network)

    denied = contacts.explain(use, policy)
    return replace(result, network=use, denials=(*result.denials, *denied))


def _finish(prepared: Prepared, launch: Launch, watch: Watch | None) -> Result:
    status, records = launch.wait(watch)
    failed = report.failure(records)
    if failed is not None:
        # Whoever keeps the network may know better than the launcher why there is none.
        raise (launch.keeper and launch.keeper.failed()) or set_up_failed(prepared.plan, failed)
    argv = tuple(step.value for step in prepared.plan.steps if isinstance(step, steps.Arg))
    try:
        result = report.result(
            *(prepared.policy, prepared.plan, argv, records, report.start_seconds(records)),
            sampled=launch.sampled,
        )
    except ValueError as error:
        raise SetupFailed(
            "HB612",
            f"{error} (exit status {status})",
            why="hardbox-launch was killed, or is not the one of this installation",
            instead="run it again; if it happens again: hardbox doctor",
        ) from error
    refused, seen = report.denied(records), report.observed(records)
    return _with_denials(result, prepared.policy, refused, seen) if refused or seen else result


def _with_denials(result: Result, policy: Policy, refused: bytes, seen: bytes) -> Result:
    """Add what was refused, and what was asked for in vain; a table that is none tells nothing."""
    from contextlib import suppress  # noqa: PLC0415 (as below)

    from hardbox import denials  # noqa: PLC0415 (only where something was refused)

    told: tuple[denials.Denial, ...] = ()
    dropped = 0
    with suppress(ValueError):
        if refused:
            found = denials.parse(refused)
            told, dropped = denials.explain(found, denials.inputs_of(policy)), found.dropped
    with suppress(ValueError):
        if seen:
            from hardbox.denials.showable import unshowable  # noqa: PLC0415 (only with --explain)

            facts = host.read_facts()
            more, lost = denials.observed(
                seen, policy, facts.machine, lambda path: unshowable(policy, facts, path, trees.look_all)
            )
            told, dropped = (*told, *more), dropped + lost
    return replace(result, denials=told, denials_dropped=dropped)
