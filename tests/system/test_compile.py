"""`hardbox compile` and hardbox-launch FILE: sealed, for one user on one kernel.  Run by: pytest."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

HEADER = 56
POSITIONS = 200


@pytest.fixture
def tree(caller: Caller, place: str) -> str:
    return faults.own_dir(caller, f"{place}/w")


@pytest.fixture
def plan(hardbox: Hardbox, place: str, tree: str) -> bytes:
    faults.ran(hardbox("compile", "--write", f"{tree}:/w", "-o", f"{place}/good.plan", "--", "true"))
    with open(f"{place}/good.plan", "rb") as file:
        return file.read()


def refused(caller: Caller, program: Installed, place: str, tree: str, content: bytes) -> str:
    """Assert that a plan of these bytes is refused and nothing is run; gives the message."""
    path = faults.own(caller, f"{place}/bad.plan", content)
    done = caller.run(program.launch, path, "--", "touch", "/w/ran")
    faults.launcher_refusal(done)
    assert faults.listing(tree) == set()
    return done.stderr


def sealed(body: bytes, count: int) -> bytes:
    """Give a plan with a right digest and length, as an attacker would make it."""
    digest = hashlib.sha256(body).digest()
    return struct.pack("<8sII32sII", b"HBXPLAN\x01", 1, HEADER + len(body), digest, count, 0) + body


def test_a_compiled_plan_runs_any_command(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str, plan: bytes, tree: str
) -> None:
    assert plan
    good = f"{place}/good.plan"
    faults.ran(caller.run(program.launch, good, "--", "sh", "-c", "echo hi; touch /w/ran"), "hi\n")
    assert faults.listing(tree) == {"ran"}
    faults.ran(caller.run(program.launch, good, "echo", "-n", "--", "x"), "-- x")
    assert os.stat(good).st_mode & 0o777 == 0o600
    faults.ran(hardbox("compile", "-o", good, "--", "true"))  # over the old one


def test_a_compiled_plan_runs_its_own_command(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str
) -> None:
    good = f"{place}/own.plan"
    faults.ran(hardbox("compile", "-o", good, "--", "echo", "-n", "of the plan"))
    faults.ran(caller.run(program.launch, good), "of the plan")
    faults.ran(caller.run(program.launch, good, "echo", "another"), "another\n")
    for words in ((), (good, "--"), ("--no-such",)):
        done = caller.run(program.launch, *words)
        assert done.returncode == 125
        assert "hardbox compile --profile NAME -o FILE.plan -- COMMAND" in done.stderr


def test_an_empty_marker_runs_only_with_the_good_plan(
    caller: Caller, program: Installed, place: str, plan: bytes, tree: str
) -> None:
    """Each of many changed bytes is noticed, in the header too."""
    chance = random.Random(20)  # noqa: S311 (repeatable, not secret)
    for position in (*range(HEADER), *chance.sample(range(HEADER, len(plan)), POSITIONS)):
        changed = bytearray(plan)
        changed[position] ^= 1 << chance.randrange(8)
        refused(caller, program, place, tree, bytes(changed))


def test_cut_and_lengthened_plans_are_refused(
    caller: Caller, program: Installed, place: str, plan: bytes, tree: str
) -> None:
    for size in (0, 1, 7, 8, 12, 55, 56, 57, 100, len(plan) // 2, len(plan) - 1):
        refused(caller, program, place, tree, plan[:size])
    for more in (b"\0", b"x", plan, b"\0" * 4096):
        refused(caller, program, place, tree, plan + more)
    refused(caller, program, place, tree, plan[HEADER:])
    refused(caller, program, place, tree, b"\0" * len(plan))
    refused(caller, program, place, tree, b"#!/bin/sh\ntouch /w/ran\n")


def test_other_versions_are_refused_with_a_word(
    caller: Caller, program: Installed, place: str, plan: bytes, tree: str
) -> None:
    for version in (0, 2, 255, 2**32 - 1):
        changed = plan[:8] + struct.pack("<I", version) + plan[12:]
        assert "version" in refused(caller, program, place, tree, changed)
    assert "not a hardbox plan" in refused(caller, program, place, tree, b"HBXPLAN\x02" + plan[8:])


def test_a_sealed_plan_below_the_floor_is_refused(
    caller: Caller, program: Installed, place: str, plan: bytes, tree: str
) -> None:
    """Whoever makes a plan of his own still cannot leave out a wall."""
    steps: list[tuple[int, bytes]] = []
    at = HEADER
    while at < len(plan):
        kind, length = struct.unpack_from("<II", plan, at)
        steps.append((kind, plan[at : at + 8 + length]))
        at += 8 + length
    assert sealed(b"".join(raw for _, raw in steps), len(steps)) == plan
    needed = {2: "namespaces", 7: "stdio", 58: "pivot-root", 66: "no-new-privs", 72: "drop-bounding-set"}
    needed |= {73: "set-ids", 74: "set-caps", 75: "close-fds", 76: "seccomp", 77: "exec", 1: "host"}
    for left_out in needed:
        kept = [raw for kind, raw in steps if kind != left_out]
        assert len(kept) < len(steps), needed[left_out]
        refused(caller, program, place, tree, sealed(b"".join(kept), len(kept)))
    backwards = [raw for _, raw in reversed(steps)]
    refused(caller, program, place, tree, sealed(b"".join(backwards), len(backwards)))
    twice = [raw for _, raw in (*steps, *steps)]
    refused(caller, program, place, tree, sealed(b"".join(twice), len(twice)))
    unknown = struct.pack("<II", 999, 0) + b"".join(raw for _, raw in steps)
    refused(caller, program, place, tree, sealed(unknown, len(steps) + 1))
    for count in (0, 1, len(steps) - 1, len(steps) + 1, 2**32 - 1):
        refused(caller, program, place, tree, sealed(b"".join(raw for _, raw in steps), count))


def test_what_is_no_file_is_refused(
    caller: Caller, program: Installed, place: str, plan: bytes, tree: str
) -> None:
    assert plan
    os.mkfifo(f"{place}/fifo")
    os.chown(f"{place}/fifo", caller.uid, caller.gid)
    os.symlink("circle", f"{place}/circle")
    rows = [
        f"{place}/fifo",
        place,
        f"{place}/missing",
        f"{place}/circle",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "",
    ]
    if caller.uid != 0:
        with open(f"{place}/shut.plan", "wb") as file:
            file.write(plan)
        os.chmod(f"{place}/shut.plan", 0o000)
        rows.append(f"{place}/shut.plan")
    for path in rows:
        faults.launcher_refusal(caller.run(program.launch, path, "--", "touch", "/w/ran"))
    assert faults.listing(tree) == set()


def test_a_huge_file_is_refused_quickly(caller: Caller, program: Installed, place: str) -> None:
    path = faults.own(caller, f"{place}/huge.plan")
    os.truncate(path, 1 << 40)
    faults.launcher_refusal(caller.run(program.launch, path, "--", "true"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_plan_of_another_user_is_refused(
    caller: Caller, program: Installed, place: str, plan: bytes
) -> None:
    os.chmod(place, 0o755)
    path = f"{place}/other.plan"
    with open(path, "wb") as file:
        file.write(plan)
    os.chmod(path, 0o644)
    other = 0 if caller.uid != 0 else 12345
    words = (
        "setpriv",
        f"--reuid={other}",
        f"--regid={other}",
        "--clear-groups",
        "--",
        program.launch,
        path,
        "true",
    )
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    faults.launcher_refusal(done, "the plan was made for uid")


def test_the_plan_holds_no_secret_of_the_caller(hardbox: Hardbox, place: str) -> None:
    path = f"{place}/s.plan"
    faults.ran(hardbox("compile", "--env", "TOKEN", "-o", path, "--", "true", env={"TOKEN": "geheim-7"}))
    with open(path, "rb") as file:
        assert b"geheim-7" not in file.read()


def test_the_launcher_passes_the_callers_variable(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str
) -> None:
    path = f"{place}/s.plan"
    faults.ran(hardbox("compile", "--env", "TOKEN", "-o", path, "--", "true"))
    done = caller.run(
        program.launch, path, "--", "sh", "-c", "echo $TOKEN$OTHER", env={"TOKEN": "t", "OTHER": "o"}
    )
    faults.ran(done, "t\n")


def test_a_plan_that_cannot_be_written_is_a_refusal(hardbox: Hardbox, caller: Caller, place: str) -> None:
    os.mkfifo(f"{place}/fifo")
    os.symlink("/etc/hostname", f"{place}/link")
    before = os.readlink("/dev/stdout"), os.stat("/dev/null").st_rdev
    rows = [
        place,
        f"{place}/no/such",
        f"{place}/fifo",
        f"{place}/link",
        "/dev/null",
        "/dev/stdout",
        "/dev/full",
    ]
    rows += [f"{place}/" + "x" * 300, ""]
    if caller.uid != 0:
        rows.append("/x.plan")
    for path in rows:
        faults.refusal(hardbox("compile", "-o", path, "--", "true"), "HB606", "HB002", "HB005")
    assert (os.readlink("/dev/stdout"), os.stat("/dev/null").st_rdev) == before
    assert faults.listing(place) == {"fifo", "link"}
    faults.refusal(hardbox("compile", "--", "true"), "HB005")


def test_the_trees_of_a_plan_are_looked_up_again(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str
) -> None:
    """A tree that became a link since the plan was made is not followed."""
    tree = faults.own_dir(caller, f"{place}/t")
    other = faults.own_dir(caller, f"{place}/other")
    faults.own(caller, f"{other}/secret", "s")
    path = f"{place}/t.plan"
    faults.ran(hardbox("compile", "--read", f"{tree}:/w", "-o", path, "--", "true"))
    os.rmdir(tree)
    faults.launcher_refusal(caller.run(program.launch, path, "--", "cat", "/w/secret"))
    os.symlink(other, tree)
    faults.launcher_refusal(caller.run(program.launch, path, "--", "cat", "/w/secret"))


def changed_host(plan: bytes, uid: int, kernel: str) -> bytes:
    """Give a plan whose first step names another user or kernel, sealed anew."""
    length = struct.unpack_from("<I", plan, HEADER + 4)[0]
    name = kernel.encode()
    payload = struct.pack("<II", uid, len(name)) + name + b"\0"
    body = struct.pack("<II", 1, len(payload)) + payload + plan[HEADER + 8 + length :]
    return sealed(body, struct.unpack_from("<I", plan, 48)[0])


def test_a_plan_for_another_user_or_kernel_is_refused(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str, plan: bytes, tree: str
) -> None:
    kernel = os.uname().release
    assert changed_host(plan, caller.uid, kernel) == plan
    for uid, name in ((caller.uid + 1, kernel), (caller.uid, f"{kernel}-other"), (caller.uid, "")):
        other = changed_host(plan, uid, name)
        refused(caller, program, place, tree, other)
        shown = hardbox("plan", f"{place}/bad.plan")
        assert (shown.returncode, "[HB564]" in shown.stderr) == (125, True)
        assert f"does not fit: for uid {uid} on kernel {name}" in shown.stdout


def test_a_compiled_plan_can_be_reviewed(hardbox: Hardbox, place: str, plan: bytes, tree: str) -> None:
    shown = hardbox("plan", f"{place}/good.plan")
    assert (shown.returncode, shown.stderr) == (0, "")
    first, facts, fits, *steps = shown.stdout.splitlines()
    assert first.endswith(f"plan sha256 {hashlib.sha256(plan).hexdigest()[:16]}")
    assert facts.endswith(": as they are here now")
    assert fits == "fits this user and this kernel"
    planned = hardbox("plan", "--write", f"{tree}:/w", "--", "true").stdout.splitlines()
    assert planned[0].partition(",")[0] == first.partition(",")[0]
    # All but the cgroup of the moment, which a plan that is kept does not name.
    said = [line[6:] for line in steps]
    assert {"policy", "facts", "exec", "seccomp"} <= {line.split()[0] for line in said}
    more = {line[6:].split()[0] for line in planned[1:] if line[6:] not in said}
    assert more <= {"cgroup", "cgroup-limit", "facts"}
    found = json.loads(hardbox("plan", "--json", f"{place}/good.plan").stdout)
    assert (found["fits"], found["host_facts"]["unchanged"], len(found["steps"])) == (True, True, len(steps))
    assert found["sha256"] == hashlib.sha256(plan).hexdigest()


def test_changed_host_facts_are_told(caller: Caller, program: Installed, place: str, plan: bytes) -> None:
    assert plan
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one CPU, so that none can be taken away")
    one = str(min(os.sched_getaffinity(0)))
    words = ("taskset", "-c", one, program.hardbox, "plan", f"{place}/good.plan")
    shown = caller.run(*words)
    assert shown.returncode == 0
    assert "not as they are here now" in shown.stdout


def test_what_is_no_plan_is_not_shown(hardbox: Hardbox, caller: Caller, place: str, plan: bytes) -> None:
    faults.own(caller, f"{place}/bad.plan", plan[:-1])
    faults.refusal(hardbox("plan", f"{place}/bad.plan"), "HB602", says="cut short")
    faults.own(caller, f"{place}/other.plan", plan, 0o666)
    faults.refusal(hardbox("plan", f"{place}/other.plan"), "HB230")
    faults.refusal(hardbox("plan", f"{place}/no-such.plan"), "HB402")
    assert "arg" in hardbox("plan", "--", "no-such.plan").stdout


@pytest.mark.parametrize("words", [("p.plan", "--", "id"), ("--profile", "build", "p.plan")], ids=" ".join)
def test_a_compiled_plan_is_never_shown_as_another(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str, words: tuple[str, ...]
) -> None:
    """The control: by itself it is shown."""
    faults.ran(hardbox("compile", "--profile", "build", "-o", f"{place}/p.plan", "--", "true"))
    shown = caller.run(program.hardbox, "plan", f"{place}/p.plan", cwd=place)
    assert faults.ran(shown).startswith("profile build")
    done = caller.run(program.hardbox, "plan", *words, cwd=place)
    faults.refusal(done, "HB002", says="by itself")
    assert done.stdout == ""
