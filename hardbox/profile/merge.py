"""Putting a layer on its parent: a weaker value needs its reason.

Run by: the Python front; pure. The gate is the same for a child profile and for the command
line; only what names a job's inputs and outputs (--read, --write, --env) is granted by the
profile itself, as far as `filesystem.grants` says.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hardbox import rules
from hardbox.errors import ProfileError
from hardbox.places import guards
from hardbox.policy import UNLIMITED, Bind
from hardbox.profile import orders, schema
from hardbox.profile.layers import COMMAND_LINE
from hardbox.profile.values import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardbox.errors import HardboxError
    from hardbox.policy import Origin
    from hardbox.profile.layers import Layer

# Where no file says anything: the strictest value that there is. Limits have no default.
DEFAULTS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "summary": "",
        "identity.user": 1000,
        "identity.group": 1000,
        "identity.hostname": "hardbox",
        "identity.ids": "single",
        "filesystem.root": "host",
        "filesystem.mode": "read-only",
        "filesystem.changes": 0,
        "filesystem.show": (),
        "filesystem.read": (),
        "filesystem.write": (),
        "filesystem.scratch": {},
        "filesystem.exec": "shown",
        "filesystem.grants": "none",
        "network.mode": "none",
        "network.allow": (),
        "network.from_lockfile": (),
        "network.grants": "none",
        "network.sni": "match",
        "network.log": "denied",
        # What a package manager or a test run needs, and no scanner.
        "network.connections": 256,
        "network.rate": 100,
        "network.bytes": UNLIMITED,
        "network.idle": 300_000,
        "network.bridge": "hbx0",
        "network.subnet": "10.210.0.0/16",
        "network.dns": (),
        "network.join": "",
        "network.publish": (),
        "capabilities.keep": (),
        "seccomp.filter": "strict",
        "seccomp.add": (),
        "seccomp.refuse": (),
        "seccomp.denials": "explained",
        **dict.fromkeys(schema.LIMITS, UNLIMITED),
        "limits.swap": 0,
        "limits.cpu_bandwidth": UNLIMITED,
        "limits.grace": 2000,
        "limits.locked": 65536,
        "limits.scratch_files": UNLIMITED,
        "limits.output": UNLIMITED,
        # Neither of them lets a job have less than it needs; what is stricter costs speed or input.
        "streams.sockets": "relay",
        "streams.files": "pass",
        "environment.pass": (),
        "environment.set": {},
        "audit.file": "",
        "audit.argv": False,
    }
)
# key -> the key that grants, and its values under which the command line may add to it.
GRANTED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "filesystem.read": ("filesystem.grants", ("read", "any")),
        "filesystem.write": ("filesystem.grants", ("any",)),
        "environment.set": ("filesystem.grants", ("read", "any")),
        "environment.pass": ("filesystem.grants", ("read", "any")),
        "network.allow": ("network.grants", ("any",)),
        "network.from_lockfile": ("network.grants", ("any",)),
    }
)


class State:
    """A policy in the making.

    values:   dotted key -> canonical value, complete.
    refuse:   rule name -> ids; a lifted rule is absent.
    loosened: dotted key -> (reason, the value that it was weaker than).
    files:    absolute paths that decide which files the layers come from.
    """

    __slots__ = ("files", "locked", "loosened", "optional", "origins", "refuse", "sources", "values")

    def __init__(self) -> None:
        """Start from the defaults, with every rule in force."""
        self.values: dict[str, object] = dict(DEFAULTS)
        self.refuse: dict[str, tuple[str, ...]] = {name: rule.ids for name, rule in rules.RULES.items()}
        self.loosened: dict[str, tuple[str, object]] = {}
        self.optional: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        self.sources: tuple[str, ...] = ()
        self.files: tuple[str, ...] = ()
        # Destinations that lock files name, once all layers are together.
        self.locked: tuple[str, ...] = ()

    def copy(self) -> State:
        """Give a State that shares nothing that is changed in place."""
        other = State.__new__(State)
        other.values = dict(self.values)
        other.refuse = dict(self.refuse)
        other.loosened = dict(self.loosened)
        other.optional = dict(self.optional)
        other.origins = dict(self.origins)
        other.sources = self.sources
        other.files = self.files
        other.locked = self.locked
        return other


def put(parent: State | None, layer: Layer, added: Mapping[str, object] = MappingProxyType({})) -> State:
    """Give `layer` on top of `parent`; what is wrong goes to `layer.problems`.

    parent: None for a profile without `extends`: only its lifted rules are weaker than anything.
    added:  key -> what the command line adds to a list or table (--read, --write, --env).
    """
    state = parent.copy() if parent else State()
    used: set[str] = set()
    for key in {**layer.values, **added}:
        old = state.values[key]
        base = old
        new = layer.values.get(key, old)
        if key in schema.MERGED:
            new = join(old, new)
        if key in added:
            base = join(old, added[key]) if _granted(state, key) else old
            new = join(new, added[key])
        weaker = parent is not None and not orders.at_most(key, new, base)
        # environment.set has no order; without the profile's leave the command line sets nothing.
        weaker |= key == "environment.set" and key in added and base != new
        if weaker:
            _gate(layer, used, key, base, new, parent, key in added)
            state.loosened[key] = (layer.reasons.get(key, ""), old)
        state.values[key] = new
    passed, fixed = added.get("environment.pass", ()), state.values["environment.set"]
    if passed and isinstance(fixed, dict) and isinstance(passed, tuple):
        # --env NAME means the caller's value, also where the profile has one of its own.
        own = added.get("environment.set", {})
        keep = {name: value for name, value in fixed.items() if name not in passed or name in own}  # type: ignore[operator]
        state.values["environment.set"] = keep
    for name, ids in layer.refuse.items():
        _rule(layer, state, used, name, ids, parent)
    state.optional.update(layer.optional)
    _stale(layer, used)
    if parent is None:
        _finite(layer, state)
    state.loosened = {key: value for key, value in state.loosened.items() if _still(state, key, value[1])}
    state.origins.update(layer.origins)
    if layer.source != COMMAND_LINE:
        state.sources = (layer.source, *state.sources)
    state.files = (*layer.way, *state.files)
    _agree(layer, state)
    return state


def _granted(state: State, key: str) -> bool:
    grants, values = GRANTED.get(key, ("", ()))
    return bool(grants) and state.values[grants] in values


def join(old: object, new: object) -> object:
    """Add to a list or table; anything else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **new}
    if isinstance(old, tuple) and isinstance(new, tuple):
        return tuple(dict.fromkeys((*old, *new)))
    return new


