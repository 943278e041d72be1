"""The memory of a job as a whole: bombs stay inside, and the report names the limit.  Run by: pytest.

Each bomb takes 192 MiB under a limit of 96: outside it succeeds (the control), inside its job is ended
and says why. A bomb of many small processes, or of memory that no process's own limit counts, would
succeed inside too if each process alone were limited (the second control).
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from support import bombs, faults, patience

if TYPE_CHECKING:
    import subprocess

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

    Done = subprocess.CompletedProcess[str]

pytestmark = pytest.mark.usefixtures("nothing_left")
PYTHON = "/usr/bin/python3"
LIMIT, BOMB = "96M", "192"
# What `build` and `baseline` allow beside: memory files, System V memory.
PROFILE = {"memfd": "build", "memfd-mapped": "build", "shm": "baseline", "shm-mapped": "baseline"}
# The kernel shortens a user's pipes from 64 MiB on (fs.pipe-user-pages-soft).
SMALL = {"pipes": ("32M", "60")}
ALL = os.environ.get("HARDBOX_FAULTS", "") == "all"


def words(kind: str, *more: str) -> tuple[str, ...]:
    profile = PROFILE.get(kind, "strict")
    open_files = (
        "--set",
        "limits.open_files=4096",
        "--loosen",
        "limits.open_files=a bomb that is made of descriptors",
    )
    given = open_files if kind in ("pipes", "sockets") else ()
    return (
        "run",
        "--profile",
        profile,
        "--memory",
        SMALL.get(kind, (LIMIT,))[0],
        *given,
        *more,
        "--",
        PYTHON,
        "-c",
        bombs.SOURCE,
    )


def means(hardbox: Hardbox, place: str) -> str:
    faults.ran(hardbox("run", "--report", f"{place}/means.json", "--", "true"))
    return str(memory_row(f"{place}/means.json")["means"])


def memory_row(path: str) -> dict[str, object]:
    rows = faults.read_json(path)["limits"]
    assert isinstance(rows, list)
    (row,) = [row for row in rows if row["key"] == "limits.memory"]
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize("kind", ["anonymous", *bombs.WATCHED, *bombs.NOT_WATCHED])
def test_a_bomb_succeeds_outside(caller: Caller, kind: str) -> None:
    if kind == "scratch":
        pytest.skip("scratch directories are inside only: see the other control")
    size = SMALL.get(kind, (LIMIT, BOMB))[1]
    done = faults.shell(caller, 'ulimit -n 4096; exec "$@"', PYTHON, "-c", bombs.SOURCE, kind, size)
    assert (done.returncode, done.stdout) == (0, "took\n"), done


@pytest.mark.parametrize("kind", bombs.WATCHED)
def test_a_bomb_ends_inside_and_is_named(hardbox: Hardbox, place: str, kind: str) -> None:
    report = f"{place}/report.json"
    done = hardbox(*words(kind, "--report", report), kind, BOMB)
    assert (done.returncode, done.stdout) == (137, ""), done
    said = re.search(r"^hardbox: ended by its memory limit of 96M \((.*)\)$", done.stderr, re.MULTILINE)
    assert said, done.stderr
    found = faults.read_json(report)
    assert (found["outcome"], found["limit"], found["signal"]) == ("limit", "memory", 9)
    row = memory_row(report)
    assert row["value"] == 96 << 20
    hits, peak = row["hits"], row["peak"]
    assert isinstance(hits, int)
    assert isinstance(peak, int)
    assert hits >= 1
    assert peak > 64 << 20
    assert said[1].split(";")[0] in str(row["means"])


@pytest.mark.parametrize("kind", bombs.NOT_WATCHED)
def test_a_bomb_that_no_process_has_ends_where_there_is_a_cgroup(
    hardbox: Hardbox, place: str, kind: str
) -> None:
    if not means(hardbox, place).startswith("cgroup"):
        pytest.skip("the watch does not count this: docs/limits.md")
    scratch = ("--set", 'filesystem.scratch={"/tmp"="128M","/home/box"="128M"}')
    more = (*scratch, "--loosen", "filesystem.scratch=a bomb that fills scratch") if kind == "scratch" else ()
    limit, size = SMALL.get(kind, (LIMIT, BOMB))
    done = hardbox(*words(kind, *more), kind, size)
    assert (done.returncode, done.stdout) == (137, ""), done
    assert f"ended by its memory limit of {limit} (cgroup" in done.stderr


def test_the_memory_of_one_process_ends_at_its_own_limit(hardbox: Hardbox) -> None:
    done = hardbox(*words("anonymous"), "anonymous", BOMB)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Cannot allocate memory" in done.stderr


@pytest.mark.parametrize("kind", ["forks", "shared"])
def test_without_the_total_the_same_bomb_succeeds_inside(hardbox: Hardbox, kind: str) -> None:
    """The second control: what the limit of each process alone would let through."""
    done = hardbox(
        *("run", "--memory", "1G", "--loosen", "limits.memory=a control that must succeed", "--", "sh", "-c"),
        f'ulimit -d {96 << 10}; exec "$@"',
        *("sh", PYTHON, "-c", bombs.SOURCE, kind, BOMB),
    )
    assert (done.returncode, done.stdout) == (0, "took\n"), done


def test_a_job_below_its_limit_is_left_alone(hardbox: Hardbox, place: str) -> None:
    report = f"{place}/report.json"
    for kind in ("forks", "shared"):
        done = hardbox("run", "--report", report, "--", PYTHON, "-c", bombs.SOURCE, kind, "192")
        assert (done.returncode, done.stdout) == (0, "took\n"), done
        row = memory_row(report)
        assert row["hits"] == 0
        peak = row["peak"]
        assert peak is None or (isinstance(peak, int) and peak < 512 << 20)


def test_pages_that_are_shared_count_once(hardbox: Hardbox) -> None:
    """Ten processes with the same 30 MiB: 300 resident, 30 taken."""
    script = """
