"""One decision for many jobs: a plan of which a job changes what is no wall.

Run by: pool/, in the owner's process; pure but for `Ground`, which looks at files.
"""

from __future__ import annotations

import hashlib
import os
import select
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox import grants, rested
from hardbox.engines.namespaces import programs
from hardbox.errors import HostUnfit, Usage
from hardbox.plan import HEADER, MAGIC, SIZE_MAX, VERSION, Command, LaunchPlan, Template, workdir_of
from hardbox.plan import steps as s
from hardbox.plan.network import kept
from hardbox.policy import UNLIMITED
from hardbox.pool import inherited

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hardbox.plan.steps import Step
    from hardbox.policy import Policy
    from hardbox.refusals import PathFact
    from hardbox.rested import Around
    from hardbox.runs import Prepared

# Numbers of kinds.h: the phases.
_DATA, _INSIDE = 20, 40
# What hold_fits() of launch/handover.c lets a job add behind the hold point.
_ADDED: Final = (s.MakeDir, s.BindMount, s.Attach, s.LandlockPath)


class Ground:
    """What a pool's decision rested on, and whether that has been so ever since."""

    def __init__(self, policy: Policy, paths: Mapping[str, PathFact], before: Around) -> None:
        """Look at everything. Raises rested.ChangedError if something has changed since `before`, or OSError.

        before: from `rested.look(anywhere=True)`, before the decision.
        """
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        # The kernel tells of a change by POLLPRI and POLLERR (proc(5)), and of each once: of one that was
        # undone, too, in between which a member may have been made.
        self._poll.register(self._mounts, select.POLLPRI)
        self._changed = False
        try:
            files = (*programs(), *rested.names(paths), *policy.files)
            self._rested = rested.Rested(files, before, bandwidth=bounded(policy))
            self._inherited = inherited.snapshot()
        except BaseException:
            self.close()
            raise

    def same(self) -> bool:
        """Say whether nothing has changed; what has changed once stays so."""
        self._changed = self._changed or bool(self._poll.poll(0)) or not self._as_it_was()
        return not self._changed

    def _as_it_was(self) -> bool:
        # Members have what their owner had when they were made, and it may have given that up since.
        try:
            return inherited.snapshot() == self._inherited and self._rested.same()
        except OSError:
            return False

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._mounts)


def check(policy: Policy) -> None:
    """Refuse what no pool can run. Raises Usage HB011."""
    if kept(policy):
        raise Usage(
            "HB011",
            "a pool has no network that somebody would have to keep",
            value=f'network.mode = "{policy.network.mode}"',
            origin=policy.origin("network.mode"),
            why="each job's network is kept by a process of its own, which knows its destinations",
            instead="hardbox.run, or a profile with network mode none or loopback",
        )


def unsettled(policy: Policy) -> HostUnfit:
    """Give the error for a host that changes while it is looked at."""
    return HostUnfit(
        "HB504",
        "what a pool's decision rests on changes all the time",
        value=policy.name,
        why="a profile, a filter or the mounts of this host were changed while they were read",
        instead="try again once nobody changes them",
    )


def bounded(policy: Policy) -> bool:
    """Say whether a decision rests on where CPU bandwidth can be limited."""
    return policy.limits.cpu_bandwidth < UNLIMITED


