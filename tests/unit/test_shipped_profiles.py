"""The six profiles that ship, and the documentation of the format. Run by: pytest."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from hardbox import profile, rules
from hardbox.cli import main as cli
from hardbox.policy import FILTER_ORDER, UNLIMITED
from hardbox.profile import merge, orders, schema
from hardbox.profile.values import plain

NAMES = ("agent", "baseline", "build", "inspect", "net-client", "strict")
DOCS = Path(__file__).parents[2] / "docs" / "profiles.md"


def test_these_ship() -> None:
    assert profile.shipped() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_loads_with_finite_limits_and_every_rule(name: str) -> None:
    policy = profile.load(name)
    values = profile.flat(policy)
    assert policy.name == name
    assert all(values[key] != UNLIMITED for key in schema.LIMITS)
    assert set(policy.refuse) == set(rules.RULES)
    assert policy.optional == {}
    assert policy.capabilities.keep == ()
    assert policy.identity.user != 0
    assert policy.identity.group != 0
    assert policy.summary
    assert policy.seccomp.filter in FILTER_ORDER
    assert all(len(reason) > 20 for reason in policy.loosen.values())
    assert policy.origin("limits.memory")


def test_strict_shows_no_home_and_writes_nothing() -> None:
    policy = profile.load("strict")
    assert policy.network.mode == "none"
    assert policy.filesystem.exec == "shown"
    assert policy.filesystem.mode == "read-only"
    assert policy.filesystem.write == policy.filesystem.read == ()
    assert policy.filesystem.show == ("/usr", "/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache")
    assert policy.loosen == {}
    assert policy.environment.set["HOME"] in policy.filesystem.scratch


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("strict", "baseline"),
        ("baseline", "build"),
        ("build", "inspect"),
        ("build", "agent"),
        ("strict", "net-client"),
    ],
)
def test_each_weaker_value_has_its_reason(parent: str, child: str) -> None:
    first, second = profile.load(parent), profile.load(child)
    assert second.sources[1:] == first.sources
    before, after = profile.flat(first), profile.flat(second)
    weaker = {key for key in orders.ORDERS if not orders.at_most(key, after[key], before[key])}
    assert weaker
    assert weaker <= set(second.loosen)


@pytest.mark.parametrize("name", NAMES)
def test_only_those_for_a_network_let_the_caller_name_destinations(name: str) -> None:
    network = profile.load(name).network
    assert (network.mode == "allow") == (network.grants == "any") == (name in ("agent", "net-client"))
    assert network.allow == ()


def test_inspect_says_loudly_that_it_is_loose() -> None:
    assert profile.load("inspect").summary.startswith("LOOSE")


def test_the_documentation_has_one_true_row_for_each_key() -> None:
    rows = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    found = {row[0].strip("| `"): row for row in rows if "." in row[0] or row[0] == "| `summary`"}
    assert set(found) == set(schema.READERS)
    for key, row in found.items():
        assert row[3] == orders.ORDERS[key][1], key
        default = row[4].removesuffix(" |").strip("`")
        shown = plain(key, merge.DEFAULTS[key])
        unlimited = "must be stated" if key in schema.LIMITS else "none"
        said = {"unlimited": unlimited, "": '""', "False": "false"}.get(str(shown), str(shown))
        assert default.strip('"') == said.strip('"'), key


def _blocks() -> list[tuple[str, str, str]]:
    """Give (kind, name, content) of each marked block of the documentation."""
    found: list[tuple[str, str, str]] = []
    lines = DOCS.read_text().splitlines()
    for number, line in enumerate(lines):
        for kind in ("file", "run"):
            if line.startswith(f"<!-- {kind}: "):
                end = lines.index("```", number + 2)
                content = "\n".join(lines[number + 2 : end]) + "\n"
                found.append((kind, line.removeprefix(f"<!-- {kind}: ").removesuffix(" -->"), content))
    return found


def test_the_examples_of_the_documentation_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = _blocks()
    assert [kind for kind, _, _ in blocks] == ["file", "run", "file", "run", "run"]
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for kind, name, content in blocks:
        if kind == "file":
            (tmp_path / name).write_text(content)
            (tmp_path / name).chmod(0o644)
            continue
        monkeypatch.setattr("sys.argv", shlex.split(name))
        status = cli.entry()
        said = capsys.readouterr()
        assert said.out + said.err == content
        assert status in (1, 125)
    assert os.getcwd() == str(tmp_path)