import mmap, os, time
area = mmap.mmap(-1, 30 << 20)
for at in range(0, len(area), 4096):
    area[at] = 1
for _ in range(9):
    if os.fork() == 0:
        sum(area[at] for at in range(0, len(area), 4096))
        time.sleep(1)
        os._exit(0)
for _ in range(9):
    os.wait()
print("shared")
"""
    faults.ran(hardbox("run", "--memory", LIMIT, "--", PYTHON, "-c", script), "shared\n")


def test_quiet_says_nothing(hardbox: Hardbox) -> None:
    done = hardbox(*words("shared", "--quiet"), "shared", BOMB)
    assert (done.returncode, done.stderr) == (137, "")


def test_an_orphan_counts_too(hardbox: Hardbox) -> None:
    script = '(setsid "$@" &); sleep 20; exit 3'
    done = hardbox(
        *("run", "--memory", LIMIT, "--", "sh", "-c", script, "sh", PYTHON, "-c", bombs.SOURCE),
        *("shared", BOMB),
    )
    assert done.returncode == 137, done
    assert "ended by its memory limit" in done.stderr


def test_a_job_that_survives_the_kill_of_its_child_is_ended(hardbox: Hardbox) -> None:
    """The kernel's own killer takes one process; the job as a whole is what has the limit."""
    script = '"$@"; echo went on; sleep 20; exit 0'
    done = hardbox(
        *("run", "--memory", LIMIT, "--", "sh", "-c", script, "sh", PYTHON, "-c", bombs.SOURCE),
        *("shared", BOMB),
    )
    assert done.returncode == 137, done
    assert "ended by its memory limit" in done.stderr


def test_the_job_does_not_learn_where_its_cgroup_is(hardbox: Hardbox) -> None:
    """The control: outside, the same file names a place of the host, unless that is the top."""
    told = faults.ran(hardbox("run", "--", "cat", "/proc/self/cgroup"))
    for line in told.splitlines():
        assert line.endswith(":/"), line


def test_limits_are_told_with_their_means(hardbox: Hardbox, place: str) -> None:
    report = f"{place}/report.json"
    faults.ran(hardbox("run", "--report", report, "--", "true"))
    rows = faults.read_json(report)["limits"]
    assert isinstance(rows, list)
    told = {row["key"]: row["means"] for row in rows}
    assert re.fullmatch(r"cgroup v[12]|watched every 10 to 100 ms", told["limits.memory"])
    assert told["limits.tasks"] == "rlimit"
    assert told["limits.cpu"] == "affinity"
    assert told["limits.wall"] == "clock"
    assert told["filesystem.scratch /tmp"] == "tmpfs"


@pytest.mark.parametrize(
    ("words", "limit", "status"),
    [
        (
            ("--set", "limits.file_size=1M", "--", "dd", "if=/dev/zero", "of=/tmp/x", "bs=2M"),
            "file_size",
            (153,),
        ),
        (("--set", "limits.cpu_time=3s", "--", "sh", "-c", "while :; do :; done"), "cpu_time", (137, 152)),
        (("--timeout", "300ms", "--", "sleep", "60"), "wall", (124,)),
    ],
)
def test_every_limit_is_named(
    hardbox: Hardbox, place: str, words: tuple[str, ...], limit: str, status: tuple[int, ...]
) -> None:
    report = f"{place}/report.json"
    done = hardbox("run", "--report", report, *words)
    assert done.returncode in status
    found = faults.read_json(report)
    assert (found["outcome"], found["limit"]) == ("limit", limit)
    rows = found["limits"]
    assert isinstance(rows, list)
    assert {row["key"] for row in rows if row["hits"]} == {f"limits.{limit}"}


