"""`hardbox doctor`: words, exit status, JSON.  Run by: pytest."""

from __future__ import annotations

import json
import os

import jsonschema
import pytest

from hardbox.cli import doctor
from hardbox.errors import HostUnfit, Usage
from hardbox.host import HostFacts
from hardbox.probe.check import Check

FACTS = HostFacts(uid=1000, gid=1000, user_name="me\x1b", kernel="6.1.0")
GOOD = Check("good", ok=True, found="works", why="w", required=True)
INFO = Check("info-only", ok=None, found="so and so", why="w")
GAP = Check("gap", ok=False, found="absent", why="w", fix="mend it")
MISSING = Check("missing", ok=False, found="absent", why="w", fix="line one\nline two\n", required=True)
ARMOR = Check("armor", ok=False, found="refused", why="w", fix="f", required=True, blocker="apparmor")
SCHEMA = os.path.join(os.path.dirname(__file__), "../../docs/doctor.schema.json")


def say(monkeypatch: pytest.MonkeyPatch, *checks: Check, argv: tuple[str, ...] = ()) -> int:
    monkeypatch.setattr(doctor, "examine", lambda: (FACTS, checks))
    return doctor.main(list(argv))


def test_a_fit_host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(monkeypatch, GOOD, INFO, GAP) == 0
    out = capsys.readouterr().out
    assert "ok    good       works" in out
    assert "info  info-only  so and so" in out
    assert "no    gap        absent" in out
    assert "fix: mend it" in out
    assert "this host is fit: 1 of 3 ok" in out
    assert "\x1b" not in out


def test_something_required_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(monkeypatch, GOOD, MISSING) == 125
    out = capsys.readouterr().out
    assert "line two" in out
    assert "not fit" in out
    assert "missing: missing" in out


def test_the_same_fix_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, MISSING, MISSING)
    out = capsys.readouterr().out
    assert out.count("line two") == 1
    assert "as above" in out


@pytest.mark.parametrize(("checks", "fit"), [((GOOD, INFO, GAP), True), ((MISSING,), False)])
def test_json(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    checks: tuple[Check, ...],
    fit: bool,  # noqa: FBT001 (a table's column)
) -> None:
    assert say(monkeypatch, *checks, argv=("--json",)) == (0 if fit else 125)
    document = json.loads(capsys.readouterr().out)
    with open(SCHEMA, encoding="utf-8") as file:
        jsonschema.validate(document, json.load(file))
    assert document["fit"] is fit
    assert [check["name"] for check in document["checks"]] == [check.name for check in checks]


def test_unreadable_facts_are_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unfit() -> HostFacts:
        raise HostUnfit("HB502", "/proc is not mounted", instead="mount it")

    monkeypatch.setattr(doctor, "read_facts", unfit)
    assert doctor.main(["--json"]) == 125
    document = json.loads(capsys.readouterr().out)
    with open(SCHEMA, encoding="utf-8") as file:
        jsonschema.validate(document, json.load(file))
    assert document["host"] is None
    assert document["checks"][0]["fix"] == "mount it"


def test_what_apparmor_refuses_to_python_only_is_no_gap() -> None:
    sandbox = Check("sandbox", ok=True, found="runs", why="w", required=True)
    held, trial = doctor.settle([ARMOR], sandbox)
    assert (held.ok, trial.ok) == (None, True)
    broken = Check("sandbox", ok=False, found="no", why="w", required=True)
    assert doctor.settle([ARMOR], broken)[0].ok is False
    assert doctor.settle([MISSING], sandbox)[0].ok is False


@pytest.mark.parametrize("word", ["--jason", "x", ""])
def test_unknown_words_are_refused(word: str) -> None:
    with pytest.raises(Usage):
        doctor.main([word])


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--help"]) == 0
    assert "--json" in capsys.readouterr().out
