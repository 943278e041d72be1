"""Refusals about ids and limits.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.policy import MOST_CPUS, MOST_ID, UNLIMITED
from hardbox.rules import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.errors import Refused
    from hardbox.host import HostFacts
    from hardbox.policy import Policy

# Field of [limits] -> an example of a number that is large and still one.
_LIMITS: Final = {
    "memory": '"8G"',
    "tasks": "4096",
    "cpu": "8",
    "cpu_time": '"24h"',
    "wall": '"24h"',
    "file_size": '"16G"',
    "open_files": "65536",
}
# The same for those that need not be stated, and for those that may be 0.
_IF_STATED: Final = {"scratch_files": "4096", "cpu_bandwidth": '"1.5"'}
_OR_ZERO: Final = {"locked": '"64K"', "swap": '"1G"'}


def check_ids(policy: Policy, facts: HostFacts) -> Iterator[Refused]:
    """Give every refusal about who the job is, inside and outside."""
    for key, number, root in (
        ("user", policy.identity.user, "root-inside"),
        ("group", policy.identity.group, "root-group"),
    ):
        value, origin = f"identity.{key} = {number}", policy.origin(f"identity.{key}")
        if number == 0:
            yield refuse(root, value=value, origin=origin)
        elif not 0 < number <= MOST_ID:
            yield refuse("id-out-of-range", value=value, origin=origin)
    yield from _host_root(policy, facts)


def _host_root(policy: Policy, facts: HostFacts) -> Iterator[Refused]:
    """Refuse maps that would reach host id 0."""
    if facts.uid != 0 and facts.gid == 0:
        yield refuse(
            "host-root-mapped",
            value="gid 0",
            origin="the caller's group",
            what="your own group is root's, and it would be mapped into the sandbox",
            instead="start hardbox with a group of your own: newgrp GROUP, or sg GROUP -c COMMAND",
        )
    if policy.identity.ids != "range" and facts.uid != 0:
        return
    for name, ranges in (("/etc/subuid", facts.subuid), ("/etc/subgid", facts.subgid)):
        for one in ranges:
            if one.start <= 0:
                yield refuse(
                    "host-root-mapped",
                    value=f"{one.start}, {one.count} ids",
                    origin=name,
                    instead=f"begin the range in {name} above 0, at 100000 for instance",
                )


def check_limits(policy: Policy) -> Iterator[Refused]:
    """Give every refusal about limits: missing, zero, or out of range."""
    for name, example in _LIMITS.items():
        number: int = getattr(policy.limits, name)
        key = f"limits.{name}"
        if number >= UNLIMITED:
            yield refuse(
                "missing-limits",
                value=f"{key}: no limit",
                origin=policy.origin(key),
                instead=f"give a number, a large one if need be: {key} = {example}",
            )
        elif number <= 0 or (name == "cpu" and number > MOST_CPUS):
            yield refuse(
                "limit-out-of-range",
                value=f"{key} = {number}",
                origin=policy.origin(key),
                instead=f"give a number above zero: {key} = {example}",
            )
    yield from _small(policy)
    for path, size in policy.filesystem.scratch.items():
        yield from _size(policy, f'filesystem.scratch "{path}"', size, "filesystem.scratch")
    if policy.filesystem.mode == "ephemeral":
        yield from _size(policy, "filesystem.changes", policy.filesystem.changes, "filesystem.changes")


def _small(policy: Policy) -> Iterator[Refused]:
    """Refuse limits that need not be stated and are not above 0, or may be 0 and are no number."""
    for name, example in _IF_STATED.items():
        count: int = getattr(policy.limits, name)
        if count <= 0:
            yield refuse(
                "limit-out-of-range",
                value=f"limits.{name} = {count}",
                origin=policy.origin(f"limits.{name}"),
                instead=f"give a number above zero: limits.{name} = {example}",
            )
    for name, example in _OR_ZERO.items():
        number: int = getattr(policy.limits, name)
        if not 0 <= number < UNLIMITED:
            yield refuse(
                "missing-limits" if number > 0 else "limit-out-of-range",
                value=f"limits.{name} = {number}",
                origin=policy.origin(f"limits.{name}"),
                instead=f"give a number, or 0: limits.{name} = {example}",
            )


def _size(policy: Policy, shown: str, size: int, key: str) -> Iterator[Refused]:
    if size >= UNLIMITED:
        yield refuse(
            "missing-limits",
            value=f"{shown}: no limit",
            origin=policy.origin(key),
            why="it lives in memory: a full one takes the host's",
            instead='give a size: "64M"',
        )
    elif size <= 0:
        yield refuse(
            "limit-out-of-range",
            value=f"{shown} = {size}",
            origin=policy.origin(key),
            instead='give a size: "64M"',
        )
