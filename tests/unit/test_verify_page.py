"""What `hardbox verify` writes: findings, the table, the page. Hostile text stays text.

Run by: pytest.
"""

from __future__ import annotations

import html.parser
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.verify import table
from hardbox.verify.check import ALLOWED, ESCAPED, HELD, VACUOUS
from hardbox.verify.findings import Findings, Row
from hardbox.verify.page import page

HOSTILE: Final = "</td></table><script src=//x>alert(1)</script><img src=x onerror='y'>&\"'"
PROFILE: Final = {"name": "strict", "summary": "s", "policy sha256": "ab" * 32, "plan sha256": "cd" * 32}
HOST: Final = {"kernel": "6.1 x86_64", "caller": "me (uid 1, gid 1)"}


def row(word: str = HELD, group: str = "fs", name: str = "A1-x", text: str = "t") -> Row:
    return Row(name, group, text, text, text, text, text, text, word, text)


def findings(*rows: Row) -> Findings:
    return Findings(rows, PROFILE, HOST, 1.5, ("files in tmp",))


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.said += data


def test_hostile_text_stays_text() -> None:
    profile = dict.fromkeys(PROFILE, HOSTILE) | {HOSTILE: HOSTILE}
    host = {HOSTILE: HOSTILE} | dict.fromkeys(HOST, HOSTILE)
    hostile = replace(row(ESCAPED, text=HOSTILE), id=HOSTILE)
    found = Findings((hostile, row(VACUOUS, text=HOSTILE)), profile, host, 0.1, (HOSTILE,))
    seen = Tags()
    seen.feed(page(found))
    assert seen.tags.isdisjoint({"script", "img"})
    assert seen.handlers == []
    assert HOSTILE in seen.said


@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    plain, seen = Tags(), Tags()
    plain.feed(page(findings(row())))
    seen.feed(page(findings(row(text=text))))
    assert seen.tags <= plain.tags | {"code"}


def test_page_says_the_verdict() -> None:
    assert "Nothing escaped in 1 live checks." in page(findings(row(), row(VACUOUS, name="A2-y")))
    bad = page(findings(row(), row(ESCAPED, name="A2-y")))
    assert "1 of 2 live checks escaped. Do not rely on this profile on this host." in bad
    assert '<div class="banner bad">' in bad
    assert "<h2>Escaped</h2>" in bad
    assert "<h2>Allowed by the profile</h2>" in page(findings(row(ALLOWED)))


@pytest.mark.parametrize(("word", "held"), [(HELD, True), (ALLOWED, True), (VACUOUS, True), (ESCAPED, False)])
def test_only_an_escape_fails(word: str, held: bool) -> None:  # noqa: FBT001 (a table)
    assert findings(row(), row(word, name="A2-y")).held() is held


def test_summary_says_what_was_vacuous_and_why() -> None:
    why = [replace(row(VACUOUS), reason=f"{reason} (controls: caller EPERM)") for reason in ("b", "a", "b")]
    text = findings(row(), *why).summary()
    assert text.splitlines()[0] == "1 live checks: 1 held, 0 allowed, 0 escaped"
    assert text.splitlines()[1] == "vacuous: 3 (2 b; 1 a)"


def test_summary_of_many_reasons_is_short() -> None:
    why = [replace(row(VACUOUS), reason=f"reason {number}") for number in range(20)]
    assert findings(*why).summary().endswith("and 14 more reasons)")


def test_table() -> None:
    found = findings(row(), row(ESCAPED, "net", "H1-y", "the attempt"), row(VACUOUS, "fs", "A2-z"))
    lines = list(table.lines(found))
    assert any(line.split() == ["fs", "files", "1", "-", "1", "-"] for line in lines)
    assert any(line.startswith("escaped: H1-y: the attempt") for line in lines)
    assert lines[-1] == "1 ESCAPED: do not rely on this profile here"
    assert not any(line.startswith("held ") for line in lines)
    assert any(line.startswith("held ") for line in table.lines(found, verbose=True))


def test_json_is_complete() -> None:
    document = findings(row(), row(ESCAPED, name="A2-y")).to_json()
    assert document["nothing_escaped"] is False
    assert document["counts"] == {"fs": {HELD: 1, ALLOWED: 0, VACUOUS: 0, ESCAPED: 1}}
