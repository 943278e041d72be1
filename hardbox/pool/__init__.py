"""A pool: sandboxes that wait, prepared up to the last step, each for one job.

Run by: the owner's process: a program that uses `hardbox.Pool`, or `hardbox serve`. What is decided,
refused and enforced is what `hardbox.run` would; a job for which no member fits is launched as there.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from hardbox import api, rested, runs
from hardbox.audit import Trail
from hardbox.errors import HardboxError, SetupFailed
from hardbox.pool import decision
from hardbox.pool.idle import IdleMembers
from hardbox.pool.starting import Job, Starter, kind
from hardbox.pool.turns import Cancelled, Ticket, Turns, check, check_number, closed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hardbox.engines.member import Member
    from hardbox.engines.namespaces import Launch, Streams
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.pool.decision import JobKind
    from hardbox.report import Result
    from hardbox.runs import Prepared, Start

# Decisions that are remembered: one for each set of variables.
_REMEMBERED: Final = 256
# Times that a decision is taken anew while the files that it rests on are being changed.
_TRIES: Final = 50
_TICK: Final = 0.02
_ANY: Final = ("true",)


class Pool:
    """Sandboxes of one profile that wait for jobs; thread-safe, to be used in a `with` statement.

    A member takes one job and is never used again. It dies when it has waited too long, when what was
    decided holds no more (profile, filters, mounts, ids, CPUs, cgroup), and with its owner, however it ends.
    """

    def __init__(  # noqa: PLR0913 (all by keyword)
        self,
        *,
        profile: str | Policy = "strict",
        size: int = 8,
        idle: float = 300.0,
        waiting: int = 1024,
        patience: float = 60.0,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
        loosen: Mapping[str, str] | None = None,
    ) -> None:
        """Decide, and begin to make members.

        size:     how many members wait, and how many jobs run at once.
        idle:     seconds that a member may wait, and that they are made anew behind the last job.
        waiting:  how many callers may wait for a turn; one more is refused (HB671).
        patience: seconds that a caller waits for a turn before it is refused (HB671).
        read, write, env, settings, loosen: of every job, as in `hardbox.run`.
        Raises Usage, Refused, ProfileError, HostUnfit or SetupFailed, as `hardbox.run` would.
        """
        check(size, idle, waiting, patience)
        here = os.getcwd()
        path = isinstance(profile, str) and "/" in profile
        self._profile = os.path.join(here, profile) if path and isinstance(profile, str) else profile
        self._read = tuple(os.path.join(here, text) for text in read)
        self._write = tuple(os.path.join(here, text) for text in write)
        self._env = dict(env or {})
        self._settings = dict(settings or {})
        self._loosen = dict(loosen or {})
        self._lock = threading.RLock()
        self.waiting, self._size = waiting, size
        self._turns = Turns(size, waiting, patience)
        self._tickets: weakref.WeakSet[Ticket] = weakref.WeakSet()
        self._last = IdleMembers(size, idle, self._same)
        self._open = IdleMembers(size, idle, self._same)
        self._opened = False
        # How many jobs a member has taken; the others were launched the usual way.
        self.handed = 0
        self._memo: OrderedDict[tuple[tuple[str, str], ...], JobKind] = OrderedDict()
        self._ground: decision.Ground | None = None
        self._bounded = False
        self._base = self._begin()
        _living.add(self)

    def __enter__(self) -> Self:
        """Give the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """As `close`."""
        self.close()

    def close(self) -> None:
        """End the members that wait and the jobs that run, and refuse new ones."""
        for ticket in tuple(self._tickets):
            ticket.cancel()
        self._turns.close()
        self._last.close()
        self._open.close()
        with self._lock:
            if self._ground is not None:
                self._ground.close()
                self._ground = None

    def wait_ready(self, count: int = 1, seconds: float = 60.0) -> bool:
        """Wait until `count` members wait for a job; says whether they do.

        Raises what keeps them from being made, and Usage HB002 for more than there ever are.
        """
        check_number("count", count, 0, self._size)
        with self._lock:
            if self._ground is not None:
                self._renew()
        found = self._last.wait(count, seconds)
        if not found and self._last.problem is not None:
            raise self._last.problem
        return found

    @property
    def policy(self) -> Policy:
        """What was decided for jobs that bring nothing but a command."""
        return self._base.policy

    @property
    def ready(self) -> int:
        """How many members wait for a job."""
        return self._last.count()

    def run(  # noqa: PLR0913 (all by keyword, as hardbox.run)
        self,
        argv: Sequence[str],
        *,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        input: bytes | None = None,  # noqa: A002 (as in subprocess.run)
        capture: bool = False,
        output_dir: str | None = None,
        samples: bool = False,
    ) -> Result:
        """Run a command in a sandbox and wait for it; arguments, result and errors as those of `hardbox.run`.

        read, write, env: of this job alone, beside the pool's.
        Raises SetupFailed HB670 (the pool is closed) and HB671 (it is full), too.
        """
        try:
            return self.run_for(
                Ticket(),
                argv,
                read=read,
                write=write,
                env=env,
                workdir=workdir,
                input=input,
                capture=capture,
                output_dir=output_dir,
                samples=samples,
            )
        except Cancelled as error:
            raise closed() from error

    async def run_async(  # noqa: PLR0913 (all by keyword, as `run`)
        self,
        argv: Sequence[str],
        *,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        input: bytes | None = None,  # noqa: A002 (as in `run`)
        capture: bool = False,
        output_dir: str | None = None,
        samples: bool = False,
    ) -> Result:
        """As `run`, for asyncio: other tasks go on meanwhile. To cancel it ends the job."""
        from hardbox.pool.asynchronous import in_thread  # noqa: PLC0415 (asyncio takes 40 ms to import)

        return await in_thread(
            lambda ticket: self.run_for(
                ticket,
                argv,
                read=read,
                write=write,
                env=env,
                workdir=workdir,
                input=input,
                capture=capture,
                output_dir=output_dir,
                samples=samples,
            )
        )

    def run_for(  # noqa: PLR0913 (all by keyword)
        self,
        ticket: Ticket,
        argv: Sequence[str],
        *,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        input: bytes | None = None,  # noqa: A002 (as in `run`)
        capture: bool = False,
        output_dir: str | None = None,
        samples: bool = False,
        environment: Mapping[str, str] | None = None,
        cwd: str | None = None,
        streams: Streams | None = None,
        told: Callable[[Launch], None] | None = None,
    ) -> Result:
        """As `run`, for somebody who may not be this process (hardbox serve).

        environment, cwd: the caller's, if that is another process.
        streams:          what stands on the job's 0-2, instead of input, capture and output_dir.
        told:             is called with the launch, once there is one.
        """
        self._tickets.add(ticket)
        trail = Trail(argv)
        with self._turns.turn(ticket):
            try:
                words, place = api.command_words(argv), api.inside_path(workdir)
                found, walls = self._decide(read, write, env)
                trail.open(found.policy)
                where = found.workdir(place, cwd)
                mine = os.environ if environment is None else environment
                job = Job(words, where, mine, found, walls)
                prepared = runs.Prepared(found.policy, found.template.filled(words, where), found.paths)

                def once(by: Start) -> tuple[Result, OSError | None]:
                    if streams is not None:
                        return runs.execute(prepared, streams, samples=samples, by=by), None
                    return api.run_prepared(
                        prepared, input, capture=capture, output_dir=output_dir, samples=samples, by=by
                    )

                starter = Starter(self, job, ticket, told)
                try:
                    done, problem = once(starter.begin)
                except SetupFailed as error:
                    # A member that was killed before its job began; nothing was run.
                    if error.code != "HB612" or not starter.member or ticket.cancelled:
                        raise
                    done, problem = once(starter.begin_anew)
            except HardboxError as error:
                api.warn(trail.refused(error))
                raise
            except BaseException:
                api.warn(trail.lost())
                raise
        api.warn(trail.ended(done))
        if problem is not None:
            raise problem
        return done

    def hand(self, job: Job, prepared: Prepared, streams: Streams, *, samples: bool) -> Member | None:
        """Give the job to a member that fits, None if there is none."""
        kinds = {kind(end) for end in (streams.stdin, streams.stdout, streams.stderr)}
        if "terminal" in kinds:
            return None
        if job.walls is not None and "file" not in kinds:
            content = job.decision.content(job.argv, job.workdir, job.environment)
            while (member := self._last.take(job.walls)) is not None:
                if member.hand(prepared.plan, None, content, streams, samples=samples):
                    return self._handed(member, self._last)
                member.close()
            return None
        plan, at = self._open_base()
        if not decision.fits(plan, prepared.plan, at):
            return None
        theirs = decision.spoken_out(prepared.plan, job.environment)
        while (member := self._open.take(plan)) is not None:
            if member.hand(prepared.plan, theirs, theirs.encode(), streams, samples=samples):
                return self._handed(member, self._open)
            member.close()
        return None

    def _handed(self, member: Member, idle: IdleMembers) -> Member:
        member.on_start = idle.refill
        with self._lock:
            self.handed += 1
        return member

    def _open_base(self) -> tuple[LaunchPlan, int]:
        """Give the plan of members for jobs that bring trees, and begin to keep some."""
        with self._lock:
            policy = self._base.policy
            binds = (*policy.filesystem.read, *policy.filesystem.write)
            own = [*(bind.dest for bind in binds), *policy.filesystem.scratch]
            at = decision.hold_point(self._base.plan, own)
            if not self._opened:
                self._opened = True
                self._open.set(self._base.plan, at)
            return self._base.plan, at

    def _same(self) -> bool:
        with self._lock:
            return self._ground is not None and self._ground.same()

    def _decide(
        self, read: Sequence[str], write: Sequence[str], env: Mapping[str, str] | None
    ) -> tuple[JobKind, LaunchPlan | None]:
        """Decide on a job; also gives the plan of members that can take it where all their walls stand.

        Trees of the host are looked through for each job: what lies in them now may forbid it.
        """
        with self._lock:
            base = self._renew()
            if not read and not write and not rested.trees(base.policy):
                key = tuple(sorted((env or {}).items()))
                if not key:
                    return base, base.plan
                found = self._memo.get(key)
                if found is None:
                    found = decision.kind_of(self._prepare((), (), env))
                    self._memo[key] = found
                    while len(self._memo) > _REMEMBERED:
                        self._memo.popitem(last=False)
                return found, base.plan if decision.same_walls(base.plan, found.plan) else None
        found = decision.kind_of(self._prepare(read, write, env))
        fits = not read and not write and decision.same_walls(base.plan, found.plan)
        return found, base.plan if fits else None

    def _renew(self) -> JobKind:
        """Give a decision for all jobs that still holds."""
        if self._ground is None or not self._ground.same():
            self._base = self._begin()
        return self._base

    def _prepare(self, read: Sequence[str], write: Sequence[str], env: Mapping[str, str] | None) -> Prepared:
        added = api.Added((*self._read, *read), (*self._write, *write), (), {**self._env, **(env or {})})
        policy = api.decide(self._profile, added, self._settings, self._loosen)
        decision.check(policy)
        return api.prepare(policy, _ANY)

    def _begin(self) -> JobKind:
        """Decide for all jobs to come; members of an older decision end."""
        for _ in range(_TRIES):
            before = rested.look(anywhere=True, bandwidth=self._bounded)
            found = decision.kind_of(self._prepare((), (), None))
            if decision.bounded(found.policy) is not self._bounded:
                self._bounded = not self._bounded
                continue
            with suppress(rested.ChangedError, OSError):
                ground = decision.Ground(found.policy, found.paths, before)
                break
            time.sleep(_TICK)
        else:
            raise decision.unsettled(found.policy)
        if self._ground is not None:
            self._ground.close()
        self._ground, self._opened = ground, False
        self._memo.clear()
        self._open.drop()
        self._last.set(found.plan, 0)
        return found

    def _forget(self) -> None:
        """Be closed, in a child process that is not the owner."""
        self._last.forget()
        self._open.forget()
        self._turns = Turns(0, 0, 0.0)
        self._turns.close()
        self._lock = threading.RLock()
        self._tickets = weakref.WeakSet()


# A child made by fork(2) has the parent's descriptors, which would keep members alive behind its back.
_living: weakref.WeakSet[Pool] = weakref.WeakSet()


def _in_child() -> None:
    for pool in tuple(_living):
        pool._forget()  # noqa: SLF001 (our own)


os.register_at_fork(after_in_child=_in_child)
