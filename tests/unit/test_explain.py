from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from hardbox import denials
from hardbox.cli import last, report
from hardbox.cli.explain import main
from hardbox.codes import CODES
from hardbox.denials import Denial
from hardbox.errors import SetupFailed, Usage
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
        ("137", "limits.memory"),
        ("137", "SIGKILL"),
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


def test_a_report_is_rendered_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `hardbox report` says, with and without denials, refusals and huge numbers."""
    denial = {"kind": "syscall", "what": "ptrace", "count": 2, "where": "a", "why": "b", "allow": "c"}
    for changes in ({}, {"denials": [denial]}, {"max_rss_bytes": 10**400, "seconds": 10**400}):
        out = _explain(tmp_path, capsys, **changes)
        assert report.main([str(tmp_path / "report.json")]) == 0
        assert capsys.readouterr().out == out
        assert "  the command ended by itself; exit status 3\n" in out
        assert "loosened limits.memory: the linker needs it\n" in out
        assert "  NO " not in out


@pytest.mark.parametrize("signal", [9, 15])
def test_a_limit_is_named_whatever_signal_it_has_sent(
    signal: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _explain(tmp_path, capsys, outcome="limit", limit="wall", signal=signal, exit_code=124)
    assert 'the limit "wall" ended the command; exit status 124\n' in out
    assert "signal" not in out


def test_refusals_are_rendered_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the block on stderr, in a report, and in what is kept of a run without one."""
    row = Denial("syscall", "ptrace", 2, "gdb", "seccomp/strict.toml", "why", "change", "low: x", "likely")
    block = denials.lines((row,), 0, "strict")
    assert block[1:] == denials.shown(row)
    said = _explain(tmp_path, capsys, denials=[row.to_json()])
    assert "\n".join(block[1:]) in said
    kept = {"denials": [row.to_json()], "denials_dropped": 0}
    for name in ("strict", {"name": "strict", "sha256": "ab" * 32}):
        (tmp_path / "last.json").write_text(json.dumps({"schema": last.SCHEMA, "profile": name, **kept}))
        assert main([str(tmp_path / "last.json")]) == 0
        assert capsys.readouterr().out == "\n".join(block) + "\n"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.json")
    with pytest.raises(Usage, match="no report"):
        main([str(tmp_path / "r.json")])
    with pytest.raises(SetupFailed) as caught:
        report.main([str(tmp_path / "r.json")])
    assert (caught.value.code, caught.value.why) == ("HB655", "it is no regular file")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"outcome": "limit", "limit": "wall", "exit_code": 124},
            ['limit "wall"', "exit status 124"],
        ),
        (
            {"outcome": "signaled", "signal": 9, "exit_code": 137},
            ["signal 9 ended", "SIGKILL: by itself"],
        ),
        ({"outcome": "signaled", "signal": 25, "exit_code": 153}, ["SIGXFSZ", "limits.file_size"]),
        ({"outcome": "signaled", "signal": None}, ["signal None"]),
        ({"outcome": "not-found", "exit_code": 127}, ["does not exist inside", "status 127"]),
        ({"outcome": "not-executable", "exit_code": 126}, ["cannot be executed inside", "status 126"]),
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
        ({"namespaces": ["user", "pid"]}, r"NO   own namespaces +shared with the host: mnt, net, ipc, uts"),
        ({"uid_map": [[0, 0, 1]]}, r"NO   own user ids +host root is mapped"),
        ({"uid_map": []}, r"NO   own user ids +no map was seen"),
        ({"capabilities": {"CapEff": 1024}}, r"NO   no capabilities +kept in CapEff"),
        ({"capabilities": {}}, r"NO   no capabilities"),
        ({"no_new_privs": False}, r"NO   no new privileges +not set"),
        ({"seccomp": False}, r"NO   system call filter +none was seen"),
    ],
)
def test_what_was_not_enforced_is_said(
    changes: dict[str, Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(line, _explain(tmp_path, capsys, enforced={**REPORT["enforced"], **changes}))


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
