"""What the broker is told: one JSON object, checked before anything else happens.

Run by: the broker. Nothing has a default here: who starts the broker says everything, and what is missing,
unknown or empty ends it. An allow-list that cannot be read must never become one that lets through.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hardbox import destinations, network_limits

if TYPE_CHECKING:
    from hardbox.destinations import Destination

MOST_BYTES: Final = 1 << 20
_KEYS: Final = ("mode", "profile", "allow", "sni", "log", "connections", "rate", "bytes", "idle")
# policy.SNI_MODES and NETWORK_LOGS: importing those is a tenth of the start.
_CHOICES: Final = {"mode": ("allow",), "sni": ("match", "off"), "log": ("off", "denied", "all")}
_RANGES: Final = {
    "connections": network_limits.CONNECTIONS,
    "rate": network_limits.RATE,
    "bytes": (network_limits.BYTES[0], network_limits.NO_LIMIT),
    "idle": network_limits.IDLE,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the job may reach, and how much of it.

    profile:     name of the profile, for messages.
    allow:       the rules; at least one.
    sni:         "match": the name inside TLS and HTTP must be the one that was allowed; "off".
    log:         which rows the end event has: "off", "denied" (and failed), "all".
    connections: open at once, 1..16384.
    rate:        new connections per second; twice as many in a burst.
    bytes:       both directions together over the run; network_limits.NO_LIMIT: any number.
    idle:        milliseconds without a byte either way after which a connection is closed.
    """

    profile: str
    allow: tuple[Destination, ...]
    sni: str
    log: str
    connections: int
    rate: int
    bytes: int
    idle: int

    @property
    def patience(self) -> float:
        """`idle` in seconds."""
        return self.idle / 1000


def read(fd: int) -> bytes:
    """Read the settings from a descriptor, from its start. Raises OSError."""
    raw = b""
    while chunk := os.pread(fd, MOST_BYTES + 1 - len(raw), len(raw)):
        raw += chunk
    return raw


def table(raw: bytes) -> dict[str, Any]:
    """Read one JSON object, whatever is in it. Raises ValueError with the reason."""
    if len(raw) > MOST_BYTES:
        _bad(f"the settings are longer than {MOST_BYTES} bytes")
    try:
        top = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError as error:
        _bad("the settings are nested too deeply", error)
    if not isinstance(top, dict):
        _bad("the settings are no object")
    return top


def parse(raw: bytes) -> Settings:
    """Read and check the broker's settings. Raises ValueError with the reason."""
    return of(table(raw))


def of(top: dict[str, Any]) -> Settings:
    """Check the broker's settings. Raises ValueError with the reason."""
    _check(top)
    return Settings(
        profile="".join(letter if letter.isprintable() else "?" for letter in top["profile"][:200]),
        allow=_rules(top["allow"]),
        sni=top["sni"],
        log=top["log"],
        connections=top["connections"],
        rate=top["rate"],
        bytes=top["bytes"],
        idle=top["idle"],
    )


def _check(top: dict[str, Any]) -> None:
    """Check keys and values but for the rules."""
    if missing := [key for key in _KEYS if key not in top]:
        _bad(f"the settings lack {', '.join(missing)}")
    if unknown := sorted(top.keys() - set(_KEYS)):
        _bad(f"the settings have unknown keys: {', '.join(unknown)[:200]}")
    for key, choices in _CHOICES.items():
        if top[key] not in choices:
            _bad(f"{key} is none of {', '.join(choices)}")
    for key, (least, most) in _RANGES.items():
        if type(top[key]) is not int or not least <= top[key] <= most:
            _bad(f"{key} is no whole number of {least}..{most}")
    if not isinstance(top["profile"], str):
        _bad("profile is no text")


def _rules(wanted: object) -> tuple[Destination, ...]:
    if not isinstance(wanted, list) or not all(isinstance(rule, str) for rule in wanted):
        _bad("allow is no list of texts")
    if not wanted:
        _bad("allow is empty")
    if len(wanted) > network_limits.MOST_DESTINATIONS:
        _bad(f"allow has more than {network_limits.MOST_DESTINATIONS} rules")
    rules = []
    for text in wanted:
        try:
            rule = destinations.parse(text)
        except ValueError as error:
            _bad(f"allow: {text[:300]!r}: {error}", error)
        # Networks and "every port" are for a mode that filters packets; here they would widen a rule unseen.
        if rule.kind not in ("name", "wildcard", "address") or rule.port == 0:
            _bad(f"allow: {text[:300]!r}: not a rule of this mode")
        rules.append(rule)
    return tuple(rules)


def _bad(why: str, cause: Exception | None = None) -> NoReturn:
    raise ValueError(why) from cause


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _bad("the settings have a key twice")
    return found


def _constant(name: str) -> object:
    _bad(f"{name} is no number of JSON")
