"""What "weaker" means: one order per key of a Policy, stated once.

Run by: the Python front; pure. `at_most(key, a, b)` says that value a gives the job no more
than value b. A child's value that is not `at_most` its parent's needs a reason.

Paths are compared by name, not by what lies below them: "/src/link" below a shown "/src"
may be a symlink to somewhere else, so naming it is new, and needs its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.destinations import covers, parse
from hardbox.policy import (
    DESTINATION_GRANTS,
    EXEC_MODES,
    FILE_MODES,
    FILTER_ORDER,
    GRANT_MODES,
    ID_MODES,
    NETWORK_MODES,
    ROOT_MODES,
    SNI_MODES,
    SOCKET_MODES,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Order = Callable[[object, object], bool]


def _ranks(names: tuple[str, ...]) -> Order:
    """Order an enumeration as it is listed; a name that is not listed equals only itself."""

    def order(a: object, b: object) -> bool:
        return a == b or (a in names and b in names and names.index(str(a)) < names.index(str(b)))

    return order


def _numbers(a: object, b: object) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a <= b


def _same(a: object, b: object) -> bool:
    return a == b


def _free(_a: object, _b: object) -> bool:
    return True


def _fewer(a: object, b: object) -> bool:
    return isinstance(a, tuple) and isinstance(b, tuple) and set(a) <= set(b)


def _more(a: object, b: object) -> bool:
    return _fewer(b, a)


def _sizes(a: object, b: object) -> bool:
    return (
        isinstance(a, dict)
        and isinstance(b, dict)
        and all(key in b and _numbers(size, b[key]) for key, size in a.items())
    )


def _kept(a: object, b: object) -> bool:
    """Say whether `a` is what the parent has, or the parent has nothing."""
    return a == b or not b


def _kept_or_none(a: object, b: object) -> bool:
    """Say whether `a` is what the parent has, or nothing."""
    return a == b or not a


def _destinations(a: object, b: object) -> bool:
    """Say whether each destination of `a` is one of `b`, or lies within one."""
    if not isinstance(a, tuple) or not isinstance(b, tuple):
        return False
    wide = [parse(text) for text in b]
    return all(text in b or any(covers(one, parse(text)) for one in wide) for text in a)


def _not_root(a: object, b: object) -> bool:
    return a != 0 or b == 0


# key -> (order, what makes a value weaker), in the order of the documentation.
ORDERS: Final[Mapping[str, tuple[Order, str]]] = {
    "summary": (_free, "never"),
    "identity.user": (_not_root, "0, where the parent has another id"),
    "identity.group": (_not_root, "0, where the parent has another id"),
    "identity.hostname": (_free, "never"),
    "identity.ids": (_ranks(ID_MODES), "single < range"),
    "filesystem.root": (_same, "any other root"),
    "filesystem.mode": (_ranks(ROOT_MODES), "read-only < ephemeral"),
    "filesystem.changes": (_numbers, "more bytes"),
    "filesystem.show": (_fewer, "a path that the parent does not name"),
    "filesystem.read": (_fewer, "a path that the parent does not name"),
    "filesystem.write": (_fewer, "a path that the parent does not name"),
    "filesystem.scratch": (_sizes, "a new path, or more bytes"),
    "filesystem.exec": (_ranks(EXEC_MODES), "shown < anywhere"),
    "filesystem.grants": (_ranks(GRANT_MODES), "none < read < any"),
    "network.mode": (_ranks(NETWORK_MODES), "none < loopback < allow < bridge"),
    "network.allow": (_destinations, "a destination that the parent's list does not cover"),
    "network.from_lockfile": (_fewer, "a lock file that the parent does not name"),
    "network.grants": (_ranks(DESTINATION_GRANTS), "none < any"),
    "network.sni": (_ranks(SNI_MODES), "match < off"),
    "network.log": (_free, "never: what is refused is the same"),
    "network.connections": (_numbers, "more connections"),
    "network.rate": (_numbers, "more connections"),
    "network.bytes": (_numbers, "more bytes, or no limit"),
    "network.idle": (_numbers, "more time"),
    "network.bridge": (_free, "never: which of hardbox's own bridges"),
    "network.subnet": (_free, "never: addresses of the sandbox's own"),
    "network.dns": (_fewer, "a name server that the parent does not name"),
    "network.join": (_kept_or_none, "a group, where the parent has none or another one"),
    "network.publish": (_fewer, "a port that the parent does not publish"),
    "capabilities.keep": (_fewer, "a capability that the parent does not keep"),
    "seccomp.filter": (
        _ranks(FILTER_ORDER),
        "strict < baseline < build < inspect; a file equals only itself",
    ),
    "seccomp.add": (_fewer, "a group that the parent does not add"),
    "seccomp.refuse": (_more, "a group that the parent refuses is missing"),
    "seccomp.denials": (_free, "never: what is refused is the same"),
    "limits.memory": (_numbers, "more bytes"),
    "limits.swap": (_numbers, "more bytes"),
    "limits.tasks": (_numbers, "more tasks"),
    "limits.cpu": (_numbers, "more CPUs"),
    "limits.cpu_bandwidth": (_numbers, "more CPU time, or no limit"),
    "limits.cpu_time": (_numbers, "more time"),
    "limits.wall": (_numbers, "more time"),
    "limits.grace": (_numbers, "more time"),
    "limits.file_size": (_numbers, "more bytes"),
    "limits.open_files": (_numbers, "more descriptors"),
    "limits.locked": (_numbers, "more bytes"),
    "limits.scratch_files": (_numbers, "more files, or no number"),
    "limits.output": (_numbers, "more bytes, or no limit"),
    "streams.sockets": (_ranks(SOCKET_MODES), "refuse < relay"),
    "streams.files": (_ranks(FILE_MODES), "relay < pass"),
    "environment.pass": (_fewer, "a name that the parent does not pass"),
    "environment.set": (_free, "never: the value is the profile's own, and the job could set it itself"),
    "audit.file": (_kept, "none or another file, where the parent has one"),
    "audit.argv": (_kept, "false, where the parent says true"),
}


def at_most(key: str, a: object, b: object) -> bool:
    """Say whether value `a` of `key` gives the job no more than value `b`.

    "refuse.NAME" is ordered too: the rule in force (a tuple of ids) < lifted (None).
    An unknown key raises KeyError: no value passes unordered.
    """
    if key.startswith("refuse."):
        return a is not None or b is None
    return ORDERS[key][0](a, b)


def compare(key: str, a: object, b: object) -> str:
    """Say how `b` stands to `a`: "same", "stricter", "weaker", "equivalent" or "incomparable"."""
    if a == b:
        return "same"
    down, up = at_most(key, b, a), at_most(key, a, b)
    return {
        (True, True): "equivalent",
        (True, False): "stricter",
        (False, True): "weaker",
        (False, False): "incomparable",
    }[down, up]
