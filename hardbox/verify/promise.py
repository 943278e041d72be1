"""What a profile allows that `strict` does not: from its policy and its compiled filter.

Run by: verify/check.py, verify/examine.py; pure. An attempt that works is "allowed by profile"
only where one of these says why; the tests demand that `strict` allows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.filters.model import answer
from hardbox.plan.steps import Landlock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hardbox.filters.model import Rules
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy

# Words before an attempt that say from where it is made.
AROUND: Final = frozenset({"thread", "grandchild", "after-exec", "twice", "crowded"})
# More processes than this are no attack any more, and a control would cost too much.
MOST_TASKS: Final = 2000
_SIGCHLD: Final = 17
_POINTER: Final = 0x10


@dataclass(frozen=True, slots=True)
class Promise:
    """The policy, the plan that carries it out, and the rules of its filter."""

    policy: Policy
    plan: LaunchPlan
    rules: Rules


def _number(text: str) -> int:
    try:
        return int(text, 0) & (1 << 64) - 1
    except ValueError:  # "bad", "buf", "self", "s:/path": no filter compares a pointer or a pid
        return _POINTER


def filter_allows(attempt: Sequence[str], promise: Promise) -> str:
    """Say that the profile's filter lets a call through; "" if it does not, or it is no plain call."""
    words = list(attempt)
    while words and words[0] in AROUND:
        words.pop(0)
    if len(words) > 1 and words[0] == "sys" and words[1].startswith("@"):
        call, values = words[1][1:], [_number(word) for word in words[2:]]
    elif len(words) > 1 and words[0] == "clone":
        call, values = "clone", [_number(words[1]) | _SIGCHLD]
    else:
        return ""
    arguments = (*values, 0, 0, 0, 0, 0, 0)[:6]
    if answer(promise.rules, call, arguments):
        return ""
    return f"the filter of profile {promise.policy.name} allows {call}"


def _exec(promise: Promise) -> str:
    return 'filesystem.exec = "anywhere"' if promise.policy.filesystem.exec == "anywhere" else ""


def _ephemeral(promise: Promise) -> str:
    ephemeral = promise.policy.filesystem.mode == "ephemeral"
    return 'filesystem.mode = "ephemeral": changes stay in memory' if ephemeral else ""


def _tracing(promise: Promise) -> str:
    return filter_allows(("sys", "@ptrace", "0"), promise)


def _vm(promise: Promise) -> str:
    return filter_allows(("sys", "@process_vm_readv"), promise)


def _ids(promise: Promise) -> str:
    return 'identity.ids = "range"' if promise.policy.identity.ids == "range" else ""


def _ports(promise: Promise) -> str:
    keep = promise.policy.capabilities.keep
    loopback = promise.policy.network.mode != "none"
    if "NET_BIND_SERVICE" in keep and loopback:
        return 'capabilities.keep = ["NET_BIND_SERVICE"]'
    return ""


def _loopback(promise: Promise) -> str:
    mode = promise.policy.network.mode
    if mode != "none":
        return f'network.mode = "{mode}"'
    walls = [step for step in promise.plan.steps if isinstance(step, Landlock)]
    if any(step.network for step in walls):
        return ""
    return "no Landlock that refuses TCP (Linux 6.7); the job's network is its own, and nobody else is on it"


def _keep(promise: Promise) -> str:
    keep = promise.policy.capabilities.keep
    return f"capabilities.keep = {list(keep)}" if keep else ""


def _kcmp(promise: Promise) -> str:
    return filter_allows(("sys", "@kcmp"), promise)


def _tasks(promise: Promise) -> str:
    tasks = promise.policy.limits.tasks
    return (
        f"limits.tasks = {tasks}, and verify makes no more than {MOST_TASKS}" if tasks >= MOST_TASKS else ""
    )


PERMITS: Final[Mapping[str, Callable[[Promise], str]]] = {
    "exec": _exec,
    "ephemeral": _ephemeral,
    "tracing": _tracing,
    "memory-of-others": _vm,
    "kcmp": _kcmp,
    "ids": _ids,
    "ports": _ports,
    "loopback": _loopback,
    "capabilities": _keep,
    "tasks": _tasks,
}
