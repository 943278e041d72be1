"""Refusals about namespaces, capabilities and the filter, as far as a policy can ask for them.

Run by: the Python front; pure. Most such requests never reach a policy: `habits` answers them.
These functions stand behind it, for values that came another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.errors import Refused
from hardbox.policy import ID_MODES, NETWORK_MODES
from hardbox.rules import BASELINE_CAPABILITIES, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.policy import Policy


def check_privileges(policy: Policy) -> Iterator[Refused]:
    """Give every refusal about namespaces and privileges."""
    yield from _network(policy)
    yield from _capabilities(policy)
    yield from _filter(policy)


def _network(policy: Policy) -> Iterator[Refused]:
    mode = policy.network.mode
    for port in policy.network.publish:
        value, origin = f'network.publish = "{port}"', policy.origin("network.publish")
        yield refuse("published-ports", value=value, origin=origin)
    if mode in NETWORK_MODES:
        return
    from hardbox import habits  # noqa: PLC0415 (only for modes that are none)

    origin = policy.origin("network.mode")
    known = habits.key("network.mode", mode, origin)
    # Whatever is no mode of ours is no network of ours.
    yield (
        known
        if isinstance(known, Refused)
        else refuse(
            "host-network",
            value=f'network.mode = "{mode}"',
            origin=origin,
            what="a network is asked for that is not the job's own",
        )
    )


def _capabilities(policy: Policy) -> Iterator[Refused]:
    origin = policy.origin("capabilities.keep")
    for name in policy.capabilities.keep:
        plain = name.strip().upper().removeprefix("CAP_")
        value = f'capabilities.keep = "{name}"'
        if plain not in BASELINE_CAPABILITIES:
            yield refuse("powerful-capabilities", value=value, origin=origin)
        elif plain != "NET_BIND_SERVICE":
            yield refuse("added-capabilities", value=value, origin=origin)


def _filter(policy: Policy) -> Iterator[Refused]:
    name = policy.seccomp.filter.strip().lower()
    if name in ("", "unconfined", "none", "off", "false", "disabled"):
        yield refuse(
            "seccomp-unconfined",
            value=f'seccomp.filter = "{policy.seccomp.filter}"',
            origin=policy.origin("seccomp.filter"),
        )


def known_ids(policy: Policy) -> Iterator[Refused]:
    """Refuse an id mode that would not make a user namespace with a map of its own."""
    if policy.identity.ids not in ID_MODES:
        yield refuse(
            "host-user", value=f'identity.ids = "{policy.identity.ids}"', origin=policy.origin("identity.ids")
        )
