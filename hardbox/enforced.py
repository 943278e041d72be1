"""What was enforced on a job, as the supervisor read it back from /proc before the exec.

Run by: the Python front, for the report; pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMESPACES: Final = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_CAPABILITY_SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_FILTER_MODE: Final = "2"
_COLUMNS: Final = 3
_MOST_DIGITS: Final = 20
_HEX: Final = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Enforced:
    """What the supervisor saw in /proc of the job, just before its exec.

    namespaces:   kinds that differ from the launcher's own.
    uid_map, gid_map: rows of three numbers: inside, outside, count.
    capabilities: the five sets as numbers; 0 is none.
    no_new_privs: the flag is set.
    seccomp:      filter mode is on, with this many filters.
    """

    namespaces: tuple[str, ...] = ()
    uid_map: tuple[tuple[int, ...], ...] = ()
    gid_map: tuple[tuple[int, ...], ...] = ()
    capabilities: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    no_new_privs: bool = False
    seccomp: bool = False
    seccomp_filters: int = 0

    def gaps(self) -> tuple[str, ...]:
        """Name what could not be read; only a /proc that hides the job can be the reason."""
        seen = {
            "namespaces": bool(self.namespaces),
            "id maps": bool(self.uid_map and self.gid_map),
            "status": set(self.capabilities) == set(_CAPABILITY_SETS),
        }
        return tuple(name for name, confirmed in seen.items() if not confirmed)

    def contradictions(self, keep: int) -> tuple[str, ...]:
        """Name what was read and is not as planned; that must never be, and is a defect.

        keep: the capabilities that the plan leaves, as a mask.
        """
        status = set(self.capabilities) == set(_CAPABILITY_SETS)
        wrong = {
            "a namespace is shared": bool(self.namespaces)
            and not set(_NAMESPACES[:6]) <= set(self.namespaces),
            "host id 0 is mapped": any(row[1] == 0 for row in (*self.uid_map, *self.gid_map)),
            "capabilities are left": status and any(mask & ~keep for mask in self.capabilities.values()),
            "no_new_privs is off": status and not self.no_new_privs,
            "there is no filter": status and not self.seccomp,
        }
        return tuple(name for name, so in wrong.items() if so)


def read(payloads: Sequence[bytes]) -> Enforced:
    """Parse the launcher's READ records; whatever is missing counts as not enforced."""
    seen: dict[str, str] = {}
    for payload in payloads:
        name, _, content = payload.partition(b"\0")
        seen[name.decode("utf-8", "replace")] = content.decode("utf-8", "replace")
    rows = (line.partition(":") for line in seen.get("status", "").splitlines())
    status = {name: value.strip() for name, _, value in rows}
    return Enforced(
        namespaces=tuple(
            name
            for name in _NAMESPACES
            if seen.get(f"ns/{name}")
            and seen.get(f"host/ns/{name}")
            and seen[f"ns/{name}"] != seen[f"host/ns/{name}"]
        ),
        uid_map=_rows(seen.get("uid_map", "")),
        gid_map=_rows(seen.get("gid_map", "")),
        capabilities=MappingProxyType(
            {name: int(status[name], 16) for name in _CAPABILITY_SETS if _number(status.get(name, ""), _HEX)}
        ),
        no_new_privs=status.get("NoNewPrivs") == "1",
        seccomp=status.get("Seccomp") == _FILTER_MODE,
        seccomp_filters=int(number) if _number(number := status.get("Seccomp_filters", "0")) else 0,
    )


def _rows(text: str) -> tuple[tuple[int, ...], ...]:
    rows = [line.split() for line in text.splitlines()]
    return tuple(tuple(map(int, row)) for row in rows if len(row) == _COLUMNS and all(map(_number, row)))


def _number(text: str, digits: str = "0123456789") -> bool:
    """Say whether it is a number as the kernel writes one."""
    return 0 < len(text) <= _MOST_DIGITS and not text.strip(digits)
