"""The findings as one page of HTML that can be filed: nothing is fetched, nothing runs.

Run by: cli/verify.py; pure. Everything that is not written here is escaped: a profile's name and
what a probe printed are others' text.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from hardbox.verify.check import ALLOWED, ESCAPED, HELD, TITLES, VACUOUS, VERDICTS
from hardbox.verify.standards import NAMES, supported_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hardbox.verify.findings import Findings, Row

_NO_CONTROL: Final = '<span class="vacuous">none was live</span>'
_MEANINGS: Final = {
    HELD: "It works outside of the sandbox, and not inside.",
    ALLOWED: "It works inside, and the profile says that it may.",
    VACUOUS: "It could not be shown to work outside on this host, so its failure inside shows nothing.",
    ESCAPED: "It works inside, and nothing allows it.",
}
_STYLE: Final = """
:root { --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --ground: #f6f8fa; --good: #1a7f37;
  --fair: #0b5cad; --dull: #6e7781; --bad: #b3151b; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: #fff;
  font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; max-width: 60rem; }
.soft { color: var(--soft); }
.banner { border-left: .4rem solid; padding: .8rem 1rem; margin: 1.2rem 0; background: var(--ground); font-size: 1.1rem; }
.banner.good { border-color: var(--good); } .banner.bad { border-color: var(--bad); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: 0 2.5rem; align-items: start; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { background: var(--ground); font-weight: 600; white-space: nowrap; }
.facts th { width: 9.5rem; background: none; color: var(--soft); font-weight: 400; }
td.n, th.n { text-align: right; width: 6.5rem; font-variant-numeric: tabular-nums; }
code, .mono { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: .85em; }
.v { font-weight: 600; white-space: nowrap; }
.held { color: var(--good); } .allowed { color: var(--fair); }
.vacuous { color: var(--dull); } .escaped { color: var(--bad); }
.zero { color: #afb8c1; font-weight: 400; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; background: var(--ground); }
summary b { display: inline-block; min-width: 15rem; }
table.checks { table-layout: fixed; }
col.id { width: 13%; } col.what { width: 25%; } col.side { width: 19%; } col.word { width: 5.5rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); padding-top: .8rem; }
.expected { color: var(--soft); font-size: .8em; }
@media print { body { max-width: none; padding: 0; } tr { break-inside: avoid; }
  details:not([open])::details-content { content-visibility: visible; block-size: auto; } }
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
    name = escape(found.profile["name"])
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            # Even if something got past the escaping: no script, no request.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>hardbox verify: {name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>Profile {name}, attacked on this host</h1>",
            f'<p class="soft">{escape(found.profile.get("summary", ""))}</p>',
            f'<div class="banner {"good" if good else "bad"}"><b>{escape(verdict)}</b><br>',
            f'<span class="soft">{_counts(found)}, in {found.seconds:.1f} seconds.</span></div>',
            '<div class="facts">',
            f"<section><h2>Profile</h2>{_facts(found.profile, skip=('name', 'summary'))}</section>",
            f"<section><h2>Host</h2>{_facts(found.host)}</section></div>",
            f"<h2>What the words mean</h2>{_facts(_MEANINGS)}",
            f"<h2>By class</h2>{_overview(found)}",
            *_notable(found),
            f"<h2>Why checks are vacuous here</h2>{_reasons(found, VACUOUS)}",
            f"<h2>Standards</h2>{_standards(found)}",
            f"<h2>Every check</h2>{_details(found)}",
            "<footer>Made by hardbox verify. Controls outside of the sandbox harmed their own canaries",
            f"({escape(', '.join(found.changed) or 'none in these classes')}), which shows that damage is seen.",
            "A shared kernel is attacked only through the interfaces that these checks use; defects of the",
            "kernel itself are outside of what they can show.</footer>",
            "</body>\n</html>\n",
        )
    )


def _counts(found: Findings) -> str:
    return ", ".join(f"{found.count(word)} {word}" for word in VERDICTS)


def _facts(facts: Mapping[str, str], skip: Sequence[str] = ()) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td{_mono(name)}>{escape(value)}</td></tr>"
        for name, value in facts.items()
        if name not in skip and value
    )
    return f"<table>{rows}</table>"


def _mono(name: str) -> str:
    return ' class="mono"' if "sha256" in name or name.startswith("kernel") else ""


def _number(count: int, word: str) -> str:
    return f'<td class="n v {word if count else "zero"}">{count}</td>'


def _overview(found: Findings) -> str:
    head = "".join(f'<th class="n">{word}</th>' for word in VERDICTS)
    rows = "".join(
        f"<tr><td><code>{group}</code></td><td>{escape(TITLES[group])}</td>"
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
        f'<tr><td class="n">{count}</td><td>{escape(why)}</td></tr>' for why, count in found.reasons(word)
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
            f"<tr><td><code>{escape(item)}</code></td><td>{escape(NAMES[item.partition('-')[0]])}</td>"
            f"<td>{escape(', '.join(TITLES[group] for group in groups))}</td><td>{state}{more}</td></tr>"
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
            f'<details id="{group}"><summary><b>{escape(TITLES[group])}</b> {counts}</summary>{_rows(rows)}</details>'
        )
    return "\n".join(parts)


def _rows(rows: Iterable[Row]) -> str:
    body = "".join(
        f"<tr><td><code>{escape(row.id)}</code></td>"
        f'<td>{escape(row.what)}<br><span class="soft">{escape(row.source)}</span></td>'
        f"<td>{escape(row.control) or _NO_CONTROL}</td>"
        f'<td>{escape(row.outcome)}<br><span class="expected">expected {escape(row.expects)}</span></td>'
        f'<td class="v {row.word}">{row.word}</td><td>{escape(row.reason)}</td></tr>'
        for row in rows
    )
    return (
        '<table class="checks"><colgroup><col class="id"><col class="what"><col class="side"><col class="side">'
        '<col class="word"><col></colgroup><tr><th>check</th><th>attempt, source</th><th>control outside</th>'
        f"<th>outcome inside</th><th>verdict</th><th>why</th></tr>{body}</table>"
    )
