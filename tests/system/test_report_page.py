"""`hardbox report` of real runs by both callers, and its page in a real browser.  Run by: pytest."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from support import browser, faults, reports

from hardbox.view import run as view
from hardbox.view.html import render

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

LIGHT, DARK = b"\xff\xff\xff", bytes((0x0D, 0x11, 0x17))
RED, RED_IN_THE_DARK = bytes((0xB3, 0x15, 0x1B)), bytes((0xFF, 0x7B, 0x72))
GREEN = bytes((0x1A, 0x7F, 0x37))
CURVE = bytes((0x0B, 0x5C, 0xAD))


@pytest.fixture
def full(tmp_path: Path) -> str:
    path = tmp_path / "full.html"
    path.write_text(render(view.read(reports.full())), encoding="utf-8")
    return str(path)


def colours(rows: list[bytes]) -> set[bytes]:
    return {row[i : i + 3] for row in rows for i in range(0, len(row), 3)}


def test_a_real_run_is_shown(hardbox: Hardbox, place: str) -> None:
    hardbox("run", "--report", f"{place}/r.json", "--", "sh", "-c", "exit 3")
    out = faults.ran(hardbox("report", f"{place}/r.json"))
    for wanted in ("sh -c 'exit 3'", "exit status 3", "own namespaces", "strict"):
        assert wanted in out
    assert "  NO " not in out
    faults.ran(hardbox("report", f"{place}/r.json", "--html", f"{place}/r.html"), stdout="")
    with open(f"{place}/r.html", encoding="utf-8") as file:
        assert "exit status 3" in file.read()


# Through the proxy by its protocol, and around it by name and by address.
ASK = """
import socket
ask = socket.create_connection(("127.0.0.1", 3128))
ask.sendall(b"CONNECT b.example.org:443 HTTP/1.1\\r\\nHost: b.example.org:443\\r\\n\\r\\n")
print(ask.recv(12).decode())
try:
    socket.getaddrinfo("c.example.org", 80)
except socket.gaierror:
    print("no such name")
"""


def test_a_run_with_a_network_is_shown(hardbox: Hardbox, place: str) -> None:
    words = ("--profile", "net-client", "--allow", "a.example.org:443", "--report", f"{place}/r.json")
    done = hardbox("run", *words, "--", "python3", "-c", ASK)
    assert faults.ran(done) == "HTTP/1.1 403\nno such name\n"
    assert "connection to b.example.org:443" in done.stderr
    out = faults.ran(hardbox("report", f"{place}/r.json"))
    faults.ran(hardbox("report", f"{place}/r.json", "--html", f"{place}/r.html"))
    with open(f"{place}/r.html", encoding="utf-8") as file:
        page = file.read()
    for said in (out, page):
        told = said.partition("etwork")[2]
        for wanted in ("1, at most 1 at once", "b.example.org:443", "c.example.org", "connect", "dns"):
            assert wanted in told


def test_a_refusal_is_shown(hardbox: Hardbox, place: str) -> None:
    hardbox("run", "--report", f"{place}/r.json", "--network", "host", "--", "true")
    out = faults.ran(hardbox("report", f"{place}/r.json"))
    assert "HB103" in out
    assert "nothing was run" in out


def test_what_is_no_report_is_refused(hardbox: Hardbox, caller: Caller, place: str) -> None:
    path = faults.own(caller, f"{place}/x", "{}")
    faults.refusal(hardbox("report", path), "HB655")
    faults.refusal(hardbox("report", path, "--html", f"{place}/y"), "HB655")
    faults.refusal(hardbox("report"), "HB003")
    assert faults.listing(place) == {"x"}


def test_hostile_names_of_a_real_job_reach_no_terminal(
    caller: Caller, program: Installed, place: str
) -> None:
    """The job's own words, through --report, to both views."""
    script = """
b=$(printf '</h1><script>x</script>\\377\\033]0;x\\007')
"$1" run --report "$2/r.json" -- printf %s "$b" >/dev/null; "$1" report "$2/r.json" --html "$2/r.html"
"$1" report "$2/r.json"
"""
    out = faults.ran(faults.shell(caller, script, program.hardbox, place))
    assert "\x1b" not in out
    assert "<script>" in out, "it is shown as it is"
    with open(f"{place}/r.html", encoding="utf-8") as file:
        assert "<script" not in file.read()


def test_a_terminal_without_unicode_gets_no_error(hardbox: Hardbox, caller: Caller, place: str) -> None:
    path = faults.own(caller, f"{place}/r.json", json.dumps(reports.full()))
    done = hardbox("report", path, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"})
    assert "io_uring_setup" in faults.ran(done)


def test_the_page_in_a_browser(full: str, tmp_path: Path) -> None:
    width, height, rows = browser.screenshot(full, tmp_path, 1300, 2700)
    assert (width, height) == (1300, 2700)
    seen = colours(rows)
    assert {LIGHT, RED, CURVE} <= seen, "paper, a limit's line, a curve"
    # Nothing is cut off on the right.
    assert all(row[-3:] == LIGHT for row in rows)
    # What was reached stands beside what was not: a colour for each.
    assert GREEN in {row[i : i + 3] for row in rows[1470:1530] for i in range(0, len(row), 3)}
    assert RED in {row[i : i + 3] for row in rows[1200:1460] for i in range(0, len(row), 3)}
    # The last plots are drawn: the lower part is not blank.
    assert any(CURVE in (row[i : i + 3] for i in range(0, len(row), 3)) for row in rows[2250:2450])


def test_a_dark_screen_gets_dark_paper(full: str, tmp_path: Path) -> None:
    seen = colours(
        browser.screenshot(full, tmp_path, 1300, 2700, "--blink-settings=preferredColorScheme=0")[2]
    )
    assert {DARK, RED_IN_THE_DARK} <= seen
    assert RED not in seen


def test_a_narrow_screen_cuts_nothing_off(full: str, tmp_path: Path) -> None:
    _, _, rows = browser.screenshot(full, tmp_path, 520, 3900)
    assert all(row[-3:] == LIGHT for row in rows)


def test_hostile_names_do_nothing_in_a_browser(tmp_path: Path) -> None:
    # The control: in a page that escapes nothing, the same text runs.
    bare = tmp_path / "bare.html"
    bare.write_text(f"<!DOCTYPE html><meta charset=utf-8><title>x</title><table><tr><td>{reports.HOSTILE}")
    assert "<title>owned</title>" in browser.document(str(bare), tmp_path)
    page = tmp_path / "page.html"
    # Without the policy that would stop a script anyway: the escaping alone has to hold.
    html = render(view.read(reports.hostile()))
    assert html.count('http-equiv="Content-Security-Policy"') == 1
    page.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html), encoding="utf-8")
    loaded = browser.document(str(page), tmp_path)
    assert "<title>owned" not in loaded
    assert "<script" not in loaded
    assert "<img" not in loaded
    assert loaded.count("<svg") == 4
    assert "&lt;script&gt;" in loaded


def test_the_page_fetches_nothing(full: str) -> None:
    with open(full, encoding="utf-8") as file:
        source = file.read()
    for word in ("<script", "<link", "<img", "src=", "href=", "url(", "@import", "javascript:"):
        assert word not in source
    assert "default-src 'none'" in source
