"""Docker and OCI JSON: what goes through, what is refused, and that nothing changes on the way."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hardbox import filters
from hardbox.cli import seccomp
from hardbox.errors import ProfileError, SetupFailed, Usage
from hardbox.filters import docker as docker_seccomp
from hardbox.filters import model as filter_model
from hardbox.policy import Seccomp

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "docker-like.json").read_text())


def oci_allows(document: Mapping[str, Any], call: str, args: tuple[int, ...]) -> bool:
    return any(
        call in entry["names"]
        and entry["action"] == "SCMP_ACT_ALLOW"
        and all(args[arg["index"]] & arg["value"] == arg["valueTwo"] for arg in entry.get("args", ()))
        for entry in document["syscalls"]
    )


@pytest.mark.parametrize("name", ["strict", "build"])
def test_a_shipped_filter_as_json_allows_the_same(name: str) -> None:
    rules = filter_model.effective(filter_model.load(name, filters.read_filter))
    document = docker_seccomp.write(rules)
    picks = random.Random(1)  # noqa: S311 (a fixed sample)
    for call in sorted(rules.calls()):
        rows = [row for row in (*rules.refuse_when, *rules.allow_when) if row.call == call]
        values = [0, 0xFFFF_FFFF, *(test.value for row in rows for test in row.tests)]
        for _ in range(60 if rows else 1):
            args = tuple(
                picks.choice(values) ^ picks.choice([0, 0, 0, 1 << picks.randrange(32)]) for _ in range(6)
            )
            expected = filter_model.answer(rules, call, args) == 0
            assert oci_allows(document, call, args) == expected, (call, args)
    refused = {
        call for entry in document["syscalls"] if entry.get("errnoRet") == 38 for call in entry["names"]
    }
    assert {"clone3", "openat2"} <= refused


def test_a_docker_like_profile_becomes_a_filter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.json"
    source.write_text(json.dumps(DOCUMENT))
    source.chmod(0o644)
    target = tmp_path / "out.toml"
    assert seccomp.main(["convert", str(source), "-o", str(target)]) == 0
    model = filter_model.load(str(target), filters.read_filter)
    rules = filter_model.effective(model)
    nothing = (0,) * 6
    asked = {
        ("read", nothing): 0,
        ("ptrace", nothing): 0,
        ("arch_prctl", nothing): 0,
        ("personality", (131080, 0, 0, 0, 0, 0)): 0,
        ("personality", nothing): 1,
        ("clone", nothing): 0,
        ("clone", (0x1000_0000, 0, 0, 0, 0, 0)): 1,
        ("clone", (0x1000_0000, 0x7E02_0000, 0, 0, 0, 0)): 1,
        ("clone3", nothing): 38,
        ("ioctl", (1, 21523, 0, 0, 0, 0)): 0,
        ("ioctl", (2, 21523, 0, 0, 0, 0)): 1,
        ("chroot", nothing): 38,
        ("mount", nothing): 38,
    }
    assert {key: filter_model.answer(rules, *key) for key in asked} == asked
    kept = filter_model.effective(model, keep=("SYS_CHROOT",))
    assert filter_model.answer(kept, "chroot", nothing) == 38
    assert "left out, no filter may allow them: chroot" in capsys.readouterr().out
    assert filters.compile_filter(Seccomp(str(target)), keep=("SYS_CHROOT",), machine="x86_64").bpf
    back = tmp_path / "back.json"
    assert seccomp.main(["convert", str(target), "-o", str(back)]) == 0
    third = tmp_path / "third.toml"
    assert seccomp.main(["convert", str(back), "-o", str(third)]) == 0
    again = filter_model.effective(filter_model.load(str(third), filters.read_filter))
    assert (again.allow, set(again.allow_when)) == (rules.allow, set(rules.allow_when))


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("defaultAction",), "SCMP_ACT_ALLOW", "default action"),
        (("defaultAction",), "SCMP_ACT_KILL", "default action"),
        (("flags",), ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], "flags"),
        (("listenerPath",), "/x", "unknown key"),
        (("syscalls",), {}, "not a list"),
        (("syscalls", 0, "names"), [], "without names"),
        (("syscalls", 0, "action"), "SCMP_ACT_TRACE", "action"),
        (("syscalls", 0, "priority"), 1, "unknown key"),
        (("syscalls", 1, "includes", "minKernel"), "6.8", "kernel"),
        (("syscalls", 2, "args", 0, "op"), "SCMP_CMP_NE", "comparison"),
        (("syscalls", 2, "args", 0, "op"), "SCMP_CMP_GE", "comparison"),
        (("syscalls", 2, "args", 0, "value"), 1 << 32, "32 bits"),
        (("syscalls", 2, "args", 0, "index"), 6, "index"),
        (("syscalls", 2, "args", 0, "value"), "8", "index or value"),
        (("syscalls", 3, "args", 0, "valueTwo"), 1, "never holds"),
        (("syscalls", 5, "errnoRet"), 4000, "errno"),
        (("syscalls", 5, "names"), ["read"], "both allowed and refused"),
        (("syscalls", 7, "includes", "caps"), ["CAP_A", "CAP_B"], "several capabilities"),
        (("syscalls", 8, "args", 1, "index"), 1, "twice"),
    ],
)
def test_what_cannot_be_said_is_an_error(where: tuple[Any, ...], value: object, words: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    inner: Any = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(ProfileError, match=words) as caught:
        docker_seccomp.read(document, "in.json")
    assert caught.value.code == "HB460"
    assert caught.value.value or where[0] != "syscalls"


def test_an_output_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("mine")
    with pytest.raises(SetupFailed) as caught:
        seccomp.main(["convert", "strict", "-o", str(target)])
    assert caught.value.code == "HB606"
    assert target.read_text() == "mine"
    with pytest.raises(Usage):
        seccomp.main(["convert", "strict", "-o", str(tmp_path / "out.txt")])


def test_show_prints_every_group_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert seccomp.main(["show", "strict"]) == 0
    printed = capsys.readouterr().out
    for group in filter_model.load("strict", filters.read_filter).groups:
        assert f"\n{group.name}  (" in printed
        assert group.why in printed
    assert seccomp.main(["show", "strict", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hardbox.filter/1"
    assert document["totals"]["groups"] == len(document["groups"])
