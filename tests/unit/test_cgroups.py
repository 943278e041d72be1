"""Where a cgroup could be made, on made-up trees of each kind.  Run by: pytest.

Trees are folders here, so "not writable" is a file that is missing: the kernel's own are always there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import plans

from hardbox import cgroups, seals
from hardbox.cgroups import Place
from hardbox.plan.steps import Cgroup

if TYPE_CHECKING:
    from pathlib import Path

V1 = "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V2 = "41 31 0:37 {root} /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
UNIFIED = "41 31 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
SLICE = "/user.slice/user-1000.slice/user@1000.service/app.slice"


def make(top: Path, folder: str, **files: str) -> None:
    """Make a cgroup's folder with these files; "__" stands for a dot."""
    place = top / folder.lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / name.replace("__", ".")).write_text(content)


def second(top: Path, own: str, uid: int = 1000, root: str = "/") -> Place | None:
    return cgroups.find(f"0::{own}\n", V2.format(root=root), str(top), uid)


def test_a_users_slice_of_systemd(tmp_path: Path) -> None:
    """The scope that we are in has processes; the slice around it may have more children."""
    make(tmp_path, f"/sys/fs/cgroup{SLICE}", cgroup__procs="", cgroup__subtree_control="cpu memory pids\n")
    make(tmp_path, f"/sys/fs/cgroup{SLICE}/run-1.scope", cgroup__procs="1\n", cgroup__subtree_control="\n")
    make(tmp_path, f"/sys/fs/cgroup{SLICE}/run-1.scope", memory__swap__max="max\n", cgroup__type="domain\n")

    assert second(tmp_path, f"{SLICE}/run-1.scope") == Place(2, f"/sys/fs/cgroup{SLICE}", swap=True)


def test_a_session_that_is_not_delegated(tmp_path: Path) -> None:
    """The folders are root's: their cgroup.procs cannot be written, which here means that it is missing."""
    make(tmp_path, "/sys/fs/cgroup", cgroup__controllers="memory\n", cgroup__subtree_control="memory\n")
    make(tmp_path, "/sys/fs/cgroup/user.slice/session-3.scope", cgroup__subtree_control="\n")

    assert second(tmp_path, "/user.slice/session-3.scope") is None


def test_a_slice_without_the_memory_controller(tmp_path: Path) -> None:
    make(tmp_path, "/sys/fs/cgroup", cgroup__controllers="memory\n", cgroup__subtree_control="memory\n")
    make(tmp_path, f"/sys/fs/cgroup{SLICE}", cgroup__procs="", cgroup__subtree_control="pids\n")
    make(tmp_path, f"/sys/fs/cgroup{SLICE}/x", cgroup__procs="", cgroup__subtree_control="\n")

    assert second(tmp_path, f"{SLICE}/x") is None


@pytest.mark.parametrize(("given", "delegate"), [("cpu memory\n", False), ("cpu\n", True), ("\n", True)])
def test_plain_root_at_the_top(tmp_path: Path, given: str, *, delegate: bool) -> None:
    make(
        *(tmp_path, "/sys/fs/cgroup"),
        cgroup__procs="1\n",
        cgroup__subtree_control=given,
        cgroup__controllers="cpu memory pids\n",
    )

    assert second(tmp_path, "/", uid=0) == Place(2, "/sys/fs/cgroup", delegate=delegate, swap=True)


def test_the_top_is_roots_alone(tmp_path: Path) -> None:
    make(
        *(tmp_path, "/sys/fs/cgroup"),
        cgroup__procs="1\n",
        cgroup__subtree_control="\n",
        cgroup__controllers="memory\n",
    )

    assert second(tmp_path, "/", uid=1000) is None


def test_a_containers_top_is_no_top(tmp_path: Path) -> None:
    """It has a type, and processes: the kernel would not let it give controllers to children."""
    make(
        *(tmp_path, "/sys/fs/cgroup"),
        cgroup__procs="1\n",
        cgroup__subtree_control="\n",
        cgroup__controllers="memory\n",
        cgroup__type="domain\n",
    )

    assert second(tmp_path, "/", uid=0) is None


