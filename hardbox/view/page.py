"""The frame of every page: one document that fetches nothing and runs nothing.

Run by: view/html.py, verify/page.py; pure. What is not written by hardbox itself goes through `text`.
Colours are variables: one set for light, one for dark screens; paper is light. No meaning is in a
colour alone.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from hardbox.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_STYLE: Final = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --ground: #f6f8fa; --paper: #fff;
  --good: #1a7f37; --fair: #0b5cad; --dull: #6e7781; --bad: #b3151b; --zero: #afb8c1; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e6edf3; --soft: #9da7b1; --line: #343b43; --ground: #1b2129; --paper: #0d1117;
    --good: #4ac26b; --fair: #6cb2ff; --dull: #8b949e; --bad: #ff7b72; --zero: #565e67; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: var(--paper);
  font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
html { background: var(--paper); }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; break-after: avoid; }
p { margin: .3rem 0; max-width: 60rem; }
.soft { color: var(--soft); }
.banner { border-left: .4rem solid; padding: .8rem 1rem; margin: 1.2rem 0; background: var(--ground); font-size: 1.1rem;
  overflow-wrap: anywhere; }
.banner.good { border-color: var(--good); } .banner.bad { border-color: var(--bad); }
.banner.fair { border-color: var(--fair); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 0 2.5rem;
  align-items: start; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { background: var(--ground); font-weight: 600; white-space: nowrap; }
table.named { table-layout: fixed; }
.named th { width: 14rem; background: none; color: var(--soft); font-weight: 400; white-space: normal; }
.facts .named th { width: 9.5rem; }
td.n, th.n { text-align: right; width: 6.5rem; font-variant-numeric: tabular-nums; }
code, .mono { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: .85em; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media print { body { max-width: none; padding: 0; } tr { break-inside: avoid; }
  .banner, th { print-color-adjust: exact; } }
"""


def document(title: str, style: str, parts: Iterable[str], footer: str) -> str:
    """Give a whole page.

    title:  as `text` takes it.
    style:  what a page needs beside the common style.
    parts, footer: markup, in which everything is escaped.
    """
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            # Even if something got past the escaping: no script, no request.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>",
            *parts,
            f"<footer>{footer}</footer>",
            "</body>\n</html>\n",
        )
    )


def text(value: str) -> str:
    """Give somebody's text for a page: markup escaped, and control characters made visible.

    A character that turns the direction of a line could make the page say something else.
    """
    return escape(printable(value))


def facts(rows: Mapping[str, str], skip: Sequence[str] = ()) -> str:
    """Give a table of names and values; those without a value are left out."""
    lines = "".join(
        f"<tr><th>{text(name)}</th><td{_mono(name)}>{_breakable(name, value)}</td></tr>"
        for name, value in rows.items()
        if name not in skip and value
    )
    return f'<table class="named">{lines}</table>'


def _mono(name: str) -> str:
    return ' class="mono"' if "sha256" in name or name.startswith("kernel") else ""


def _breakable(name: str, value: str) -> str:
    """Let a digest break in its middle, if at all."""
    middle = len(value) // 2
    return f"{text(value[:middle])}<wbr>{text(value[middle:])}" if "sha256" in name else text(value)
