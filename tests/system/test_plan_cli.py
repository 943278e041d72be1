"""`hardbox plan`: exactly the steps that are executed, without privilege, starting nothing.

Run by: pytest.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

PROFILES = ("strict", "baseline", "build", "agent", "inspect")
LINE = re.compile(r" *(\d+)  ([a-z-]+) +(.*)")
FAILED = re.compile(r"step (\d+) of (\d+), ([a-z-]+):")


def steps(hardbox: Hardbox, *words: str) -> list[dict[str, Any]]:
    """Give the steps of `hardbox plan --json`."""
    found = json.loads(faults.ran(hardbox("plan", "--json", *words)))
    assert found["schema"] == "hardbox.plan/1"
    listed: list[dict[str, Any]] = found["steps"]
    return listed


@pytest.mark.parametrize("profile", PROFILES)
def test_text_and_json_say_the_same(hardbox: Hardbox, profile: str) -> None:
    words = ("--profile", profile, "--network", "none", "--", "sh", "-c", "true")
    listed = steps(hardbox, *words)
    text = faults.ran(hardbox("plan", *words))
    lines = [m for m in map(LINE.fullmatch, text.splitlines()) if m]
    assert len(lines) == len(listed)
    for number, (line, step) in enumerate(zip(lines, listed, strict=True), 1):
        assert (int(line[1]), line[2]) == (step["number"], step["kind"]) == (number, step["kind"])
        assert line[3].strip() == step["describe"].strip()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--workdir", "/nowhere"), "chdir"),
        (("--workdir", "/etc/passwd"), "chdir"),
    ],
)
def test_a_failing_step_has_the_number_that_plan_prints(
    hardbox: Hardbox, words: tuple[str, ...], kind: str
) -> None:
    done = hardbox("run", *words, "--", "true")
    faults.refusal(done, "HB601")
    match = FAILED.search(done.stderr)
    assert match is not None, done.stderr
    listed = steps(hardbox, *words, "--", "true")
    assert int(match[2]) == len(listed)
    step = listed[int(match[1]) - 1]
    assert (step["number"], step["kind"], match[3]) == (int(match[1]), kind, kind)
    assert step["describe"] in done.stderr


def test_the_launcher_names_the_same_step(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str
) -> None:
    """A compiled plan is watched, where `hardbox plan` may show a cgroup: the numbers are its own."""
    words = ("--workdir", "/nowhere")
    faults.ran(hardbox("compile", *words, "-o", f"{place}/p.plan", "--", "true"))
    done = caller.run(program.launch, f"{place}/p.plan", "--", "true")
    faults.launcher_refusal(done, "chdir /nowhere: No such file or directory")
    match = FAILED.search(done.stderr.replace(" /nowhere", ""))
    assert match is not None
    listed = [step["kind"] for step in steps(hardbox, *words, "--", "true")]
    watched = [kind for kind in listed if kind not in ("cgroup", "cgroup-limit")]
    # The watch, in place of what a cgroup takes, stands before the step.
    number = watched.index("chdir") + 1 + (len(watched) < len(listed))
    assert int(match[1]) == number
    assert int(match[2]) == len(watched) + (len(watched) < len(listed))


def test_a_plan_is_the_same_each_time(hardbox: Hardbox) -> None:
    words = ("plan", "--json", "--env", "B=2", "--env", "A=1", "--", "true")
    assert len({faults.ran(hardbox(*words)) for _ in range(4)}) == 1
    # The caller's secrets are no part of it, nor its order of variables.
    first = faults.ran(hardbox("plan", "--json", "--env", "TOKEN", "--", "true", env={"TOKEN": "secret"}))
    second = faults.ran(hardbox("plan", "--json", "--env", "TOKEN", "--", "true", env={"TOKEN": "other"}))
    assert first == second
    assert "secret" not in first


def test_planning_starts_nothing_and_needs_no_privilege(
    caller: Caller, program: Installed, place: str
) -> None:
    """Traced: no process is started, nothing is mounted, no namespace is made."""
    calls = (
        "clone,clone3,fork,vfork,execve,unshare,setns,mount,fsopen,open_tree,move_mount,mount_setattr,seccomp"
    )
    log = f"{place}/trace"
    done = caller.run(
        "strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}", program.hardbox, "plan", "--", "true"
    )
    faults.ran(done)
    with open(log, encoding="utf-8", errors="replace") as file:
        made = [line for line in file if "(" in line]
    # The exec of hardbox itself, and of the interpreter that it becomes.
    assert len(made) == 2, made
    assert all("execve(" in line for line in made)


def test_a_plan_can_be_made_where_no_sandbox_can(caller: Caller, program: Installed) -> None:
    """With no process to spare (RLIMIT_NPROC), which only an ordinary user feels, and few descriptors."""
    script = 'ulimit -n 19; ulimit -u 1 2>/dev/null; exec "$1" plan -- true'
    assert faults.ran(caller.run("bash", "-c", script, "bash", program.hardbox))


def test_what_is_loosened_stands_in_the_plan(hardbox: Hardbox) -> None:
    words = ("--memory", "1G", "--loosen", "limits.memory=a test needs the room")
    assert "loosened limits.memory: a test needs the room" in faults.ran(
        hardbox("plan", *words, "--", "true")
    )


def test_the_steps_are_in_the_order_that_protects(hardbox: Hardbox) -> None:
    kinds = [step["kind"] for step in steps(hardbox, "--", "true")]
    order = (
        *("namespaces", "become", "new-root", "proc", "pivot-root", "no-new-privs", "landlock-enforce"),
        *("drop-bounding-set", "set-ids", "set-caps", "close-fds", "seccomp", "exec"),
    )
    places = [kinds.index(kind) for kind in order]
    assert places == sorted(places)
    assert kinds[-2:] == ["seccomp", "exec"]


def test_a_refused_plan_is_refused_as_run_is(hardbox: Hardbox) -> None:
    for words in (
        ("--network", "host"),
        ("--read", "/"),
        ("--privileged",),
        ("--memory", "8G"),
        ("--env", "1"),
    ):
        run, plan = hardbox("run", *words, "--", "true"), hardbox("plan", *words, "--", "true")
        faults.refusal(run)
        faults.refusal(plan)
        assert run.stderr == plan.stderr
