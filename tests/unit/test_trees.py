"""What stands at a host path, and that it is looked up once.  Run by: pytest."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import plans

from hardbox import api, host, refusals
from hardbox import plan as planning
from hardbox.errors import Refused
from hardbox.plan import steps as s
from hardbox.plan import trees
from hardbox.policy import Bind
from hardbox.refusals import Disk, PathFact

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.policy import Policy

DISK = Disk()


def reading(source: str) -> Policy:
    wanted = plans.policy()
    return replace(wanted, filesystem=replace(wanted.filesystem, read=(Bind(source, "/in"),)))


def test_a_directory_a_file_and_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert DISK.look(str(tmp_path)).kind == "dir"
    assert DISK.look(str(file)) == PathFact("file", str(file), "", os.geteuid(), os.getegid())
    assert DISK.look(str(tmp_path / "none")) == PathFact("missing", str(tmp_path / "none"))
    assert DISK.look(str(file / "below")).kind == "missing"
    assert DISK.look_resolved(f"{tmp_path}/a\0b").kind == "missing"


def test_what_is_neither_has_its_kind(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert DISK.look(str(pipe)).kind == "fifo"
    assert DISK.look("/dev/null").kind == "device"


def test_a_link_is_not_followed_but_its_end_is_known(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    found = DISK.look(str(tmp_path / "link"))

    assert (found.kind, found.target, found.real) == ("link", "real", str(tmp_path / "real"))
    end = DISK.look(str(tmp_path / "real"))
    assert DISK.look_resolved(str(tmp_path / "link")) == replace(end, redirect=str(tmp_path / "link"))


def test_links_in_a_circle_are_missing(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    assert DISK.look_resolved(str(tmp_path / "one")).kind in ("link", "missing")


def test_every_path_of_a_policy_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    source = str(tmp_path / "link")
    wanted = reading(source)

    found = trees.look_all(wanted)

    assert set(wanted.filesystem.show) <= set(found)
    assert found[source] == replace(DISK.look(str(tmp_path / "real")), redirect=source)


def test_a_root_directory_puts_its_prefix_before_everything(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("/usr/bin")
    wanted = plans.policy(root=f"dir:{tmp_path}")

    found = trees.look_all(wanted)

    assert found[f"{tmp_path}/usr"].kind == "dir"
    assert found[f"{tmp_path}/bin"].target == "/usr/bin"
    assert found[f"{tmp_path}/etc/alternatives"].kind == "missing"
    assert "/usr" not in found


class Flipping(Disk):
    """A file system in which a symlink leads elsewhere at every look."""

    def __init__(self, link: str, targets: list[str]) -> None:
        self.link = link
        self.targets = targets
        self.looks = 0

    def walk(self, path: str) -> tuple[str, str]:
        if path != self.link:
            return super().walk(path)
        self.looks += 1
        return "", self.targets.pop(0) if self.targets else "/etc"


def test_what_the_rules_have_judged_is_what_is_bound(tmp_path: Path) -> None:
    disk = Flipping("/made-up/link", [str(tmp_path)])
    wanted = reading("/made-up/link")

    paths = trees.look_all(wanted, disk)
    refusals.check(wanted, plans.USER, paths, disk)
    plan = planning.build(wanted, plans.USER, paths, plans.FILTER, planning.Command(("true",)))

    assert disk.looks == 1
    assert [step.source for step in plan.steps if isinstance(step, s.BindMount) and step.dest == "/in"] == [
        str(tmp_path)
    ]


def test_a_link_that_led_to_a_guarded_place_when_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    disk = Flipping("/made-up/link", ["/etc", str(tmp_path)])
    wanted = reading("/made-up/link")

    with pytest.raises(Refused) as caught:
        refusals.check(wanted, plans.USER, trees.look_all(wanted, disk), disk)
    assert caught.value.code == "HB202"


class Swapping(Disk):
    """A file system in which what was resolved has become a symlink a moment later."""

    def look(self, path: str) -> PathFact:
        found = super().look(path)
        return PathFact("link", "/etc", "/etc") if found.real.endswith("/swapped") else found


def test_a_place_that_becomes_a_symlink_while_it_is_looked_at_is_refused(tmp_path: Path) -> None:
    (tmp_path / "swapped").mkdir()
    wanted = reading(str(tmp_path / "swapped"))

    paths = trees.look_all(wanted, Swapping())

    assert paths[str(tmp_path / "swapped")] == PathFact("link", str(tmp_path / "swapped"), "/etc")
    with pytest.raises(Refused) as caught:
        refusals.check(wanted, plans.USER, paths)
    assert caught.value.code == "HB222"


@pytest.mark.parametrize("when", ["before the rules", "behind the rules"])
def test_a_link_flipped_around_the_rules_changes_nothing(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The public way, on the real file system: the rules and the plan share one look."""
    for name in ("good", "other"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("good")
    check = refusals.check

    def flip() -> None:
        link.unlink()
        link.symlink_to("other")

    def flipping(policy: Policy, *arguments: object) -> None:
        if when == "before the rules":
            flip()
        check(policy, *arguments)  # type: ignore[arg-type]  # as they came
        if when == "behind the rules":
            flip()

    monkeypatch.setattr(refusals, "check", flipping)
    # A rule of its own refuses such links; here it is too late to see one.
    monkeypatch.setattr(Disk, "walk", lambda disk, path: ("", disk.real(path)))
    monkeypatch.setattr(host, "read_facts", lambda: plans.USER)

    plan = api.make_plan(["true"], read=[f"{link}:/in"])

    assert os.readlink(link) == "other"
    assert [step.source for step in plan.steps if isinstance(step, s.BindMount) and step.dest == "/in"] == [
        str(tmp_path / "good")
    ]