def test_a_container_with_a_subtree_of_its_own(tmp_path: Path) -> None:
    """As an init leaves it that has moved itself to a leaf: its mount shows the container's part alone."""
    make(
        tmp_path,
        "/sys/fs/cgroup",
        cgroup__procs="",
        cgroup__subtree_control="memory\n",
        cgroup__type="domain",
    )
    make(tmp_path, "/sys/fs/cgroup/init", cgroup__procs="1\n", memory__swap__max="max\n")

    found = second(tmp_path, "/docker/abc/init", uid=0, root="/docker/abc")

    assert found == Place(2, "/sys/fs/cgroup", swap=True)


@pytest.mark.parametrize("own", ["/../../elsewhere", "/docker/other/x"])
def test_a_cgroup_that_is_not_mounted_here(tmp_path: Path, own: str) -> None:
    make(
        tmp_path,
        "/sys/fs/cgroup",
        cgroup__procs="",
        cgroup__subtree_control="memory\n",
        cgroup__type="domain",
    )

    assert second(tmp_path, own, uid=0, root="/docker/abc") is None


def first(top: Path, own: str, root: str = "/", more: str = "") -> Place | None:
    text = f"8:pids:/\n4:memory:{own}\n1:name=systemd:/wrong\n0::/\n"
    return cgroups.find(text, UNIFIED + more + V1.format(root=root), str(top), 0)


def test_version_1_below_our_own(tmp_path: Path) -> None:
    make(tmp_path, "/sys/fs/cgroup/memory/a/b", cgroup__procs="", memory__limit_in_bytes="1")

    assert first(tmp_path, "/a/b") == Place(1, "/sys/fs/cgroup/memory/a/b")
    make(tmp_path, "/sys/fs/cgroup/memory/a/b", memory__memsw__limit_in_bytes="1")
    assert first(tmp_path, "/a/b") == Place(1, "/sys/fs/cgroup/memory/a/b", swap=True)
    assert first(tmp_path, "/a") is None
    assert first(tmp_path, "/x/a/b", root="/x") == Place(1, "/sys/fs/cgroup/memory/a/b", swap=True)
    assert first(tmp_path, "/xa/b", root="/x") is None


def test_a_hierarchy_of_another_controller_is_not_taken(tmp_path: Path) -> None:
    make(tmp_path, "/sys/fs/cgroup/cpu/a", cgroup__procs="", memory__limit_in_bytes="1")
    line = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"

    assert cgroups.find("4:memory:/a\n1:cpu:/a\n", line, str(tmp_path), 0) is None


@pytest.mark.parametrize("mounts", ["", "nonsense\n", "1 2 3 - cgroup2\n", "a b c d e - cgroup2 x\n"])
def test_nothing_is_found_in_nothing(tmp_path: Path, mounts: str) -> None:
    assert cgroups.find("", mounts, str(tmp_path), 0) is None
    assert cgroups.find("0::/\n", mounts, str(tmp_path), 0) is None


def test_a_mount_point_with_a_blank(tmp_path: Path) -> None:
    make(tmp_path, "/my cgroups/a", cgroup__procs="", cgroup__subtree_control="memory")
    line = "41 31 0:37 / /my\\040cgroups rw - cgroup2 cgroup2 rw\n"

    assert cgroups.find("0::/a\n", line, str(tmp_path), 1000) == Place(2, "/my cgroups/a")


CPU = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


