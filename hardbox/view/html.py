"""A report as one page of HTML: nothing is fetched, nothing runs, and it prints well.

Run by: cli/report.py; pure. Names, arguments and paths are the job's: all go through page.text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.view import amounts, page, plot
from hardbox.view.page import text
from hardbox.view.plot import Curve, Plot
from hardbox.view.terminal import cpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.denials import Denial
    from hardbox.view.network import Contact, Network
    from hardbox.view.run import LimitRow, Run

_SHOWN: Final = 160
# Of a name in the line below the verdict.
_SHOWN_NAME: Final = 60
_FOOTER: Final = (
    "Made by hardbox report from the report of one run. Control characters in names are shown escaped."
)
_READ_BACK: Final = " What was enforced was read from /proc of the job by its supervisor, just before the command was executed."
_STYLE: Final = """
h1 code { font-size: 1.25rem; }
.yes { color: var(--good); font-weight: 600; } .no { color: var(--bad); font-weight: 600; }
.hit { color: var(--bad); font-weight: 600; white-space: nowrap; }
td.word { width: 3.5rem; }
.allow { border-left: .2rem solid var(--fair); padding-left: .5rem; margin-top: .3rem; }
.bar { display: block; height: .35rem; margin-top: .25rem; border: 1px solid var(--soft); max-width: 9rem; }
.bar i { display: block; height: 100%; background: var(--soft); print-color-adjust: exact; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--ground); padding: .6rem .8rem; margin: .4rem 0; }
table.denials td:first-child { width: 26%; }
table.contacts { margin-top: .6rem; } table.contacts td:first-child { width: 5.5rem; white-space: nowrap; }
table.contacts td:nth-child(2) { width: 45%; }
ul { margin: .3rem 0; padding-left: 1.3rem; }
"""


def render(run: Run) -> str:
    """Give the whole document."""
    command = run.command()
    short = command if len(command) <= _SHOWN else command[:_SHOWN] + "…"
    footer = _FOOTER + ("" if run.error else _READ_BACK)
    return page.document(f"hardbox report: {short}", _STYLE + plot.STYLE, _parts(run, command, short), footer)


def _parts(run: Run, command: str, short: str) -> Iterator[str]:
    kind = "good" if run.good else "bad" if run.error or any(limit.hits for limit in run.limits) else "fair"
    yield f"<h1><code>{text(short)}</code></h1>"
    yield f'<div class="banner {kind}"><b>{text(run.outcome)}</b><br><span class="soft">{text(_summary(run))}</span></div>'
    if short != command:
        yield f"<h2>The whole command</h2><pre>{text(command)}</pre>"
    if run.error:
        yield f"<h2>Why</h2>{page.facts(run.error)}"
        return
    yield '<div class="facts">'
    yield f"<section><h2>Run</h2>{page.facts(run.facts)}</section>"
    yield f"<section><h2>Enforced, as read back from the running job</h2>{_walls(run)}</section></div>"
    if run.weaker:
        yield f"<h2>Weaker than the parent profile, or without what this host lacks</h2>{page.facts(run.weaker)}"
    yield from _denials(run)
    if run.network is not None:
        yield f"<h2>Network</h2>{_network(run.network)}"
    if run.limits:
        yield f"<h2>Limits</h2>{_limits(run)}"
    if run.samples:
        yield '<h2>Course</h2><div class="plots">'
        yield from (plot.figure(each) for each in _plots(run))
        yield "</div>"
    if run.missing:
        rows = "".join(f"<li>{text(line)}</li>" for line in run.missing)
        yield f'<h2>Not in this report</h2><ul class="soft">{rows}</ul>'


def _summary(run: Run) -> str:
    parts = [run.status]
    if time := run.facts.get("wall time"):
        parts.append(f"after {time}")
    if profile := run.facts.get("profile"):
        parts.append(f"profile {profile[:_SHOWN_NAME]}")
    if run.denials:
        parts.append(f"{amounts.things(len(run.denials))} denied")
    if hit := [limit.key[:_SHOWN_NAME] for limit in run.limits if limit.hits]:
        parts.append(f"limit met: {', '.join(hit)}")
    return ", ".join(parts)


def _walls(run: Run) -> str:
    rows = "".join(
        f'<tr><td class="word"><span class="{"yes" if wall.held else "no"}">{"yes" if wall.held else "NO"}</span></td>'
        f"<td>{text(wall.name)}</td><td>{text(wall.detail)}</td></tr>"
        for wall in run.walls
    )
    return f"<table>{rows}</table>" if rows else "<p>Nothing was read back.</p>"


def _denials(run: Run) -> Iterator[str]:
    if any(line.startswith("denials") for line in run.missing):
        return
    yield "<h2>Denied</h2>"
    if not run.denials:
        yield "<p>Nothing was denied.</p>"
    else:
        head = "<tr><th>what</th><th>why, and the smallest change that allows it</th></tr>"
        yield f'<table class="denials">{head}{"".join(map(_denial, run.denials))}</table>'
    if run.denials_dropped:
        yield f"<p>{run.denials_dropped} more were counted, but not kept.</p>"


def _denial(denial: Denial) -> str:
    by = f"by {denial.process}" if denial.process else ""
    about = ", ".join(part for part in (denial.kind, by, denial.sure) if part)
    allow = (
        f'<div class="allow">to allow: <code>{text(denial.allow)}</code>'
        + (f'<br><span class="soft">risk: {text(denial.risk)}</span>' if denial.risk else "")
        + "</div>"
        if denial.allow
        else ""
    )
    where = f'<br><span class="soft">{text(denial.where)}</span>' if denial.where else ""
    return (
        f"<tr><td><code>{text(denial.what)}</code> ×{denial.count}<br>"  # noqa: RUF001 (times)
        f'<span class="soft">{text(about)}</span></td><td>{text(denial.why)}{where}{allow}</td></tr>'
    )


def _network(found: Network) -> str:
    lost = f'<p class="no">{text(found.lost)}</p>' if found.lost else ""
    head = "<tr><th>verdict</th><th>destination and way</th><th>detail</th></tr>"
    rows = "".join(map(_contact, found.contacts))
    table = f'<table class="contacts">{head}{rows}</table>' if rows else ""
    more = f"<p>{found.more} more are not listed.</p>" if found.more else ""
    return f"{page.facts(found.facts)}{lost}{table}{more}"


def _contact(contact: Contact) -> str:
    kind = {"allowed": "yes", "denied": "no", "failed": "no"}.get(contact.verdict, "soft")
    about = "; ".join(part for part in (contact.why, contact.moved) if part)
    return (
        f'<tr><td><span class="{kind}">{text(contact.verdict)}</span></td>'
        f"<td><code>{text(contact.place)}</code> ×{contact.count}<br>"  # noqa: RUF001 (times)
        f'<span class="soft">{text(contact.via)}</span></td><td>{text(about)}</td></tr>'
    )


def _limits(run: Run) -> str:
    head = "<tr><th>limit</th><th>value</th><th>held by</th><th>used at most</th><th>met</th><th>detail</th></tr>"
    return f"<table>{head}{''.join(map(_limit, run.limits))}</table>"


def _unmet(limit: LimitRow) -> str:
    return "not known" if limit.hits is None else "no"


def _limit(limit: LimitRow) -> str:
    bar = ""
    if limit.peak is not None and limit.value:
        share = min(max(100 * limit.peak / limit.value, 0), 100)
        bar = f'<span class="bar"><i style="width: {share:.0f}%"></i></span>'
    hits = f'<span class="hit">{amounts.times(limit.hits)}</span>' if limit.hits else _unmet(limit)
    return (
        f"<tr><td><code>{text(limit.key.removeprefix('limits.'))}</code></td><td>{text(limit.value_text())}</td><td>{text(limit.means)}</td>"
        f"<td>{text(limit.peak_text()) or 'not known'}{bar}</td><td>{hits}</td><td>{text(limit.detail)}</td></tr>"
    )


def _plots(run: Run) -> Iterator[Plot]:
    samples = run.samples
    last = samples[-1]
    memory = Curve("memory", tuple((sample.t, sample.memory) for sample in samples))
    busy = Curve("CPUs", tuple(cpus(samples)))
    tasks = Curve("tasks", tuple((sample.t, sample.tasks) for sample in samples))
    read = Curve("read", tuple((sample.t, sample.read) for sample in samples))
    written = Curve("written", tuple((sample.t, sample.written) for sample in samples))
    yield _limited(
        run, "limits.memory", Plot("Memory", "of all processes", (memory,), amounts.size, binary=True)
    )
    yield _limited(run, "limits.cpu", Plot("CPU", "CPUs busy between two samples", (busy,), amounts.short))
    yield _limited(run, "limits.tasks", Plot("Tasks", "processes and threads", (tasks,), amounts.short))
    about = f"{amounts.size(last.read)} read, {amounts.size(last.written)} written in all"
    yield Plot("I/O", about, (read, written), amounts.size, binary=True)


def _limited(run: Run, key: str, drawn: Plot) -> Plot:
    """Add the highest value, and the limit as a line."""
    from dataclasses import replace  # noqa: PLC0415 (only for plots)

    highest = max((y for curve in drawn.curves for _, y in curve.points), default=0.0)
    about = f"{drawn.about}; at most {drawn.write(highest)}"
    limit = run.limit(key)
    if limit is None or limit.value is None:
        return replace(drawn, about=about)
    each = " of each process" if limit.means == "rlimit" and key == "limits.memory" else ""
    return replace(drawn, about=about, limit=limit.value, limit_name=f"limit {limit.value_text()}{each}")
