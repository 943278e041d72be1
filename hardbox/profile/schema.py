"""The keys of a profile: for each one, the reader that checks a value and makes it canonical.

Run by: the Python front; pure. READERS has the same keys as `orders.ORDERS`.
"""

from __future__ import annotations

import posixpath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hardbox import network_limits, rules
from hardbox.policy import (
    CAPABILITIES,
    DENIAL_MODES,
    DESTINATION_GRANTS,
    EXEC_MODES,
    FILE_MODES,
    FILTER_ORDER,
    GRANT_MODES,
    ID_MODES,
    MOST_CPUS,
    MOST_ID,
    NETWORK_LOGS,
    NETWORK_MODES,
    ROOT_MODES,
    SNI_MODES,
    SOCKET_MODES,
    Bind,
    cpus_text,
)
from hardbox.profile import network, units
from hardbox.profile.spots import Spot
from hardbox.profile.texts import DIGITS, LETTERS, LOWER, label, text
from hardbox.words import hint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Reader = Callable[[Spot], object]

MOST_NAMES: Final = 1024
MOST_PATH: Final = 4095
MOST_COMPONENT: Final = 255
# MAX_ARG_STRLEN of execve(2), which a variable with its name must fit into.
MOST_VALUE: Final = 131071
MOST_SUMMARY: Final = 400
# A year: far below the 292 years at which nanoseconds leave 64 bits.
LONGEST: Final = 366 * 86_400_000
# Names by which the C library and the loader are steered. Passing them would let an accident
# of the caller's shell decide what code the job loads; setting them in a profile is in sight.
LOADER_NAMES: Final = ("GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "RES_OPTIONS")
_LOADER_PREFIX: Final = "LD_"
_MOST_NUMBER: Final = 2**63 - 2
# How what a reader reads is written in a message.
_WRITERS: Final[Mapping[object, Callable[[int], str]]] = MappingProxyType(
    {units.size: units.size_text, units.duration: units.duration_text, units.cpus: cpus_text}
)


def _part(spot: Spot, value: object, name: str = "") -> Spot:
    return Spot(f"{spot.key}.{name}" if name else spot.key, value, spot.origin, spot.folder)


def _list(spot: Spot, most: int = MOST_NAMES) -> list[Spot]:
    if not isinstance(spot.value, list | tuple):
        raise spot.error("HB408", f"{spot.key} is a list", instead=f'{spot.key} = ["..."]')
    if len(spot.value) > most:
        raise spot.error("HB409", f"{spot.key} has more than {most} entries")
    return [_part(spot, item) for item in spot.value]


def _table(spot: Spot) -> dict[str, object]:
    if not isinstance(spot.value, dict):
        raise spot.error("HB408", f"{spot.key} is a table", instead=f'{spot.key} = {{ "..." = "..." }}')
    if len(spot.value) > MOST_NAMES:
        raise spot.error("HB409", f"{spot.key} has more than {MOST_NAMES} entries")
    return spot.value


def _one_of(names: tuple[str, ...]) -> Reader:
    """Read one of `names`."""

    def read(spot: Spot) -> str:
        value = text(spot)
        if value not in names:
            raise spot.error("HB409", f"{spot.key} has no such choice", instead=hint(value, names))
        return value

    return read


def _each(read: Callable[[Spot], str], most: int = MOST_NAMES) -> Reader:
    """Read a list of distinct values, in the order given."""

    def read_all(spot: Spot) -> tuple[str, ...]:
        return tuple(dict.fromkeys(read(item) for item in _list(spot, most)))

    return read_all


def _one_or_more(read: Callable[[Spot], str]) -> Reader:
    """Read a list, or the one that it would hold."""
    each = _each(read)

    def read_all(spot: Spot) -> object:
        return (read(spot),) if isinstance(spot.value, str) else each(spot)

    return read_all


def _unit(read: Callable[[object], int], least: int = 1, most: int = _MOST_NUMBER, step: int = 1) -> Reader:
    """Read a number with `read`; `step` divides it: 1000 for whole seconds of milliseconds."""
    write = _WRITERS.get(read, str)
    until = f", at most {write(most * step)}" if most < _MOST_NUMBER else ""

    def number(spot: Spot) -> int:
        try:
            value = read(spot.value)
        except ValueError as error:
            raise spot.error("HB410", f"{spot.key} cannot be read: {error}") from error
        if value % step or not least <= value // step <= most:
            rest = ", and whole seconds" if step > 1 else ""
            raise spot.error("HB410", f"{spot.key} is at least {write(least * step)}{until}{rest}")
        return value // step

    return number


def _count(least: int, most: int) -> Reader:
    return _unit(lambda value: units.whole(value, least, most), least, most)


def _or_zero(read: Callable[[object], int]) -> Reader:
    """Read a number with `read`, which takes none below 1, or 0."""
    above = _unit(read)

    def number(spot: Spot) -> object:
        return 0 if spot.value in (0, "0") and not isinstance(spot.value, bool | float) else above(spot)

    return number


def _id(spot: Spot) -> int:
    value = spot.value
    if isinstance(value, bool) or not isinstance(value, int):
        raise spot.error("HB408", f"{spot.key} is a number", instead=f"{spot.key} = 1000")
    if not 0 <= value <= MOST_ID:
        raise rules.refuse("id-out-of-range", value=f"{spot.key} = {value:#x}", origin=str(spot.origin))
    return value


def _hostname(spot: Spot) -> str:
    value = text(spot)
    if not label(value):
        raise spot.error(
            "HB411",
            "a host name is 1 to 63 letters, digits and inner hyphens (RFC 1123)",
            instead='identity.hostname = "hardbox"',
        )
    return value


def path(spot: Spot) -> str:
    """Read an absolute path in its plainest spelling; from the command line, a relative one too."""
    value = text(spot)
    if spot.folder and not value.startswith("/"):
        value = _below(spot, value)
    plain = value.startswith("/") and value == posixpath.normpath(value) and not value.startswith("//")
    if spot.folder and value.startswith("/") and ".." not in value.split("/"):
        value, plain = "/" + posixpath.normpath(value).lstrip("/"), True
    if not plain:
        raise spot.error(
            "HB412",
            "a path is absolute and in its plainest spelling",
            why='what ".." and "//" lead to depends on symlinks; a reviewer has to see the place itself',
            instead="write it without '.', '..', double or trailing slashes",
        )
    if len(value.encode("utf-8", "surrogateescape")) > MOST_PATH or any(
        len(part.encode("utf-8", "surrogateescape")) > MOST_COMPONENT for part in value.split("/")
    ):
        raise spot.error("HB412", "a path has at most 4095 bytes, a name in it 255")
    return value


def _below(spot: Spot, value: str) -> str:
    """Join a relative path to the folder; only leading ".." are resolved, the folder is physical."""
    if not value:
        raise spot.error("HB412", "a path is needed", instead="--read DIR")
    folder = spot.folder
    while value == ".." or value.startswith("../"):
        folder, value = posixpath.dirname(folder), value[3:]
    return posixpath.join(folder, value) if value else folder


def _bind(spot: Spot) -> Bind:
    """Read "/src" or "/src:/dest"."""
    source, colon, dest = text(spot).partition(":")
    if ":" in dest:
        raise spot.error(
            "HB412",
            'a path with ":" cannot be named here',
            why='"/src:/dest" is read as source and destination',
            instead="name the directory above it",
        )
    found = path(_part(spot, source))
    if not colon:
        return Bind(found, found)
    return Bind(found, path(Spot(spot.key, dest, spot.origin)))


def _binds(spot: Spot) -> tuple[Bind, ...]:
    return tuple(dict.fromkeys(_bind(item) for item in _list(spot)))


def _root(spot: Spot) -> str:
    value = text(spot)
    kind, _, place = value.partition(":")
    if kind == "dir" and place:
        return "dir:" + path(_part(spot, place))
    if value != "host":
        raise spot.error("HB409", "a root is the host's or a directory", instead='"host" or "dir:/path"')
    return value


def _scratch(spot: Spot) -> Mapping[str, int]:
    read = _unit(units.size, 4096)
    found: dict[str, int] = {}
    for name, value in _table(spot).items():
        size = read(_part(spot, value, name))
        if isinstance(size, int):
            found[path(Spot(spot.key, name, spot.origin))] = size
    return found


def _capability(spot: Spot) -> str:
    value = text(spot)
    name = value.upper().removeprefix("CAP_")
    if name not in CAPABILITIES:
        # "ALL" is a habit; a slip of the pen is no request for a powerful capability.
        make = spot.error if name == "ALL" else spot.misspelt
        raise make("HB414", "there is no such capability", instead=hint(name, CAPABILITIES))
    return name


def _filter(spot: Spot) -> str:
    value = text(spot)
    if value in FILTER_ORDER:
        return value
    if "/" not in value and not value.endswith(".toml"):
        raise spot.error("HB409", "there is no such filter", instead=hint(value, FILTER_ORDER))
    return path(_part(spot, value))


def _group(spot: Spot) -> str:
    value = text(spot)
    if not value or value[0] not in LOWER or any(c not in LOWER + DIGITS + "-" for c in value):
        raise spot.error("HB409", "a rule group is named in lower case, as in seccomp/*.toml")
    return value


def variable(spot: Spot) -> str:
    """Read the name of an environment variable."""
    value = text(spot)
    if not value or value[0] in DIGITS or any(c not in LETTERS + DIGITS + "_" for c in value):
        raise spot.error("HB415", "a variable is named in letters, digits and _", instead='pass = ["LANG"]')
    return value


def _passed(spot: Spot) -> str:
    value = variable(spot)
    if value in LOADER_NAMES or value.startswith(_LOADER_PREFIX):
        raise spot.error(
            "HB416",
            f"{value} cannot be taken from the caller",
            why="it steers the loader: an accident of the caller's shell would choose the job's code",
            instead=f'set it where it can be seen: environment.set = {{ {value} = "..." }}',
        )
    return value


def _variables(spot: Spot) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in _table(spot).items():
        variable(Spot(spot.key, name, spot.origin))
        content = text(_part(spot, value, name))
        if len(f"{name}={content}".encode("utf-8", "surrogateescape")) >= MOST_VALUE:
            raise spot.error("HB415", f"{name} is longer than execve(2) takes")
        found[name] = content
    return found


def _audit_file(spot: Spot) -> str:
    """Read the path of the audit log; "" is none."""
    return "" if spot.value == "" else path(spot)


def _yes_or_no(spot: Spot) -> bool:
    if not isinstance(spot.value, bool):
        raise spot.error("HB408", f"{spot.key} is true or false", instead=f"{spot.key} = true")
    return spot.value


def _summary(spot: Spot) -> str:
    value = text(spot)
    if len(value) > MOST_SUMMARY or not value.isprintable():
        raise spot.error("HB409", f"a summary is one line of at most {MOST_SUMMARY} characters")
    return value


READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "summary": _summary,
        "identity.user": _id,
        "identity.group": _id,
        "identity.hostname": _hostname,
        "identity.ids": _one_of(ID_MODES),
        "filesystem.root": _root,
        "filesystem.mode": _one_of(ROOT_MODES),
        "filesystem.changes": _unit(units.size, 4096),
        "filesystem.show": _each(path),
        "filesystem.read": _binds,
        "filesystem.write": _binds,
        "filesystem.scratch": _scratch,
        "filesystem.exec": _one_of(EXEC_MODES),
        "filesystem.grants": _one_of(GRANT_MODES),
        "network.mode": _one_of(NETWORK_MODES),
        "network.allow": _each(network.destination),
        "network.from_lockfile": _one_or_more(path),
        "network.grants": _one_of(DESTINATION_GRANTS),
        "network.sni": _one_of(SNI_MODES),
        "network.log": _one_of(NETWORK_LOGS),
        "network.connections": _count(*network_limits.CONNECTIONS),
        "network.rate": _count(*network_limits.RATE),
        "network.bytes": _unit(units.size, *network_limits.BYTES),
        "network.idle": _unit(units.duration, *network_limits.IDLE),
        "network.bridge": network.bridge,
        "network.subnet": network.subnet,
        "network.dns": _each(network.server, network_limits.MOST_SERVERS),
        "network.join": network.group,
        "network.publish": _each(network.published, network_limits.MOST_PORTS),
        "capabilities.keep": _each(_capability),
        "seccomp.filter": _filter,
        "seccomp.add": _each(_group),
        "seccomp.refuse": _each(_group),
        "seccomp.denials": _one_of(DENIAL_MODES),
        "limits.memory": _unit(units.size, 1 << 20),
        "limits.swap": _or_zero(units.size),
        "limits.tasks": _count(1, 4194304),
        "limits.cpu": _count(1, MOST_CPUS),
        # The kernel takes no quota below a millisecond.
        "limits.cpu_bandwidth": _unit(units.cpus, 10, MOST_CPUS * 1000),
        "limits.cpu_time": _unit(units.duration, 1, LONGEST // 1000, 1000),
        "limits.wall": _unit(units.duration, 1, LONGEST),
        "limits.grace": _unit(units.duration, 1, LONGEST),
        "limits.file_size": _unit(units.size),
        "limits.open_files": _count(16, 1048576),
        "limits.locked": _or_zero(units.size),
        "limits.scratch_files": _count(1, 2**32 - 1),
        "limits.output": _unit(units.size),
        "streams.sockets": _one_of(SOCKET_MODES),
        "streams.files": _one_of(FILE_MODES),
        "environment.pass": _each(_passed),
        "environment.set": _variables,
        "audit.file": _audit_file,
        "audit.argv": _yes_or_no,
    }
)
# Keys whose tables merge name by name; all others replace the parent's value.
MERGED: Final = ("filesystem.scratch", "environment.set")
TABLES: Final = frozenset(key.partition(".")[0] for key in READERS if "." in key)
ALL_LIMITS: Final = tuple(key for key in READERS if key.startswith("limits."))
# Those that a profile states, or does not load.
_HAVE_DEFAULTS: Final = ("swap", "cpu_bandwidth", "grace", "locked", "scratch_files", "output")
LIMITS: Final = tuple(key for key in ALL_LIMITS if key.removeprefix("limits.") not in _HAVE_DEFAULTS)
