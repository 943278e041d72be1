"""What stands at a host path.  Run by: pytest."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from support import plans

from hardbox.plan import trees
from hardbox.plan.trees import PathFact
from hardbox.policy import Bind

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_a_file_and_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert trees.look(str(tmp_path)).kind == "dir"
    assert trees.look(str(file)) == PathFact("file", str(file), "", os.geteuid(), os.getegid())
    assert trees.look(str(tmp_path / "none")) == PathFact("missing", str(tmp_path / "none"))
    assert trees.look(str(file / "below")).kind == "missing"


def test_what_is_neither_is_other(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert trees.look(str(pipe)).kind == "other"
    assert trees.look("/dev/null").kind == "other"


def test_a_link_is_not_followed_but_its_end_is_known(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    found = trees.look(str(tmp_path / "link"))

    assert (found.kind, found.target, found.real) == ("link", "real", str(tmp_path / "real"))
    assert trees.look_resolved(str(tmp_path / "link")) == trees.look(str(tmp_path / "real"))


def test_links_in_a_circle_are_missing(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    assert trees.look_resolved(str(tmp_path / "one")).kind in ("link", "missing")


def test_every_path_of_a_policy_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    wanted = plans.policy()
    source = str(tmp_path / "link")
    wanted = replace(wanted, filesystem=replace(wanted.filesystem, write=(Bind(source, "/out"),)))

    found = trees.look_all(wanted)

    assert set(wanted.filesystem.show) <= set(found)
    assert found[source] == trees.look(str(tmp_path / "real"))


def test_a_root_directory_puts_its_prefix_before_everything(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("/usr/bin")
    wanted = plans.policy(root=f"dir:{tmp_path}")

    found = trees.look_all(wanted)

    assert found[f"{tmp_path}/usr"].kind == "dir"
    assert found[f"{tmp_path}/bin"].target == "/usr/bin"
    assert found[f"{tmp_path}/etc/alternatives"].kind == "missing"
    assert "/usr" not in found
