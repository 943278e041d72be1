"""The decision: match, resolve, vet, connect; in this order, and each name resolved once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support import faults
from support.brokers import PATIENCE, Names, echo, server

from hardbox import destinations
from hardbox.net import decide
from hardbox.net.decide import Decider, NotConnected
from hardbox.net.loop import Loop
from hardbox.network_limits import MOST_WILD_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Deciding:
    """A decider with scripted names."""

    def __init__(self, *rules: str, **names: Any) -> None:  # noqa: ANN401 (see Names)
        self.names = Names(**names)
        self.loop = Loop(self._failed)
        self.decider = Decider(
            self.loop,
            [destinations.parse(rule) for rule in rules],
            resolve=self.names.resolve,
            unfit=self.names.unfit,
            own=lambda address, sock: self.own(str(address), sock),
        )
        self.own: Callable[[str, object], str] = self._own
        self.asked_own: list[tuple[str, bool]] = []
        self.own_before: set[str] = set()
        self.own_after: set[str] = set()

    @staticmethod
    def _failed(error: BaseException) -> None:
        raise error

    def _own(self, address: str, sock: object) -> str:
        """Take addresses for the host's own, before connecting or only after it."""
        self.asked_own.append((address, sock is not None))
        return "own" if address in (self.own_before if sock is None else self.own_after) else ""

    def run(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Give what each coroutine returns or raises."""
        results: list[Any] = [None] * len(coroutines)
        left = len(coroutines)

        async def one(number: int, coroutine: Coroutine[Any, Any, Any]) -> None:
            try:
                results[number] = await coroutine
            except NotConnected as refused:
                results[number] = refused

        def ended(error: BaseException | None) -> None:
            nonlocal left
            left -= 1
            assert error is None, error
            if not left:
                self.loop.stop()

        for number, coroutine in enumerate(coroutines):
            self.loop.spawn(one(number, coroutine), ended)
        self.loop.run()
        return results

    def addresses(self, host: str, port: int = 443) -> Any:  # noqa: ANN401 (addresses or NotConnected)
        """Match and resolve."""
        try:
            wanted = self.decider.match(host, port)
        except NotConnected as refused:
            return refused
        return self.run(self.decider.addresses(wanted))[0]


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("index.example.org", 443),
        ("INDEX.Example.ORG", 443),
        ("index.example.org.", 443),
        ("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example.org", 443),
        ("xn--bcher-kva.example.org", 443),
        ("one.files.example.org", 8443),
        ("10.0.3.7", 5432),
        ("2001:db8::1", 22),
        ("[2001:DB8:0::1]", 22),
    ],
)
def test_what_a_rule_means_matches(host: str, port: int) -> None:
    rules = ("index.example.org:443", "xn--bcher-kva.example.org:443", "*.files.example.org:8443")
    deciding = Deciding(*rules, "10.0.3.7:5432", "[2001:db8::1]:22")
    assert deciding.decider.match(host, port).port == port
    assert deciding.names.asked == []


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("index.example.org", 444, "not-allowed"),
        ("index.example.org", 0, "not-allowed"),
        ("example.org", 443, "not-allowed"),
        ("files.example.org", 8443, "not-allowed"),
        ("a.b.files.example.org", 8443, "not-allowed"),
        ("index.example.org.evil.example", 443, "not-allowed"),
        ("evilindex.example.org", 443, "not-allowed"),
        ("93.184.216.34", 443, "not-allowed"),
        ("127.0.0.1", 443, "not-allowed"),
        ("::1", 443, "not-allowed"),
        ("localhost", 443, "not-allowed"),
        ("index.example.org..", 443, "spelling"),
        (".files.example.org", 8443, "spelling"),
        ("user@index.example.org", 443, "spelling"),
        ("index.example.org\0.evil.example", 443, "spelling"),
        ("index.example.org%00", 443, "spelling"),
        ("index.example.org ", 443, "spelling"),
        ("index\N{FULLWIDTH FULL STOP}example.org", 443, "spelling"),
        ("2130706433", 443, "spelling"),
        ("0x7f000001", 443, "spelling"),
        ("0x7f.1", 443, "spelling"),
        ("127.1", 443, "spelling"),
        ("0177.0.0.1", 443, "spelling"),
        ("010.0.3.7", 5432, "spelling"),
        ("10.0.3.7.", 5432, "spelling"),
        ("10.0.775", 5432, "spelling"),
        ("::ffff:10.0.3.7", 5432, "spelling"),
        ("::ffff:a00:307", 5432, "spelling"),
        ("fe80::1%lo", 443, "spelling"),
        ("a" * 64 + ".files.example.org", 8443, "spelling"),
        ("x" * 300, 443, "spelling"),
        ("", 443, "spelling"),
    ],
)
def test_whatever_else_is_refused_before_anybody_is_asked(host: str, port: int, reason: str) -> None:
    deciding = Deciding("index.example.org:443", "*.files.example.org:8443", "10.0.3.7:5432")
    with pytest.raises(NotConnected) as raised:
        deciding.decider.match(host, port)
    assert raised.value.reason == reason
    assert raised.value.verdict == "denied"
    assert deciding.names.asked == []


@pytest.mark.parametrize(
    ("found", "fit"),
    [
        (["93.184.216.34"], ["93.184.216.34"]),
        (["10.0.3.7", "93.184.216.34"], ["93.184.216.34"]),
        (["2606:2800:220:1::34", "fd00::1"], ["2606:2800:220:1::34"]),
    ],
)
def test_only_public_addresses_are_left(found: list[str], fit: list[str]) -> None:
    deciding = Deciding("index.example.org:443", index_example_org=found)
    assert [str(address) for address in deciding.addresses("index.example.org")] == fit


@pytest.mark.parametrize(
    "found",
    [
        *("10.0.3.7", "127.9.0.1", "169.254.169.254", "192.168.7.7", "172.16.0.1", "100.64.0.1", "0.0.0.0"),  # noqa: S104 (refused)
        *("224.0.0.1", "255.255.255.255", "198.18.0.1", "::", "::1", "::ffff:93.184.216.34", "fe80::1"),
        *("64:ff9b::5db8:d822", "2002:5db8:d822::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    ],
)
def test_a_name_that_leads_inwards_is_denied(found: str) -> None:
    refused = Deciding("index.example.org:443", index_example_org=[found]).addresses("index.example.org")
    assert (refused.reason, refused.verdict) == ("unfit-address", "denied")
    assert refused.detail.startswith("resolves to ")


def test_a_literal_rule_of_the_same_port_makes_an_address_fit() -> None:
    rules = ("db.example.org:5432", "db.example.org:443", "10.0.3.7:5432")
    deciding = Deciding(*rules, db_example_org=["10.0.3.7"])
    assert [str(address) for address in deciding.addresses("db.example.org", 5432)] == ["10.0.3.7"]
    assert deciding.addresses("db.example.org", 443).reason == "unfit-address"


def test_a_literal_is_never_resolved() -> None:
    deciding = Deciding("10.0.3.7:5432")
    assert [str(address) for address in deciding.addresses("10.0.3.7", 5432)] == ["10.0.3.7"]
    assert deciding.names.asked == []


def test_the_name_is_not_resolved_again_between_check_and_connect() -> None:
    answers = [["127.0.0.1"], ["127.9.0.1"], ["127.9.0.1"]]
    with server(echo) as (port, _):
        deciding = Deciding(f"index.example.org:{port}", index_example_org=lambda: answers.pop(0))
        sock = deciding.run(deciding.decider.connect(deciding.decider.match("index.example.org", port)))[0]
        assert sock.getpeername() == ("127.0.0.1", port)
        sock.close()
        assert deciding.names.asked == ["index.example.org"]
        again = deciding.run(deciding.decider.connect(deciding.decider.match("index.example.org", port)))[0]
        assert again.reason == "unfit-address"


def test_addresses_are_tried_in_turn() -> None:
    with server(echo, "127.0.0.2") as (port, _):
        rules = f"index.example.org:{port}"
        deciding = Deciding(rules, index_example_org=["127.0.0.3", "127.0.0.2"])
        sock = deciding.run(deciding.decider.connect(deciding.decider.match("index.example.org", port)))[0]
        assert sock.getpeername()[0] == "127.0.0.2"
        sock.close()


@pytest.mark.parametrize("when", ["", "before", "after"])
def test_a_name_that_leads_to_the_host_itself_is_denied(when: str) -> None:
    came: list[str] = []

    def notes(client: Any) -> None:  # noqa: ANN401 (a socket)
        came.append(client.recv(1).decode() or "nothing")

    with server(notes, "127.0.0.2") as (port, peers):
        deciding = Deciding(f"index.example.org:{port}", index_example_org=["127.0.0.2"])
        if when:
            getattr(deciding, f"own_{when}").add("127.0.0.2")
        found = deciding.run(deciding.decider.connect(deciding.decider.match("index.example.org", port)))[0]
        if not when:
            assert found.getpeername()[0] == "127.0.0.2", "the control"
            found.close()
            return
        assert (found.verdict, found.reason) == ("denied", "unfit-address")
        assert found.detail == "resolves to 127.0.0.2: own"
        faults.eventually(lambda: len(peers) == (when == "after"), "the server sees no more than that")
        if when == "after":
            faults.eventually(lambda: came == ["nothing"], "it was closed before anything was said")


def test_another_address_than_the_host_s_is_taken() -> None:
    with server(echo, "127.0.0.2") as (port, _):
        deciding = Deciding(f"index.example.org:{port}", index_example_org=["127.0.0.3", "127.0.0.2"])
        deciding.own_before = {"127.0.0.3"}
        sock = deciding.run(deciding.decider.connect(deciding.decider.match("index.example.org", port)))[0]
        assert sock.getpeername()[0] == "127.0.0.2"
        sock.close()


def test_the_host_s_own_address_is_fit_where_a_rule_names_it() -> None:
    with server(echo) as (port, _):
        rules = (f"127.0.0.1:{port}", f"index.example.org:{port}")
        deciding = Deciding(*rules, index_example_org=["127.0.0.1"])
        deciding.own_before = deciding.own_after = {"127.0.0.1"}
        for host in ("127.0.0.1", "index.example.org"):
            sock = deciding.run(deciding.decider.connect(deciding.decider.match(host, port)))[0]
            assert sock.getpeername()[0] == "127.0.0.1"
            sock.close()
        assert deciding.asked_own == []


def test_what_cannot_be_known_of_an_address_is_no_way_there() -> None:
    with server(echo) as (port, peers):
        deciding = Deciding(f"index.example.org:{port}", index_example_org=["127.0.0.1"])

        def breaks(_address: str, _sock: object) -> str:
            raise PermissionError(1, "Operation not permitted")

        deciding.own = breaks
        found = deciding.run(deciding.decider.connect(deciding.decider.match("index.example.org", port)))[0]
        assert (found.reason, found.detail) == ("unreachable", "127.0.0.1: Operation not permitted")
        assert peers == []


def test_what_does_not_work_is_failed_and_not_denied() -> None:
    with server(echo) as (port, _):
        pass
    deciding = Deciding(
        f"index.example.org:{port}", f"gone.example.org:{port}", index_example_org=["127.0.0.1"]
    )
    outcomes = deciding.run(
        *(
            deciding.decider.connect(deciding.decider.match(name, port))
            for name in ("index.example.org", "gone.example.org")
        )
    )
    assert [(outcome.verdict, outcome.reason) for outcome in outcomes] == [
        ("failed", "unreachable"),
        ("failed", "unresolved"),
    ]


def test_who_asks_for_the_same_name_meanwhile_gets_the_same_answer() -> None:
    go = threading.Event()

    def slow() -> list[str]:
        go.wait(PATIENCE)
        return ["93.184.216.34"]

    deciding = Deciding("index.example.org:443", index_example_org=slow)
    wanted = deciding.decider.match("index.example.org", 443)
    deciding.loop.later(0.05, go.set)
    found = deciding.run(*(deciding.decider.addresses(wanted) for _ in range(50)))
    assert deciding.names.asked == ["index.example.org"]
    assert {str(addresses[0]) for addresses in found} == {"93.184.216.34"}


def test_threads_are_bounded_and_everybody_gets_an_answer() -> None:
    at_once: list[int] = []
    lock, running = threading.Lock(), [0]

    def slow() -> list[str]:
        with lock:
            running[0] += 1
            at_once.append(running[0])
        threading.Event().wait(0.01)
        with lock:
            running[0] -= 1
        return ["93.184.216.34"]

    deciding = Deciding("*.example.org:443", **{f"n{number}_example_org": slow for number in range(100)})
    found = deciding.run(
        *(
            deciding.decider.addresses(deciding.decider.match(f"n{number}.example.org", 443))
            for number in range(100)
        )
    )
    assert all(str(addresses[0]) == "93.184.216.34" for addresses in found)
    assert max(at_once) <= decide.MOST_LOOKUPS


@pytest.mark.parametrize("bounded", [False, True])
def test_names_that_hang_do_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
    bounded: bool,  # noqa: FBT001
) -> None:
    """A job asks for many names below one wildcard, whose name server never answers."""
    if not bounded:
        monkeypatch.setattr(decide, "MOST_WILD_LOOKUPS", decide.MOST_LOOKUPS)
    go = threading.Event()
    order: list[str] = []

    def hangs() -> list[str]:
        go.wait(PATIENCE)
        return ["93.184.216.34"]

    slow = {f"n{number}_slow_example_org": hangs for number in range(40)}
    quick = {"index_example_org": ["93.184.216.34"], "a_files_example_org": ["93.184.216.34"]}
    rules = ("*.slow.example.org:443", "*.files.example.org:443", "index.example.org:443")
    deciding = Deciding(*rules, **slow, **quick)

    async def one(host: str) -> None:
        await deciding.decider.addresses(deciding.decider.match(host, 443))
        order.append(host)
        if len(order) == len(quick):
            go.set()

    deciding.loop.later(0.5, go.set)
    deciding.run(*(one(name.replace("_", ".")) for name in (*slow, *quick)))
    assert len(order) == len(slow) + len(quick)
    assert (set(order[: len(quick)]) == {"index.example.org", "a.files.example.org"}) == bounded
    assert sorted(deciding.names.asked) == sorted(name.replace("_", ".") for name in (*slow, *quick))


def test_a_name_that_nobody_waits_for_any_more_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "LOOKUP_PATIENCE", 0.2)
    go = threading.Event()

    def hangs() -> list[str]:
        go.wait(PATIENCE)
        return ["93.184.216.34"]

    deciding = Deciding("*.example.org:443", **{f"n{number}_example_org": hangs for number in range(10)})
    wanted = [deciding.decider.match(f"n{number}.example.org", 443) for number in range(10)]
    found = deciding.run(*(deciding.decider.addresses(one) for one in wanted))
    assert {refused.reason for refused in found} == {"unresolved"}
    assert len(deciding.names.asked) == decide.MOST_WILD_LOOKUPS
    go.set()
    # Whoever asks now is answered, and the others are not asked for.
    assert str(deciding.run(deciding.decider.addresses(wanted[9]))[0][0]) == "93.184.216.34"
    assert len(deciding.names.asked) == decide.MOST_WILD_LOOKUPS + 1


def test_names_by_wildcards_are_bounded_and_known_ones_stay() -> None:
    deciding = Deciding("*.example.org:443", "own.example.org:443")
    for number in range(MOST_WILD_NAMES):
        deciding.decider.match(f"n{number}.example.org", 443)
    with pytest.raises(NotConnected) as raised:
        deciding.decider.match("more.example.org", 443)
    assert raised.value.reason == "limit-names"
    assert deciding.decider.match("n0.example.org", 443).rule.kind == "wildcard"
    assert deciding.decider.match("own.example.org", 443).rule.kind == "name"


def test_a_resolver_that_breaks_is_an_outcome() -> None:
    def breaks() -> list[str]:
        raise MemoryError

    refused = Deciding("index.example.org:443", index_example_org=breaks).addresses("index.example.org")
    assert (refused.reason, refused.detail) == ("unresolved", "MemoryError")


def test_the_host_s_resolver_gives_addresses_as_text() -> None:
    assert decide.resolve("localhost", 80)[0] in ("127.0.0.1", "::1")
    with pytest.raises(OSError, match=r"."):
        decide.resolve("no.such.name.invalid", 80)