def joined(values: Sequence[object]) -> object:
    """Join them all, from the first on; thousands of lists of one row each are joined in one go."""
    lists = [value for value in values if isinstance(value, tuple)]
    if len(lists) == len(values):
        return tuple(dict.fromkeys(row for rows in lists for row in rows))
    return functools.reduce(join, values)


def _rule(
    layer: Layer, state: State, used: set[str], name: str, ids: tuple[str, ...] | None, parent: State | None
) -> None:
    key = f"refuse.{name}"
    if ids is not None:
        state.refuse[name] = tuple(dict.fromkeys((*state.refuse.get(name, rules.RULES[name].ids), *ids)))
    elif name in state.refuse:
        _gate(layer, used, key, state.refuse[name], None, parent, added=False)
        state.loosened[key] = (layer.reasons.get(key, ""), state.refuse.pop(name))


def _still(state: State, key: str, old: object) -> bool:
    """Say whether a value is still weaker than the one that its reason was given for."""
    if key.startswith("refuse."):
        return key.removeprefix("refuse.") not in state.refuse
    return key == "environment.set" or not orders.at_most(key, state.values[key], old)


def _gate(
    layer: Layer,
    used: set[str],
    key: str,
    old: object,
    new: object,
    parent: State | None,
    added: bool,  # noqa: FBT001 (internal)
) -> None:
    used.add(key)
    if key in layer.reasons:
        return
    if added and key in GRANTED:
        layer.problems.append(_not_granted(layer, key, new, parent))
        return
    lifted = key.startswith("refuse.")
    before = str(parent.origins.get(key, "")) if parent else ""
    if layer.source == COMMAND_LINE:
        other = "--profile net-client, " if key == "network.mode" and new == "allow" else ""
        instead = f"keep the profile's value, {other}or --loosen '{key}=why this run needs it'"
        where = "in the profile"
    else:
        instead = f'keep the parent\'s value, or add under [loosen]: "{key}" = "why this profile needs it"'
        where = "in the profile that it extends" if parent else "without a profile of one's own"
    if lifted:
        rule = rules.RULES[key.removeprefix("refuse.")]
        why, cited = f"the rule would refuse nothing: {rule.why}", rule.cite()
    else:
        standing = show(key, old) + (f" ({before})" if before else "")
        why, cited = f"the parent has {standing}; weaker is: {orders.ORDERS[key][1]}", ""
    layer.problems.append(
        ProfileError(
            "HB417",
            f"{key} is weaker than {where}, and no reason is given",
            value=f"{key} = {'false' if lifted else show(key, new)}",
            origin=str(layer.origins.get(key, layer.source)),
            why=why,
            rule=cited,
            instead=instead,
        )
    )


