"""The command line on top of a profile. Run by: pytest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.profile_files import REASON, refused, write

from hardbox import profile
from hardbox.policy import Bind
from hardbox.profile import Setting


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to which nobody else may write, wherever pytest puts it; also the current one."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_inputs_and_outputs_need_no_reason_under_strict(folder: Path) -> None:
    settings = (
        Setting("filesystem.read", ["./src"], "--read", append=True),
        Setting("filesystem.write", ["/out:/work/out"], "--write", append=True),
        Setting("filesystem.write", ["../x"], "--write", append=True),
        Setting("environment.set", {"A": "1"}, "--env", append=True),
        Setting("environment.pass", ["EDITOR"], "--env", append=True),
    )
    policy = profile.load("strict", settings)
    here = os.getcwd()
    assert policy.filesystem.read == (Bind(f"{here}/src", f"{here}/src"),)
    beside = os.path.dirname(here)
    assert policy.filesystem.write == (Bind("/out", "/work/out"), Bind(f"{beside}/x", f"{beside}/x"))
    assert policy.environment.set == {**profile.load("strict").environment.set, "A": "1"}
    assert policy.environment.pass_ == ("LANG", "TERM", "EDITOR")
    assert policy.loosen == {}
    assert policy.origin("filesystem.write") == "--write"
    assert Path(here) == folder


@pytest.mark.parametrize("path", [".", "./", "./."])
def test_the_current_directory(folder: Path, path: str) -> None:
    policy = profile.load("strict", [Setting("filesystem.write", [path], "--write", append=True)])
    assert policy.filesystem.write == (Bind(os.getcwd(), os.getcwd()),)
    assert Path.cwd() == folder


def test_dots_that_depend_on_symlinks_are_refused() -> None:
    for path in ("a/../b", "/a/../b", ""):
        error = refused("strict", Setting("filesystem.write", [path], "--write", append=True))
        assert error.code == "HB412"


@pytest.mark.parametrize(
    ("grants", "key", "value", "good"),
    [
        ("none", "filesystem.read", ["/a"], False),
        ("none", "environment.set", {"A": "1"}, False),
        ("none", "environment.pass", ["A"], False),
        ("read", "filesystem.read", ["/a"], True),
        ("read", "filesystem.write", ["/a"], False),
        ("read", "environment.set", {"A": "1"}, True),
        ("any", "filesystem.write", ["/a"], True),
    ],
)
def test_grants(folder: Path, grants: str, key: str, value: object, good: bool) -> None:  # noqa: FBT001 (a table's column)
    path = write(folder, f'extends = "strict"\n[filesystem]\ngrants = "{grants}"')
    setting = Setting(key, value, "--flag", append=True)
    if good:
        assert profile.load(path, [setting]).loosen == {}
        return
    error = refused(path, setting)
    assert error.code == "HB418"
    assert "filesystem.grants" in error.instead
    assert profile.load(path, [setting], {key: REASON}).loosen == {key: REASON}


def test_a_variable_is_an_addition_however_it_is_spelled(folder: Path) -> None:
    path = write(folder, 'extends = "strict"\n[filesystem]\ngrants = "none"')
    assert refused(path, Setting("environment.set", {"A": "1"}, "--set environment.set")).code == "HB418"


def test_flags_go_through_the_gate() -> None:
    weaker = Setting("limits.memory", "8G", "--memory")
    error = refused("strict", weaker)
    assert error.code == "HB417"
    assert error.origin == "--memory"
    assert "--loosen 'limits.memory=" in error.instead
    policy = profile.load("strict", [weaker], {"limits.memory": REASON})
    assert policy.limits.memory == 8 << 30
    assert policy.loosen == {"limits.memory": REASON}
    assert profile.load("strict", [Setting("limits.memory", "64M", "--memory")]).loosen == {}
    assert refused("strict", Setting("filesystem.write", ["/a"], "--set filesystem.write")).code == "HB417"
    assert (
        refused(
            "strict", Setting("filesystem.grants", "none", "--set x"), reasons={"network.mode": REASON}
        ).code
        == "HB420"
    )
    assert refused("strict", reasons={"x": REASON}).code == "HB419"


def test_the_last_flag_of_a_kind_counts() -> None:
    settings = [Setting("limits.tasks", 9, "--tasks"), Setting("limits.tasks", 5, "--tasks")]
    assert profile.load("strict", settings).limits.tasks == 5


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting("network.mode", "host", "--network"), "HB103"),
        (Setting("refuse.privileged", value=False, flag="--set refuse.privileged"), "HB110"),
        (Setting("refuse.host-etc", value=False, flag="--set refuse.host-etc"), "HB417"),
        (Setting("limits.memorx", "1G", "--set limits.memorx"), "HB407"),
        (Setting("extends", "inspect", "--set extends"), "HB407"),
        (Setting("loosen.limits.memory", REASON, "--set loosen"), "HB407"),
        (Setting("", "x", "--set"), "HB407"),
        (Setting("limits", {"memory": "1G"}, "--set limits"), "HB407"),
        (Setting("filesystem.read", ["/\udcff\ud800"], "--read", append=True), "HB409"),
    ],
)
def test_bad_settings(setting: Setting, expected: str) -> None:
    assert refused("strict", setting).code == expected


def test_a_protection_is_made_optional_with_its_reason() -> None:
    policy = profile.load("strict", [Setting("optional.landlock", REASON, "--set optional.landlock")])
    assert policy.optional == {"landlock": REASON}


def test_the_current_directory_is_gone(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert profile.load("strict", [Setting("filesystem.read", ["/a"], "--read", append=True)]).filesystem.read
    assert refused("strict", Setting("filesystem.read", ["a"], "--read", append=True)).code == "HB412"
    assert refused("./x.toml").code == "HB402"
    assert profile.load(write(folder, 'extends = "strict"')).name == "ci"
