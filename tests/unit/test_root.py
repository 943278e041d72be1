"""The part of a plan that builds the root.  Run by: pytest."""

from __future__ import annotations

import posixpath
from dataclasses import replace

import pytest
from support import plans

from hardbox.errors import ProfileError, Refused
from hardbox.plan import root
from hardbox.plan import steps as s
from hardbox.policy import UNLIMITED, Bind
from hardbox.refusals import PathFact

SAMPLES = plans.samples()
LOCKED = s.NOSUID | s.NODEV


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_mount_is_without_devices_and_set_user_id(name: str) -> None:
    for step in SAMPLES[name].steps:
        if isinstance(step, s.BindMount | s.Attach | s.Tmpfs | s.Overlay):
            assert step.attributes & LOCKED == LOCKED, step.describe()
        if isinstance(step, s.Attributes):
            assert step.set & LOCKED == LOCKED
            assert step.clear == 0


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_only_what_the_profile_gives_can_be_written(name: str) -> None:
    given = {"/made/up"} if name.endswith("write") else set()

    for step in SAMPLES[name].steps:
        if isinstance(step, s.BindMount | s.Attach):
            assert bool(step.attributes & s.RDONLY) == (step.dest not in given)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_proc_and_a_root_without_changes_end_read_only(name: str) -> None:
    becomes = {step.path: step.set for step in SAMPLES[name].steps if isinstance(step, s.Attributes)}

    assert becomes["/proc"] & s.RDONLY
    assert ("/" in becomes) == (name != "user-ephemeral")


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_place_is_made_once_and_below_places_that_are_there(name: str) -> None:
    there = {"/"}
    for step in SAMPLES[name].steps:
        if not isinstance(step, s.MakeDir | s.WriteFile | s.Symlink):
            continue
        assert step.path not in there, step.path
        assert posixpath.dirname(step.path) in there, step.path
        there.add(step.path)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_something_is_only_attached_to_a_place_that_was_made(name: str) -> None:
    made = {"/"}
    for step in SAMPLES[name].steps:
        if isinstance(step, s.MakeDir | s.WriteFile):
            made.add(step.path)
        if isinstance(step, s.BindMount | s.Attach | s.Tmpfs | s.Device | s.Proc | s.Devpts):
            assert step.dest in made, step.describe()


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_no_memory_is_without_a_bound(name: str) -> None:
    for step in SAMPLES[name].steps:
        if isinstance(step, s.Tmpfs | s.NewRoot | s.Stage):
            assert step.size > 0
            assert step.inodes > 0


def test_masks_cover_what_tells_of_the_host() -> None:
    masked = {step.path for step in SAMPLES["user"].steps if isinstance(step, s.Mask)}

    assert {"/proc/acpi", "/proc/kallsyms", "/proc/kcore", "/proc/keys", "/proc/sysrq-trigger"} <= masked


def test_scratch_and_written_trees_are_not_executable_where_only_shown_files_are() -> None:
    for step in SAMPLES["user-write"].steps:
        if isinstance(step, s.Tmpfs) or (isinstance(step, s.BindMount) and step.dest == "/made/up"):
            assert step.attributes & s.NOEXEC


def test_roots_trees_are_cloned_outside_with_the_owner_on_disk() -> None:
    plan = SAMPLES["root-write"]

    assert s.Tree("/made/up", s.IDMAPPED | s.RECURSIVE, 1234, 1234, 1000, 1000) in plan.steps
    assert s.Attach(0, "/made/up", LOCKED | s.NOEXEC) in plan.steps


def test_the_paths_of_a_root_directory_are_not_resolved_on_the_host() -> None:
    wanted = plans.policy(root="dir:/nonexistent/root")
    found = dict(plans.paths(wanted))
    found["/nonexistent/root/usr"] = PathFact("dir", "/etc")

    steps = root.root_steps(wanted, plans.USER, found)

    sources = {step.source for step in steps if isinstance(step, s.BindMount)}
    assert sources == {"/nonexistent/root/usr", "/nonexistent/root/etc/alternatives"}


