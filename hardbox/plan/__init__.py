"""LaunchPlan: what will happen, as an ordered list of steps.

Run by: the Python front; pure. `hardbox plan` prints it, `hardbox-launch` executes the
same bytes, and the report names their digest.
"""

from __future__ import annotations

import hashlib
import posixpath
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox.errors import Usage
from hardbox.places import within
from hardbox.plan import steps as s
from hardbox.plan.bounds import bandwidth_steps, total_memory_steps
from hardbox.plan.network import kept, proxies
from hardbox.plan.root import outside_trees, root_steps
from hardbox.plan.walls import drop_steps, identity_steps, landlock_steps, visible
from hardbox.policy import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.filters import CompiledFilter
    from hardbox.host import HostFacts
    from hardbox.policy import Policy
    from hardbox.refusals.disk import PathFact

# The format, and what one launch can carry, as plan.h has it (tests/unit/test_numbers.py).
MAGIC: Final = b"HBXPLAN\x01"
VERSION: Final = 1
HEADER: Final = struct.Struct("<8sII32sII")
SIZE_MAX: Final = 16 << 20
STEPS_MAX: Final = 16384
SEARCH_MAX: Final = 64
TREES_MAX: Final = 4000
_SIX_NAMESPACES: Final = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
_CGROUP_NAMESPACE: Final = 0x02000000
_DEFAULT_PATH: Final = "/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: arguments, and where.

    argv:    the command and its arguments; any bytes but NUL (surrogateescape).
    workdir: directory inside, or None: the caller's own if it is shown, else HOME, else /.
    cwd:     the caller's working directory, "" if it is gone.
    """

    argv: tuple[str, ...]
    workdir: str | None = None
    cwd: str = ""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """An ordered list of steps, for one policy on one host.

    policy_name, policy_digest: of the Policy that it carries out.
    """

    steps: tuple[s.Step, ...]
    policy_name: str
    policy_digest: str
    # The bytes, once somebody has asked for them: launch and report both do.
    _bytes: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)

    def encode(self) -> bytes:
        """Give the bytes that hardbox-launch takes (plan.h). Raises Usage HB010 if they are too many."""
        if not self._bytes:
            self._seal(b"".join(step.encode() for step in self.steps))
        return self._bytes[0]

    def _seal(self, body: bytes) -> None:
        size = HEADER.size + len(body)
        _carry(size, SIZE_MAX, "bytes in all", "give long arguments and values in a file: --read FILE")
        digest = hashlib.sha256(body).digest()
        self._bytes.append(HEADER.pack(MAGIC, VERSION, size, digest, len(self.steps), 0) + body)

    def digest(self) -> str:
        """SHA-256 (hex) over the encoded plan."""
        return hashlib.sha256(self.encode()).hexdigest()

    def lines(self) -> tuple[str, ...]:
        """Give one line for each step, numbered as the launcher numbers them."""
        return tuple(
            f"{number:>4}  {step.kind:<18} {step.describe()}" for number, step in enumerate(self.steps, 1)
        )


class Template:
    """A plan whose command is left open, for many runs of one kind (recall.py, pool/)."""

    def __init__(self, plan: LaunchPlan) -> None:
        """Take a plan apart, which has one command."""
        self.plan = plan
        numbers = [step.number for step in plan.steps]
        first, chdir = numbers.index(s.Arg.number), numbers.index(s.Chdir.number)
        last = first + numbers.count(s.Arg.number)
        self._steps = plan.steps[:first], plan.steps[last:chdir], plan.steps[chdir + 1 :]
        self._bytes = [b"".join(step.encode() for step in steps) for steps in self._steps]
        self._chdir = plan.steps[chdir]

    def filled(self, argv: tuple[str, ...], workdir: str | None = None) -> LaunchPlan:
        """Give the plan with another command, as `build` would make it. Raises Usage HB010.

        workdir: where it starts, None: where the plan's own does.
        """
        words = tuple(s.Arg(word) for word in argv)
        chdir = self._chdir if workdir is None else s.Chdir(workdir)
        before, between, after = self._steps
        steps = (*before, *words, *between, chdir, *after)
        plan = LaunchPlan(steps, self.plan.policy_name, self.plan.policy_digest)
        _carry_steps(plan)
        first, second, third = self._bytes
        body = (first, *(word.encode() for word in words), second, chdir.encode(), third)
        plan._seal(b"".join(body))  # noqa: SLF001 (ours)
        return plan


def build(
    policy: Policy,
    facts: HostFacts,
    paths: Mapping[str, PathFact],
    compiled: CompiledFilter,
    command: Command,
) -> LaunchPlan:
    """Make the plan. Raises HostUnfit, Refused, ProfileError or Usage; starts nothing."""
    trees = outside_trees(policy, facts, paths)
    kinds = tuple("dir" if tree.flags & s.RECURSIVE else "file" for tree in trees)
    root = root_steps(policy, facts, paths)
    landlock = landlock_steps(policy, facts, visible(policy, root, kinds))
    flags = _SIX_NAMESPACES | (_CGROUP_NAMESPACE if facts.cgroup_namespaces else 0)
    single = policy.identity.ids == "single"
    become = s.Become(policy.identity.user, policy.identity.group) if single else s.Become(0, 0)
    plan = LaunchPlan(
        steps=(
            s.Host(facts.uid, facts.kernel),
            s.Namespaces(flags),
            *identity_steps(policy, facts),
            _stdio(policy, facts),
            s.Wall(policy.limits.wall, policy.limits.grace),
            *total_memory_steps(policy, facts),
            *bandwidth_steps(policy, facts),
            *_output(policy),
            *trees,
            *_data(policy, facts, command),
            become,
            *root,
            s.Terminal(policy.identity.user, policy.identity.group),
            *drop_steps(policy, facts, workdir_of(policy, command), landlock),
            s.SeccompFilter(compiled.bpf, compiled.tells),
            s.Exec(),
        ),
        policy_name=policy.name,
        policy_digest=policy.digest,
    )
    _check_counts(plan)
    return plan


def _stdio(policy: Policy, facts: HostFacts) -> s.Stdio:
    """Say what is done with what stands on descriptors 0-2, which is known at launch only."""
    allowed = s.REOPEN_PIPES if facts.uid == 0 else 0
    allowed |= s.RELAY_SOCKETS if policy.streams.sockets == "relay" else 0
    return s.Stdio(allowed | (s.RELAY_FILES if policy.streams.files == "relay" else 0))


def _output(policy: Policy) -> tuple[s.Step, ...]:
    return (s.Output(policy.limits.output),) if policy.limits.output < UNLIMITED else ()


def _check_counts(plan: LaunchPlan) -> None:
    """Refuse what the launcher would refuse, in words that help."""
    searched = sum(isinstance(step, s.Search) for step in plan.steps)
    cloned = sum(isinstance(step, s.Tree) for step in plan.steps)
    one_above = "show one directory above them: --read DIRECTORY"
    _carry(searched, SEARCH_MAX, "directories in PATH", "a shorter PATH: --env PATH=/usr/bin:/bin")
    _carry(cloned, TREES_MAX, "trees of the host", one_above)
    _carry_steps(plan)


def _carry_steps(plan: LaunchPlan) -> None:
    _carry(len(plan.steps), STEPS_MAX, "steps, of which each argument is one", "xargs(1), or a file of names")


def _carry(count: int, most: int, what: str, instead: str) -> None:
    if count > most:
        raise Usage(
            "HB010",
            f"more than one launch can carry: {count} {what}",
            value=f"{count} {what}",
            why=f"a plan has room for {most}",
            instead=instead,
        )


def _data(policy: Policy, facts: HostFacts, command: Command) -> tuple[s.Step, ...]:
    fixed = {**proxies(policy), **policy.environment.set}
    search = fixed.get("PATH", _DEFAULT_PATH).split(":")
    return (
        s.PolicyName(policy.sources[0] if policy.sources else policy.name, policy.digest),
        s.Facts(facts.digest()),
        *(s.Destination(text) for text in (policy.network.allow if kept(policy) else ())),
        *(s.Env(name, value) for name, value in sorted(fixed.items())),
        *(s.PassEnv(name) for name in policy.environment.pass_ if name not in fixed),
        *(s.Search(directory) for directory in search if directory.startswith("/")),
        *(s.Arg(argument) for argument in command.argv),
    )


def workdir_of(policy: Policy, command: Command) -> str:
    """Choose where the command starts; always a place inside."""
    if command.workdir is not None:
        return command.workdir
    for bind in (*policy.filesystem.write, *policy.filesystem.read):
        if within(command.cwd, bind.source):
            return posixpath.join(bind.dest, command.cwd[len(bind.source) + 1 :]).rstrip("/") or "/"
    home = policy.environment.set.get("HOME", "")
    return home if home in policy.filesystem.scratch else "/"
