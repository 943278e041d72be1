"""Profiles: from a name or a file, and the command line, to a Policy.

Run by: the Python front. Reads the files of one chain of `extends`, once each, and nothing else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from hardbox import data, files
from hardbox.errors import HardboxError, ProfileError, Refused
from hardbox.policy import (
    Audit,
    Bind,
    Capabilities,
    Environment,
    Filesystem,
    Identity,
    Limits,
    Network,
    Policy,
    Seccomp,
    StreamRules,
)
from hardbox.profile import hosts, layers, merge, schema, sources
from hardbox.words import hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardbox.profile.layers import Layer
    from hardbox.profile.merge import State

LONGEST_CHAIN: Final = 8
_SUFFIX: Final = ".toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One flag of the command line, or one --set.

    key:    dotted, "limits.memory".
    value:  as TOML would give it ("1G", ["/src"]), unchecked.
    flag:   "--memory", for messages.
    append: True: adds to the list or table (--read, --write, --env); False: replaces.
    """

    key: str
    value: object
    flag: str
    append: bool = False


class Inspection(NamedTuple):
    """What was found in a profile.

    policy:   None if there is a problem.
    problems: everything that is wrong, parents' first.
    own:      what the file itself says; None if the chain could not be read.
    parent:   what it extends, resolved; None if it extends nothing.
    """

    policy: Policy | None
    problems: list[HardboxError]
    own: Layer | None = None
    parent: State | None = None


def shipped() -> tuple[str, ...]:
    """Give the names of the profiles that ship."""
    return data.names("profiles")


