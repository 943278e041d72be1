"""Rules of network mode "bridge" as text: nft takes them, and they say what they should."""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hardbox.net import nft_rules, nft_state, programs, vetting
from hardbox.net.bridge_settings import BridgeSettings, Egress, Published
from hardbox.net.nft_rules import Box
from hardbox.net.nft_state import NOTHING, Denied, State
from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBNET = IPv4Network("10.210.0.0/16")
ALLOW = (
    Egress(IPv4Network("93.184.216.0/24"), 443, literal=False),
    Egress(IPv4Network("10.0.3.7"), 5432, literal=True),
    Egress(IPv4Network("0.0.0.0/0"), 0, literal=False),
)
PORT = Published(IPv4Address("127.0.0.1"), 8080, 80)


def wanted(
    *, allow: tuple[Egress, ...] = ALLOW, join: str = "red", publish: tuple[Published, ...] = (PORT,)
) -> BridgeSettings:
    server = (IPv4Address("9.9.9.9"),)
    return BridgeSettings("net", "hbx0", SUBNET, allow, server, join, publish, 0, "veth")


def nft(*scripts: str, check: bool = False, then: str = "true") -> str:
    """Load texts one after the other in a network namespace; give what a command says then."""
    command = "nft -c -f -" if check else "nft -f -"
    loads = "".join(f"{command} <<'END'\n{script}\nEND\n" for script in scripts)
    done = subprocess.run(
        ["unshare", "-Urn", "sh", "-ec", f"PATH=$PATH:/usr/sbin; {loads}{then}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LIST = "nft --json list table inet hardbox-hbx0"


def box(offset: int) -> Box:
    return Box("hbx0", SUBNET, offset)


def test_everything_of_a_box_is_named_by_its_address() -> None:
    one = box(0xFFFE)
    assert str(one.address) == "10.210.255.254"
    assert str(one.gateway) == "10.210.0.1"
    assert one.mac == "02:68:0a:d2:ff:fe"
    assert one.port == "hbx0.fffe"
    longest = Box("hbx12345", IPv4Network("10.0.0.0/8"), (1 << 24) - 2)
    assert len(longest.port) == 15


def test_nft_takes_the_text_and_takes_it_again() -> None:
    first, second = (
        nft_rules.load(wanted(), box(2), NOTHING, ()),
        nft_rules.load(wanted(), box(3), NOTHING, ()),
    )
    nft(first, check=True)
    state = nft_state.read(nft(first, second.replace("127.0.0.1 . 8080", "127.0.0.1 . 8081"), then=LIST))
    assert state.boxes == {2, 3}
    assert {member for _, member in state.members} == {"10.210.0.2", "10.210.0.3"}
    assert state.published(IPv4Address("10.210.0.3")) == (("127.0.0.1 . 8081", "10.210.0.3 . 80"),)


def test_what_is_loaded_is_unloaded_and_nothing_else() -> None:
    first = nft_rules.load(wanted(), box(2), NOTHING, ())
    second = nft_rules.load(wanted(publish=()), box(3), NOTHING, ())
    both = nft_state.read(nft(first, second, then=LIST))
    listing = "nft list ruleset | sort"  # sets are listed in the order in which they were made
    without = nft(first, second, nft_rules.unload("hbx0", SUBNET, both, (2,)), then=listing)
    assert without == nft(second, then=listing)
    assert nft(first, second, nft_rules.unload_all("hbx0"), nft_rules.unload_all("hbx0"), then=listing) == ""


def test_a_stale_box_goes_with_the_load_of_the_next_even_at_its_own_address() -> None:
    stale = nft_rules.load(wanted(), box(2), NOTHING, ())
    state = nft_state.read(nft(stale, then=LIST))
    plain = wanted(join="", publish=())
    text = nft(stale, nft_rules.load(plain, box(2), state, (2,)), then="nft list ruleset")
    assert "8080" not in text
    assert state.groups(IPv4Address("10.210.0.2")) == ("join-red",)
    assert nft_state.read(nft(stale, nft_rules.load(plain, box(2), state, (2,)), then=LIST)).members == ()


def test_a_port_is_open_only_with_its_own_addresses() -> None:
    text = nft(
        nft_rules.load(wanted(), box(2), NOTHING, ()), then="nft --json list table bridge hardbox-hbx0"
    )
    assert nft_state.ports(text) == {("hbx0.2", "02:68:0a:d2:00:02", "10.210.0.2")}
    assert nft_state.ports("") == frozenset()


def test_special_ranges_come_between_the_rules_that_name_them_and_the_others() -> None:
    lines = nft_rules.load(wanted(), box(2), NOTHING, ()).splitlines()
    own = [line for line in lines if line.startswith("add rule inet hardbox-hbx0 box-2 ")]
    private = next(at for at, line in enumerate(own) if "169.254.0.0/16" in line)
    assert own[private].endswith("goto no-2")
    for text, before in (("10.0.3.7/32", True), ("9.9.9.9/32", False), ("0.0.0.0/0", False)):
        assert (next(at for at, line in enumerate(own) if text in line) < private) is before
    assert own[-1].endswith(" goto no-2")
    # Neighbours are decided before any rule for addresses.
    assert 'oifname "hbx0" ip daddr @join-red accept' in own[0]
    assert own[1].endswith('oifname "hbx0" goto no-2')


def test_every_text_touches_tables_of_hardbox_alone() -> None:
    state = State(frozenset({2}), (("join-red", "10.210.0.2"),), (), ())
    texts = (
        nft_rules.load(wanted(), box(3), state, (2,)),
        nft_rules.unload("hbx0", SUBNET, state, (2,)),
        nft_rules.unload_all("hbx0"),
        nft_rules.inside(wanted(join=""), [IPv4Address("192.0.2.2")]),
    )
    for line in "".join(texts).splitlines():
        verb, kind, family, table = line.split()[:4]
        assert verb in ("add", "delete", "flush"), line
        assert kind in ("table", "chain", "rule", "set", "map", "element"), line
        assert (family in ("inet", "bridge"), table.split("-")[0]) == (True, "hardbox"), line


def test_the_rules_inside_end_closed() -> None:
    text = nft(nft_rules.inside(wanted(join=""), [IPv4Address("192.0.2.2")]), then="nft list ruleset")
    assert text.count("policy drop") == 3
    output = text[text.index("chain output") :].split("}\n\n")[0].splitlines()
    order = [
        next(at for at, line in enumerate(output) if part in line)
        for part in (
            "10.0.3.7",
            "192.0.2.2",
            "169.254.0.0/16",
            "93.184.216.0/24",
        )
    ]
    assert order == sorted(order)
    assert "tcp dport 80 accept" in text


@given(
    some.lists(
        some.builds(
            Egress,
            some.builds(
                lambda first, length: IPv4Network((first, length), strict=False),
                some.integers(0, 2**32 - 1),
                some.integers(0, 32),
            ),
            some.integers(0, 65535),
            literal=some.booleans(),
        ),
        max_size=8,
    )
)
def test_a_rule_opens_a_special_range_only_from_within(allow: Sequence[Egress]) -> None:
    lines = nft_rules.load(wanted(allow=tuple(allow)), box(2), NOTHING, ()).splitlines()
    own = [line for line in lines if line.startswith("add rule inet hardbox-hbx0 box-2 ")]
    closed = next(
        at
        for at, line in enumerate(own)
        if "169.254.0.0/16" in line and "goto" in line and "{" in line and "accept" not in line
    )
    for line in own[2:closed]:
        network = IPv4Network(line.split("ip daddr ")[1].split()[0])
        assert any(network.subnet_of(place) for place in nft_rules.SPECIAL)


def test_special_ranges_are_those_that_names_may_not_lead_to() -> None:
    for place in nft_rules.SPECIAL:
        assert vetting.unfit(place[0])
        assert vetting.unfit(place[-1])
    edges = [address for place in nft_rules.SPECIAL for address in (int(place[0]) - 1, int(place[-1]) + 1)]
    for number in edges:
        if 0 <= number < 2**32:
            address = IPv4Address(number)
            assert bool(vetting.unfit(address)) == any(address in place for place in nft_rules.SPECIAL), (
                address
            )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"nftables": [{}]}',
        '{"nftables": [{"chain": {"name": "box-zz"}}]}',
        '{"nftables": [{"set": {"name": "join-a", "elem": ["x; flush ruleset"]}}]}',
        '{"nftables": [{"map": {"name": "publish", "elem": [["a", "b"]]}}]}',
        '{"nftables": [{"set": {"name": "denied-2", "elem": [{"elem": {"val": "x", "counter": {}}}]}}]}',
    ],
)
def test_what_hardbox_does_not_write_is_not_read(text: str) -> None:
    with pytest.raises(Trouble):
        nft_state.read(text)


def refused(protocol: object) -> str:
    element = {"val": {"concat": ["192.0.2.1", protocol, 443]}, "counter": {"packets": 3, "bytes": 180}}
    return json.dumps({"nftables": [{"set": {"name": "denied-2", "elem": [{"elem": element}]}}]})


@pytest.mark.parametrize(("number", "name"), [(6, "tcp"), (17, "udp")])
def test_protocols_are_read_by_number(number: int, name: str) -> None:
    """Their names are in /etc/protocols, which a small host does not have."""
    assert nft_state.read(refused(number)).denied == ((2, Denied("192.0.2.1", name, 443, 3)),)


@pytest.mark.parametrize("protocol", [1, "tcp", None, [6]])
def test_no_other_protocol_is_hardboxs(protocol: object) -> None:
    with pytest.raises(Trouble):
        nft_state.read(refused(protocol))


def test_the_programs_are_where_debian_has_them() -> None:
    assert (programs.NFT, programs.PASTA) == ("/usr/sbin/nft", "/usr/bin/pasta")