@pytest.mark.parametrize("kind", ["missing", "other", "link"])
def test_a_tree_that_is_neither_file_nor_directory_is_refused(kind: str) -> None:
    wanted = plans.policy(write=("/made/up",))
    found = {**plans.paths(wanted), "/made/up": PathFact(kind, "/made/up")}

    with pytest.raises(Refused) as caught:
        root.root_steps(wanted, plans.USER, found)
    assert caught.value.code == "HB222"


def test_a_written_file_is_attached_to_a_file() -> None:
    wanted = plans.policy(write=("/made/up.txt",))
    found = {**plans.paths(wanted), "/made/up.txt": PathFact("file", "/made/up.txt")}

    steps = root.root_steps(wanted, plans.USER, found)

    assert s.WriteFile("/made/up.txt", 0o444, b"") in steps
    assert s.BindMount("/made/up.txt", "/made/up.txt", LOCKED | s.NOEXEC, 0) in steps


def test_roots_trees_of_a_root_directory_are_not_where_its_symlinks_lead() -> None:
    wanted = plans.policy(root="dir:/nonexistent/root")
    found = dict(plans.paths(wanted))
    found["/nonexistent/root/etc/alternatives"] = PathFact("dir", "/srv/of-others/alternatives")

    trees = root.outside_trees(wanted, plans.ROOT, found)

    assert [tree.source for tree in trees] == ["/nonexistent/root/usr", "/nonexistent/root/etc/alternatives"]


def test_where_a_root_directory_is_was_decided_before() -> None:
    """The name of the root may have become a symlink to elsewhere since it was looked at."""
    wanted = plans.policy(root="dir:/nonexistent/root")
    moved = {path.replace("/nonexistent/root", "/moved"): fact for path, fact in plans.paths(wanted).items()}
    found = {**moved, "/nonexistent/root": PathFact("dir", "/moved")}

    steps = root.root_steps(wanted, plans.USER, found)

    sources = {step.source for step in steps if isinstance(step, s.BindMount)}
    assert sources == {"/moved/usr", "/moved/etc/alternatives"}


NESTED = (Bind("/made/below", "/in/below"), Bind("/made/up", "/in"))


def nested(inner: str) -> tuple[s.Step, ...]:
    """Two trees, one in the other; `inner` is what the outer one holds at that place."""
    wanted = plans.policy()
    wanted = replace(wanted, filesystem=replace(wanted.filesystem, write=NESTED))
    found = {**plans.paths(wanted), "/made/up/below": PathFact(inner, "/made/up/below")}
    return root.root_steps(wanted, plans.USER, found)


def test_a_tree_inside_another_is_attached_after_it_and_nothing_is_made_in_the_host() -> None:
    steps = nested("dir")

    assert [step.dest for step in steps if isinstance(step, s.BindMount)][-2:] == ["/in", "/in/below"]
    assert "/in/below" not in {step.path for step in steps if isinstance(step, s.MakeDir)}


@pytest.mark.parametrize("inner", ["missing", "file", "link"])
def test_a_place_that_would_have_to_be_made_in_the_host_is_refused(inner: str) -> None:
    with pytest.raises(ProfileError) as caught:
        nested(inner)
    assert caught.value.code == "HB431"


def test_a_tree_below_scratch_is_not_hidden_by_it() -> None:
    wanted = plans.policy(write=("/tmp/up",))

    steps = root.root_steps(wanted, plans.USER, plans.paths(wanted))

    dests = [step.dest for step in steps if isinstance(step, s.BindMount | s.Tmpfs)]
    assert dests.index("/tmp") < dests.index("/tmp/up")


@pytest.mark.parametrize(
    ("stated", "inodes"), [(1, 2), (100, 101), (1279, 1280), (1280, 1280), (UNLIMITED, 1280)]
)
def test_a_number_of_files_only_lowers_what_the_size_gives(stated: int, inodes: int) -> None:
    wanted = plans.policy()
    wanted = replace(wanted, limits=replace(wanted.limits, scratch_files=stated))
    steps = plans.build(wanted, plans.USER).steps

    assert {step.inodes for step in steps if isinstance(step, s.Tmpfs)} == {inodes}