def test_samples_are_taken_for_a_report(hardbox: Hardbox, place: str) -> None:
    report = f"{place}/report.json"
    script = (
        "x = bytearray(64 << 20)\nimport time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass"
    )
    faults.ran(hardbox("run", "--report", report, "--", PYTHON, "-c", script))
    samples = faults.read_json(report)["samples"]
    assert isinstance(samples, list)
    assert 2 <= len(samples) <= 600
    for before, after in itertools.pairwise(samples):
        assert before["t"] < after["t"]
        assert before["cpu"] <= after["cpu"]
        assert before["read"] <= after["read"]
    assert max(sample["memory"] for sample in samples) > 64 << 20
    assert samples[-1]["cpu"] > 0
    assert {sample["tasks"] for sample in samples} <= {0, 1}


@pytest.mark.parametrize("ignored", ["TERM INT HUP", "stopped", "forks"])
def test_a_job_that_will_not_end_is_killed_after_its_grace(
    hardbox: Hardbox, caller: Caller, place: str, ignored: str
) -> None:
    scripts = {
        "TERM INT HUP": "trap '' TERM INT HUP; echo ready; while :; do sleep 1; done",
        "stopped": "trap '' TERM; (while :; do kill -STOP $$; done) & echo ready; kill -STOP $$;"
        " while :; do sleep 1; done",
        "forks": "trap '' TERM; f() { sleep 1; (f &); }; for i in 1 2 3 4; do (f &); done; echo ready;"
        " while :; do sleep 1; done",
    }
    script = scripts[ignored]
    # The control: outside, it survives SIGTERM.
    before = faults.children()
    child = faults.spawn(caller, "setsid", "sh", "-c", script)
    assert faults.read_line(child) == "ready"
    os.killpg(child.pid, signal.SIGTERM)
    time.sleep(0.3)
    assert child.poll() is None
    os.killpg(child.pid, signal.SIGKILL)
    faults.finish(child)
    faults.end(faults.orphans(before))

    report = f"{place}/report.json"
    done = hardbox(
        *("run", "--timeout", "500ms", "--set", "limits.grace=300ms", "--report", report, "--"),
        *("sh", "-c", script),
    )
    assert done.returncode == 124, done
    assert faults.read_json(report)["limit"] == "wall"


def root_only(caller: Caller) -> None:
    if caller.uid != 0:
        pytest.skip("only root may make the cgroups of this test")


def freezers() -> tuple[str, str, str] | None:
    """Give a hierarchy that can freeze: its top, the file to write, and the word that freezes."""
    if os.path.isdir("/sys/fs/cgroup/freezer"):
        return "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN"
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "/sys/fs/cgroup", "cgroup.freeze", "1"
    return None


