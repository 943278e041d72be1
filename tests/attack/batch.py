"""What attack tests with a launch of their own share: the words that start a sandbox, and canaries.

Run by: the attack tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.verify import runner, world
from hardbox.verify.runner import INSIDE_PROBES, OWN_NAMESPACES

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

    from hardbox.verify.world import Canaries

__all__ = ["INSIDE_PROBES", "OWN_NAMESPACES", "canaries", "sandbox", "word"]
word = runner.word


def sandbox(program: Installed, probes: str, *more: str) -> tuple[str, ...]:
    """Give the words that start the strict sandbox with the probes visible in it."""
    read = f"{probes}:{INSIDE_PROBES}"
    return (program.hardbox, "run", "--profile", "strict", "--read", read, *more, "--")


def canaries(caller: Caller, base: str) -> Canaries:
    """Set canaries out for a caller."""
    trees = {"tmp": base, "home": caller.home, "var": "/var/tmp", "shm": "/dev/shm"}
    return world.canaries(trees, caller.prefix)