@dataclass(frozen=True, slots=True)
class JobKind:
    """What was decided for many jobs: a policy and its plan, open where a job's own words stand."""

    policy: Policy
    paths: Mapping[str, PathFact]
    template: Template
    fixed: bytes
    fixed_count: int
    passed: tuple[str, ...]

    @property
    def plan(self) -> LaunchPlan:
        """A plan of this kind, by whose walls others are told apart."""
        return self.template.plan

    def workdir(self, wanted: str | None, cwd: str | None = None) -> str:
        """Choose where a job starts."""
        return workdir_of(self.policy, Command((), wanted, grants.cwd() if cwd is None else cwd))

    def content(self, argv: Sequence[str], workdir: str, environment: Mapping[str, str]) -> bytes:
        """Give what a member whose walls all stand is told of its job (launch/hold.h). Raises Usage HB010."""
        passed = [s.Env(name, environment[name]).encode() for name in self.passed if name in environment]
        words = [_text(s.Arg.number, word) for word in argv]
        body = b"".join((self.fixed, *passed, *words, _text(s.Chdir.number, workdir)))
        count = self.fixed_count + len(passed) + len(words) + 1
        size = HEADER.size + len(body)
        if size > SIZE_MAX // 2:
            self.template.filled(tuple(argv), workdir)  # refuses it in words that help
        return HEADER.pack(MAGIC, VERSION, size, hashlib.sha256(body).digest(), count, 0) + body


def _text(number: int, text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<III", number, len(data) + 5, len(data)) + data + b"\0"


def kind_of(prepared: Prepared) -> JobKind:
    """Make of a run one for any job."""
    steps = prepared.plan.steps
    fixed = [step for step in steps if isinstance(step, s.Env | s.Search)]
    return JobKind(
        prepared.policy,
        prepared.paths,
        Template(prepared.plan),
        fixed=b"".join(step.encode() for step in fixed),
        fixed_count=len(fixed),
        passed=tuple(step.name for step in steps if isinstance(step, s.PassEnv)),
    )


def same_walls(one: LaunchPlan, other: LaunchPlan) -> bool:
    """Say whether two plans differ in what is no wall alone."""
    return _walls(one) == _walls(other)


def _walls(plan: LaunchPlan) -> list[Step]:
    return [
        step for step in plan.steps if not _DATA <= step.number < _INSIDE and step.number != s.Chdir.number
    ]


def hold_point(plan: LaunchPlan, own: Iterable[str]) -> int:
    """Give how many steps can be carried out before a job's trees are known.

    own: where the policy attaches what is the job's own: its trees and scratch directories.
    """
    places = frozenset(own)
    steps = plan.steps
    at = next(
        i
        for i, step in enumerate(steps)
        if isinstance(step, s.Device)
        or (isinstance(step, s.BindMount | s.Attach | s.Tmpfs) and step.dest in places)
    )
    # The places are made just before; another plan may make them elsewhere.
    while isinstance(steps[at - 1], s.MakeDir) or (
        isinstance(steps[at - 1], s.WriteFile) and not steps[at - 1].values()[2]
    ):
        at -= 1
    return at


def fits(member: LaunchPlan, job: LaunchPlan, at: int) -> bool:
    """Say whether a member that waits behind step `at` can take this job (hold_fits of launch/handover.c)."""
    ours, theirs = member.steps, job.steps
    outside = [step for step in ours if step.number < _DATA]
    more = [step for step in theirs if step.number < _DATA]
    if more[: len(outside)] != outside or not all(isinstance(x, s.Tree) for x in more[len(outside) :]):
        return False
    first = next(i for i, step in enumerate(ours) if step.number >= _INSIDE)
    rest = [step for step in theirs if step.number >= _INSIDE]
    if rest[: at - first] != list(ours[first:at]):
        return False
    left = iter(rest[at - first :])
    for wanted in ours[at:]:
        for step in left:
            if step == wanted or step.kind == wanted.kind == s.Chdir.kind:
                break
            if not (isinstance(step, _ADDED) or (isinstance(step, s.WriteFile) and not step.content)):
                return False
        else:
            return False
    return next(left, None) is None


def spoken_out(plan: LaunchPlan, environment: Mapping[str, str]) -> LaunchPlan:
    """Give the plan with the caller's variables in place of their names: a member has another environment."""
    steps: list[Step] = []
    for step in plan.steps:
        if not isinstance(step, s.PassEnv):
            steps.append(step)
        elif step.name in environment:
            steps.append(s.Env(step.name, environment[step.name]))
    return LaunchPlan(tuple(steps), plan.policy_name, plan.policy_digest)
