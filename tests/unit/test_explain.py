from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hardbox.cli.explain import main
from hardbox.codes import CODES
from hardbox.errors import Usage
from hardbox.rules import RULES

if TYPE_CHECKING:
    from pathlib import Path

REPORT: dict[str, Any] = {
    "schema": "hardbox.report/1",
    "outcome": "exited",
    "exit_code": 3,
    "signal": None,
    "limit": None,
    "argv": ["sh", "-c", "exit 3"],
    "profile": {"name": "strict", "sha256": "ab" * 32},
    "plan": {"sha256": "cd" * 32},
    "enforced": {
        "namespaces": ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"],
        "uid_map": [[1000, 1000, 1]],
        "gid_map": [[1000, 1000, 1]],
        "capabilities": {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0},
        "no_new_privs": True,
        "seccomp": True,
        "seccomp_filters": 1,
    },
    "loosened": {"limits.memory": "the linker needs it"},
    "optional": {},
    "seconds": 1.5,
    "max_rss_bytes": 3 << 20,
}


def _explain(tmp_path: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> str:  # noqa: ANN401 (JSON)
    file = tmp_path / "report.json"
    file.write_text(json.dumps({**REPORT, **changes}))
    assert main([str(file)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([code]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{code}: {CODES[code].title}\n")
    assert CODES[code].instead in out


@pytest.mark.parametrize("word", ["HB103", "hb103", "103", "[HB103]", "host-network", "Host-Network"])
def test_a_rule_by_code_or_name(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([word])
    out = capsys.readouterr().out
    rule = RULES["host-network"]
    assert rule.why in out
    assert "by no profile and no flag" in out
    assert all(name in out for name in rule.ids)
    assert "CIS Docker Benchmark, section 5.10" in out


def test_how_a_rule_is_lifted(capsys: pytest.CaptureFixture[str]) -> None:
    main(["credentials"])
    out = capsys.readouterr().out
    assert "[refuse] credentials = false" in out
    assert '[loosen] "refuse.credentials"' in out


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("HB1033", "HB103"),
        ("host-netwrok", "host-network"),
        ("HB999", "hardbox explain HB103; "),
        ("HB140", "hardbox explain HB103; "),
        ("256", "hardbox explain HB103; "),
        ("limits.memory", "docs/profiles.md"),
        ("limits", "docs/profiles.md"),
        ("strict", "hardbox profile show strict"),
        ("", "hardbox explain"),
    ],
)
def test_an_unknown_word_gets_the_nearest(word: str, near: str) -> None:
    with pytest.raises(Usage) as caught:
        main([word])
    assert caught.value.code == "HB020"
    assert near in caught.value.instead


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("0", "the command's own status"),
        ("3", "the command's own status"),
        ("124", "time limit"),
        ("125", "nothing was run"),
        ("126", "cannot be executed"),
        ("127", "not found"),
        ("128+N", "signal N"),
        ("137", "SIGKILL ended the command"),
        ("153", "limits.file_size"),
        ("152", "limits.cpu_time"),
        ("255", "the command's own status"),
    ],
)
def test_an_exit_status_is_explained(status: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([status]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"exit status {status}: ")
    assert says in out


@pytest.mark.parametrize("argv", [[], ["HB103", "HB104"]])
def test_one_argument_is_needed(argv: list[str]) -> None:
    with pytest.raises(Usage):
        main(argv)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "hardbox explain" in capsys.readouterr().out


def test_a_report_in_plain_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = _explain(tmp_path, capsys)
    assert "outcome  the command ended by itself\n" in out
    assert "status   3: the command's own status\n" in out
    assert "loosened limits.memory: the linker needs it\n" in out
    assert "used     1.50 s, at most 3 MiB in one process\n" in out
    assert "  NO " not in out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"outcome": "limit", "limit": "wall", "exit_code": 124},
            ['limit "wall"', "124: the time limit ended it"],
        ),
        (
            {"outcome": "signaled", "signal": 9, "exit_code": 137},
            ["signal 9 ended", "signal N ended the command"],
        ),
        ({"outcome": "signaled", "signal": 25, "exit_code": 153}, ["SIGXFSZ", "limits.file_size"]),
        ({"outcome": "signaled", "signal": None}, ["signal None"]),
        ({"outcome": "not-found", "exit_code": 127}, ["does not exist inside", "127: "]),
        ({"outcome": "not-executable", "exit_code": 126}, ["cannot be executed inside", "126: "]),
        ({"outcome": "lost", "exit_code": 137}, ["killed from outside"]),
        ({"outcome": "new-thing"}, ["which this version does not know"]),
    ],
)
def test_every_outcome(
    changes: dict[str, Any], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _explain(tmp_path, capsys, **changes)
    assert all(word in out for word in words)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"namespaces": ["user", "pid"]}, "NO   own namespaces: shared with the host: mnt, net, ipc, uts"),
        ({"uid_map": [[0, 0, 1]]}, "NO   own user ids: host root is mapped"),
        ({"uid_map": []}, "NO   own user ids: no map was seen"),
        ({"capabilities": {"CapEff": 1024}}, "NO   no capabilities: kept in CapEff"),
        ({"capabilities": {}}, "NO   no capabilities"),
        ({"no_new_privs": False}, "NO   no new privileges: not set"),
        ({"seccomp": False}, "NO   system call filter: none was seen"),
    ],
)
def test_what_was_not_enforced_is_said(
    changes: dict[str, Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in _explain(tmp_path, capsys, enforced={**REPORT["enforced"], **changes})


@pytest.mark.parametrize(
    "enforced", [None, [], "x", {}, {"namespaces": 3, "capabilities": [], "uid_map": "x"}]
)
def test_a_report_that_says_nothing_counts_as_nothing_enforced(
    enforced: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _explain(tmp_path, capsys, enforced=enforced).count("  NO ") == 5


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "other/1"}', b"\xff\xfe", b"[" * 100000])
def test_files_that_are_no_reports(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_bytes(content)
    with pytest.raises(Usage) as caught:
        main([str(file)])
    assert caught.value.code == "HB020"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "absent.json"), "a\0/b"):
        with pytest.raises(Usage):
            main([path])


def test_a_hostile_report_cannot_drive_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _explain(tmp_path, capsys, argv=["\x1b]52;c;x\x07"], loosened={"\x1b[2J": "\x9b"})
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert "\x07" not in out
