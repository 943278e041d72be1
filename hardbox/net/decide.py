"""The decision about a destination, the same for every way in: match, resolve, vet, connect.

Run by: the broker. Nothing else in it resolves a name or connects anywhere.

The order is the point. A name is resolved only after a rule has matched: a look-up alone can carry data out.
What it resolves to is vetted, and connected to as an address: the name is not resolved again, so an answer
that changes between check and use (rebinding) changes nothing.
"""

from __future__ import annotations

import _socket
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.destinations import Host, allowing, host_of, place
from hardbox.net import streams
from hardbox.net.loop import Pause
from hardbox.network_limits import MOST_WILD_NAMES
from hardbox.network_report import DENIED, FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from hardbox.destinations import Destination
    from hardbox.net.loop import Loop
    from hardbox.network_report import Reason, Verdict

    Address = IPv4Address | IPv6Address
    Resolve = Callable[[str, int], Sequence[str]]
    Unfit = Callable[[Address], str]
    Own = Callable[[Address, _socket.socket | None], str]

# Look-ups under way; getaddrinfo(3) cannot be interrupted, so each one that hangs keeps its thread.
MOST_LOOKUPS: Final = 16
# And of names that one wildcard allows: a job can ask for many, and they all hang if their name server does.
MOST_WILD_LOOKUPS: Final = 4
# Seconds.
LOOKUP_PATIENCE: Final = 20.0
CONNECT_PATIENCE: Final = 10.0
ALL_CONNECTS_PATIENCE: Final = 30.0
MOST_ADDRESSES: Final = 8


class NotConnected(Exception):  # noqa: N818 (an outcome, not an error of ours)
    """The connection does not come about.

    verdict: "denied", or "failed" if it was allowed and did not work.
    reason:  as in the ledger's rows; detail: one line.
    """

    def __init__(self, reason: Reason, detail: str = "", verdict: Verdict = DENIED) -> None:
        """Carry the reason."""
        super().__init__(reason, detail)
        self.verdict, self.reason, self.detail = verdict, reason, detail


@dataclass(frozen=True, slots=True)
class Wanted:
    """A destination that a rule allows. Only `Decider.match` makes one."""

    host: Host
    port: int
    rule: Destination

    @property
    def text(self) -> str:
        """Write it as in a URL: "[2001:db8::1]:22"."""
        return place(self.host.text, self.port)


