"""What was asked for in vain (`--explain`): struct hb_observations of launch/observe.h, decoded and judged.

Run by: the Python front, after the job. The launcher notes facts while a call waits; whether it then failed,
and why, is concluded here: everything is "likely" at best, and says so.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hardbox import destinations
from hardbox.denials import lookup, room
from hardbox.denials.denial import LIKELY, POSSIBLE, Denial
from hardbox.denials.nowhere import WHERE, nowhere
from hardbox.denials.paste import pasteable, read_option
from hardbox.destinations import place
from hardbox.places import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.policy import Policy

_HEAD: Final = struct.Struct("<QI4x")
_ROW: Final = struct.Struct("<8IQ16s256s")
OUTSIDE, READ_ONLY, NOEXEC, CUT, UNREADABLE, NOWHERE, FULL, UNLOOKED = 1, 2, 4, 8, 16, 32, 64, 128
_INTERNET: Final = (2, 10)
_KEEP: Final = 0xFFFF_FFFF
_DNS: Final = 53
# What programs look for by habit and do without; it is told last, as possible only.
_HABITS: Final = frozenset(
    (
        *("/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/host.conf"),
        *("/etc/locale.alias", "/etc/gai.conf", "/etc/machine-id", "/etc/ld.so.preload", "/etc/inputrc"),
        *("/etc/terminfo", "/etc/login.defs", "/etc/environment", "/etc/mtab", "/etc/fstab", "/etc/hosts"),
        *("/etc/resolv.conf", "/etc/services", "/etc/protocols", "/etc/os-release", "/etc/debian_version"),
        *("/etc/gitconfig", "/etc/bash.bashrc", "/etc/profile", "/etc/vim", "/sys", "/etc/timezone", "/home"),
    )
)
_NAMES: Final = ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups")
_OWNERS: Final = ("chown", "lchown", "fchownat", "fchown")
# The sandbox's own addresses that lead to the broker (hardbox/net/addresses.py).
_SYNTHETIC: Final = ("198.18.", "198.19.", "fd68:6278:6f78:")
_LIBRARY: Final = re.compile(r"/[^/]+\.so(\.[^/]*)?\Z")
_SHOWN: Final = "filesystem.show and --read"
_TREE: Final = ("/etc", "/usr", "/bin", "/lib", "/lib64", "/sbin", "/opt", "/var")


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation; the fields are those of struct hb_seen.

    first, second: open flags; address family and port; ids that were asked for.
    mode: of the file that was found; tasks that were there.
    """

    number: int
    errno: int
    bits: int
    first: int
    mode: int
    second: int
    count: int
    comm: str
    text: str


def parse(data: bytes) -> tuple[tuple[Seen, ...], int]:
    """Decode a table; gives the rows and how many found no room. Raises ValueError."""
    if len(data) < _HEAD.size:
        message = f"{len(data)} bytes are no table of observations"
        raise ValueError(message)
    dropped, count = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + count * _ROW.size:
        message = f"{len(data)} bytes are no table of {count} observations"
        raise ValueError(message)
    rows = []
    for number, error, bits, first, mode, _, _, second, times, comm, text in _ROW.iter_unpack(
        data[_HEAD.size :]
    ):
        words = [os.fsdecode(raw.partition(b"\0")[0]) for raw in (comm, text)]
        rows.append(Seen(number, error, bits, first, mode, second, times, *words))
    return tuple(rows), dropped


@dataclass(frozen=True, slots=True)
class Host:
    """What is asked of the host: names, and whether `--read PATH` would be refused."""

    lookup: lookup.Lookup
    may_show: Callable[[str], str]

    def has_unlooked(self, row: Seen) -> bool:
        """Whether what the launcher did not look at is there."""
        return bool(row.bits & UNLOOKED) and self.lookup.look(row.text).state == lookup.THERE

    def problem(self, path: str) -> str:
        """Say why a path would not be shown, "" if it would be."""
        end = self.lookup.look(path, follow=True)
        if end.state != lookup.THERE:
            return end.why or "it leads to what is not there"
        return self.lookup.ask(path, self.may_show)


def judge(
    rows: tuple[Seen, ...], policy: Policy, name_of: Callable[[int], str], may_show: Callable[[str], str]
) -> tuple[Denial, ...]:
    """Say what the rows mean; what is surest and worst stands first.

    name_of:  the name of a system call.
    may_show: why `--read PATH` would be refused, "" if it would not.
    """
    found: dict[tuple[str, str], Denial] = {}
    host = Host(lookup.Lookup(), may_show)
    rows = tuple(
        replace(row, text=lookup.plain(row.text)) if row.text.startswith("/") else row for row in rows
    )
    hidden = {os.path.basename(row.text) for row in rows if row.bits & OUTSIDE or host.has_unlooked(row)}
    for row in rows:
        call = "" if row.bits & FULL else name_of(row.number)
        lost = bool(row.bits & NOWHERE)
        denial = nowhere(row, call, hidden) if lost else _judged(row, policy, call, host)
        if denial is not None:
            found.setdefault((denial.what, denial.why), denial)
    return tuple(sorted(found.values(), key=_rank))


