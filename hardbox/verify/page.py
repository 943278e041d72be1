"""The findings as one page of HTML that can be filed: nothing is fetched, nothing runs.

Run by: cli/verify.py; pure. Everything that is not written here is escaped: a profile's name and
what a probe printed are others' text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import ALLOWED, ESCAPED, HELD, TITLES, VACUOUS, VERDICTS
from hardbox.verify.standards import NAMES, supported_by
from hardbox.view.page import document, facts, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hardbox.verify.findings import Findings, Row

_NO_CONTROL: Final = '<span class="vacuous">none was live</span>'
_MEANINGS: Final = {
    HELD: "It works outside of the sandbox, and not inside.",
    ALLOWED: "It works inside, and the profile says that it may.",
    VACUOUS: "It could not be shown to work outside on this host, so its failure inside shows nothing.",
    ESCAPED: "It works inside, and nothing allows it.",
}
_STYLE: Final = """
.v { font-weight: 600; white-space: nowrap; }
.held { color: var(--good); } .allowed { color: var(--fair); }
.vacuous { color: var(--dull); } .escaped { color: var(--bad); }
.zero { color: var(--zero); font-weight: 400; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; background: var(--ground); }
summary b { display: inline-block; min-width: 15rem; }
table.checks { table-layout: fixed; }
col.id { width: 13%; } col.what { width: 25%; } col.side { width: 19%; } col.word { width: 5.5rem; }
.expected { color: var(--soft); font-size: .8em; }
@media print { details:not([open])::details-content { content-visibility: visible; block-size: auto; } }
"""


def page(found: Findings) -> str:
    """Give the whole document."""
    good = found.held()
    live = len(found.rows) - found.count(VACUOUS)
    verdict = (
        f"Nothing escaped in {live} live checks."
        if good
        else f"{found.count(ESCAPED)} of {live} live checks escaped. Do not rely on this profile on this host."
    )
    name = found.profile["name"]
    parts = (
        f"<h1>Profile {text(name)}, attacked on this host</h1>",
        f'<p class="soft">{text(found.profile.get("summary", ""))}</p>',
        f'<div class="banner {"good" if good else "bad"}"><b>{text(verdict)}</b><br>',
        f'<span class="soft">{_counts(found)}, in {found.seconds:.1f} seconds.</span></div>',
        '<div class="facts">',
        f"<section><h2>Profile</h2>{facts(found.profile, skip=('name', 'summary'))}</section>",
        f"<section><h2>Host</h2>{facts(found.host)}</section></div>",
        f"<h2>What the words mean</h2>{facts(_MEANINGS)}",
        f"<h2>By class</h2>{_overview(found)}",
        *_notable(found),
        f"<h2>Why checks are vacuous here</h2>{_reasons(found, VACUOUS)}",
        f"<h2>Standards</h2>{_standards(found)}",
        f"<h2>Every check</h2>{_details(found)}",
    )
    footer = (
        "Made by hardbox verify. Controls outside of the sandbox harmed their own canaries\n"
        f"({text(', '.join(found.changed) or 'none in these classes')}), which shows that damage is seen.\n"
        "A shared kernel is attacked only through the interfaces that these checks use; defects of the\n"
        "kernel itself are outside of what they can show."
    )
    return document(f"hardbox verify: {name}", _STYLE, parts, footer)


def _counts(found: Findings) -> str:
    return ", ".join(f"{found.count(word)} {word}" for word in VERDICTS)


def _number(count: int, word: str) -> str:
    return f'<td class="n v {word if count else "zero"}">{count}</td>'


def _overview(found: Findings) -> str:
    head = "".join(f'<th class="n">{word}</th>' for word in VERDICTS)
    rows = "".join(
        f"<tr><td><code>{group}</code></td><td>{text(TITLES[group])}</td>"
        + "".join(_number(found.count(word, group), word) for word in VERDICTS)
        + "</tr>"
        for group in found.groups()
    )
    total = "".join(_number(found.count(word), word) for word in VERDICTS)
    return (
        f"<table><tr><th>class</th><th>what it is about</th>{head}</tr>{rows}"
        f"<tr><th>all</th><th></th>{total}</tr></table>"
    )


def _notable(found: Findings) -> Iterable[str]:
    for word, title in ((ESCAPED, "Escaped"), (ALLOWED, "Allowed by the profile")):
        rows = found.of(word)
        if rows:
            yield f"<h2>{title}</h2>{_rows(rows)}"


def _reasons(found: Findings, word: str) -> str:
    rows = "".join(
        f'<tr><td class="n">{count}</td><td>{text(why)}</td></tr>' for why, count in found.reasons(word)
    )
    return (
        f'<table><tr><th class="n">checks</th><th>reason</th></tr>{rows}</table>'
        if rows
        else "<p>None is.</p>"
    )


def _standards(found: Findings) -> str:
    rows = []
    for item, groups in supported_by(found.groups()).items():
        held = sum(found.count(HELD, group) for group in groups)
        bad = sum(found.count(ESCAPED, group) for group in groups)
        allowed = sum(found.count(ALLOWED, group) for group in groups)
        state = (
            f'<span class="v {ESCAPED if bad else HELD}">{f"{bad} escaped" if bad else f"{held} held"}</span>'
        )
        more = f', <span class="allowed">{allowed} allowed</span>' if allowed else ""
        rows.append(
            f"<tr><td><code>{text(item)}</code></td><td>{text(NAMES[item.partition('-')[0]])}</td>"
            f"<td>{text(', '.join(TITLES[group] for group in groups))}</td><td>{state}{more}</td></tr>"
        )
    return (
        '<p class="soft">Items whose run-time side these checks support. Supporting is not certifying.</p>'
        f"<table><tr><th>item</th><th>of</th><th>classes of checks</th><th>here</th></tr>{''.join(rows)}</table>"
    )


def _details(found: Findings) -> str:
    parts = []
    for group in found.groups():
        rows = [row for row in found.rows if row.group == group]
        counts = ", ".join(
            f'<span class="{word}">{found.count(word, group)} {word}</span>'
            for word in VERDICTS
            if found.count(word, group)
        )
        parts.append(
            f'<details id="{group}"><summary><b>{text(TITLES[group])}</b> {counts}</summary>{_rows(rows)}</details>'
        )
    return "\n".join(parts)


def _rows(rows: Iterable[Row]) -> str:
    body = "".join(
        f"<tr><td><code>{text(row.id)}</code></td>"
        f'<td>{text(row.what)}<br><span class="soft">{text(row.source)}</span></td>'
        f"<td>{text(row.control) or _NO_CONTROL}</td>"
        f'<td>{text(row.outcome)}<br><span class="expected">expected {text(row.expects)}</span></td>'
        f'<td class="v {row.word}">{row.word}</td><td>{text(row.reason)}</td></tr>'
        for row in rows
    )
    return (
        '<table class="checks"><colgroup><col class="id"><col class="what"><col class="side"><col class="side">'
        '<col class="word"><col></colgroup><tr><th>check</th><th>attempt, source</th><th>control outside</th>'
        f"<th>outcome inside</th><th>verdict</th><th>why</th></tr>{body}</table>"
    )