def _not_granted(layer: Layer, key: str, new: object, parent: State | None) -> HardboxError:
    granting, values = GRANTED[key]
    grants = parent.values[granting] if parent else "none"
    where = str(parent.origins.get(granting, "")) if parent else ""
    return ProfileError(
        "HB418",
        f"the profile does not let the command line add to {key}",
        value=f"{key} = {show(key, new)}",
        origin=str(layer.origins.get(key, layer.source)),
        why=f"{granting} = {show('', grants)}{f' ({where})' if where else ''}",
        instead=("--profile net-client, or agent; " if granting == "network.grants" else "")
        + f'{granting} = "{values[0]}" in a profile of your own,'
        f" or --loosen '{key}=why this run needs it'",
    )


def _stale(layer: Layer, used: set[str]) -> None:
    for key, reason in layer.reasons.items():
        if key not in used:
            layer.problems.append(
                ProfileError(
                    "HB420",
                    "a reason is given for a value that is not weaker",
                    value=f'loosen "{key}" = {show("", reason)}',
                    origin=layer.source,
                    why="a reason without its value misleads the reviewer, and would cover a later change",
                    instead="take the line out",
                )
            )


def _finite(layer: Layer, state: State) -> None:
    for key in schema.LIMITS:
        if state.values[key] == UNLIMITED and not any(
            key in str(problem.value) for problem in layer.problems
        ):
            layer.problems.append(
                rules.refuse(
                    "missing-limits",
                    value=f"{key} is missing",
                    origin=layer.source,
                    what="a profile without `extends` states every limit",
                    instead=f'extends = "strict", or the limit itself: {_example(key)}',
                )
            )


def _example(key: str) -> str:
    sizes = {"limits.memory": '"512M"', "limits.file_size": '"64M"'}
    times = {"limits.wall": '"5m"', "limits.cpu_time": '"4m"'}
    return f"{key} = {(sizes | times).get(key, '64')}"


def _agree(layer: Layer, state: State) -> None:
    """Look at values that have to fit together."""
    if state.values["filesystem.mode"] == "ephemeral" and state.values["filesystem.changes"] == 0:
        layer.problems.append(
            ProfileError(
                "HB425",
                "an ephemeral root needs room for its changes",
                value='filesystem.mode = "ephemeral"',
                origin=str(state.origins.get("filesystem.mode", "")),
                instead='filesystem.changes = "64M"',
            )
        )
    if state.values["filesystem.mode"] == "ephemeral" and state.values["filesystem.exec"] == "shown":
        layer.problems.append(
            ProfileError(
                "HB430",
                "an ephemeral root cannot keep what is written from being executed",
                value='filesystem.exec = "shown"',
                origin=str(state.origins.get("filesystem.exec", layer.source)),
                why="a writable layer over /usr is one mount: noexec would forbid all of /usr",
                instead='filesystem.exec = "anywhere", or filesystem.mode = "read-only"',
            )
        )
    places: dict[str, str] = {}
    for key, place in _places(state):
        if place in places:
            # A path that is never shown is never shown at another place either.
            layer.problems += _guarded(state, place)
            layer.problems.append(
                ProfileError(
                    "HB423",
                    f"two things are asked for at {place}",
                    value=f"{key}, and {places[place]} before it",
                    origin=str(state.origins.get(key, layer.source)),
                    why="one would hide the other",
                    instead="give one of them another destination: /src:/dest",
                )
            )
        places[place] = key


def _guarded(state: State, place: str) -> list[HardboxError]:
    """Give the rules that refuse what is asked for at one place; whose home it is cannot be told here."""
    found: list[HardboxError] = []
    for key in ("filesystem.read", "filesystem.write"):
        binds = state.values[key]
        wanted = [bind for bind in binds if bind.dest == place] if isinstance(binds, tuple) else []
        found += [
            rules.refuse(rule, value=f'{key} = "{bind.source}"', origin=str(state.origins.get(key, "")))
            for bind in wanted
            for rule in guards(bind.source, write=key == "filesystem.write")
            if rule in state.refuse and rule != "host-homes"
        ]
    return found


def _places(state: State) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key in ("filesystem.read", "filesystem.write"):
        binds = state.values[key]
        if isinstance(binds, tuple):
            found += [(key, bind.dest) for bind in binds if isinstance(bind, Bind)]
    scratch = state.values["filesystem.scratch"]
    if isinstance(scratch, dict):
        found += [("filesystem.scratch", str(path)) for path in scratch]
    return found