def load(
    name_or_path: str,
    settings: Sequence[Setting] = (),
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> Policy:
    """Load a profile and put the command line on top.

    name_or_path: a bare word is a shipped name; with a "/" or ending in .toml it is a file.
    settings:     go through the same gate as a child profile (docs/profiles.md).
    reasons:      dotted key -> reason (--loosen), as the [loosen] table of a profile.
    Raises ProfileError or Refused (docs/errors.md, HB4xx and HB1xx-HB3xx).
    """
    found = inspect(name_or_path, settings, reasons)
    if found.policy is None:
        # A request for what is never shared says more than a misspelt key beside it.
        raise next((p for p in found.problems if isinstance(p, Refused)), found.problems[0])
    return found.policy


def inspect(
    name_or_path: str,
    settings: Sequence[Setting] = (),
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> Inspection:
    """Load as `load` does, but collect every problem."""
    try:
        own, *parents = _read_chain(name_or_path)
    except HardboxError as error:
        return Inspection(None, [error])
    last = (own, *parents)[-1]
    if last.extends is None and "extends" in last.origins:
        # Its parent is not known, so nothing can be said about what is weaker.
        return Inspection(None, last.problems)
    problems: list[HardboxError] = []
    parent: State | None = None
    for layer in reversed(parents):
        parent = merge.put(parent, layer)
        problems += layer.problems
    state = merge.put(parent, own)
    problems += own.problems
    if settings or reasons:
        state = _command_line(state, settings, reasons, problems)
    if not problems:
        _lockfiles(state, problems)
    policy = None if problems else _policy(_name(name_or_path), state)
    return Inspection(policy, problems, own, parent)


def _read_chain(name_or_path: str) -> list[Layer]:
    """Read a profile and those that it extends, child first. Raises HardboxError."""
    chain: list[Layer] = []
    seen: set[tuple[int, int]] = set()
    name, origin, home = name_or_path, "", ""
    while True:
        path, is_shipped = _locate(name, home, origin)
        found = sources.read(path, origin=origin, trusted=is_shipped)
        source = name if is_shipped or not chain else _shown(chain[-1], name, path)
        if found.key in seen or len(chain) == LONGEST_CHAIN:
            raise ProfileError(
                "HB422",
                "profiles extend one another in a circle"
                if found.key in seen
                else "the chain of profiles is too long",
                value=f"extends = {name!r}",
                origin=origin,
                why=f"at most {LONGEST_CHAIN} profiles, each one once",
                instead='extend a profile that ships: extends = "strict"',
            )
        seen.add(found.key)
        home = os.path.dirname(found.place)
        layer = layers.from_table(found.table, source, home, found.way)
        hosts.expand(layer, layer.values)
        chain.append(layer)
        if layer.extends is None:
            return chain
        name, origin = layer.extends, str(layer.origins["extends"])


def _locate(name: str, home: str, origin: str) -> tuple[str, bool]:
    """Give a profile's path, and whether it ships."""
    if "/" in name or name.endswith(_SUFFIX):
        return os.path.join(home, name) if home else name, False
    names = shipped()
    if name not in names:
        known, file = hint(name, names), f"{name or 'NAME'}{_SUFFIX}"
        raise ProfileError(
            "HB401",
            "there is no such profile",
            value=f'"{name}"',
            origin=origin or "--profile",
            instead=known + (" A" if known.endswith("?") else "; a") + f" file is named with a /: ./{file}",
        )
    return data.path("profiles", name), True


def _shown(child: Layer, name: str, path: str) -> str:
    """Give a parent's path as the reader of its child would write it, if that is the same place."""
    beside = os.path.dirname(child.source)
    same = os.path.realpath(beside or ".") == child.home
    return os.path.normpath(os.path.join(beside, name)) if same else os.path.normpath(path)


def _name(name_or_path: str) -> str:
    return os.path.basename(name_or_path).removesuffix(_SUFFIX)


def _command_line(
    parent: State, settings: Sequence[Setting], reasons: Mapping[str, str], problems: list[HardboxError]
) -> State:
    """Put the command line on top: flags that replace, then those that add."""
    layer = layers.Layer(layers.COMMAND_LINE)
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        # The caller's directory is gone: relative paths are refused, absolute ones still work.
        cwd = ""
    additions: dict[str, list[object]] = {}
    for setting in settings:
        one = layers.Layer(layers.COMMAND_LINE)
        layers.add(one, setting.key, setting.value, setting.flag, cwd)
        if one.extends is not None:
            one.problems.append(
                one.spot("extends", one.extends, setting.flag).error("HB407", "extends is no setting")
            )
        layer.problems += one.problems
        layer.origins.update(one.origins)
        layer.refuse.update(one.refuse)
        layer.optional.update(one.optional)
        for key, value in one.values.items():
            # A variable is an addition however it is spelled: --env or --set environment.set.
            if setting.append or key == "environment.set":
                additions.setdefault(key, []).append(value)
            elif key in layer.values and key in schema.MERGED:
                layer.values[key] = merge.join(layer.values[key], value)
            else:
                layer.values[key] = value
    added = {key: merge.joined(values) for key, values in additions.items()}
    for key, reason in reasons.items():
        layers.add_reason(layer, key, reason, "--loosen")
    layer.home = cwd
    hosts.expand(layer, layer.values)
    hosts.expand(layer, added)
    state = merge.put(parent, layer, added)
    problems += layer.problems
    return state


def _lockfiles(state: State, problems: list[HardboxError]) -> None:
    """Add what the lock files name to what is allowed."""
    try:
        named, way = hosts.of_lockfiles(state.values, str(state.origins.get("network.from_lockfile", "")))
    except HardboxError as error:
        problems.append(error)
        return
    state.locked = named
    state.values["network.allow"] = merge.join(state.values["network.allow"], named)
    state.files = (*state.files, *way)


def _policy(name: str, state: State) -> Policy:
    """Make the frozen value. The readers of schema.py have given every value its type."""
    v = state.values
    loosen = {key: reason for key, (reason, _old) in state.loosened.items()}
    return Policy(
        name=name,
        summary=cast("str", v["summary"]),
        identity=Identity(
            cast("int", v["identity.user"]),
            cast("int", v["identity.group"]),
            cast("str", v["identity.hostname"]),
            cast("str", v["identity.ids"]),
        ),
        filesystem=Filesystem(
            root=cast("str", v["filesystem.root"]),
            mode=cast("str", v["filesystem.mode"]),
            changes=cast("int", v["filesystem.changes"]),
            show=cast("tuple[str, ...]", v["filesystem.show"]),
            read=cast("tuple[Bind, ...]", v["filesystem.read"]),
            write=cast("tuple[Bind, ...]", v["filesystem.write"]),
            scratch=MappingProxyType(cast("dict[str, int]", v["filesystem.scratch"])),
            exec=cast("str", v["filesystem.exec"]),
            grants=cast("str", v["filesystem.grants"]),
        ),
        network=_network(v),
        capabilities=Capabilities(cast("tuple[str, ...]", v["capabilities.keep"])),
        seccomp=Seccomp(
            cast("str", v["seccomp.filter"]),
            cast("tuple[str, ...]", v["seccomp.add"]),
            cast("tuple[str, ...]", v["seccomp.refuse"]),
            cast("str", v["seccomp.denials"]),
        ),
        limits=Limits(**{key.removeprefix("limits."): cast("int", v[key]) for key in schema.ALL_LIMITS}),
        streams=StreamRules(cast("str", v["streams.sockets"]), cast("str", v["streams.files"])),
        environment=Environment(
            cast("tuple[str, ...]", v["environment.pass"]),
            MappingProxyType(cast("dict[str, str]", v["environment.set"])),
        ),
        audit=Audit(cast("str", v["audit.file"]), cast("bool", v["audit.argv"])),
        refuse=MappingProxyType(state.refuse),
        loosen=MappingProxyType(loosen),
        optional=MappingProxyType(state.optional),
        origins=MappingProxyType(state.origins),
        sources=state.sources,
        digest=_digest(state, loosen),
        files=_files(state),
        locked=state.locked,
    )


def _network(v: Mapping[str, object]) -> Network:
    return Network(
        mode=cast("str", v["network.mode"]),
        allow=cast("tuple[str, ...]", v["network.allow"]),
        from_lockfile=cast("tuple[str, ...]", v["network.from_lockfile"]),
        grants=cast("str", v["network.grants"]),
        sni=cast("str", v["network.sni"]),
        log=cast("str", v["network.log"]),
        connections=cast("int", v["network.connections"]),
        rate=cast("int", v["network.rate"]),
        bytes=cast("int", v["network.bytes"]),
        idle=cast("int", v["network.idle"]),
        bridge=cast("str", v["network.bridge"]),
        subnet=cast("str", v["network.subnet"]),
        dns=cast("tuple[str, ...]", v["network.dns"]),
        join=cast("str", v["network.join"]),
        publish=cast("tuple[str, ...]", v["network.publish"]),
    )


def _files(state: State) -> tuple[str, ...]:
    """Give the paths that decide the policy, those of a filter file among them."""
    name = cast("str", state.values["seccomp.filter"])
    return tuple(dict.fromkeys((*state.files, *(files.way(name) if "/" in name else ()))))


def _digest(state: State, loosen: Mapping[str, str]) -> str:
    """Hash the values in one spelling: the order of keys and the place of files do not count."""
    import hashlib  # noqa: PLC0415 (loads OpenSSL; `profile list` needs none)

    lines = [f"{key}={_canonical(value)}" for key, value in state.values.items()]
    lines += [f"refuse.{key}={value!r}" for key, value in state.refuse.items()]
    lines += [f"loosen.{key}={value!r}" for key, value in loosen.items()]
    lines += [f"optional.{key}={value!r}" for key, value in state.optional.items()]
    text = "hardbox.policy/1\n" + "\n".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: object) -> str:
    return repr(sorted(value.items()) if isinstance(value, dict) else value)


def flat(policy: Policy) -> dict[str, object]:
    """Give a Policy's values by dotted key, in the order of the documentation."""
    found: dict[str, object] = {}
    for key in schema.READERS:
        table, _, name = key.partition(".")
        part: object = getattr(policy, table)
        value: object = getattr(part, "pass_" if name == "pass" else name) if name else part
        found[key] = dict(value) if isinstance(value, MappingProxyType) else value
    return found


__all__ = ["Inspection", "Setting", "flat", "inspect", "load", "shipped"]
