"""Probes that read: kernel series, libseccomp, cgroups, ids, the launcher.  Run by: pytest."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hardbox.cgroups import Place as Folder
from hardbox.host import HostFacts, IdRange
from hardbox.probe import kernels, namespaces, system, walls
from hardbox.probe.check import Check, Place
from hardbox.probe.children import Outcome

if TYPE_CHECKING:
    from pathlib import Path

ME = (os.geteuid(), os.getegid())
FACTS = HostFacts(uid=1000, gid=1000, user_name="me", newuidmap="/usr/bin/newuidmap", newgidmap="/usr/bin/x")
CALLER = replace(FACTS, uid=ME[0], gid=ME[1])


@pytest.mark.parametrize(
    ("release", "month", "ok"),
    [
        ("6.1.0-26-amd64", "2026-11", True),
        ("6.1.0-26-amd64", "2027-12", True),
        ("6.1.0-26-amd64", "2028-01", False),
        ("5.4.302", "2026-11", False),
        ("6.18.44-x", "2026-11", True),
        ("6.9.3", "2026-11", None),
        ("7.2.0-rc1", "2026-11", None),
        ("strange", "2026-11", None),
    ],
)
def test_kernel_series(release: str, month: str, ok: bool | None) -> None:  # noqa: FBT001 (a table's column)
    check = system.kernel_series(Place(replace(FACTS, kernel=release)), month)
    assert check.ok is ok
    assert kernels.TAKEN in check.found
    assert check.required is False
    assert ok is True or check.fix


def test_the_kernel_list_is_well_formed() -> None:
    month = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
    assert month.fullmatch(kernels.TAKEN)
    assert all(month.fullmatch(end) for end in kernels.END_OF_LIFE.values())


def test_libseccomp() -> None:
    assert system.libseccomp((2, 6, 1)).fix == ""
    old = system.libseccomp((2, 5, 4))
    assert old.ok is True
    assert "GHSA-4q85-33p6-j5g6" in old.found
    assert "programs of one action each" in old.found
    gone = system.libseccomp(None)
    assert (gone.ok, gone.required) == (False, True)


def place_with(folder: Path, facts: HostFacts = FACTS, **files: str) -> Place:
    for name, text in files.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Place(facts, str(folder))


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        (("cgroup2",), "v2"),
        (("cgroup", "cgroup"), "v1"),
        (("cgroup", "cgroup2"), "hybrid"),
        (("tmpfs",), "none"),
    ],
)
def test_cgroup_version(tmp_path: Path, mounts: tuple[str, ...], version: str) -> None:
    text = "".join(f"3 1 0:5 / /x rw shared:1 - {kind} c rw\n" for kind in mounts)
    assert system.cgroup_version(place_with(tmp_path, proc__self__mountinfo=text)) == version


def test_cgroup_delegation(tmp_path: Path) -> None:
    place = place_with(
        tmp_path,
        proc__self__mountinfo="3 1 0:5 / /sys/fs/cgroup rw - cgroup2 c rw\n",
        proc__self__cgroup="0::/user.slice/x\n",
    )
    folder = tmp_path / "sys/fs/cgroup/user.slice/x"
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    assert "; not writable" in system.cgroups(place).found
    (folder / "cgroup.procs").touch()
    check = system.cgroups(place)
    assert "cpu, memory, pids" in check.found
    assert "; writable" in check.found
    assert "rlimits" in check.why


@pytest.mark.parametrize(
    ("facts", "ok", "found"),
    [
        (replace(FACTS, cgroup=Folder(2, "/x", swap=True), swap=True), True, "cgroup v2, delegated: /x"),
        (replace(FACTS, cgroup=Folder(1, "/x")), True, "cgroup v1: /x"),
        (
            replace(FACTS, cgroup=Folder(1, "/x"), swap=True),
            None,
            "watch: the cgroups here do not limit swap",
        ),
        (FACTS, None, "watch: no cgroup may be made here"),
        (replace(FACTS, children=False), False, "none: no cgroup may be made here, and"),
    ],
)
def test_the_means_of_the_total_memory(facts: HostFacts, ok: bool | None, found: str) -> None:  # noqa: FBT001
    check = system.total_memory(Place(facts))
    assert check.ok is ok
    assert check.found.startswith(found)
    assert bool(check.fix) is (ok is not True)


def test_sysctls(tmp_path: Path) -> None:
    place = place_with(
        tmp_path,
        proc__sys__kernel__yama__ptrace_scope="1\n",
        proc__sys__kernel__core_pattern="|/usr/lib/handler %p\n",
        proc__sys__dev__tty__legacy_tiocsti="0\n",
    )
    assert "only children" in system.ptrace_scope(place).found
    assert "/usr/lib/handler" in system.core_pattern(place).found
    assert system.legacy_tiocsti(place).ok is True


def launcher_at(folder: Path) -> str:
    folder.mkdir(mode=0o755)
    file = folder / "hardbox-launch"
    file.touch()
    file.chmod(0o755)
    return str(file)


def test_a_good_launcher(tmp_path: Path) -> None:
    check = system.launcher(Place(CALLER, launcher=launcher_at(tmp_path / "bin")))
    assert check.ok is True, check.found


def test_a_missing_launcher() -> None:
    for path in ("", "/nonexistent/hardbox-launch"):
        check = system.launcher(Place(CALLER, launcher=path))
        assert (check.ok, check.required) == (False, True)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_launcher_that_others_could_replace(tmp_path: Path, what: str) -> None:
    path = launcher_at(tmp_path / "bin")
    target = path if what == "file" else os.path.dirname(path)
    os.chmod(target, 0o777)
    check = system.launcher(Place(CALLER, launcher=path))
    assert check.ok is False
    assert target in check.fix


@pytest.mark.parametrize(("uid", "found"), [(1000, False), (0, True)])
def test_a_group_may_write_what_is_the_callers_own(tmp_path: Path, uid: int, found: bool) -> None:  # noqa: FBT001 (a table's column)
    path = launcher_at(tmp_path / "bin")
    os.chmod(path, 0o775)
    if os.geteuid() == 0:
        os.chown(path, 1000, 1000)
    else:
        uid = os.geteuid()
        found = False
    place = Place(replace(FACTS, uid=uid, gid=uid and os.stat(path).st_gid))
    assert (system.writable_by_others(place, path) == path) is found


def test_somebody_elses_launcher(tmp_path: Path) -> None:
    path = launcher_at(tmp_path / "bin")
    stranger = replace(FACTS, uid=os.stat(path).st_uid + 4711)
    where = system.writable_by_others(Place(stranger), path)
    assert (where == "") is (os.stat(path).st_uid == 0)


def test_a_launcher_that_may_not_be_executed(tmp_path: Path) -> None:
    path = launcher_at(tmp_path / "bin")
    os.chmod(path, 0o644)
    check = system.launcher(Place(CALLER, launcher=path))
    assert check.ok is False
    assert "chmod a+rx" in check.fix


def subordinate(folder: Path, monkeypatch: pytest.MonkeyPatch, facts: HostFacts, text: str) -> Check:
    """The check with helpers that are there and agree to everything."""
    monkeypatch.setattr(namespaces, "_helper_gaps", lambda _: [])
    monkeypatch.setattr(namespaces, "in_child", lambda _: Outcome())
    return namespaces._subordinate(  # noqa: SLF001 (the one probe that cannot be had without root's files)
        place_with(folder, facts, etc__subuid=text, etc__subgid=text)
    )


OWN = replace(FACTS, subuid=(IdRange(100000, 65536),), subgid=(IdRange(100000, 65536),))


def test_good_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = subordinate(tmp_path, monkeypatch, OWN, "# ours\nme:100000:65536\nyou:165536:65536\n")
    assert check.ok is True, check.found
    assert "100000+65536" in check.found


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("me:100000:65536\nyou:165535:9\n", "overlaps you's 165535+9"),
        ("me:100000:65536\nyou:100000:65536\n", "stands there 2 times"),
        ("me:100000:65536\nnonsense\n", "line 2 is malformed and is skipped"),
        ("me:100000:65536\nme:0:9\n", "line 2 is malformed"),
    ],
)
def test_bad_ranges_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, word: str) -> None:
    check = subordinate(tmp_path, monkeypatch, OWN, text)
    assert check.ok is False
    assert word in check.found
    assert check.required is False


def test_ranges_below_65536_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(OWN, subuid=(IdRange(1000, 10),))
    assert "the host's own accounts" in subordinate(tmp_path, monkeypatch, facts, "").found


def test_one_file_without_a_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = subordinate(tmp_path, monkeypatch, replace(OWN, subgid=()), "me:100000:65536\n")
    assert check.ok is False
    assert "/etc/subgid: no range for this caller" in check.found


def test_root_without_ranges_uses_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = subordinate(tmp_path, monkeypatch, HostFacts(uid=0, gid=0), "")
    assert check.ok is None
    assert "0x70000000" in check.found


def test_helpers_need_their_bit(tmp_path: Path) -> None:
    place = place_with(tmp_path, usr__bin__newuidmap="", usr__bin__x="")
    os.chmod(tmp_path / "usr/bin/x", 0o755)
    gaps = namespaces._helper_gaps(place)  # noqa: SLF001 (see above)
    assert len(gaps) == 2
    assert all("set-user-ID" in gap for gap in gaps)
    assert namespaces._helper_gaps(Place(replace(FACTS, newuidmap="", newgidmap=""))) == [  # noqa: SLF001 (see above)
        "newuidmap is not installed",
        "newgidmap is not installed",
    ]


def test_every_abi_that_walls_uses_is_described() -> None:
    assert len(walls.ABI_ADDED) >= walls._NEWEST_USED  # noqa: SLF001 (two tables that must agree)
