from __future__ import annotations

import dataclasses

import pytest

from hardbox.errors import Refused
from hardbox.rules import BY_CODE, RULES, Rule, refuse

KNOWN_STANDARDS = ("PSS-", "CIS-5.", "800-190-4.", "NSA-")


def test_names_and_codes_are_unique() -> None:
    assert len(RULES) == len(BY_CODE) == len({rule.title for rule in RULES.values()})


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_rule_is_complete_and_reads_as_one_sentence(rule: Rule) -> None:
    assert rule.name == rule.name.lower()
    assert rule.code[:3] in ("HB1", "HB2", "HB3")
    assert len(rule.code) == 5
    assert rule.ids
    for text in (rule.title, rule.why, rule.instead):
        assert text
        assert text == text.strip()
        assert not text.endswith(".")
        assert "\n" not in text
    assert rule.title[0].islower()
    assert rule.title != rule.why


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_ids_are_of_known_standards(rule: Rule) -> None:
    assert all(name.startswith(KNOWN_STANDARDS) for name in rule.ids)
    assert len(set(rule.ids)) == len(rule.ids)


@pytest.mark.parametrize(
    "name",
    [
        *("host-pid", "host-network", "host-ipc", "host-uts", "host-user", "joined-namespace"),
        *("privileged", "new-privileges", "seccomp-unconfined", "host-root-mapped", "own-files"),
        *("host-root", "unix-sockets", "host-devices", "writable-profile", "powerful-capabilities"),
        "missing-limits",
    ],
)
def test_the_floor_cannot_be_lifted(name: str) -> None:
    assert RULES[name].floor
    assert RULES[name].because


@pytest.mark.parametrize("name", ["credentials", "host-homes", "socket-directories", "root-inside"])
def test_what_the_launcher_can_do_can_be_lifted(name: str) -> None:
    assert not RULES[name].floor


@pytest.mark.parametrize(
    "item", ["5.4", "5.6", "5.10", "5.16", "5.17", "5.18", "5.20", "5.21", "5.22", "5.26", "5.31", "5.32"]
)
def test_each_item_of_the_docker_benchmark_has_a_rule(item: str) -> None:
    assert any(f"CIS-{item}" in rule.ids for rule in RULES.values())


@pytest.mark.parametrize(
    "control",
    [
        *("hostNamespaces", "privileged", "capabilities", "hostPathVolumes", "hostPorts", "appArmor"),
        *("seLinux", "procMount", "seccomp", "sysctls", "restricted-allowPrivilegeEscalation"),
        *("restricted-runAsNonRoot", "restricted-capabilities", "restricted-seccomp", "restricted-volumes"),
    ],
)
def test_each_control_of_the_pod_security_standards_has_a_rule(control: str) -> None:
    assert any(f"PSS-{control}" in rule.ids for rule in RULES.values())


def test_refuse_uses_the_words_of_the_rule_unless_told_otherwise() -> None:
    plain = refuse("host-network", value='network.mode = "host"', origin="ci.toml network.mode")
    assert isinstance(plain, Refused)
    assert plain.render() == (
        "hardbox: refused [HB103]: the host's network is asked for\n"
        '  value    network.mode = "host"        (ci.toml network.mode)\n'
        "  why      services on localhost and abstract sockets of the host become reachable\n"
        "  rule     host-network: CIS-5.10, PSS-hostNamespaces, NSA-host-network, 800-190-4.4.2\n"
        '  instead  network.mode = "none" or "loopback"; --profile net-client --allow HOST:PORT for named'
        " destinations\n"
        "  nothing was run\n"
    )
    # Below a traceback this is all that anybody sees.
    assert str(plain) == "\n".join(
        ["[HB103] the host's network is asked for", *plain.render().splitlines()[1:]]
    )
    other = refuse("host-network", what="w", why="y", instead="i")
    assert (other.what, other.why, other.instead, other.code) == ("w", "y", "i", "HB103")


def test_rules_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RULES["host-pid"].why = ""  # type: ignore[misc]
    with pytest.raises(TypeError):
        RULES["host-pid"] = RULES["host-ipc"]  # type: ignore[index]
