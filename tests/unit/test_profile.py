"""Profiles as files: reading, trusting, extending. Run by: pytest."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from support.profile_files import REASON, code, refused, write

from hardbox import files, profile
from hardbox.errors import Refused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to which nobody else may write, wherever pytest puts it; also the current one."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Files.


@pytest.mark.parametrize("name", ["", "nosuch", "stric", "strict\0", "NUL"])
def test_unknown_names(name: str) -> None:
    assert refused(name).code == "HB401"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("stric", 'did you mean "strict"? A file is named with a /: ./stric.toml'),
        ("nosuch", "net-client, strict; a file is named with a /: ./nosuch.toml"),
    ],
)
def test_an_unknown_name_is_answered_in_one_sentence_after_the_other(name: str, says: str) -> None:
    assert refused(name).instead.endswith(says)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert 'did you mean "strict"?' in refused("strcit").instead


def test_missing_file_and_name_with_nul(folder: Path) -> None:
    assert refused(str(folder / "no.toml")).code == "HB402"
    assert refused("./a\0b.toml").code == "HB402"
    assert refused(str(folder / ("x" * 300)) + ".toml").code == "HB402"
    write(folder, "", "plain.toml")
    assert refused("plain.toml/x").code == "HB402"


def test_what_is_no_regular_file(folder: Path) -> None:
    os.mkfifo(folder / "fifo.toml", 0o600)
    (folder / "dir.toml").mkdir(mode=0o755)
    here = socket.socket(socket.AF_UNIX)
    here.bind("sock.toml")
    here.close()
    (folder / "sock.toml").chmod(0o600)
    for name in ("fifo.toml", "dir.toml", "sock.toml"):
        assert refused(name).code == "HB403"


def test_a_loop_of_symlinks_ends(folder: Path) -> None:
    (folder / "loop.toml").symlink_to("loop.toml")
    assert refused("loop.toml").code == "HB402"


def test_size_encoding_and_syntax(folder: Path) -> None:
    assert code(folder, b"#" * ((1 << 20) + 1)) == "HB404"
    assert code(folder, b'summary = "\xff"') == "HB405"
    assert code(folder, b"\xff\xfe") == "HB405"
    assert code(folder, b"summary = \x00") == "HB406"
    assert code(folder, "summary = ") == "HB406"
    assert code(folder, 'summary = "a"\nsummary = "b"') == "HB406"
    assert code(folder, "[limits]\n[limits]") == "HB406"
    assert code(folder, "x = " + "[" * 100_000) == "HB406"
    assert code(folder, "[limits]\ntasks = " + "9" * 5000) == "HB406"
    assert code(folder, "x = 2026-13-45") == "HB406"


def test_a_file_of_exactly_the_limit_is_read(folder: Path) -> None:
    start = 'extends = "strict"\n#'
    path = write(folder, start + "x" * ((1 << 20) - len(start)))
    assert profile.load(path).sources == (path, "strict")


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646, 0o777])
def test_a_file_that_others_write_is_refused(folder: Path, mode: int) -> None:
    path = write(folder, 'extends = "strict"')
    Path(path).chmod(mode)
    error = refused(path)
    assert isinstance(error, Refused)
    assert error.code == "HB230"


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_directory_in_which_others_rename_is_refused(folder: Path, mode: int) -> None:
    (folder / "open").mkdir()
    (folder / "open" / "below").mkdir(mode=0o755)
    path = write(folder / "open" / "below", 'extends = "strict"')
    assert profile.load(path).name == "ci"
    (folder / "open").chmod(mode)
    assert refused(path).code == "HB230"
    # Sticky: others can add names there, but not replace this one.
    (folder / "open").chmod(mode | 0o1000)
    assert profile.load(path).name == "ci"


def test_the_way_through_a_symlink_is_looked_at_too(folder: Path) -> None:
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    write(folder, 'extends = "strict"', "real.toml")
    (folder / "open" / "link.toml").symlink_to("../real.toml")
    assert refused("open/link.toml").code == "HB230"
    (folder / "good.toml").symlink_to("real.toml")
    assert profile.load("./good.toml").name == "good"


@pytest.mark.parametrize(
    ("owner", "caller", "good"), [(0, 7, True), (7, 7, True), (8, 7, False), (8, 0, False)]
)
@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK])
def test_only_root_and_the_caller_may_own_it(
    monkeypatch: pytest.MonkeyPatch,
    kind: int,
    owner: int,
    caller: int,
    good: bool,  # noqa: FBT001 (a table's column)
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: caller)
    found = os.stat_result((kind | 0o755, 1, 1, 1, owner, owner, 1, 0, 0, 0))
    if good:
        files.only_mine(found, "/x.toml", "profile")
        return
    with pytest.raises(Refused) as caught:
        files.only_mine(found, "/x.toml", "profile")
    assert caught.value.code == "HB230"


# Extending.


def test_extends_by_relative_path_and_by_name(folder: Path) -> None:
    (folder / "sub").mkdir(mode=0o755)
    write(folder, 'extends = "strict"\n[limits]\ntasks = 32', "parent.toml")
    path = write(folder / "sub", 'extends = "../parent.toml"\n[limits]\ntasks = 16', "child.toml")
    policy = profile.load(path)
    assert policy.limits.tasks == 16
    assert policy.sources[0] == path
    assert policy.sources[1].endswith("parent.toml")
    assert policy.sources[2] == "strict"
    assert policy.origin("limits.tasks") == f"{path} limits.tasks"
    assert policy.origin("limits.memory") == "strict limits.memory"


def test_a_filter_file_is_found_beside_its_profile(folder: Path) -> None:
    (folder / "sub").mkdir(mode=0o755)
    text = f'extends = "strict"\nseccomp.filter = "./own.toml"\nloosen = {{ "seccomp.filter" = "{REASON}" }}'
    policy = profile.load(write(folder / "sub", text))
    assert policy.seccomp.filter == str(Path.cwd() / "sub" / "own.toml")
    child = write(folder, 'extends = "sub/ci.toml"', "child.toml")
    assert profile.load(child).seccomp.filter == policy.seccomp.filter


@pytest.mark.parametrize(
    "name", ["./ci.toml", "ci.toml", "./sub/../ci.toml", "sub/back/ci.toml", "{here}/ci.toml"]
)
def test_a_policy_names_the_file_that_it_comes_from(folder: Path, name: str) -> None:
    (folder / "sub").mkdir(mode=0o755)
    (folder / "sub" / "back").symlink_to("..")
    write(folder, 'extends = "strict"')
    found = profile.load(name.format(here=folder)).files
    assert str(folder / "ci.toml") in found
    assert all(path.startswith("/") for path in found)
    assert (str(folder / "sub" / "back") in found) == ("back" in name)


def test_a_policy_names_relative_parents_symlinks_and_filter_files(folder: Path) -> None:
    (folder / "sub").mkdir(mode=0o755)
    write(folder, 'extends = "strict"', "parent.toml")
    (folder / "real.toml").write_text('extends = "strict"\n')
    (folder / "link.toml").symlink_to("filter.toml")
    reason = f'loosen = {{ "seccomp.filter" = "{REASON}" }}'
    text = f'extends = "../parent.toml"\nseccomp.filter = "../link.toml"\n{reason}'
    write(folder / "sub", text, "child.toml")
    (folder / "way.toml").symlink_to("sub/child.toml")
    names = ("way.toml", "sub/child.toml", "parent.toml", "link.toml", "filter.toml")
    assert set(profile.load("way.toml").files) == {str(folder / name) for name in names}
    assert profile.load("strict").files == ()


def test_an_ephemeral_root_that_forbids_executing_what_is_written_does_not_load(folder: Path) -> None:
    """A contradiction of the file itself: `profile lint` tells it, and not only the run."""
    reasons = f'[loosen]\n"filesystem.mode" = "{REASON}"\n"filesystem.changes" = "{REASON}"\n'
    files_ = '[filesystem]\nmode = "ephemeral"\nchanges = "1M"\n'
    name = write(folder, f'extends = "strict"\n{files_}{reasons}')
    assert refused(name).code == "HB430"
    assert [problem.code for problem in profile.inspect(name).problems] == ["HB430"]
    name = write(
        folder, f'extends = "strict"\n{files_}exec = "anywhere"\n{reasons}"filesystem.exec" = "{REASON}"\n'
    )
    assert profile.load(name).filesystem.mode == "ephemeral"


def test_an_inspection_tells_what_the_file_says_and_what_it_extends(folder: Path) -> None:
    write(folder, 'extends = "strict"\n[limits]\ntasks = 32', "parent.toml")
    found = profile.inspect(write(folder, 'extends = "parent.toml"\n[limits]\ncpu_time = "1s"', "child.toml"))
    assert found.policy is not None
    assert found.own is not None
    assert found.parent is not None
    assert found.own.values == {"limits.cpu_time": 1}
    assert found.parent.values["limits.tasks"] == 32
    assert [os.path.basename(name) for name in found.parent.sources] == ["parent.toml", "strict"]


def test_where_the_files_are_does_not_change_the_digest(folder: Path) -> None:
    write(folder, 'extends = "strict"', "a.toml")
    write(folder, 'extends = "strict"', "b.toml")
    first, second = profile.load("a.toml"), profile.load("b.toml")
    assert first.files != second.files
    assert first.digest == second.digest


def test_circles_and_long_chains_end(folder: Path) -> None:
    assert code(folder, 'extends = "ci.toml"') == "HB422"
    write(folder, 'extends = "./b.toml"', "a.toml")
    write(folder, 'extends = "./a.toml"', "b.toml")
    assert refused("a.toml").code == "HB422"
    for number in range(9):
        write(folder, f'extends = "./{number + 1}.toml"', f"{number}.toml")
    write(folder, 'extends = "strict"', "9.toml")
    assert refused("0.toml").code == "HB422"
    assert profile.load("3.toml").sources[-1] == "strict"


@pytest.mark.parametrize("value", ["3", "[]", "[ 'strict', 'build' ]", "true"])
def test_one_parent_only(folder: Path, value: str) -> None:
    assert code(folder, f"extends = {value}") == "HB408"


def test_a_parent_that_is_missing_or_open_to_others(folder: Path) -> None:
    assert code(folder, 'extends = "./no.toml"') == "HB402"
    assert code(folder, 'extends = "strictest"') == "HB401"
    Path(write(folder, 'extends = "strict"', "parent.toml")).chmod(0o666)
    assert code(folder, 'extends = "./parent.toml"') == "HB230"


def test_a_profile_of_its_own_states_every_limit(folder: Path) -> None:
    error = refused(write(folder, 'summary = "mine"'))
    assert (error.code, isinstance(error, Refused)) == ("HB305", True)
    limits = 'memory="1M"\ntasks=1\ncpu=1\ncpu_time="1s"\nwall="1s"\nfile_size=1\nopen_files=16'
    rows = limits.split("\n")
    policy = profile.load(write(folder, f"[limits]\n{limits}"))
    assert policy.filesystem.show == ()
    for left_out in range(len(rows)):
        assert code(folder, "[limits]\n" + "\n".join(rows[:left_out] + rows[left_out + 1 :])) == "HB305"
