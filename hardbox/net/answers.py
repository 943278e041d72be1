"""What the job is told, in words.

Run by: the broker; pure. A program inside, or the model that runs it, must not take a denial for a fault.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hardbox import destinations
from hardbox.net.ledger import clean
from hardbox.network_report import DENIED

if TYPE_CHECKING:
    from hardbox.net.decide import NotConnected

LIMITS: Final = MappingProxyType(
    {
        "limit-bytes": "the run has moved as many bytes as it may",
        "limit-idle": "nothing went either way for too long",
    }
)
_WHY: Final = MappingProxyType(
    {
        "not-allowed": "{where} is not in network.allow",
        "spelling": "{where} is not a plain spelling of a host ({detail})",
        # Which one is for the report: addresses of the caller's network are not the job's business.
        "unfit-address": "{where} leads to an address that is not public, and an allowed name may not",
        "server-name": "the name in the TLS greeting and the allowed {where} differ ({detail})",
        "host-header": "the Host header and the allowed {where} differ ({detail})",
        "protocol": "{detail}",
        "limit-connections": "so many connections are open at once as may be",
        "limit-rate": "so many connections were made in a second as may be",
        "limit-names": "{where} is one name too many ({detail})",
        "limit-bytes": "{detail}",
        "limit-idle": "{detail}",
    }
)
_NO_RETRY: Final = (
    "This is the sandbox's decision, not a network failure: do not retry and do not look for another way."
)


def where(host: str, port: int) -> str:
    """Write a destination as in a rule, in plain text whatever it is."""
    return destinations.place(clean(host), port)


def refusal(profile: str, host: str, port: int, refused: NotConnected) -> str:
    """Say why a request gets no answer, and what would change that."""
    place = where(host, port)
    detail = clean(refused.detail)
    if refused.verdict != DENIED:
        return (
            f"hardbox: {place} is allowed, but could not be reached from outside the sandbox: {detail}. "
            "This is a network failure, not the sandbox's decision.\n"
        )
    why = _WHY.get(refused.reason, refused.reason).format(where=place, detail=detail)
    lines = f"hardbox: blocked by profile {clean(profile)}: {why}. {_NO_RETRY}"
    if refused.reason == "not-allowed":
        lines += f" To allow it, whoever runs the sandbox adds: --allow {place}"
    return lines + "\n"
