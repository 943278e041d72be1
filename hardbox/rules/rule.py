"""What a rule is.

Run by: the Python front; data only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Why a rule is floor.
NEW_NAMESPACES: Final = (
    "the launcher starts every job in new namespaces and has no step that keeps an old one"
)
NO_MEANS: Final = "the launcher has no step that could do it"
PROMISE: Final = "it is one of the five things that hardbox promises whatever a profile says"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    name:    as in a profile's [refuse] table.
    code:    "HB1nn" namespaces and privileges, "HB2nn" paths and descriptors, "HB3nn" ids and limits.
    ids:     of the standards that ask for it; empty where none of them knows the danger.
    title:   the verdict, one sentence without full stop.
    why:     what would go wrong.
    instead: what to do instead.
    because: why no profile can lift it; "" if one can.
    """

    name: str
    code: str
    ids: tuple[str, ...]
    title: str
    why: str
    instead: str
    because: str = ""

    @property
    def floor(self) -> bool:
        """Whether no profile can lift the rule."""
        return bool(self.because)

    def cite(self) -> str:
        """Give name and standards as a message shows them: "host-network: CIS-5.10, NSA-host-network"."""
        return f"{self.name}: {', '.join(self.ids)}" if self.ids else self.name