def _rank(denial: Denial) -> int:
    """Order what is told: limits, what is likely, what was nowhere, habits."""
    if denial.kind == "limit":
        return 0
    return 1 if denial.sure != POSSIBLE else 2 if denial.where == WHERE else 3


def _judged(row: Seen, policy: Policy, call: str, host: Host) -> Denial | None:
    if row.bits & UNREADABLE:
        return None
    if row.bits & FULL or call in room.FORKS:
        return room.full(row, policy) if row.bits & FULL else room.tasks(row, policy)
    if call in _NAMES or call in _OWNERS:
        return _ids(row, policy, call)
    if call in ("kill", "tkill", "tgkill"):
        why = "processes outside of the sandbox are not there, and cannot be signalled"
        return _denial(row, "signal", f"signal to process {row.text}", "the pid namespace", why, "", "")
    if row.first in _INTERNET and call in ("connect", "sendto", "bind"):
        return _network(row, policy, call)
    return _file(row, policy, call, host)


def _denial(row: Seen, kind: str, what: str, where: str, why: str, allow: str, risk: str) -> Denial:
    sure = POSSIBLE if row.text in _HABITS else LIKELY
    allow = allow or "nothing: no profile gives it"
    return Denial(kind, what, row.count, row.comm, where, why, allow, risk, sure)


def _ids(row: Seen, policy: Policy, call: str) -> Denial | None:
    own = {policy.identity.user, policy.identity.group, _KEEP}
    wanted = {row.first} if call in ("setuid", "setgid") else {row.first, row.second}
    if call != "setgroups" and wanted <= own:
        return None
    what = f"{call} of {row.text}" if row.text else call
    why = f"no capability is kept, and the job is user {policy.identity.user} for good"
    allow = ""
    if call in _OWNERS:
        allow = "leave owners out (cp --no-preserve=ownership, tar --no-same-owner)"
    return _denial(row, "capability", what, "capabilities.keep = []", why, allow, "")


def _network(row: Seen, policy: Policy, call: str) -> Denial | None:
    # 0.0.0.0 as a destination is this machine.
    local = row.text.startswith("127.") or row.text in ("::1", "0.0.0.0", "::")  # noqa: S104 (not bound to)
    there = f"{place(row.text)}:{row.second}"
    if call == "bind":
        if "NET_BIND_SERVICE" in policy.capabilities.keep:
            return None
        allow = "--set 'capabilities.keep=[\"NET_BIND_SERVICE\"]' --loosen 'capabilities.keep=REASON'"
        why = "ports below 1024 need a capability"
        risk = "low: the port is one of the sandbox's own network"
        return _denial(row, "network", f"bind to {there}", "capabilities.keep", why, allow, risk)
    if local and policy.network.mode != "none":
        return None
    if policy.network.mode == "allow" and _served(row, policy):
        return None
    where = f'network.mode = "{policy.network.mode}"'
    if local and row.second != _DNS:
        allow = "--network loopback --loosen 'network.mode=REASON', for servers that the job itself starts"
        risk = "low: the sandbox's own loopback interface"
        return _denial(row, "network", f"connect to {there}", where, "no interface is up", allow, risk)
    look_up = row.second == _DNS and (local or policy.network.mode in ("none", "loopback"))
    what = f"connect to {there}" + (" (a look-up of a name)" if look_up else "")
    # By its name, if it has one: an address is often one of many.
    allow = "--allow NAME:PORT" if look_up else f"--allow {there}, or its name and port"
    if policy.network.grants != "any":
        allow = f"--profile net-client {allow}, in place of {policy.name}; or fetch it before, and --read it"
    why = "there is no route to any other machine" if policy.network.mode == "allow" else "no interface is up"
    return _denial(row, "network", what, where, why, allow, "medium: what the job can read can be sent there")


def _served(row: Seen, policy: Policy) -> bool:
    """Whether the broker has what goes there, and tells of it itself."""
    if row.text.startswith(_SYNTHETIC):
        return True
    rules = map(destinations.parse, policy.network.allow)
    return any(rule.kind == "address" and rule.host == row.text and rule.port == row.second for rule in rules)


