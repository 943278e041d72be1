"""What this host can enforce, by really trying it in throw-away children.

Run by: `hardbox doctor`. Never on the way of a run: that only reads facts (host.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.probe import mounts, namespaces, networks, system, walls
from hardbox.probe.check import Check, Place

if TYPE_CHECKING:
    from hardbox.host import HostFacts

__all__ = ["Check", "Place", "probe"]


def probe(facts: HostFacts, *, root: str = "", launcher: str = "") -> tuple[Check, ...]:
    """Try everything; nothing remains afterwards.

    root:     stands for "/" where files are read; tests use it.
    launcher: path of hardbox-launch, "" if it is not installed.
    """
    place = Place(facts, root, launcher)
    return tuple(
        check for part in (namespaces, mounts, walls, networks, system) for check in part.probe(place)
    )
