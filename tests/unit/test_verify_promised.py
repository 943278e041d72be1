"""What a plan promises of the running job, and which plans the promise tells apart.

Run by: pytest.
"""

from __future__ import annotations

import resource
from dataclasses import replace
from typing import Final

import pytest
from support import plans

from hardbox.plan import steps as s
from hardbox.verify import posture
from hardbox.verify.promised import AS_CALLER, promise

PLAN: Final = plans.build(plans.policy(), plans.USER)


def promised(
    plan: object = None,
    has: bool = True,  # noqa: FBT001, FBT002 (a knob of this file)
    ceiling: int = resource.RLIM_INFINITY,
) -> dict[str, str]:
    wanted = PLAN if plan is None else plan
    assert isinstance(wanted, type(PLAN))
    return promise(wanted, ("LANG", "SECRET"), 4, lambda _path: has, lambda _number: ceiling)


def test_facts_of_a_user() -> None:
    found = promised()
    assert found["uid_map"] == "1000 is 1234, 1"
    assert found["status Uid"] == "1000 in all four"
    assert found["status CapEff"] == found["status CapBnd"] == "0"
    assert found["status Groups"] == AS_CALLER
    assert found["environment"] == "HOME LANG PATH"
    assert found["limit Max processes"] == "65 65"
    assert found["limit Max stack size"] == AS_CALLER
    assert found["mount /tmp"] == "tmpfs size=1024k rw,nosuid,nodev,noexec"
    assert found["mount /usr"] == "bind ro,nosuid,nodev"
    assert found["mount /proc"] == "proc ro,nosuid,nodev,noexec"
    assert found["ns net"] == "its own"
    assert found["ns time"] == "shared"
    assert found["loopback"] == "down"
    assert found["CPUs"] == "1"


def test_facts_of_root() -> None:
    found = promised(plans.build(plans.policy(), plans.ROOT))
    assert found["uid_map"] == "1000 is lease, 1"
    assert found["status Groups"] == "none"


def test_facts_of_an_ephemeral_root() -> None:
    found = promised(plans.build(plans.policy(mode="ephemeral", network="loopback"), plans.USER))
    assert found["mount /usr (2)"] == "overlay rw,nosuid,nodev"
    assert found["loopback"] == "up"


def test_a_lower_limit_of_the_caller_stays() -> None:
    assert promised(ceiling=64)["limit Max processes"] == "64 64"
    assert promised(ceiling=66)["limit Max processes"] == "65 65"
    assert promised(ceiling=64)["limit Max stack size"] == AS_CALLER


def test_masks_of_what_the_host_has() -> None:
    assert promised()["mount /proc/keys"] == "device ro,nosuid,noexec"
    assert "mount /proc/keys" not in promised(has=False)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (s.Rlimit, "limit Max processes"),
        (s.Tmpfs, "mount /tmp"),
        (s.Device, "mount /dev/null"),
        (s.Env, "environment"),
        (s.Cpus, "CPUs"),
        (s.SetCaps, "status CapEff"),
        (s.MapUid, "uid_map"),
    ],
)
def test_a_step_that_is_gone_is_told(kind: type[s.Step], name: str) -> None:
    broken = replace(PLAN, steps=tuple(step for step in PLAN.steps if not isinstance(step, kind)))
    assert promised(broken).get(name) != promised()[name]
    assert name in posture.difference(promised(), promised(broken))