def test_version_1_has_a_hierarchy_of_its_own_for_bandwidth(tmp_path: Path) -> None:
    own, mounts = "4:memory:/a\n1:cpu,cpuacct:/b\n", V1.format(root="/") + CPU
    place = Place(1, "/sys/fs/cgroup/memory/a")
    make(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/b", cpu__cfs_quota_us="-1")

    assert cgroups.find_cpu(place, own, mounts, str(tmp_path)) == place
    make(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/b", cgroup__procs="")
    found = cgroups.find_cpu(place, own, mounts, str(tmp_path))
    assert found == Place(1, place.folder, cpu="/sys/fs/cgroup/cpu,cpuacct/b")
    assert cgroups.find_cpu(place, own, V1.format(root="/"), str(tmp_path)) == place
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/b/cpu.cfs_quota_us").unlink()
    assert cgroups.find_cpu(place, own, mounts, str(tmp_path)) == place


@pytest.mark.parametrize(
    ("given", "uid", "cpu", "delegate"),
    [
        ("cpu memory\n", 1000, "/sys/fs/cgroup", False),
        ("cpuset memory\n", 1000, "", False),
        ("memory\n", 0, "/sys/fs/cgroup", True),
    ],
)
def test_version_2_gives_bandwidth_in_the_same_folder(
    tmp_path: Path, given: str, uid: int, cpu: str, *, delegate: bool
) -> None:
    place = Place(2, "/sys/fs/cgroup")
    make(tmp_path, "/sys/fs/cgroup", cgroup__procs="", cgroup__subtree_control=given)
    make(tmp_path, "/sys/fs/cgroup", cgroup__controllers="cpu memory\n")

    found = cgroups.find_cpu(place, "0::/\n", V2.format(root="/"), str(tmp_path), uid)
    assert found == Place(2, place.folder, cpu=cpu, delegate_cpu=delegate)


def test_a_container_does_not_give_itself_the_cpu_controller(tmp_path: Path) -> None:
    place = Place(2, "/sys/fs/cgroup")
    make(
        tmp_path, "/sys/fs/cgroup", cgroup__procs="", cgroup__subtree_control="memory", cgroup__type="domain"
    )
    make(tmp_path, "/sys/fs/cgroup", cgroup__controllers="cpu memory\n")

    assert cgroups.find_cpu(place, "0::/\n", V2.format(root="/"), str(tmp_path), 0) == place


@pytest.mark.parametrize(
    ("scope", "inner", "bound"),
    [("max\n", "max\n", None), ("1000\n", "max\n", 1000), ("3000\n", "2000\n", 2000), ("0\n", "", 0)],
)
def test_a_limit_of_our_own_scope_is_carried_over(
    tmp_path: Path, scope: str, inner: str, bound: int | None
) -> None:
    """What is made in the slice does not lie below the scope; the slice's own limit lies around both."""
    slice_ = f"/sys/fs/cgroup{SLICE}"
    make(tmp_path, slice_, cgroup__procs="", cgroup__subtree_control="memory\n", memory__max="1\n")
    make(tmp_path, f"{slice_}/a.scope", cgroup__procs="", cgroup__subtree_control="\n", memory__max=scope)
    make(tmp_path, f"{slice_}/a.scope/b", cgroup__procs="1\n", cgroup__subtree_control="\n")
    if inner:
        make(tmp_path, f"{slice_}/a.scope/b", memory__max=inner)

    found = second(tmp_path, f"{SLICE}/a.scope/b")
    assert found == Place(2, slice_, bound=bound)
    files = cgroups.bounds_files(slice_, f"0::{SLICE}/a.scope/b\n", V2.format(root="/"))
    assert files == (f"{slice_}/a.scope/b/memory.max", f"{slice_}/a.scope/memory.max")


@pytest.mark.parametrize("own", ["/", "/a", "/../x", "/ab"])
def test_our_own_cgroup_and_strange_ones_bound_nothing(own: str) -> None:
    assert cgroups.bounds_files("/sys/fs/cgroup/a", f"0::{own}\n", V2.format(root="/")) == ()
    assert cgroups.bounds_files("/sys/fs/cgroup/a", "4:memory:/a/b\n", V1.format(root="/")) == ()


def test_a_kept_decision_rests_on_the_limits_around_us(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plans.samples()["root-cgroup-2"]
    (step,) = (step for step in plan.steps if isinstance(step, Cgroup))
    parent = step.parent.removeprefix("/sys/fs/cgroup")
    texts = {"/proc/self/cgroup": f"0::{parent}/a/b\n", "/proc/self/mountinfo": V2.format(root="/")}
    monkeypatch.setattr(seals, "_text", texts.__getitem__)
    found = tuple(seals._bounds(plan))  # noqa: SLF001 (what is kept is behind files of this host)
    assert found == (f"{step.parent}/a/b/memory.max", f"{step.parent}/a/memory.max")
    assert tuple(seals._bounds(plans.samples()["root"])) == ()  # noqa: SLF001
