from __future__ import annotations

import re
from pathlib import Path

import hardbox
from hardbox.codes import CODES, EXIT_STATUS, documentation
from hardbox.rules import BY_CODE

PACKAGE = Path(hardbox.__file__).parent
CHECKOUT = Path(__file__).parents[2]
CODE = re.compile(r"HB\d{3}")


def _sources() -> list[Path]:
    found = {
        *PACKAGE.rglob("*.py"),
        *(CHECKOUT / "hardbox").rglob("*.py"),
        *(CHECKOUT / "hardbox/launch").glob("*.[ch]"),
        *(CHECKOUT / "hardbox/front").glob("*.[ch]"),
    }
    return sorted(path for path in found if path.name != "codes.py")


def test_every_code_in_the_sources_is_known() -> None:
    used = {code for path in _sources() for code in CODE.findall(path.read_text())}
    assert len(used) > 50
    assert used - set(CODES) == set()


def test_no_code_has_two_rows() -> None:
    text = (CHECKOUT / "hardbox/codes.py").read_text()
    rows = re.findall(r'Code\(\s*"(HB\d{3})"', text)
    assert len(rows) == len(set(rows)) > 50
    assert not set(rows) & set(BY_CODE)
    assert set(rows) | set(BY_CODE) == set(CODES)


def test_a_refusal_code_is_only_used_by_refused() -> None:
    raised = re.compile(r'\b(Usage|Refused|ProfileError|HostUnfit|SetupFailed)\(\s*"(HB\d)\d\d"')
    families = {
        "Usage": {"HB0"},
        "Refused": {"HB1", "HB2", "HB3"},
        "ProfileError": {"HB4"},
        "HostUnfit": {"HB5"},
        "SetupFailed": {"HB6"},
    }
    found = [
        (path.name, kind, family) for path in _sources() for kind, family in raised.findall(path.read_text())
    ]
    assert found
    assert [row for row in found if row[2] not in families[row[1]]] == []


def test_titles_differ_and_are_one_line() -> None:
    assert len({row.title for row in CODES.values()}) == len(CODES)
    for row in CODES.values():
        assert row.title
        assert row.instead
        assert "\n" not in row.title + row.instead
        assert not row.title.endswith(".")


def test_the_page_is_in_step() -> None:
    page = (CHECKOUT / "docs/errors.md").read_text()
    # Written by: python -c "from hardbox import codes; print(codes.documentation(), end='')"
    assert page == documentation()


def test_the_page_has_every_code_once_and_every_status() -> None:
    page = documentation()
    rows = re.findall(r"^\| (HB\d{3}) \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(CODES)
    assert all(f"| {status} |" in page for status in EXIT_STATUS)
