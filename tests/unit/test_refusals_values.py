"""Which networks, capabilities, ids and limits are refused, and what lifts a rule.  Run by: pytest."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from support.refusing import FACTS, FINE, LIMITS, FakeDisk, broken, check, files, lift, names, reading

from hardbox import refusals
from hardbox.errors import Refused
from hardbox.host import IdRange
from hardbox.policy import UNLIMITED, Limits
from hardbox.rules import RULES


@pytest.mark.parametrize("mode", ["host", "HOST", "container:x", "/proc/1/ns/net", "slirp", ""])
def test_networks_of_others(mode: str) -> None:
    policy = replace(FINE, network=replace(FINE.network, mode=mode))
    assert set(names(policy)) <= {"host-network", "joined-namespace"}
    assert names(policy)


@pytest.mark.parametrize("mode", ["none", "loopback"])
def test_networks_of_its_own(mode: str) -> None:
    assert names(replace(FINE, network=replace(FINE.network, mode=mode))) == []


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("SYS_ADMIN", "powerful-capabilities"),
        ("CAP_SYS_ADMIN", "powerful-capabilities"),
        ("sys_ptrace", "powerful-capabilities"),
        ("ALL", "powerful-capabilities"),
        ("CHOWN", "added-capabilities"),
        ("cap_setuid", "added-capabilities"),
    ],
)
def test_capabilities(name: str, rule: str) -> None:
    assert names(replace(FINE, capabilities=replace(FINE.capabilities, keep=(name,)))) == [rule]


def test_the_one_capability_that_a_profile_may_keep() -> None:
    assert names(replace(FINE, capabilities=replace(FINE.capabilities, keep=("NET_BIND_SERVICE",)))) == []


@pytest.mark.parametrize("name", ["unconfined", "", "None", " off "])
def test_no_filter(name: str) -> None:
    assert names(replace(FINE, seccomp=replace(FINE.seccomp, filter=name))) == ["seccomp-unconfined"]


@pytest.mark.parametrize(
    ("field", "number", "rule"),
    [
        ("user", 0, "root-inside"),
        ("group", 0, "root-group"),
        ("user", -1, "id-out-of-range"),
        ("user", 65535, "id-out-of-range"),
        ("group", 2**32 - 1, "id-out-of-range"),
    ],
)
def test_ids(field: str, number: int, rule: str) -> None:
    identity = replace(FINE.identity, **{field: number})  # type: ignore[arg-type]
    assert names(replace(FINE, identity=identity)) == [rule]


def test_ids_at_the_edges() -> None:
    for number in (1, 65534):
        assert names(replace(FINE, identity=replace(FINE.identity, user=number, group=number))) == []


def test_host_id_zero_is_never_mapped() -> None:
    ranged = replace(FINE, identity=replace(FINE.identity, ids="range"))
    bad, good = (IdRange(0, 65536),), (IdRange(100000, 65536),)
    assert names(FINE, facts=replace(FACTS, gid=0)) == ["host-root-mapped"]
    assert names(ranged, facts=replace(FACTS, subuid=bad, subgid=good)) == ["host-root-mapped"]
    assert names(ranged, facts=replace(FACTS, subuid=good, subgid=bad)) == ["host-root-mapped"]
    assert names(ranged, facts=replace(FACTS, subuid=good, subgid=good)) == []
    assert names(FINE, facts=replace(FACTS, subuid=bad)) == []
    assert names(FINE, facts=replace(FACTS, uid=0, gid=0)) == []


def test_an_id_mode_that_makes_no_map() -> None:
    assert names(replace(FINE, identity=replace(FINE.identity, ids="host"))) == ["host-user"]


@pytest.mark.parametrize("field", ["memory", "tasks", "cpu", "cpu_time", "wall", "file_size", "open_files"])
def test_every_limit_is_needed_and_above_zero(field: str) -> None:
    for number, rule in (
        (UNLIMITED, "missing-limits"),
        (0, "limit-out-of-range"),
        (-1, "limit-out-of-range"),
    ):
        limits = replace(LIMITS, **{field: number})
        assert names(replace(FINE, limits=limits)) == [rule]
    assert names(replace(FINE, limits=replace(LIMITS, **{field: 1}))) == []


@pytest.mark.parametrize("field", ["locked", "swap"])
def test_limits_that_may_be_zero_are_numbers_too(field: str) -> None:
    for number, rules in ((UNLIMITED, ["missing-limits"]), (-1, ["limit-out-of-range"]), (0, []), (1, [])):
        assert names(replace(FINE, limits=replace(LIMITS, **{field: number}))) == rules


@pytest.mark.parametrize("field", ["cpu_bandwidth", "scratch_files"])
def test_limits_that_need_not_be_stated_are_above_zero(field: str) -> None:
    for number, rules in (
        (UNLIMITED, []),
        (-1, ["limit-out-of-range"]),
        (0, ["limit-out-of-range"]),
        (1, []),
    ):
        assert names(replace(FINE, limits=replace(LIMITS, **{field: number}))) == rules


def test_scratch_and_changes_are_limited_too() -> None:
    assert names(files(scratch=MappingProxyType({"/tmp": UNLIMITED}))) == ["missing-limits"]
    assert names(files(scratch=MappingProxyType({"/tmp": 0}))) == ["limit-out-of-range"]
    assert names(files(mode="ephemeral", changes=0)) == ["limit-out-of-range"]
    assert names(files(mode="ephemeral", changes=1 << 20)) == []


def test_lifting_needs_both_the_absence_and_the_reason() -> None:
    policy = reading("/home/me/.kube")
    assert names(lift(policy, "credentials")) == []
    absent = {k: v for k, v in FINE.refuse.items() if k != "credentials"}
    assert names(replace(policy, refuse=MappingProxyType(absent))) == ["credentials"]
    assert names(replace(policy, loosen=MappingProxyType({"refuse.credentials": "x"}))) == ["credentials"]
    assert names(replace(policy, refuse=MappingProxyType({}))) == ["credentials"]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES.values() if rule.floor])
def test_the_floor_is_not_lifted(rule: str) -> None:
    assert not refusals.lifted(lift(FINE, rule), RULES[rule])


def test_lifting_one_rule_leaves_the_others() -> None:
    policy = lift(reading("/home/other/.ssh"), "credentials")
    assert names(policy) == ["host-homes"]


def test_check_raises_the_first_of_all_and_the_order_is_stable() -> None:
    policy = replace(reading("/etc"), limits=Limits())
    every = broken(policy, FakeDisk())
    assert [one.code for one in every] == [one.code for one in broken(policy, FakeDisk())]
    assert len(every) == 8
    with pytest.raises(Refused) as caught:
        check(policy, FakeDisk())
    assert caught.value.render() == every[0].render()


def test_the_message_names_value_origin_and_what_the_path_leads_to() -> None:
    with pytest.raises(Refused) as caught:
        check(reading("/srv/innocent"), FakeDisk(links={"/srv/innocent": "/etc"}))
    assert caught.value.render() == (
        "hardbox: refused [HB202]: the host's /etc, or a part of it that is not for everybody, is asked for\n"
        '  value    filesystem.read = "/srv/innocent" (leads to /etc)        (--read)\n'
        "  why      it holds password hashes, host keys and the configuration that root's programs obey\n"
        "  rule     host-etc: CIS-5.6, PSS-hostPathVolumes, 800-190-4.5.5\n"
        "  instead  show the one world-readable file that is needed: --read /etc/NAME.conf\n"
        "  nothing was run\n"
    )
