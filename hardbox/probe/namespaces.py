"""Probes of namespaces and id maps: each one is really made, in a child.

Run by: hardbox.probe.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from hardbox.host import LEASE_SIZE, read_bytes, split_range
from hardbox.probe import libc
from hardbox.probe.blockers import diagnose, unmapped
from hardbox.probe.check import Check, Place
from hardbox.probe.children import enter_user_namespace, in_child, write

if TYPE_CHECKING:
    from hardbox.host import HostFacts, IdRange
    from hardbox.probe.children import At, Outcome

_KINDS: Final = (
    ("mount", libc.CLONE_NEWNS, "the job's own view of files"),
    ("pid", libc.CLONE_NEWPID, "the job cannot see or signal other processes"),
    ("net", libc.CLONE_NEWNET, "no network, no abstract sockets of the host"),
    ("ipc", libc.CLONE_NEWIPC, "no shared memory or message queues of the host"),
    ("uts", libc.CLONE_NEWUTS, "the job's own host name"),
    ("cgroup", libc.CLONE_NEWCGROUP, "the host's cgroup paths are not shown"),
)
_OWN_IDS: Final = 65536  # below are the host's own accounts


def probe(place: Place) -> tuple[Check, ...]:
    """Try user namespaces, maps and the six kinds inside."""
    return (
        _user(place),
        _map(place),
        *(_inside(place, name, flag, why) for name, flag, why in _KINDS),
        _subordinate(place),
    )


def _judge(place: Place, name: str, why: str, outcome: Outcome, good: str = "works") -> Check:
    if outcome:
        return Check(name, ok=True, found=outcome.text or good, why=why, required=True)
    blocker = diagnose(outcome, place)
    found = f"{outcome.say()}: {blocker.found}"
    return Check(name, ok=False, found=found, why=why, fix=blocker.fix, required=True, blocker=blocker.name)


def _user(place: Place) -> Check:
    def attempt(at: At) -> str:
        at("unshare user namespace")
        libc.unshare(libc.CLONE_NEWUSER)
        return ""

    why = "every sandbox is its own user namespace; no privilege in it counts outside"
    return _judge(place, "user-namespaces", why, in_child(attempt))


def _map(place: Place) -> Check:
    why = "the job's ids are none of the host's own"
    if place.facts.uid == 0:
        return _map_as_root(place, why)
    return _judge(place, "id-maps", why, in_child(_map_self), "the caller's own id, single")


def _map_self(at: At) -> str:
    enter_user_namespace(at)
    return ""


def _map_as_root(place: Place, why: str) -> Check:
    """Map as the launcher does for root: from outside, ids that nobody has."""
    first, count = place.facts.lease_ids().start, LEASE_SIZE

    def attempt(at: At) -> str:
        with waiting_child(libc.CLONE_NEWUSER, at) as pid:
            for kind in ("uid_map", "gid_map"):
                at(f"write {kind}")
                write(f"/proc/{pid}/{kind}", f"0 {first} {count}")
        return ""

    outcome = in_child(attempt)
    if not outcome and "namespace" not in outcome.step and unmapped(place, first, count):
        return Check(
            "id-maps",
            ok=False,
            found=f"{outcome.say()}: the user namespace that hardbox was started in (a container?) has no ids"
            f" {first} to {first + count - 1}",
            why=why,
            fix='in it, give user "hardbox" 65536 ids that exist there, in /etc/subuid and /etc/subgid; or'
            " start hardbox as another user than root",
            required=True,
            blocker="unmapped-range",
        )
    return _judge(place, "id-maps", why, outcome, f"host ids from {first}, {count} of them")


class waiting_child:  # noqa: N801 (used as `with waiting_child(...)`)
    """A process in namespaces of its own that waits to be looked at, and then ends."""

    def __init__(self, flags: int, at: At) -> None:
        """Start it. flags: CLONE_* for unshare(2)."""
        self._flags = flags
        self._ready, ready = os.pipe()
        end, self._end = os.pipe()
        at("unshare user namespace")
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._end)
            self._be_child(ready, end)
        os.close(ready)
        os.close(end)

    def _be_child(self, ready: int, end: int) -> None:
        number = 1
        try:
            libc.unshare(self._flags)
            number = 0
        except OSError as error:
            number = error.errno or 1
        finally:
            os.write(ready, bytes([number & 0xFF]))
            os.read(end, 1)
            os._exit(0)

    def __enter__(self) -> int:
        """Give its process id once it is there. Raises OSError if it could not be made."""
        said = os.read(self._ready, 1)
        if said != b"\0":
            self.__exit__()
            raise OSError(said[0] if said else 1, "unshare")
        return self.pid

    def __exit__(self, *_: object) -> None:
        """End it."""
        os.close(self._end)
        os.close(self._ready)
        os.waitpid(self.pid, 0)


def _inside(place: Place, name: str, flag: int, why: str) -> Check:
    if name == "cgroup" and not place.facts.cgroup_namespaces:
        return Check(
            "namespace-cgroup",
            ok=None,
            found="this kernel has none; /proc/self/cgroup then shows the host's path",
            why=why,
            fix="a kernel with CONFIG_CGROUPS=y, 4.6 or later",
        )

    def attempt(at: At) -> str:
        enter_user_namespace(at)
        at(f"unshare {name} namespace")
        libc.unshare(flag)
        return ""

    return _judge(place, f"namespace-{name}", why, in_child(attempt))


def _subordinate(place: Place) -> Check:
    """Judge /etc/subuid, /etc/subgid and their helpers: only ids = "range" needs them."""
    facts = place.facts
    why = 'ids = "range": more than one id inside' if facts.uid else "host ids for root's sandboxes"
    gaps = [] if facts.uid == 0 else _helper_gaps(place)
    gaps += [f"/etc/{name}: {text}" for name, text in _range_gaps(place)]
    who = facts.user_name if facts.uid else "hardbox"
    if facts.uid == 0 and not (facts.subuid or facts.subgid):
        found = 'no lines for user "hardbox": the documented default is used, host ids from 0x70000000'
        return Check("subordinate-ids", ok=None, found=found, why=why)
    if not gaps and facts.uid != 0:
        outcome = in_child(lambda at: _map_by_helpers(at, facts))
        gaps = [] if outcome else [f"{outcome.say()} ({outcome.text})"]
    if not gaps:
        return Check("subordinate-ids", ok=True, found=_ranges(facts), why=why)
    fix = "" if facts.newuidmap and facts.newgidmap else "package uidmap; "
    fix += f"as root: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST {who or 'USER'}"
    fix += ", with ids that no account and no other line of /etc/subuid and /etc/subgid has"
    return Check("subordinate-ids", ok=False, found="; ".join(gaps), why=why, fix=fix)


def _map_by_helpers(at: At, facts: HostFacts) -> str:
    """Let newuidmap and newgidmap write the first id of each range."""
    with waiting_child(libc.CLONE_NEWUSER, at) as pid:
        for helper, ranges in ((facts.newuidmap, facts.subuid), (facts.newgidmap, facts.subgid)):
            at(helper)
            words = [helper, str(pid), "0", str(ranges[0].start), "1"]
            quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
            status = os.waitpid(os.posix_spawn(helper, words, {}, file_actions=quiet), 0)[1]
            if status != 0:
                raise OSError(errno.EPERM, "it refused: an unfit range, or no_new_privs on this process")
    return ""


def _ranges(facts: HostFacts) -> str:
    def say(ranges: tuple[IdRange, ...]) -> str:
        return ", ".join(f"{own.start}+{own.count}" for own in ranges)

    return f"uids {say(facts.subuid)}; gids {say(facts.subgid)}"


def _helper_gaps(place: Place) -> list[str]:
    gaps: list[str] = []
    for name, path in (("newuidmap", place.facts.newuidmap), ("newgidmap", place.facts.newgidmap)):
        if not path:
            gaps.append(f"{name} is not installed")
            continue
        try:
            found = os.stat(place.root + path)
            capable = "security.capability" in os.listxattr(place.root + path)
        except OSError as error:
            gaps.append(f"{path}: {error.strerror}")
            continue
        if not (found.st_mode & stat.S_ISUID and found.st_uid == 0) and not capable:
            gaps.append(f"{path} is neither set-user-ID root nor has a file capability (getcap)")
    return gaps


def _range_gaps(place: Place) -> list[tuple[str, str]]:
    facts, gaps = place.facts, []
    for name, own in (("subuid", facts.subuid), ("subgid", facts.subgid)):
        rows = []
        for number, line in enumerate(read_bytes(f"{place.root}/etc/{name}").split(b"\n"), 1):
            row = split_range(line)
            if row is not None:
                rows.append(row)
            elif line.strip() and not line.lstrip().startswith(b"#"):
                gaps.append((name, f"line {number} is malformed and is skipped (subuid(5))"))
        if not own:
            gaps.append((name, "no range for this caller" if facts.uid else 'no range for user "hardbox"'))
        if any(mine.start < _OWN_IDS for mine in own):
            gaps.append((name, "a range includes ids below 65536, which are the host's own accounts"))
        gaps += [(name, text) for text in _overlaps(own, rows)]
    return gaps


def _overlaps(own: tuple[IdRange, ...], rows: list[tuple[str, IdRange]]) -> list[str]:
    """Say which other ranges share ids with the caller's: two users' sandboxes could then meet."""
    texts: list[str] = []
    for position, mine in enumerate(own):
        same = 0
        for owner, other in rows:
            if other == mine:
                same += 1
            elif other.start < mine.start + mine.count and mine.start < other.start + other.count:
                texts.append(f"{mine.start}+{mine.count} overlaps {owner}'s {other.start}+{other.count}")
        if same > 1 and mine not in own[:position]:
            texts.append(f"{mine.start}+{mine.count} stands there {same} times")
    return texts
