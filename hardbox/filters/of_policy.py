"""The filter of a whole policy: beside its [seccomp], what other keys ask of the filter.

Run by: the Python front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.filters import SILENT, CompiledFilter, compile_filter

if TYPE_CHECKING:
    from hardbox.policy import Policy


def compile_for(policy: Policy, machine: str, *, tells: int = SILENT) -> CompiledFilter:
    """Give the program for a policy; arguments and errors as those of `compile_filter`."""
    refuse = ("memfd",) if policy.filesystem.exec == "shown" else ()
    keep = policy.capabilities.keep
    return compile_filter(policy.seccomp, refuse=refuse, keep=keep, machine=machine, tells=tells)
