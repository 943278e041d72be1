"""A policy that breaks no rule, and a file system of words: what the tests of refusals change.

Run by: tests/unit/test_refusals*.py.
"""

from __future__ import annotations

import os
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hardbox import refusals
from hardbox.host import HostFacts
from hardbox.plan.trees import look_all
from hardbox.policy import Bind, Filesystem, Limits, Origin, Policy
from hardbox.rules import BY_CODE, RULES

if TYPE_CHECKING:
    from hardbox.errors import Refused

HERE = HostFacts(uid=os.geteuid(), gid=os.getegid())
FACTS = HostFacts(uid=1000, gid=1000, own_paths=("/opt/hardbox", "/home/me/.cache/hardbox"))
LIMITS = Limits(
    memory=1 << 29, tasks=64, cpu=1, cpu_time=300, wall=300_000, file_size=1 << 26, open_files=256
)
FINE = Policy(
    name="fine",
    filesystem=Filesystem(
        show=("/usr", "/etc/ssl"), scratch=MappingProxyType({"/tmp": 1 << 26, "/dev/shm": 1 << 20})
    ),
    limits=LIMITS,
    refuse=MappingProxyType({rule.name: rule.ids for rule in RULES.values()}),
    origins=MappingProxyType({"filesystem.read": Origin("command line", "--read")}),
    sources=("ci.toml", "strict"),
    files=("/home/me/ci.toml",),
)


class FakeDisk(refusals.Disk):
    """A file system in which every path is there, and what is named is otherwise."""

    def __init__(self, links: dict[str, str] | None = None, kinds: dict[str, str] | None = None) -> None:
        self.links = links or {}
        self.kinds = kinds or {}
        self.names: dict[str, dict[str, bool]] = {}
        self.closed: set[str] = set()
        self.mounted: tuple[tuple[str, str], ...] = ()
        self.swapped: tuple[str, ...] = ()
        self.twins: dict[str, str] = {}
        self.privileged = ""
        self.stated = "/home/me"
        self.redirects: dict[str, str] = {}

    def real(self, path: str) -> str:
        plain = "/" + os.path.normpath("/" + path).lstrip("/")
        for link, target in self.links.items():
            if plain == link or plain.startswith(link + "/"):
                return target + plain[len(link) :]
        return plain

    def look(self, path: str) -> refusals.PathFact:
        return refusals.PathFact(self.kind(path), self.real(path))

    def kind(self, path: str) -> str:
        return self.kinds.get(
            path, "missing" if path.endswith((".sock", "_socket", "-sock", "d.socket", "private")) else "dir"
        )

    def open_to_all(self, path: str) -> bool:
        return path not in self.closed

    def same(self, path: str, other: str) -> bool:
        return self.twins.get(path) == other

    def entries(self, path: str) -> frozenset[str]:
        return frozenset(self.names.get(path, {}))

    def survey(self, top: str, *, write: bool) -> dict[str, str]:
        sockets = [name for name, is_socket in self.names.get(top, {}).items() if is_socket]
        found = {"socket": f"{top}/{sockets[0]}"} if sockets else {}
        return found | ({"privileged": f"{top}/{self.privileged}"} if write and self.privileged else {})

    def walk(self, path: str) -> tuple[str, str]:
        return self.redirects.get(path, ""), self.real(path)

    def home(self, uid: int) -> str:
        return "/root" if uid == 0 else "/home/me"

    def stated_home(self) -> str:
        return self.stated

    def mounts(self) -> tuple[tuple[str, str], ...]:
        return self.mounted

    def swaps(self) -> tuple[str, ...]:
        return self.swapped


def files(policy: Policy = FINE, **changes: Any) -> Policy:  # noqa: ANN401 (as dataclasses.replace)
    return replace(policy, filesystem=replace(policy.filesystem, **changes))


def reading(path: str, dest: str = "/in") -> Policy:
    return files(read=(Bind(path, dest),))


def writing(path: str, dest: str = "/out") -> Policy:
    return files(write=(Bind(path, dest),))


def names(policy: Policy, disk: refusals.Disk | None = None, facts: HostFacts = FACTS) -> list[str]:
    return [BY_CODE[refused.code].name for refused in broken(policy, disk or FakeDisk(), facts)]


def broken(policy: Policy, disk: refusals.Disk, facts: HostFacts = FACTS) -> tuple[Refused, ...]:
    return refusals.broken(policy, facts, look_all(policy, disk), disk)


def check(policy: Policy, disk: refusals.Disk) -> None:
    refusals.check(policy, FACTS, look_all(policy, disk), disk)


def lift(policy: Policy, *names: str) -> Policy:
    return replace(
        policy,
        refuse=MappingProxyType({k: v for k, v in policy.refuse.items() if k not in names}),
        loosen=MappingProxyType({f"refuse.{name}": "a reviewer's reason" for name in names}),
    )
