"""Advice on a profile that loads: nothing is wrong, but a reviewer would ask.

Run by: cli/profile.py (`hardbox profile lint`); pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.destinations import inwards, parse
from hardbox.profile.values import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.policy import Network, Policy
    from hardbox.profile.layers import Layer
    from hardbox.profile.merge import State

_SECRET_WORDS: Final = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "PRIVATE", "AUTH")
_DAY: Final = 86_400_000


def of(policy: Policy, own: Layer, parent: State | None) -> Iterator[str]:
    """Give one sentence for each thing that a reviewer would ask.

    own:    what the file itself says.
    parent: what it extends, resolved.
    """
    if not policy.summary or "summary" not in own.values:
        yield "summary is missing: say in one line whom the profile is for"
    if parent is None:
        yield 'it extends nothing, so no later change of a shipped profile reaches it: extends = "strict"'
    else:
        for key, value in own.values.items():
            if parent.values[key] == value:
                yield f"{key} = {show(key, value)} repeats the parent's value: leave it out"
    yield from _asked(policy)


def _asked(policy: Policy) -> Iterator[str]:
    for name in policy.environment.pass_:
        if any(word in name.upper() for word in _SECRET_WORDS):
            yield f"environment.pass takes {name} from the caller: what the job can read, the job has"
    if policy.filesystem.exec == "anywhere" and policy.filesystem.write:
        yield 'filesystem.write with exec = "anywhere": what the job leaves there, people may run later'
    if policy.limits.wall > _DAY:
        yield "limits.wall is above one day: does a job that hangs so long harm nobody?"
    yield from _network(policy.network)
    for name in policy.optional:
        yield f"{name} is optional: on a host without it one wall is missing, and the report says so"


def _network(network: Network) -> Iterator[str]:
    if network.mode == "allow" and not network.allow and network.grants == "none":
        yield 'network.mode = "allow" with an empty list reaches nothing: mode = "none" says so plainly'
    if network.allow and network.mode in ("none", "loopback"):
        yield f'network.allow names destinations, and network.mode = "{network.mode}" reaches none of them'
    for text in network.allow:
        rule = parse(text)
        if rule.kind == "wildcard":
            yield f"network.allow takes {text}: every host of that name, and whoever can make one"
        elif rule.kind == "address" and inwards(rule.host):
            yield f"network.allow takes {text}: an address of the host, or of the networks around it"
