"""`hardbox report`: what it says, what it names as missing, and that hostile text stays text.

Run by: pytest.
"""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import faults, reports

from hardbox.cli import report as verb
from hardbox.errors import SetupFailed, Usage
from hardbox.view import amounts, plot, terminal
from hardbox.view import run as view
from hardbox.view.html import render

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final = faults.read_json(str(ROOT / "docs" / "report.schema.json"))
MADE: Final = [reports.old, reports.refused, reports.full, reports.hostile]
# Each tag that a page of ours may have; `script`, `img` and the like are none of them.
TAGS: Final = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "section", "span", "b", "i"),
    *("table", "tr", "th", "td", "code", "pre", "br", "wbr", "ul", "li", "footer", "figure", "figcaption"),
    *("svg", "line", "text", "polyline", "polygon", "circle"),
}
ATTRIBUTES: Final = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "style", "viewbox", "role", "aria-label"),
    *("x1", "x2", "y1", "y2", "x", "y", "cx", "cy", "r", "points", "text-anchor"),
}


class Seen(html.parser.HTMLParser):
    """What a page consists of, and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.said = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.said += data


def page(report: dict[str, Any]) -> Seen:
    found = Seen(render(view.read(report)))
    assert set(found.tags) <= TAGS
    assert found.attributes <= ATTRIBUTES
    return found


def text(report: dict[str, Any]) -> str:
    return "\n".join(terminal.lines(view.read(report), drawn=True))


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_what_is_made_by_hand_is_valid(make: Callable[[], dict[str, Any]]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(make())


@pytest.mark.parametrize("show", [text, lambda report: page(report).said], ids=["terminal", "page"])
def test_everything_that_a_reader_needs_is_said(show: Callable[[dict[str, Any]], str]) -> None:
    said = show(reports.full())
    for wanted in (
        *("make -j2 'a file'", 'the limit "memory" ended the command', "exit status 137", "61.2 s", "build"),
        *("own namespaces", "system call filter", "files, tcp, scopes", "the linker needs more"),
        *("io_uring_setup ×3", "seccomp/strict.toml", '[seccomp] add = ["io-uring"]', "high: it reaches"),  # noqa: RUF001
        *("--read /home/x/.ssh/config", "likely", "4 more", "512 MiB", "cgroup v1", "100 %", "once"),
        *("the kernel ended cc1plus", "180 MiB read", "at most 503 MiB", "47.1 KiB to stdout"),
    ):
        assert wanted in said, wanted
    assert "ot in this report" not in said


@pytest.mark.parametrize("show", [text, lambda report: page(report).said], ids=["terminal", "page"])
def test_an_old_report_is_shown_and_what_is_missing_named(show: Callable[[dict[str, Any]], str]) -> None:
    said = show(reports.old())
    assert "the command ended by itself" in said
    for name in ("limits", "samples", "denials", "terminal"):
        assert re.search(rf"^ *{name}: |{name}: ", said.partition("ot in this report")[2]), name
    assert "othing was denied" not in said, "that is not known"
    assert "denied: nothing" not in said


@pytest.mark.parametrize("show", [text, lambda report: page(report).said], ids=["terminal", "page"])
def test_a_refusal_says_why_and_nothing_else(show: Callable[[dict[str, Any]], str]) -> None:
    said = show(reports.refused())
    for wanted in ("nothing was run", "HB103", "--network host", "services on localhost", "CIS-5.10"):
        assert wanted in said
    assert "own namespaces" not in said
    assert "ot in this report" not in said


def test_what_did_not_hold_is_said_without_colour() -> None:
    report = reports.old()
    report["enforced"]["seccomp"] = False
    report["enforced"]["capabilities"]["CapEff"] = 1
    for said in (text(report), page(report).said):
        assert "NO" in said
        assert "none was seen" in said
        assert "kept in CapEff" in said


def test_nothing_denied_is_said_where_it_is_known() -> None:
    report = reports.old() | {"denials": [], "denials_dropped": 0}
    assert "denied: nothing" in text(report)
    assert "Nothing was denied." in page(report).said


def test_hostile_text_makes_no_element_and_reaches_no_terminal() -> None:
    found, plain = page(reports.hostile()), page(reports.full())
    assert found.tags.count("svg") == plain.tags.count("svg") == 4
    assert "<script>" in found.said, "it is shown"
    raw = render(view.read(reports.hostile()))
    assert not any(c for c in raw if not c.isprintable() and c != "\n")
    assert "\u202e" not in raw


@given(st.text())
def test_any_text_makes_no_element(word: str) -> None:
    def changed(value: object) -> object:
        if isinstance(value, dict):
            return {key: changed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [changed(each) for each in value]
        return word if isinstance(value, str) else value

    report = changed({key: each for key, each in reports.full().items() if key != "samples"})
    assert isinstance(report, dict)
    kept = {"schema": "hardbox.report/1", "samples": reports.samples(3)}
    page(report | kept)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(reports.full())), JSON)
def test_any_field_may_be_anything(key: str, value: object) -> None:
    report = reports.full() | {key: value}
    try:
        run = view.read(report)
    except view.NoReportError:
        assert key in ("argv", "exit_code", "outcome")
        return
    page(report)
    assert list(terminal.lines(run, drawn=True))


@given(st.sampled_from(["limits", "samples", "denials", "enforced"]), st.data())
def test_any_row_may_hold_anything(key: str, data: st.DataObject) -> None:
    report = reports.full()
    row = report[key] if key == "enforced" else report[key][0]
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(JSON)
    page(report)
    assert text(report)


@pytest.mark.parametrize("count", [0, 1, 2, 600, 20_000])
def test_any_number_of_samples_is_drawn(count: int) -> None:
    report = reports.full() | {"samples": reports.samples(count) if count else []}
    found = render(view.read(report))
    assert found.count("<svg") == (4 if count else 0)
    assert len(found) < 400_000
    assert text(report)


def test_samples_of_nothing_are_drawn() -> None:
    row = dict.fromkeys(("t", "memory", "cpu", "tasks", "read", "written"), 0)
    report = reports.full() | {"samples": [row, row, row]}
    assert page(report).tags.count("svg") == 4
    assert text(report)


def _drawn(peak: float, limit: float | None) -> str:
    curve = plot.Curve("c", ((0.0, 0.0), (1.0, peak)))
    return plot.figure(plot.Plot("t", "a", (curve,), amounts.size, limit=limit, limit_name="limit L"))


def _height(svg: str) -> float:
    found = re.search(r'class="limit" x1="\d+" y1="([\d.]+)"', svg)
    assert found
    return float(found[1])


def test_the_limit_is_a_line_above_the_curve() -> None:
    svg = _drawn(50, 100)
    points = re.search(r'class="curve" points="[\d.]+,([\d.]+) [\d.]+,([\d.]+)"', svg)
    assert points
    base, top = float(points[1]), float(points[2])
    assert abs((base - top) / (base - _height(svg)) - 0.5) < 0.01, "half as high as the limit"
    assert "limit L</text>" in svg
    assert 'class="limit"' not in _drawn(50, None)


def test_a_limit_far_above_is_drawn_at_the_top_and_says_so() -> None:
    svg = _drawn(1, 1000)
    assert "limit L, far above this plot" in svg
    assert _height(svg) < 30


@given(st.floats(1e-6, 1e15), st.booleans())
def test_ticks_are_few_and_round(most: float, binary: bool) -> None:  # noqa: FBT001 (drawn)
    tick = plot.step(most, binary=binary)
    assert 1.5 <= most / tick <= 4.01
    mantissa = tick / 10 ** (len(str(int(tick))) - 1) if tick >= 1 and not binary else 1
    assert round(mantissa, 6) in (1, 2, 5, 10)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("limits.memory", 512 << 20, "512 MiB"),
        ("limits.wall", 300_000, "5 min"),
        ("limits.wall", 90_000, "90 s"),
        ("limits.cpu_time", 14400, "4 h"),
        ("limits.tasks", 64, "64"),
        ("limits.file_size", 1536, "1.5 KiB"),
        ("limits.memory", 0, "0"),
        ("limits.output", 1023, "1023 bytes"),
        ("limits.locked", 65536, "64 KiB"),
        ("limits.cpu_bandwidth", 1500, "1.5 CPUs"),
    ],
)
def test_amounts(key: str, value: float, said: str) -> None:
    assert amounts.of_key(key, value) == said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b"[]", "schema"),
        (b'{"schema": "hardbox.verify/1"}', "schema"),
        (b'{"schema": "hardbox.report/2"}', "schema"),
        (b'{"schema": "hardbox.report/1"}', "lacks"),
        (b'{"schema": "hardbox.report/1", "argv": "x", "exit_code": 0, "outcome": "exited"}', "lacks"),
    ],
)
def test_what_is_no_report_is_an_error(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(SetupFailed) as caught:
        verb.main([str(tmp_path / "r")])
    assert caught.value.code == "HB655"
    assert why in caught.value.why


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", "a\0b", "/dev/zero"):
        with pytest.raises(SetupFailed) as caught:
            verb.main([str(path)])
        assert caught.value.code == "HB655"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("a", "b"),
        ("--nonsense", "a"),
        ("a", "--html"),
        ("a", "--html", "x", "--html", "y"),
        ("a", "--html="),
    ],
)
def test_bad_words_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(Usage):
        verb.main(list(words))


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "r").write_text(json.dumps(reports.full()))
    assert verb.main([str(tmp_path / "r"), "--html", str(tmp_path / "p.html")]) == 0
    assert (tmp_path / "p.html").read_text(encoding="utf-8").endswith("</html>\n")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "link", tmp_path / "no" / "x", tmp_path):
        with pytest.raises(SetupFailed) as caught:
            verb.main([str(tmp_path / "r"), "--html", str(path)])
        assert (caught.value.code, caught.value.origin) == ("HB606", "--html")
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_printed_is_printable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r").write_text(json.dumps(reports.hostile()))
    assert verb.main([str(tmp_path / "r")]) == 0
    out = capsys.readouterr().out
    assert "\\x1b]0;owned" in out
    assert not any(c for c in out if not c.isprintable() and c != "\n")
