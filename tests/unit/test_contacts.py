"""What the keeper of a network refused, in words: every reason, and the smallest change.  Run by: pytest."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import plans
from support.profile_files import REASON, write

from hardbox import profile
from hardbox.cli import options
from hardbox.denials import contacts
from hardbox.net import answers
from hardbox.network_report import DENIALS, REASONS, Contact, NetworkUse
from hardbox.policy import NETWORK_MODES, UNLIMITED

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.denials import Denial
    from hardbox.policy import Policy

DOCS: Final = "docs/network.md"
BASE: Final = plans.policy(network="allow", allow=("a.example.org:443",))
POLICY: Final = replace(BASE, network=replace(BASE.network, bytes=10 << 30))


def contact(**changed: Any) -> Contact:  # noqa: ANN401 (any field)
    plain = Contact("denied", "b.example.org", 443, "connect", "not-allowed", "", 1, 0, 0)
    return replace(plain, **changed)


def explain(*rows: Contact, policy: Policy = POLICY) -> tuple[Denial, ...]:
    return contacts.explain(NetworkUse("allow", complete=True, contacts=rows), policy)


def one(policy: Policy = POLICY, **changed: Any) -> Denial:  # noqa: ANN401 (any field)
    (found,) = explain(contact(**changed), policy=policy)
    return found


@pytest.mark.parametrize("reason", DENIALS)
def test_every_reason_says_why_and_what_to_do(reason: str) -> None:
    found = one(reason=reason, detail="the detail")
    assert found.kind == "network"
    assert found.what == "connection to b.example.org:443"
    assert found.why.endswith(": the detail"), "what is written here, and what the keeper adds"
    assert found.where.startswith("network.")
    assert found.allow
    assert bool(found.risk) == (not found.allow.startswith("nothing:"))
    assert re.fullmatch(r"(low|medium|high): .+", found.risk or "low: none")


def test_the_reasons_are_those_of_the_documentation() -> None:
    with open(f"{__file__.rpartition('/tests/')[0]}/{DOCS}", encoding="utf-8") as file:
        rows = [line.split("|")[1] for line in file if line.startswith("| `")]
    told = {reason for row in rows for reason in re.findall(r"`([a-z-]+)`", row)}
    assert told - set(NETWORK_MODES) == set(REASONS)


def test_every_reason_has_words_here_and_for_the_job() -> None:
    assert set(contacts.__dict__["_WHY"]) == set(DENIALS)
    assert set(answers.__dict__["_WHY"]) == set(DENIALS)


def test_a_reason_that_is_not_known_yet_is_told_by_its_detail() -> None:
    assert one(reason="new", detail="something new").why == "something new"


@pytest.mark.parametrize("verdict", ["allowed", "failed"])
def test_what_was_not_denied_is_no_denial(verdict: str) -> None:
    assert explain(contact(verdict=verdict), contact(verdict=verdict, port=0, via="dns")) == ()


def test_one_denial_for_all_ways_to_one_place() -> None:
    ways = [contact(via=via, count=count) for count, via in enumerate(("connect", "http", "socks"), 1)]
    (found,) = explain(*ways, contact(via="transparent", count=10))
    assert (found.what, found.count) == ("connection to b.example.org:443", 16)


def test_another_port_host_or_reason_is_another_denial() -> None:
    rows = (contact(), contact(port=80), contact(host="c.example.org"), contact(reason="protocol"))
    found = explain(*rows, *rows)
    assert [denial.count for denial in found] == [2, 2, 2, 2]
    assert len({(denial.what, denial.why) for denial in found}) == 4


def test_details_of_one_denial_are_told_up_to_a_few() -> None:
    def rows(count: int) -> list[Contact]:
        return [contact(reason="unfit-address", detail=f"detail {n}") for n in range(count)]

    (found,) = explain(*rows(2), *rows(2))
    assert found.why.endswith(": detail 0; detail 1")
    (found,) = explain(*rows(5))
    assert found.why.endswith(": detail 0; detail 1; detail 2; and 2 more")
    assert found.count == 5


def test_a_look_up_counts_if_nothing_was_tried_afterwards() -> None:
    asked = contact(port=0, via="dns")
    assert [denial.what for denial in explain(asked)] == ["look-up of b.example.org"]
    assert [denial.what for denial in explain(asked, contact(via="connect"))] == [
        "connection to b.example.org:443"
    ]
    assert len(explain(asked, contact(host="c.example.org"))) == 2


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"host": "2001:db8::1", "port": 22}, "connection to [2001:db8::1]:22"),
        ({"host": "10.0.3.7", "port": 22}, "connection to 10.0.3.7:22"),
        ({"host": "", "port": 0, "reason": "limit-rate"}, "connection"),
        ({"host": "", "port": 0, "reason": "limit-bytes", "via": "transparent"}, "connection"),
        ({"host": "", "port": 0, "reason": "protocol", "via": "dns"}, "look-up that names nothing"),
        ({"host": "x@b.example.org", "port": 0, "reason": "spelling"}, "connection to x@b.example.org"),
        ({"host": "192.0.2.1", "port": 0, "via": "bridge"}, "packets to 192.0.2.1"),
        ({"host": "192.0.2.1", "port": 0, "via": "pasta"}, "packets to 192.0.2.1"),
        ({"host": "192.0.2.1", "port": 53, "via": "bridge"}, "connection to 192.0.2.1:53"),
    ],
)
def test_what_it_was(changed: dict[str, Any], what: str) -> None:
    assert one(**changed).what == what


@pytest.mark.parametrize(
    ("changed", "allow"),
    [
        ({}, "--allow b.example.org:443 --loosen 'network.allow=REASON'"),
        ({"host": "2001:db8::1", "port": 22}, "--allow '[2001:db8::1]:22' --loosen 'network.allow=REASON'"),
        (
            {"port": 0, "via": "dns"},
            "--allow b.example.org:443 --loosen 'network.allow=REASON', or the port that is meant",
        ),
        (
            {"host": "192.0.2.1", "port": 0, "via": "bridge"},
            "--allow '192.0.2.1:*' --loosen 'network.allow=REASON'",
        ),
        ({"host": "a b"}, "nothing: such a name cannot be allowed"),
        ({"host": "x';rm"}, "nothing: such a name cannot be allowed"),
        ({"host": "_dns.example.org", "port": 0, "via": "dns"}, "nothing: such a name cannot be allowed"),
        (
            {"host": "4.3.2.1.in-addr.arpa", "port": 0, "via": "dns"},
            "nothing: addresses outside have no names here",
        ),
        (
            {"host": "", "port": 0, "via": "dns", "reason": "protocol"},
            "nothing: the stub answers questions of class IN",
        ),
    ],
)
def test_the_smallest_change(changed: dict[str, Any], allow: str) -> None:
    assert one(**changed).allow == allow


def test_who_may_add_destinations_needs_no_reason() -> None:
    free = replace(POLICY, network=replace(POLICY.network, grants="any"))
    assert one(free).allow == "--allow b.example.org:443"


@pytest.mark.parametrize(
    ("reason", "where", "word"),
    [
        ("limit-connections", "network.connections = 256", "network.connections=512"),
        ("limit-rate", "network.rate = 100", "network.rate=200"),
        ("limit-bytes", "network.bytes = 10G", "network.bytes=20G"),
        ("limit-idle", "network.idle = 5m", "network.idle=10m"),
    ],
)
def test_more_of_a_limit_is_twice_of_it(reason: str, where: str, word: str) -> None:
    found = one(reason=reason)
    assert found.where == where
    assert found.allow == f"--set {word} --loosen '{word.partition('=')[0]}=REASON'"


def test_a_limit_has_an_end() -> None:
    def at(value: int) -> Denial:
        changed = replace(POLICY, network=replace(POLICY.network, connections=value))
        return one(changed, reason="limit-connections")

    assert "network.connections=16384 " in at(16000).allow
    assert at(16384).allow.startswith("nothing")
    unlimited = replace(POLICY, network=replace(POLICY.network, bytes=UNLIMITED))
    assert one(unlimited, reason="limit-bytes").where == "network.bytes"


@pytest.mark.parametrize("grants", ["any", "none"])
@pytest.mark.parametrize("reason", DENIALS)
def test_what_is_suggested_can_be_typed(reason: str, grants: str, tmp_path: Path) -> None:
    """Every suggestion is taken by the command line, as it stands."""
    tmp_path.chmod(0o755)
    text = f'[network]\nallow = ["a.example.org:443"]\ngrants = "{grants}"\nbytes = "1G"'
    path = write(tmp_path, f'extends = "net-client"\n{text}\n[loosen]\n"network.allow" = "{REASON}"')
    found = one(profile.load(path), reason=reason).allow
    if found.startswith("nothing"):
        return
    words = [word.replace("REASON", REASON) for word in shlex.split(found)]
    wanted = options.parse("run", [*words, "--", "true"])
    changed = profile.load(path, wanted.settings, wanted.reasons)
    assert changed.network != profile.load(path).network


@given(st.text(), st.sampled_from(DENIALS), st.integers(0, 65535), st.sampled_from(["connect", "dns"]))
def test_no_text_of_a_job_gets_into_a_suggestion_unquoted(
    host: str, reason: str, port: int, via: str
) -> None:
    (found,) = explain(contact(host=host, reason=reason, port=port, via=via))
    words = shlex.split(found.allow.partition(", or the port")[0].replace("nothing:", "nothing"))
    if words[0] == "--allow" and reason == "not-allowed":
        assert len(words) == 4
        assert words[2:] == ["--loosen", "network.allow=REASON"]
        assert words[1].isprintable()