def _file(row: Seen, policy: Policy, call: str, host: Host) -> Denial | None:
    word = errno.errorcode.get(row.errno, str(row.errno))
    what = f"{_verb(row, call)} {row.text} ({word})"
    # Told only if the caller sees it now: the launcher's look was the caller's too, but a while ago.
    if row.errno in (errno.ENOENT, errno.ENOTDIR):
        outside = host.lookup.look(row.text)
        if outside.state == lookup.UNLOOKED:
            return _not_looked_at(row, what, outside.why)
        return _not_shown(row, what, policy, host) if outside.state == lookup.THERE else None
    if row.errno == errno.EROFS:
        return _read_only(row, what, policy)
    if row.errno == errno.EACCES and row.bits & NOEXEC and call.startswith("exec"):
        where = f'filesystem.exec = "{policy.filesystem.exec}"'
        why = "what the job may write cannot be executed"
        allow = "--set filesystem.exec=anywhere --loosen 'filesystem.exec=REASON', or --profile build"
        risk = "medium: what the job writes or downloads can then be executed"
        return _denial(row, "file", what, where, why, allow, risk)
    if row.errno == errno.EACCES:
        mode = f", mode {stat.S_IMODE(row.mode):04o}" if row.mode else ""
        why = f"its owner does not give it to this user{mode}: the sandbox has no part in it"
        allow = "chmod or chown outside, if it is yours"
        return _denial(row, "file", what, "plain Unix permissions", why, allow, "")
    return None


def _verb(row: Seen, call: str) -> str:
    if call.startswith("exec"):
        return "execution of"
    if call in ("open", "openat", "creat"):
        return "writing of" if row.first & (os.O_WRONLY | os.O_RDWR) else "reading of"
    if call == "connect":
        return "connection to"
    looks = call.startswith(("stat", "lstat", "newfstat", "access", "faccess", "readlink", "chdir"))
    return "look at" if looks else f"{call} of"


def _not_looked_at(row: Seen, what: str, reason: str) -> Denial:
    why = f"it is not shown; whether the host has it was not looked at: {reason}"
    allow = f"{read_option(row.text)}, if it is there"
    told = _denial(row, "file", what, _SHOWN, why, allow, "medium: the job can read all of it")
    return replace(told, sure=POSSIBLE)


def _not_shown(row: Seen, what: str, policy: Policy, host: Host) -> Denial:
    why = "it is there on the host, and not shown"
    end = host.lookup.look(row.text, follow=True)
    if end.state == lookup.UNLOOKED:
        return _not_looked_at(row, what, end.why)
    real = end.real or row.text
    if host.lookup.leads_elsewhere(row.text) and any(
        within(row.text, tree) for tree in policy.filesystem.show
    ):
        # The name is shown, and what its symlink leads to is not: Debian's links into /etc.
        link = f"it leads to {real}, which is not shown" if end.real else "it leads to what is not there"
        allow = read_option(real) if end.real else "nothing: the symlink leads nowhere on the host too"
        told = _denial(row, "file", what, _SHOWN, link, allow, "low: it is part of the system")
        return replace(told, sure=POSSIBLE)
    if policy.filesystem.grants == "none":
        return _denial(row, "file", what, "filesystem.grants", why, "a profile of your own that shows it", "")
    problem = host.problem(row.text)
    if problem and problem != lookup.TOO_MANY:
        return _denial(row, "file", what, _SHOWN, why, f"nothing: {problem}", "")
    # A library is seldom alone: the directory has those that it needs itself.
    folder = os.path.dirname(row.text)
    shown = folder if _LIBRARY.search(row.text) and not host.problem(folder) else row.text
    allow = read_option(shown)
    if host.lookup.look(shown, follow=True).folder:
        allow += ", if it holds no socket, pipe or key"
    if problem:
        allow += f", if the rules allow it ({problem})"
    risk = "low: it is part of the system" if any(within(row.text, tree) for tree in _TREE) else ""
    return _denial(row, "file", what, _SHOWN, why, allow, risk or "medium: the job can read all of it")


def _read_only(row: Seen, what: str, policy: Policy) -> Denial:
    binds = [bind for bind in policy.filesystem.read if within(row.text, bind.dest)]
    why = "it is shown read-only"
    if binds:
        places = [pasteable(place) for place in dict.fromkeys((binds[0].source, binds[0].dest))]
        allow = f"--write {':'.join(places)} in place of --read"
        if not all(places):
            allow = "--write of it in place of --read"
        return _denial(row, "file", what, "--read", why, allow, "medium: the job can change all of it")
    allow = (
        "--set filesystem.mode=ephemeral --set filesystem.changes=256M --loosen 'filesystem.mode=REASON'"
        " --loosen 'filesystem.changes=REASON': changes live in memory and vanish; or --profile inspect"
    )
    where = f'filesystem.mode = "{policy.filesystem.mode}"'
    risk = "low: nothing of it reaches the host"
    if policy.filesystem.exec == "shown":
        # A layer over /usr cannot be noexec (HB430).
        allow = f"--set filesystem.exec=anywhere --loosen 'filesystem.exec=REASON' {allow}"
        risk = "medium: what the job writes can be executed inside; nothing of it reaches the host"
    return _denial(row, "file", what, where, why, allow, risk)
