"""`hardbox profile`: what it prints and its exit status. Run by: pytest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hardbox import files, profile, rules
from hardbox.cli.profile import main
from hardbox.errors import HardboxError, Usage
from hardbox.profile import schema

if TYPE_CHECKING:
    from pathlib import Path

REASON = "a reason that is long enough"
WRITES_AND_RUNS = f"""
filesystem = {{ exec = "anywhere", write = ["/a"] }}
loosen = {{ "filesystem.exec" = "{REASON}", "filesystem.write" = "{REASON}" }}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "ci.toml") -> str:
    (folder / name).write_text(text)
    (folder / name).chmod(0o644)
    return f"./{name}"


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(profile.shipped())
    assert [line.split()[0] for line in lines if line.endswith(" (default)")] == ["strict"]


def test_show_has_every_value_and_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "baseline"]) == 0
    out = capsys.readouterr().out
    first = {line.split()[0] for line in out.splitlines() if line}
    assert set(schema.READERS) - {"summary"} <= first
    for rule in rules.RULES.values():
        assert f"{rule.code}  {rule.name}" in out
        assert ", ".join(rule.ids) in out
    assert "weaker than the parent:" in out
    assert profile.load("baseline").digest in out


def test_show_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "baseline", "--origin"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("limits.memory")]
    assert [row.split() for row in rows] == [["limits.memory", '"1G"', "baseline", "limits.memory"]]


def test_show_names_lifted_rules_with_their_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = write(
        folder,
        f'extends = "strict"\n[refuse]\nhost-homes = false\nhost-devices = ["ACME-7"]\n'
        f'[loosen]\n"refuse.host-homes" = "{REASON}"\n[optional]\nlandlock = "old kernels in our test farm"',
    )
    assert main(["show", name]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if " host-homes " in line)
    assert "LIFTED" in row
    assert REASON in row
    assert "ACME-7" in next(line for line in out.splitlines() if " host-devices " in line)
    assert "old kernels in our test farm" in out


def test_show_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--json", "build"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hardbox.profile/1"
    assert document["sha256"] == profile.load("build").digest
    assert document["sources"] == ["build", "baseline", "strict"]
    assert document["values"]["limits.memory"] == {"value": "4G", "origin": "build limits.memory"}
    assert {rule["name"] for rule in document["rules"]} == set(rules.RULES)
    assert {rule["standing"] for rule in document["rules"]} == {"floor", "refused"}


def test_diff(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "strict", "build"]) == 1
    weaker = capsys.readouterr().out.splitlines()[1:]
    assert weaker
    assert all(line.split()[1] == "weaker" for line in weaker)
    assert main(["diff", "build", "strict"]) == 1
    assert all(line.split()[1] == "stricter" for line in capsys.readouterr().out.splitlines()[1:])
    assert main(["diff", "strict", "strict"]) == 0


def test_diff_of_rules_and_optional_protections(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = write(
        folder,
        f'extends = "strict"\n[refuse]\nhost-homes = false\n[loosen]\n"refuse.host-homes" = "{REASON}"\n'
        f'[optional]\nlandlock = "{REASON}"',
    )
    assert main(["diff", "strict", name]) == 1
    out = capsys.readouterr().out
    assert "in force -> lifted" in out
    assert "required -> optional" in out
    assert out.count("weaker") == 2
    assert main(["diff", name, "strict"]) == 1
    assert capsys.readouterr().out.count("stricter") == 2


def test_lint_reads_each_file_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(folder, 'extends = "strict"\n[limits]\ntasks = 8')
    read = files.read
    seen: list[str] = []

    def counting(path: str, *arguments: object, **options: object) -> files.Found:
        seen.append(path)
        return read(path, *arguments, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(files, "read", counting)
    assert main(["lint", name]) == 0
    assert "summary is missing" in capsys.readouterr().out
    assert len(seen) == len(set(seen)) == 2


def test_an_unknown_word_is_an_unknown_word() -> None:
    with pytest.raises(Usage) as caught:
        main(["lsit"])
    assert caught.value.code == "HB001"
    assert caught.value.instead == 'did you mean "list"?'


def test_lint_tells_all_problems(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = write(folder, 'extends = "strict"\na = 1\n[limits]\ntasks = 0\nmemory = "1T"')
    assert main(["lint", name]) == 1
    out = capsys.readouterr().out
    for code in ("HB407", "HB410", "HB417"):
        assert f"[{code}]" in out
    assert "3 problems" in out


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("", "summary is missing"),
        ("[limits]\ntasks = 64", "repeats the parent's value"),
        (f'[environment]\npass = ["MY_TOKEN"]\n[loosen]\n"environment.pass" = "{REASON}"', "takes MY_TOKEN"),
        (
            '[network]\nmode = "allow"\n[loosen]\n"network.mode" = "a reason that is long enough"',
            "with an empty list reaches nothing",
        ),
        (f'[optional]\nlandlock = "{REASON}"', "one wall is missing"),
        (
            '[limits]\nwall = "2d"\n[loosen]\n"limits.wall" = "a reason that is long enough"',
            "above one day",
        ),
        (
            WRITES_AND_RUNS,
            "people may run later",
        ),
    ],
)
def test_lint_advises(folder: Path, capsys: pytest.CaptureFixture[str], line: str, advice: str) -> None:
    assert main(["lint", write(folder, f'extends = "strict"\n{line}\n')]) == 0
    out = capsys.readouterr().out
    assert f"advice: {advice}" in out or advice in out
    assert ": loads; sha256 " in out


def test_lint_is_content_with_a_good_profile(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", write(folder, 'extends = "strict"\nsummary = "mine"\n[limits]\ntasks = 8')]) == 0
    assert "advice" not in capsys.readouterr().out


def test_a_hostile_name_cannot_drive_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = write(folder, 'extends = "strict"\n"\\u001b[31m" = 1')
    assert main(["lint", name]) == 1
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch"],
        ["list", "x"],
        ["show"],
        ["show", "a", "b"],
        ["show", "strict", "--nosuch"],
        ["lint"],
        ["diff", "strict"],
    ],
)
def test_usage(words: list[str]) -> None:
    with pytest.raises(Usage):
        main(words)


def test_a_profile_that_does_not_load_is_an_error(folder: Path) -> None:
    with pytest.raises(HardboxError) as caught:
        main(["show", str(folder / "no.toml")])
    assert caught.value.code == "HB402"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main(["show", "--help"]) == 0
    assert main([]) == 125
    assert capsys.readouterr().out.count("usage: hardbox profile") == 3
