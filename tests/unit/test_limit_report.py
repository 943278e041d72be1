"""What the report says of limits, from the launcher's records.  Run by: pytest."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support import plans

from hardbox import limit_report
from hardbox.limit_report import MOST_SAMPLES, limits, of_each_process, read_samples, read_total
from hardbox.plan import bounds
from hardbox.plan.steps import CgroupLimit

POLICY = plans.policy()
SAMPLES = plans.samples()
LAUNCH = Path(__file__).parents[2] / "hardbox" / "launch"


def total(version: int, hits: int = 1, name: bytes = b"python3", tasks: int = 1) -> bytes:
    return struct.pack("<IIQQQQQ16sQQQ", version, 0, 7, hits, 1 << 20, 3, 250_000, name, 5, tasks, 4)


def sample(number: int, every: float = 0.05) -> bytes:
    return struct.pack("<QQQQQQ", int(number * every * 1e9), number, number * 1000, 1, 0, 0)


def test_the_total_is_read() -> None:
    found = read_total(total(2))

    assert (found.version, found.looks, found.hits, found.peak) == (2, 7, 1, 1 << 20)
    assert found.detail() == "most: python3; 3 times at the limit; waited 0.250 s for memory"
    assert read_total(total(0, name=b"\xff\x1b")).most == "\udcff\x1b"
    assert "7 looks" in read_total(total(0)).detail()


@pytest.mark.parametrize(
    ("plan", "means"),
    [
        ("user", "watched every 10 to 100 ms"),
        ("root", "cgroup v1"),
        ("root-cgroup-2", "cgroup v2"),
    ],
)
def test_each_limit_has_its_means(plan: str, means: str) -> None:
    rows = {row.key: row for row in limits(POLICY, SAMPLES[plan], None, None)}

    assert rows["limits.memory"].means == means
    assert rows["limits.memory"].hits is None
    assert (rows["limits.swap"].value, rows["limits.swap"].means) == (0, means)
    assert rows["limits.tasks"].hits is None
    assert rows["limits.wall"].hits == 0
    assert rows["filesystem.scratch /tmp"].value == 1 << 20


def test_limits_that_are_not_stated_have_no_row() -> None:
    stated = replace(POLICY, limits=replace(POLICY.limits, output=5, scratch_files=6))
    keys = {row.key for row in limits(POLICY, SAMPLES["user"], None, "output")}
    rows = {
        row.key: (row.value, row.means, row.hits) for row in limits(stated, SAMPLES["user"], None, "output")
    }

    assert set(rows) - keys == {"limits.output", "limits.scratch_files"}
    assert rows["limits.output"] == (5, "relay", 1)
    assert rows["limits.scratch_files"] == (6, "tmpfs", None)


@pytest.mark.parametrize(("tasks", "hits", "peak"), [(0, None, None), (63, None, None), (64, 4, 64)])
def test_tasks_are_a_hit_only_where_all_were_seen(tasks: int, hits: int | None, peak: int | None) -> None:
    rows = {row.key: row for row in limits(POLICY, SAMPLES["user"], read_total(total(0, tasks=tasks)), None)}

    row = rows["limits.tasks"]
    assert (row.value, row.hits, row.peak) == (64, hits, peak)
    assert "the kernel does not say" in row.detail
    assert ("at least 4 looks" in row.detail) == (hits is not None)


@pytest.mark.parametrize(
    ("plan", "means"), [("root-bandwidth", "cgroup v1"), ("root-bandwidth-2", "cgroup v2")]
)
def test_bandwidth_counts_the_periods_that_were_full(plan: str, means: str) -> None:
    paced = plans.policy(bandwidth=1500)
    rows = {row.key: row for row in limits(paced, SAMPLES[plan], read_total(total(1)), None)}

    row = rows["limits.cpu_bandwidth"]
    assert (row.value, row.means, row.hits, row.peak) == (1500, means, 5, None)
    assert "limits.cpu_bandwidth" not in {row.key for row in limits(POLICY, SAMPLES["root"], None, None)}


def test_output_is_counted_where_it_is_limited() -> None:
    wanted, plan = plans.policy(output=1 << 20), SAMPLES["user-output"]
    for hit, copied, hits in ((None, 7, 0), ("output", 1 << 20, 1), ("wall", None, 0)):
        rows = {row.key: row for row in limits(wanted, plan, None, hit, copied)}
        row = rows["limits.output"]
        assert (row.value, row.means, row.hits, row.peak) == (1 << 20, "relay", hits, copied)
    assert "limits.output" not in {row.key for row in limits(POLICY, SAMPLES["user"], None, None, 7)}


def test_a_lower_limit_around_us_is_the_value() -> None:
    plan = SAMPLES["root-cgroup-2"]
    steps = tuple(
        CgroupLimit(step.file, 4096, step.flags)
        if isinstance(step, CgroupLimit) and step.file == "memory.max"
        else step
        for step in plan.steps
    )
    row = limits(POLICY, replace(plan, steps=steps), None, None)[0]
    assert (row.value, row.means) == (4096, "cgroup v2")
    assert "has no more; the profile gives 512M" in row.detail
    assert limits(POLICY, plan, None, None)[0].value == POLICY.limits.memory


@pytest.mark.parametrize("key", ["cpu_time", "file_size"])
def test_what_a_job_may_survive_is_not_called_never_hit(key: str) -> None:
    for hit, hits in ((None, None), ("wall", None), (key, 1)):
        rows = {row.key: row for row in limits(POLICY, SAMPLES["user"], None, hit)}
        assert rows[f"limits.{key}"].hits == hits


def test_a_total_that_nothing_holds_says_so() -> None:
    plan = SAMPLES["user"]
    bare = replace(plan, steps=tuple(step for step in plan.steps if step.kind != "watch"))
    row = limits(POLICY, bare, None, None)[0]

    assert (row.means, row.detail) == ("rlimit", "of each process only, as the profile accepts")
    assert limits(POLICY, bare, None, None)[1].means == "none"


@pytest.mark.parametrize(
    ("signal", "cpu", "name"),
    [
        (25, 0.0, "file_size"),
        (24, 60.0, "cpu_time"),
        (9, 59.0, "cpu_time"),
        (9, 1.0, None),
        (15, 99.0, None),
        (None, 99.0, None),
    ],
)
def test_signals_of_limits(signal: int | None, cpu: float, name: str | None) -> None:
    assert of_each_process(signal, cpu, POLICY) == name
    rows = {row.key: row.hits for row in limits(POLICY, SAMPLES["user"], None, name)}
    assert [key for key, hits in rows.items() if hits] == ([f"limits.{name}"] if name else [])


@pytest.mark.parametrize("count", [0, 1, MOST_SAMPLES, MOST_SAMPLES + 1, 5000])
def test_samples_are_thinned_evenly(count: int) -> None:
    found = read_samples([sample(number) for number in range(count)])

    assert len(found) == count if count <= MOST_SAMPLES else MOST_SAMPLES // 2 <= len(found) <= MOST_SAMPLES
    assert [each.t for each in found] == sorted(each.t for each in found)
    if count:
        assert found[-1].memory == count - 1


def test_the_numbers_of_the_launcher_are_the_same() -> None:
    header, source = (LAUNCH / "sample.h").read_text(), (LAUNCH / "limits.c").read_text()

    assert f"#define HB_SAMPLE_PROCESSES {bounds.WATCHED_PROCESSES}u" in header
    assert f"#define SAMPLES_MAX {limit_report.MOST_SAMPLES}u" in source
    assert re.search(r"#define SAMPLE_FIRST \(50 \* MS\)", source)