class Decider:
    """The decisions of one run."""

    def __init__(
        self, loop: Loop, rules: Sequence[Destination], *, resolve: Resolve, unfit: Unfit, own: Own
    ) -> None:
        """Take the rules, and what a test may replace.

        resolve: gives the addresses of a name, as text; called in a thread. Raises OSError.
        unfit:   why a name may not lead to an address, or "".
        own:     why it is an address of the host's own, or ""; asked before connecting, and with the
                 connected socket. Raises OSError.
        """
        self._loop = loop
        self._rules = tuple(rules)
        self._literals = frozenset((rule.host, rule.port) for rule in rules if rule.kind == "address")
        self._resolve = resolve
        self._unfit = unfit
        self._own = own
        self._wild_names: set[str] = set()
        self._matched: dict[tuple[str, int], Wanted] = {}
        self._under_way: dict[tuple[str, int], list[Pause]] = {}
        self._queue: list[tuple[str, int, str]] = []
        self._threads = 0
        self._wild_threads: dict[str, int] = {}

    def match(self, text: str, port: int) -> Wanted:
        """Give the destination that a client asks for, if a rule allows it. Raises NotConnected.

        text: the host as the client wrote it.
        """
        matched = self._matched.get((text, port))
        if matched is not None:
            return matched
        try:
            host = host_of(text)
        except ValueError as error:
            raise NotConnected("spelling", f"the host {error}") from error
        rule = allowing(self._rules, host, port)
        if rule is None:
            raise NotConnected("not-allowed")
        if rule.kind == "wildcard" and host.text not in self._wild_names:
            if len(self._wild_names) >= MOST_WILD_NAMES:
                raise NotConnected("limit-names", f"more than {MOST_WILD_NAMES} names that match wildcards")
            self._wild_names.add(host.text)
        wanted = Wanted(host, port, rule)
        # In one spelling each: a name has more than could be kept.
        if text == host.text:
            self._matched[text, port] = wanted
        return wanted

    async def connect(self, wanted: Wanted) -> _socket.socket:
        """Connect to the first vetted address that answers. Raises NotConnected."""
        problem = ""
        own: NotConnected | None = None
        addresses = await self.addresses(wanted)
        end = self._loop.time() + ALL_CONNECTS_PATIENCE
        for address in addresses:
            try:
                deadline = min(end, self._loop.time() + CONNECT_PATIENCE)
                return await self._reach(address, wanted, deadline)
            except NotConnected as refused:
                own = refused
            except TimeoutError:
                problem = f"{address}: no answer"
            except OSError as error:
                problem = f"{address}: {error.strerror or error}"
        if own is not None and not problem:
            raise own
        raise NotConnected("unreachable", problem, FAILED)

    async def _reach(self, address: Address, wanted: Wanted, deadline: float) -> _socket.socket:
        """Connect to an address, unless it is the host's own. Raises NotConnected, TimeoutError, OSError."""
        exempt = wanted.host.literal or self._named(address, wanted.port)
        if not exempt:
            _refuse_own(address, self._own(address, None))
        sock = await streams.connect(self._loop, (str(address), wanted.port), deadline)
        try:
            if not exempt:
                _refuse_own(address, self._own(address, sock))
        except BaseException:
            sock.close()
            raise
        return sock

    async def addresses(self, wanted: Wanted) -> tuple[Address, ...]:
        """Give the addresses that may be connected to, at least one. Raises NotConnected."""
        from ipaddress import ip_address  # noqa: PLC0415 (4 ms; nothing at the start needs it)

        if wanted.host.literal:
            # What a rule names itself is not vetted: whoever wrote 10.0.3.7:5432 means it.
            return (ip_address(wanted.host.text),)
        found = tuple(ip_address(text) for text in await self._look_up(wanted))
        if not found:
            raise NotConnected("unresolved", "no addresses", FAILED)
        why = {address: self._why_not(address, wanted.port) for address in found}
        fit = tuple(address for address in found if not why[address])
        if not fit:
            raise NotConnected("unfit-address", f"resolves to {found[0]}: {why[found[0]]}")
        return fit[:MOST_ADDRESSES]

    def _why_not(self, address: Address, port: int) -> str:
        return "" if self._named(address, port) else self._unfit(address)

    def _named(self, address: Address, port: int) -> bool:
        """Say whether a rule names that very address."""
        return (str(address), port) in self._literals

    async def _look_up(self, wanted: Wanted) -> tuple[str, ...]:
        """Resolve in a thread; who asks for the same meanwhile gets the same answer. Raises NotConnected."""
        name, port = wanted.host.text, wanted.port
        deadline = self._loop.time() + LOOKUP_PATIENCE
        mine = Pause()
        if (name, port) not in self._under_way:
            self._under_way[name, port] = []
            self._start(name, port, wanted.rule.host if wanted.rule.kind == "wildcard" else "")
        waiting = self._under_way[name, port]
        waiting.append(mine)
        try:
            answer = await self._loop.settled(mine, deadline)
        except TimeoutError as error:
            raise NotConnected("unresolved", f"no answer within {LOOKUP_PATIENCE:.0f} s", FAILED) from error
        finally:
            # The answer takes the whole list; who gives up before it leaves nothing behind.
            if not mine.settled or mine in waiting:
                waiting.remove(mine)
        if isinstance(answer, BaseException):
            raise NotConnected("unresolved", _words(answer), FAILED) from answer
        return tuple(answer)

    def _start(self, name: str, port: int, suffix: str) -> None:
        """Look up in a thread, at once or when one ends.

        suffix: of the wildcard that allows the name, or "".
        """
        wild = self._wild_threads.get(suffix, 0)
        if self._threads >= MOST_LOOKUPS or (suffix and wild >= MOST_WILD_LOOKUPS):
            self._queue.append((name, port, suffix))
            return
        import _thread  # noqa: PLC0415 (beside its only use)

        def ask() -> None:
            try:
                answer: object = tuple(self._resolve(name, port))
            except Exception as error:  # noqa: BLE001 (whatever it is, the waiter has to hear of it)
                answer = error
            self._loop.from_thread(lambda: self._answered(name, port, suffix, answer))

        self._threads += 1
        self._wild_threads[suffix] = wild + 1
        try:
            _thread.start_new_thread(ask, ())
        except RuntimeError as error:
            self._answered(name, port, suffix, error)

    def _answered(self, name: str, port: int, suffix: str, answer: object) -> None:
        self._threads -= 1
        self._wild_threads[suffix] -= 1
        for pause in self._under_way.pop((name, port), ()):
            pause.wake(answer)
        queue, self._queue = self._queue, []
        for asked in queue:
            if self._under_way[asked[:2]]:
                self._start(*asked)
            else:
                del self._under_way[asked[:2]]  # nobody waits for it any more


def _refuse_own(address: Address, why: str) -> None:
    if why:
        raise NotConnected("unfit-address", f"resolves to {address}: {why}")


def resolve(name: str, port: int) -> tuple[str, ...]:
    """Give the addresses of a name as the host's resolver does, each once. Raises OSError."""
    found = _socket.getaddrinfo(name.encode("ascii"), port, 0, _socket.SOCK_STREAM, _socket.IPPROTO_TCP)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def no_search_domains() -> None:
    """Make getaddrinfo(3) look up names as they are: "index.example.org" is never tried below another domain.

    resolv.conf(5): LOCALDOMAIN overrides its search list. To be called before the first look-up.
    """
    os.environ["LOCALDOMAIN"] = "."
    os.environ.pop("HOSTALIASES", None)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return type(error).__name__