def put(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def test_a_frozen_job_still_dies_on_time(caller: Caller, program: Installed) -> None:
    """Version 2 lets a frozen process be killed; version 1 does when it is thawed, and not before."""
    root_only(caller)
    found = freezers()
    if found is None:
        pytest.skip("nothing can freeze here")
    top, file, word = found
    folder = f"{top}/test-freezer-{os.getpid()}"
    os.mkdir(folder)
    env = {"HARDBOX_NO_CACHE": "1"}
    command = ("run", "--timeout", "2s", "--set", "limits.grace=300ms", "--", "sh", "-c")
    child = faults.spawn(caller, program.hardbox, *command, "echo ready; sleep 600 & sleep 600", env=env)
    try:
        assert faults.read_line(child) == "ready"
        (launcher,) = faults.children(child.pid)
        (init,) = faults.children(launcher)
        frozen = faults.descendants(init)
        for pid in frozen:
            put(f"{folder}/cgroup.procs", str(pid))
        put(f"{folder}/{file}", word)
        if word == "FROZEN":
            time.sleep(3)
            assert child.poll() is None, "a process that version 1 has frozen cannot be killed"
            put(f"{folder}/{file}", "THAWED")
        done = faults.finish(child)
        assert done.returncode == 124, done
        assert not any(map(faults.alive, frozen))
    finally:
        # First of all: nobody could end, or wait for, what is frozen.
        put(f"{folder}/{file}", "THAWED" if word == "FROZEN" else "0")
        child.kill()
        child.wait()
        faults.eventually(lambda: faults.removed(folder), "the freezer's folder is removed")


def test_limit_kills_leave_nothing(hardbox: Hardbox) -> None:
    before = faults.cgroups_left()
    for _ in range(1000 if ALL else 30):
        done = hardbox(
            *("run", "--memory", "32M", "--", PYTHON, "-c"),
            "import mmap\na=mmap.mmap(-1, 1 << 26)\nwhile True:\n for i in range(0, len(a), 4096): a[i] = 1",
        )
        assert done.returncode == 137, done
    faults.no_cgroups_left(before)


def killed(child: subprocess.Popen[bytes], first: int | None = None) -> None:
    """Kill a launch: one process of it, the rest is to follow; and its front."""
    for pid in (first,) if first else (*faults.descendants(child.pid), child.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        break
    child.kill()
    faults.finish(child)


def test_what_a_killed_launcher_leaves_the_next_one_removes(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str
) -> None:
    if not means(hardbox, place).startswith("cgroup"):
        pytest.skip("there is no cgroup to be left")
    faults.ran(hardbox("run", "--", "true"))
    children, before = faults.children(), faults.cgroups_left()
    for moment in range(300 if ALL else 40):
        child = faults.spawn(caller, program.hardbox, "run", "--", "sleep", "600")
        time.sleep(moment % 40 * 0.0004)
        killed(child)
    # The control: something is left. Another worker's launch may be faster than our look.
    for _ in range(20):
        env = {"HARDBOX_NO_CACHE": "1"}
        child = faults.spawn(
            caller, program.hardbox, "run", "--", "sh", "-c", "echo ready; sleep 600", env=env
        )
        assert faults.read_line(child) == "ready"
        (launcher,) = faults.children(child.pid)
        killed(child, launcher)
        left = faults.cgroups_left() - before
        if left:
            break
    assert left
    faults.eventually(lambda: not faults.orphans(children), "all has ended")
    faults.ran(hardbox("run", "--", "true"))
    faults.no_cgroups_left(before)


def test_launches_side_by_side_do_not_take_one_anothers_cgroup(caller: Caller, program: Installed) -> None:
    before = faults.cgroups_left()
    # As many as end in time on a slow machine too.
    count = max(4, int(25 / patience.SLOWER))
    script = f"for i in $(seq {count}); do {program.hardbox} run -- true || echo failed; done"
    running = [faults.spawn(caller, "sh", "-c", script) for _ in range(4)]
    for child in running:
        done = faults.finish(child)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    faults.no_cgroups_left(before)


def test_the_smallest_limit(hardbox: Hardbox, place: str) -> None:
    """It holds `true`, unless the kernel counts more of its own; what takes more is ended by it."""
    if not (how := means(hardbox, place)).startswith("cgroup"):
        pytest.skip("the watch begins with the command")
    done = hardbox("run", "--memory", "1M", "--", "true")
    if done.returncode == 125 and how == "cgroup v2":
        faults.refusal(done, "HB601", says="did not fit into its memory limit")
        return
    faults.ran(done, "")
    done = hardbox("run", "--memory", "1M", "--", "dd", "if=/dev/zero", "of=/tmp/x", "bs=64k", "count=100")
    assert (done.returncode, done.stdout) == (137, ""), done
    assert "ended by its memory limit of 1M (cgroup" in done.stderr


def ticks(pids: set[int]) -> int:
    """Give the CPU time that living processes, and those they have waited for, have used."""
    used = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            used += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    return used


def test_a_sleeping_job_costs_almost_nothing(caller: Caller, program: Installed) -> None:
    """A supervisor that does not rest uses a whole CPU; the watch a twentieth at most."""
    env = {"HARDBOX_NO_CACHE": "1"}
    child = faults.spawn(
        caller, program.hardbox, "run", "--", "sh", "-c", "echo ready; exec sleep 600", env=env
    )
    try:
        assert faults.read_line(child) == "ready"
        (launcher,) = faults.children(child.pid)
        faults.eventually(lambda: len(faults.descendants(launcher)) >= 2, "init and the job are there")
        everybody = {child.pid, *faults.descendants(child.pid)}
        before = ticks(everybody)
        time.sleep(3)
        assert (ticks(everybody) - before) / os.sysconf("SC_CLK_TCK") < 0.3
    finally:
        child.terminate()
        faults.finish(child)


def test_a_compiled_plan_names_no_cgroup(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str
) -> None:
    """It may be launched from another session; what it rests on is to be found there too."""
    faults.ran(hardbox("compile", "--memory", LIMIT, "-o", f"{place}/p.plan", "--", "true"))
    done = caller.run(program.launch, f"{place}/p.plan", "--", PYTHON, "-c", bombs.SOURCE, "shared", BOMB)
    assert done.returncode == 137, done
    assert done.stderr.startswith("hardbox: ended by its memory limit of 96M (watched"), done.stderr
