"""`hardbox verify` as people type it: exit status, JSON, the page, and the page in a browser.

Run by: pytest.
"""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jsonschema
import pexpect
import pytest
from support import browser, faults

from attack.conftest import left_by_the_dead
from hardbox.verify.check import TITLES, VERDICTS

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

SECONDS: Final = 240


def test_table(hardbox: Hardbox) -> None:
    done = hardbox("verify", "--class", "uts,net", timeout=SECONDS)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("uts ", "net ", "all "))] == [
        "net",
        "uts",
        "all",
    ] or [line.split()[0] for line in lines if line.startswith(("uts ", "net ", "all "))] == [
        "uts",
        "net",
        "all",
    ]
    assert any(line.startswith("vacuous: ") and "(" in line for line in lines)
    assert lines[-1] == "nothing escaped"
    assert done.stderr == ""  # progress is for terminals


def test_verbose(hardbox: Hardbox) -> None:
    done = hardbox("verify", "--class=uts", "--verbose", timeout=SECONDS)
    assert "held     G1-sethostname: " in done.stdout


def test_json(hardbox: Hardbox) -> None:
    done = hardbox("verify", "--json", "--class", "tty", timeout=SECONDS)
    document = json.loads(done.stdout)
    schema = faults.read_json(str(Path(__file__).parents[2] / "docs" / "verify.schema.json"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["nothing_escaped"] is True
    assert set(document["counts"]["tty"]) == set(VERDICTS)
    for row in document["checks"]:
        assert set(row) == {
            *(
                "id",
                "class",
                "what",
                "source",
                "expects",
                "observed",
                "control",
                "outcome",
                "verdict",
                "reason",
            ),
            "standards",
        }
        assert row["class"] == "tty"
        assert row["verdict"] in VERDICTS
        assert row["reason"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--class", "nonsense"), "HB001"),
        (("--class",), "HB001"),
        (("--nonsense",), "HB001"),
        (("strict",), "HB001"),
        (("--json", "--json"), "HB001"),
        (("--profile", "nonsense"), "HB40"),
        (("--network", "host"), "HB103"),
        (("--class", "policy", "--html", "/nonexistent/page.html"), "HB604"),
    ],
)
def test_could_not_run(words: tuple[str, ...], code: str, hardbox: Hardbox) -> None:
    done = hardbox("verify", *words, timeout=SECONDS)
    assert (done.returncode, f"[{code}" in done.stderr) == (125, True), done.stderr
    assert "Traceback" not in done.stderr


def test_help(hardbox: Hardbox) -> None:
    done = hardbox("verify", "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in TITLES)


def test_progress_on_a_terminal(caller: Caller, program: Installed) -> None:
    words = [*caller.prefix, program.hardbox, "verify", "--class", "uts"]
    child = pexpect.spawn(words[0], words[1:], env=caller.environment(), cwd=caller.home, timeout=SECONDS)
    child.expect(r"inside: \d+ %")
    child.expect(r"control as caller: \d+ %")
    child.expect("nothing escaped")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_interrupt_leaves_nothing(caller: Caller, program: Installed) -> None:
    words = [*caller.prefix, program.hardbox, "verify"]
    child = pexpect.spawn(words[0], words[1:], env=caller.environment(), cwd=caller.home, timeout=SECONDS)
    child.expect(r"inside: [1-9]\d* %")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert left_by_the_dead(caller) == []


class _Page(html.parser.HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [
            f"{name}={value}" for name, value in attrs if name in ("src", "href", "data", "action")
        ]
        self.fetched += [f"{name}" for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page(program: Installed, base: str) -> str:
    """A page, made by whoever runs the tests."""
    path = os.path.join(base, "page.html")
    done = subprocess.run(
        [program.hardbox, "verify", "--html", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def test_page_is_self_contained(page: str) -> None:
    source = Path(page).read_text(encoding="utf-8")
    found = _Page()
    found.feed(source)
    assert found.fetched == []
    assert found.tags.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "form", "base", "svg"}
    )
    assert "url(" not in source
    assert "@import" not in source
    assert "default-src &#x27;none&#x27;" in source or "default-src 'none'" in source


def test_page_says_what_a_security_team_files(page: str) -> None:
    found = _Page()
    found.feed(Path(page).read_text(encoding="utf-8"))
    text = "\n".join(found.text)
    for wanted in (
        "policy sha256",
        "plan sha256",
        "kernel",
        "CIS-5.22",
        "PSS-restricted-seccomp",
        "A1-read-home",
    ):
        assert wanted in text
    assert "Nothing escaped in " in text


def test_page_in_a_browser(page: str, tmp_path: Path) -> None:
    """Chromium draws it: right size, the verdict's green bar, and more than one colour."""
    width, height, rows = browser.screenshot(page, tmp_path, 1300, 1600)
    assert (width, height) == (1300, 1600)
    colours = {row[i : i + 3] for row in rows for i in range(0, len(row), 3)}
    assert bytes((0x1A, 0x7F, 0x37)) in colours, "the green bar of a verdict that holds"
    assert len(colours) > 50
    # Nothing is cut off on the right, and the page is not blank at the bottom.
    assert all(row[-3:] == b"\xff\xff\xff" for row in rows)
    assert any(set(row) != {255} for row in rows[-200:])
