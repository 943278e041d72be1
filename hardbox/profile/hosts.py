"""Host lists: named files of destinations, each with a date and a reason, and those of lock files.

Run by: the Python front. `network.allow = ["@our-index"]` stands for what hosts/our-index.toml names,
beside the profile or, failing that, among the lists that ship.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Final, NoReturn

from hardbox import data, files, lockfiles
from hardbox.destinations import parse
from hardbox.errors import HardboxError, ProfileError
from hardbox.policy import Origin
from hardbox.profile.network import LIST, destination
from hardbox.profile.spots import Spot
from hardbox.words import hint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.profile.layers import Layer

FOLDER: Final = "hosts"
_SUFFIX: Final = ".toml"
_ROW: Final = frozenset(("destination", "added", "reason"))
_SHORTEST_REASON: Final = 10
_EXAMPLE: Final = '[[host]] with destination = "index.example.org:443", added = 2026-01-31, reason = "..."'


def expand(layer: Layer, values: dict[str, object]) -> None:
    """Put the destinations of host lists in the place of their names; problems go to the layer.

    values: of the layer, or what the command line adds.
    """
    wanted = values.get("network.allow")
    if not isinstance(wanted, tuple) or not any(name.startswith(LIST) for name in wanted):
        return
    found: list[str] = []
    for name in wanted:
        try:
            found += _list(layer, name) if name.startswith(LIST) else [name]
        except HardboxError as error:
            layer.problems.append(error)
    values["network.allow"] = tuple(dict.fromkeys(found))


def _list(layer: Layer, name: str) -> list[str]:
    """Read one list. Raises ProfileError HB402 to HB404, HB434, or Refused HB230."""
    origin = str(layer.origins.get("network.allow", layer.source))
    path, trusted = _locate(layer, name, origin)
    found = files.read(path, "host list", origin, trusted=trusted)
    layer.way = (*found.way, *layer.way)
    try:
        table = tomllib.loads(found.content.decode())
    except (ValueError, RecursionError) as error:
        raise _bad(path, origin, f"it is not TOML: {error}") from error
    rows = table.get("host")
    plain = not set(table) - {"summary", "host"} and isinstance(table.get("summary", ""), str)
    if not plain or not isinstance(rows, list) or not rows:
        raise _bad(path, origin, "it holds a summary and [[host]] tables, and nothing else")
    return [_row(path, origin, row) for row in rows]


def _locate(layer: Layer, name: str, origin: str) -> tuple[str, bool]:
    """Give the file of a list, and whether it ships."""
    plain = name.removeprefix(LIST)
    if "/" in plain:
        return os.path.join(layer.home, plain), False
    beside = os.path.join(layer.home, FOLDER, plain + _SUFFIX)
    if layer.way and os.path.lexists(beside):
        return beside, False
    names = data.names(f"profiles/{FOLDER}")
    if plain not in names:
        raise ProfileError(
            "HB434",
            "there is no such host list",
            value=f'network.allow = ["{name}"]',
            origin=origin,
            why=f"it is looked for in {FOLDER}/ beside the profile, and among those that ship",
            instead=hint(plain, names) + f"; a file of yours: {LIST}./{plain}{_SUFFIX}",
        )
    return data.path(f"profiles/{FOLDER}", plain), True


def _row(path: str, origin: str, row: object) -> str:
    import datetime as dt  # noqa: PLC0415 (only with host lists)

    if not isinstance(row, dict) or set(row) != _ROW:
        raise _bad(path, origin, "each [[host]] has a destination, the date when it was added and a reason")
    reason, added = row["reason"], row["added"]
    if not isinstance(added, dt.date) or isinstance(added, dt.datetime):
        raise _bad(path, origin, f"added is a date, not {added!r}")
    if not isinstance(reason, str) or len(reason.strip()) < _SHORTEST_REASON or not reason.isprintable():
        raise _bad(path, origin, f"a reason is one line of at least {_SHORTEST_REASON} characters")
    value = row["destination"]
    if isinstance(value, str) and value.startswith(LIST):
        raise _bad(path, origin, "a host list names destinations, not other lists")
    return destination(Spot("destination", value, Origin(path, "host.destination")))


def _bad(path: str, origin: str, why: str) -> ProfileError:
    return ProfileError(
        "HB434", "the host list cannot be used", value=path, origin=origin, why=why, instead=_EXAMPLE
    )


def of_lockfiles(values: Mapping[str, object], origin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the destinations that a policy's lock files name, and the names that decide which files they are.

    A job that could change one would choose what the next may reach: see Policy.files. It comes with the
    project, so it opens names alone: which addresses are meant, a person says.
    Raises ProfileError HB402 to HB404, HB435, or Refused HB230.
    """
    paths = values.get("network.from_lockfile")
    hosts: list[str] = []
    way: list[str] = []
    for path in paths if isinstance(paths, tuple) else ():
        found = files.read(path, "lock file", origin, most=lockfiles.MOST_BYTES)
        way += found.way
        try:
            if found.links > 1:
                _unfit("has another name, by which a job could change it: copy it, do not link it")
            hosts += (_named(text) for text in lockfiles.hosts_of(path, found.content))
        except ValueError as error:
            raise ProfileError(
                "HB435",
                "the lock file does not say which hosts it needs",
                value=path,
                origin=origin,
                why=str(error),
                instead="name them: --allow HOST:PORT, or network.allow in a profile",
            ) from error
    return tuple(dict.fromkeys(hosts)), tuple(way)


def _named(text: str) -> str:
    rule = parse(text)
    if rule.kind != "name":
        _unfit(f"names {text}, which is no name; an address is allowed by --allow alone")
    return str(rule)


def _unfit(why: str) -> NoReturn:
    raise ValueError(why)
