"""The options of run, plan and compile.  Run by: pytest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hardbox import api
from hardbox.cli.options import OPTIONS, parse
from hardbox.errors import Usage

if TYPE_CHECKING:
    from pathlib import Path


def refused(*argv: str, verb: str = "run") -> Usage:
    with pytest.raises(Usage) as caught:
        parse(verb, [*argv])
    return caught.value


@pytest.mark.parametrize("name", [o.names[0] for o in OPTIONS if o.value and "run" in o.verbs])
@pytest.mark.parametrize("following", ["--", "--quiet", "--profile=strict", "-h"])
def test_an_option_takes_no_other_option_for_its_value(name: str, following: str) -> None:
    found = refused(name, following, "--", "ls")
    assert found.code == "HB002"
    assert found.what == f"{name} needs a value"


def test_a_value_that_looks_like_an_option_is_given_with_an_equals_sign() -> None:
    assert parse("run", ["--env=--quiet=1", "--hostname=--", "ls"]).command == ["ls"]


@pytest.mark.parametrize(("verb", "name"), [("run", "--report"), ("compile", "--output"), ("compile", "-o")])
def test_a_dash_is_no_file(verb: str, name: str) -> None:
    found = refused(name, "-", "ls", verb=verb)
    assert found.code == "HB002"
    assert "name a file" in found.instead


@pytest.mark.parametrize(
    ("word", "offered"),
    [
        ("--memry", "--memory"),
        ("--worksdir", "--workdir"),
        ("--frob", ""),
        ("--verbose", ""),
    ],
)
def test_only_a_word_that_is_near_is_offered(word: str, offered: str) -> None:
    found = refused(word, "ls")
    assert found.code == "HB001"
    assert found.instead.startswith(f"{offered}, or " if offered else "hardbox run --help")


@pytest.mark.parametrize("name", ["--read", "--write"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:b", "a colon cannot stand"),
        ("/x:/y:/z", "a colon cannot stand"),
        ("/src:rel", "DEST"),
        ("/src:", "DEST"),
        ("~", "not expanded"),
        ("~/x", "not expanded"),
        ("$HOME/x", "not expanded"),
        ("${HOME}/x:/y", "not expanded"),
        (":/x", "needs a host path"),
        ("", "needs a host path"),
    ],
)
def test_a_path_that_would_be_misread_is_refused(
    name: str, text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").touch()
    found = refused(name, text, "ls")
    assert found.code == "HB008"
    assert says in found.what


def test_a_file_that_is_called_like_a_variable_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("~x", "$HOME"):
        (tmp_path / name).touch()
        [setting] = parse("run", ["--read", f"{name}:/work/x", "ls"]).settings
        assert setting.value == [f"{os.getcwd()}/{name}:/work/x"]


def test_destinations_and_lock_files_are_added_one_by_one() -> None:
    words = ["--allow", "a.example.org:443", "--allow=10.0.3.7:22", "--lockfile", "uv.lock", "ls"]
    settings = parse("run", words).settings
    assert [(one.key, one.value, one.append) for one in settings] == [
        ("network.allow", ["a.example.org:443"], True),
        ("network.allow", ["10.0.3.7:22"], True),
        ("network.from_lockfile", ["uv.lock"], True),
    ]


def test_a_command_is_a_list() -> None:
    with pytest.raises(Usage) as caught:
        api.run("id")
    assert caught.value.what == "the command is one string, not a list"
    assert caught.value.instead == "argv is a list: ['id']"
