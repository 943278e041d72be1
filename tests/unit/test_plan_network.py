"""The part of a plan that makes the job's network, mode by mode.  Run by: pytest."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from support import plans

from hardbox import network_limits as limits
from hardbox.errors import ProfileError
from hardbox.plan import network
from hardbox.plan import steps as s
from hardbox.policy import Origin

FOUR: Final = replace(plans.USER, ipv6=False)
SIX: Final = replace(plans.USER, ipv6=True)
LOCAL: Final = bytes((127, 0, 0, 1))
ANY_FOUR, ANY_SIX = bytes(4), bytes(16)
SERVED: Final = (
    s.Listen(s.LISTEN_UDP, LOCAL, 53),
    s.Listen(s.LISTEN_TCP, LOCAL, 53),
    s.Listen(s.LISTEN_TCP, LOCAL, 3128),
)
POOLS: Final = (
    s.LocalRoute(bytes((198, 18, 0, 0)), 15),
    s.LocalRoute(bytes.fromhex("fd6862786f7800000000000000000000"), 64),
)


def steps(*allow: str, ipv6: bool = True) -> tuple[s.Step, ...]:
    return network.network_steps(plans.policy(network="allow", allow=allow), SIX if ipv6 else FOUR)


def transparent(found: tuple[s.Step, ...]) -> list[tuple[bytes, int]]:
    """Give address and port of the sockets that take plain connections."""
    return [(x.address, x.port) for x in found if isinstance(x, s.Listen) and x.address != LOCAL]


def routes(found: tuple[s.Step, ...]) -> list[str]:
    return [f"{s.address_text(x.prefix)}/{x.bits}" for x in found if isinstance(x, s.LocalRoute)]


def refused(mode: str, *allow: str) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        network.network_steps(plans.policy(network=mode, allow=allow), SIX)
    return caught.value


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", ()),
        ("loopback", (s.LoopbackUp(),)),
        ("bridge", (s.LoopbackUp(), s.Listen(s.LISTEN_BARE, LOCAL, 0))),
    ],
)
def test_modes_without_a_list(mode: str, expected: tuple[s.Step, ...]) -> None:
    for facts in (FOUR, SIX):
        assert network.network_steps(plans.policy(network=mode), facts) == expected


def test_mode_allow_step_by_step() -> None:
    found = steps("b.example.org:443", "*.a.example.org:80", "a.example.org:443")
    ports = (s.Listen(s.LISTEN_TCP, ANY_SIX, 80), s.Listen(s.LISTEN_TCP, ANY_SIX, 443))
    assert found == (s.LoopbackUp(), *POOLS, *SERVED, *ports)


def test_without_ipv6_nothing_of_it_is_asked_of_the_kernel() -> None:
    found = steps("a.example.org:443", "10.0.3.7:22", "[2001:db8::1]:22", ipv6=False)
    assert routes(found) == ["198.18.0.0/15", "10.0.3.7/32"]
    assert transparent(found) == [(ANY_FOUR, 22), (ANY_FOUR, 443)]
    assert {len(x.address) for x in found if isinstance(x, s.Listen)} == {4}


def test_literal_addresses_become_the_sandboxs_own_once() -> None:
    found = steps("10.0.3.7:22", "10.0.3.7:443", "[2001:db8::1]:22", "a.example.org:22")
    assert routes(found)[2:] == ["10.0.3.7/32", "2001:db8::1/128"]


def test_addresses_of_the_loopback_interface_are_its_own_already() -> None:
    found = steps("127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080")
    assert routes(found) == ["198.18.0.0/15", "fd68:6278:6f78::/64"]
    assert transparent(found) == [(ANY_SIX, 8080)]


def test_the_ports_of_stub_and_proxy_are_taken() -> None:
    found = steps("a.example.org:53", "a.example.org:3128", "10.0.3.7:53")
    assert transparent(found) == []
    assert found[-3:] == SERVED
    assert "10.0.3.7/32" in routes(found)


def test_as_many_ports_as_there_is_room_for() -> None:
    most = [f"a.example.org:{port}" for port in range(1000, 1000 + network.PORTS_MAX)]
    # Those that are left out do not count, nor does a port that several rules name.
    found = steps(*most, "a.example.org:53", "a.example.org:3128", "b.example.org:1000")
    assert [port for _, port in transparent(found)] == list(range(1000, 1064))
    error = refused("allow", *most, "b.example.org:999")
    assert (error.code, error.value) == ("HB433", "65 ports")


def test_a_list_that_names_nothing_is_refused() -> None:
    error = refused("allow")
    assert error.code == "HB432"
    assert "--allow HOST:PORT" in error.instead


@pytest.mark.parametrize(
    ("mode", "most"), [("allow", limits.MOST_DESTINATIONS), ("bridge", limits.MOST_RULES)]
)
def test_as_many_destinations_as_the_keeper_takes(mode: str, most: int) -> None:
    rules = [f"10.0.{number >> 8}.{number & 255}:443" for number in range(1, most + 2)]
    assert network.network_steps(plans.policy(network=mode, allow=tuple(rules[:most])), FOUR)
    error = refused(mode, *rules)
    assert (error.code, error.value) == ("HB433", f"{most + 1} destinations")


@pytest.mark.parametrize("rule", ["10.0.0.0/8:443", "[2001:db8::]/32:443", "10.0.3.7:*"])
def test_ranges_are_for_a_bridge(rule: str) -> None:
    error = refused("allow", "a.example.org:443", rule)
    assert error.code == "HB433"
    assert rule in error.value
    assert "bridge" in error.what


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("a.example.org:443", "a name"),
        ("*.a.example.org:443", "a name"),
        ("[2001:db8::1]:443", "an IPv6 address"),
        ("[2001:db8::]/32:*", "an IPv6 address"),
    ],
)
def test_a_bridge_takes_what_its_packets_carry(rule: str, says: str) -> None:
    """Found before anything is started: the keeper would say it too, but only once it runs."""
    error = refused("bridge", "10.0.0.0/8:443", rule)
    assert error.code == "HB433"
    assert rule in error.value
    assert says in error.what
    assert error.why


def test_a_bridge_takes_addresses_and_ranges() -> None:
    policy = plans.policy(network="bridge", allow=("10.0.0.0/8:443", "10.0.3.7:*", "192.0.2.1:22"))
    assert network.network_steps(policy, SIX) == network.network_steps(plans.policy(network="bridge"), SIX)


def test_every_step_of_mode_allow_stands_before_capabilities_are_gone() -> None:
    plan = plans.build(plans.policy(network="allow", allow=("a.example.org:443",)), SIX)
    kinds = [type(step) for step in plan.steps]
    last = max(number for number, kind in enumerate(kinds) if kind in (s.Listen, s.LocalRoute))
    assert last < kinds.index(s.SetCaps)
    assert kinds.index(s.LoopbackUp) < kinds.index(s.LocalRoute)


def test_who_has_a_keeper() -> None:
    modes = {
        mode: network.kept(plans.policy(network=mode)) for mode in ("none", "loopback", "allow", "bridge")
    }
    assert modes == {"none": False, "loopback": False, "allow": True, "bridge": True}


def test_variables_by_which_programs_find_the_proxy() -> None:
    found = network.proxies(plans.policy(network="allow", allow=("a.example.org:443",)))
    names = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    assert set(found) == names | {name.upper() for name in names}
    assert {found[name] for name in names - {"no_proxy"}} == {"http://127.0.0.1:3128"}
    assert all(found[name] == found[name.upper()] for name in names)
    assert set(found["no_proxy"].split(",")) == {"localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize("mode", ["none", "loopback", "bridge"])
def test_no_proxy_where_there_is_none(mode: str) -> None:
    assert network.proxies(plans.policy(network=mode)) == {}


def test_what_a_profile_sets_itself_stands() -> None:
    wanted = plans.policy(network="allow", allow=("a.example.org:443",))
    own = replace(wanted.environment, set={**wanted.environment.set, "https_proxy": "http://127.0.0.1:9"})
    plan = plans.build(replace(wanted, environment=own), SIX)
    values = {step.name: step.value for step in plan.steps if isinstance(step, s.Env)}
    assert values["https_proxy"] == "http://127.0.0.1:9"
    assert values["HTTPS_PROXY"] == "http://127.0.0.1:3128"


def test_the_callers_own_proxy_is_not_passed_on() -> None:
    wanted = plans.policy(network="allow", allow=("a.example.org:443",))
    own = replace(wanted.environment, pass_=("LANG", "http_proxy"))
    plan = plans.build(replace(wanted, environment=own), SIX)
    assert [step.name for step in plan.steps if isinstance(step, s.PassEnv)] == ["LANG"]


@pytest.mark.parametrize(
    ("mode", "dns", "servers"),
    [
        ("none", (), []),
        ("loopback", ("192.0.2.53",), []),
        ("allow", ("192.0.2.53",), ["127.0.0.1"]),
        ("bridge", ("192.0.2.53", "192.0.2.54"), ["192.0.2.53", "192.0.2.54"]),
        ("bridge", (), []),
    ],
)
def test_resolv_conf(mode: str, dns: tuple[str, ...], servers: list[str]) -> None:
    wanted = plans.policy(network=mode, allow=("a.example.org:443",) if mode == "allow" else ())
    content = network.resolv_conf(replace(wanted, network=replace(wanted.network, dns=dns)))
    lines = content.splitlines()
    assert content.endswith("\n")
    assert [line.partition(" ")[2] for line in lines if line.startswith("nameserver ")] == servers
    assert all(line.startswith(("#", "nameserver ")) for line in lines)


@pytest.mark.parametrize("mode", ["none", "loopback"])
def test_destinations_of_the_command_line_are_not_dropped(mode: str) -> None:
    named = plans.policy(network=mode, allow=("a.example.org:443",))
    asked = replace(named, origins={"network.allow": Origin("command line", "--allow")})
    with pytest.raises(ProfileError) as caught:
        plans.build(asked, plans.USER)
    assert caught.value.code == "HB436"
    # A profile that tightens its parent's mode may keep the list.
    kept = replace(named, origins={"network.allow": Origin("team.toml", "network.allow")})
    assert not [step for step in plans.build(kept, plans.USER).steps if isinstance(step, s.Destination)]


def test_a_plan_names_its_destinations() -> None:
    plan = plans.build(plans.policy(network="allow", allow=("a.example.org:443", "10.0.3.7:22")), plans.USER)
    named = [step.text for step in plan.steps if isinstance(step, s.Destination)]
    assert named == ["a.example.org:443", "10.0.3.7:22"]
