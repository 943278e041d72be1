"""One layer of a policy: what a single profile file, or the command line, says.

Run by: the Python front; pure. A layer is checked alone, key by key; `merge.py` puts it on
top of its parent. All problems are collected, so that `profile lint` can tell them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox import rules
from hardbox.errors import HardboxError
from hardbox.policy import OPTIONAL, Origin
from hardbox.profile import schema
from hardbox.profile.spots import Spot
from hardbox.profile.texts import text
from hardbox.words import hint

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_REASON: Final = 10
LONGEST_REASON: Final = 300
COMMAND_LINE: Final = "command line"
SPECIAL: Final = ("extends", "summary", "refuse", "loosen", "optional")
_DEEPEST: Final = 4
# Keys whose relative paths start from the profile's own directory.
_BESIDE: Final = ("seccomp.filter", "network.from_lockfile")


class Layer:
    """What one file or the command line says.

    source:   the file as it was named, a shipped name, or "command line".
    home:     the file's directory, from which a filter file's relative path starts.
    way:      every name that decides which file this is; () for what ships and the command line.
    values:   dotted key -> canonical value.
    refuse:   rule name -> ids of its own, or None where it is lifted.
    optional: protection -> reason.
    reasons:  the [loosen] table: dotted key -> reason.
    origins:  dotted key -> Origin.
    problems: everything that is wrong, in the order found.
    """

    __slots__ = (
        *(
            "extends",
            "home",
            "optional",
            "origins",
            "problems",
            "reasons",
            "refuse",
            "source",
            "values",
            "way",
        ),
    )

    def __init__(self, source: str, home: str = "", way: tuple[str, ...] = ()) -> None:
        """Start empty."""
        self.source = source
        self.home = home
        self.way = way
        self.extends: str | None = None
        self.values: dict[str, object] = {}
        self.refuse: dict[str, tuple[str, ...] | None] = {}
        self.optional: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        self.problems: list[HardboxError] = []

    def spot(self, key: str, value: object, flag: str = "", folder: str = "") -> Spot:
        """Place a value in this layer."""
        return Spot(key, value, Origin(self.source, flag or key), folder)

    def attempt(self, read: Callable[[Spot], object], spot: Spot) -> object:
        """Read one value; None, and a problem noted, if it is bad."""
        try:
            return read(spot)
        except HardboxError as error:
            self.problems.append(error)
            return None


def from_table(table: dict[str, object], source: str, home: str, way: tuple[str, ...] = ()) -> Layer:
    """Check a whole TOML document."""
    layer = Layer(source, home, way)
    for name, value in table.items():
        if name in schema.TABLES or name in ("refuse", "loosen", "optional"):
            if isinstance(value, dict):
                for key, inner in value.items():
                    add(layer, f"{name}.{key}", inner)
            else:
                error = layer.spot(name, value).error("HB408", f"{name} is a table", instead=f"[{name}]")
                layer.problems.append(error)
        else:
            add(layer, name, value)
    return layer


def add(layer: Layer, key: str, value: object, flag: str = "", folder: str = "") -> None:
    """Check one value and put it into the layer."""
    spot = layer.spot(key, value, flag, folder)
    table, _, name = key.partition(".")
    if key in schema.READERS:
        if key in _BESIDE and not folder:
            spot.folder = layer.home
        found = layer.attempt(schema.READERS[key], spot)
        if found is not None:
            layer.values[key] = found
            layer.origins[key] = spot.origin
            if isinstance(found, dict):
                layer.origins.update({f"{key}.{each}": spot.origin for each in found})
    elif key == "extends":
        extends = layer.attempt(text, spot)
        layer.extends = extends if isinstance(extends, str) else None
        layer.origins[key] = spot.origin
    elif table == "refuse" and name:
        _refuse(layer, spot, name)
    elif table == "loosen" and name and not flag:
        _loosen(layer, name, value)
    elif table == "optional" and name:
        _optional(layer, spot, name)
    else:
        layer.problems.append(_unknown(spot))


def _refuse(layer: Layer, spot: Spot, name: str) -> None:
    if name not in rules.RULES:
        error = spot.error("HB424", f'there is no rule "{name}"', instead=hint(name, rules.RULES))
        layer.problems.append(error)
        return
    rule = rules.RULES[name]
    if spot.value is False:
        if rule.floor:
            layer.problems.append(
                rules.refuse(
                    name,
                    value=f"refuse.{name} = false",
                    origin=str(spot.origin),
                    what=f"the rule {name} is floor: no profile and no flag lifts it",
                    why=rule.because,
                )
            )
            return
        layer.refuse[name] = None
    else:
        ids = layer.attempt(_ids, spot)
        if not isinstance(ids, tuple):
            return
        layer.refuse[name] = ids
    layer.origins[spot.key] = spot.origin


def _ids(spot: Spot) -> tuple[str, ...]:
    value = spot.value
    good = isinstance(value, list) and all(
        isinstance(i, str) and 0 < len(i) <= 100 and i.isprintable()  # noqa: PLR2004 (a line of a table)
        for i in value
    )
    if not good or not isinstance(value, list):
        raise spot.error(
            "HB408",
            f"{spot.key} is a list of the standards' ids, or false",
            instead=f'{spot.key} = ["CIS-5.10"], or [] where no standard asks for it',
        )
    return tuple(dict.fromkeys(value))


def reason(spot: Spot) -> str:
    """Read a reason: one line that says something."""
    value = text(spot).strip()
    if not SHORTEST_REASON <= len(value) <= LONGEST_REASON or not value.isprintable():
        raise spot.error(
            "HB421",
            f"a reason is one line of {SHORTEST_REASON} to {LONGEST_REASON} characters",
            why="the next reviewer decides by it whether the weaker value is still needed",
            instead="say which program needs it, and what fails without it",
        )
    return value


def _loosen(layer: Layer, name: str, value: object) -> None:
    """Note a reason; an unquoted key, `limits.memory = "..."`, means the same as a quoted one."""
    if isinstance(value, dict):
        for inner, each in value.items():
            _loosen_one(layer, f"{name}.{inner}", each)
    else:
        _loosen_one(layer, name, value)


def _loosen_one(layer: Layer, key: str, value: object) -> None:
    add_reason(layer, key, value, f"loosen.{key}")


def add_reason(layer: Layer, key: str, value: object, flag: str) -> None:
    """Check one reason, of a [loosen] table or of --loosen."""
    spot = layer.spot(f"loosen.{key}", value, flag)
    known = (*schema.READERS, *(f"refuse.{name}" for name in rules.RULES))
    if key not in known:
        found = spot.error("HB419", "a reason is given for an unknown key", instead=hint(key, known))
        layer.problems.append(found)
        return
    read = layer.attempt(reason, spot)
    if isinstance(read, str):
        layer.reasons[key] = read


def _optional(layer: Layer, spot: Spot, name: str) -> None:
    if name not in OPTIONAL:
        error = spot.error("HB426", f'"{name}" is no optional protection', instead=hint(name, OPTIONAL))
        layer.problems.append(error)
        return
    read = layer.attempt(reason, spot)
    if isinstance(read, str):
        layer.optional[name] = read
        layer.origins[spot.key] = spot.origin


def _unknown(spot: Spot) -> HardboxError:
    """Make the error for an unknown key; a bad habit anywhere in it is refused as such."""
    from hardbox import habits  # noqa: PLC0415 (only when something is wrong)

    pending: list[tuple[str, object, int]] = [(spot.key, spot.value, 0)]
    while pending:
        key, value, depth = pending.pop()
        refused = habits.key(key, value, str(spot.origin))
        if refused is not None:
            return refused
        if isinstance(value, dict) and depth < _DEEPEST:
            pending += [(f"{key}.{name}", inner, depth + 1) for name, inner in value.items()]
    table, _, _name = spot.key.partition(".")
    if table in schema.TABLES:
        names = [key for key in schema.READERS if key.startswith(f"{table}.")]
    else:
        names = [*schema.READERS, *schema.TABLES, *SPECIAL]
    return spot.error("HB407", f'there is no key "{spot.key}"', instead=hint(spot.key, names))
