"""Numbers that Python and C share: the same in both, whoever changes one.  Run by: pytest.

The C side is read as text, from its headers; kinds of steps are compared in test_steps.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardbox import errors, filters, plan, report
from hardbox.engines import namespaces
from hardbox.net import wire
from hardbox.plan import steps as s

C = Path(__file__).parents[2] / "hardbox"
DEFINE = re.compile(r'^#define (\w+) (\(?\d[\w <]*\)?|"[^"]*")(?=\s|$)', re.MULTILINE)
ENUM = re.compile(r"enum (\w+) \{(.*?)\};", re.DOTALL)
MEMBER = re.compile(r"\b(HB_\w+)(?: = (\d+))?,")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def number(text: str) -> int:
    """Give the value of "56u" or "(16u << 20)"."""
    base, _, shift = re.sub(r"[()u ]", "", text).partition("<<")
    return int(base) << int(shift or "0")


def source(path: str) -> str:
    return COMMENT.sub("", (C / path).read_text())


def defines(path: str) -> dict[str, int]:
    return {name: number(text) for name, text in DEFINE.findall(source(path)) if not text.startswith('"')}


def members(enum: str) -> dict[str, int]:
    """Give the members of an enum of wire.h."""
    (body,) = [body for name, body in ENUM.findall(source("launch/wire.h")) if name == enum]
    found: dict[str, int] = {}
    for name, text in MEMBER.findall(body.rstrip() + ","):
        found[name] = int(text) if text else max(found.values(), default=-1) + 1
    return found


PLAN = {
    "HB_PLAN_VERSION": plan.VERSION,
    "HB_PLAN_HEADER": plan.HEADER.size,
    "HB_PLAN_MAX": plan.SIZE_MAX,
    "HB_STEPS_MAX": plan.STEPS_MAX,
    "HB_SEARCH_MAX": plan.SEARCH_MAX,
    "HB_TREES_MAX": plan.TREES_MAX,
    "HB_FIELDS_MAX": max(len(kind.layout) for kind in s.KINDS.values()),
}
FLAGS = {
    "HB_STDIO_REOPEN_PIPES": s.REOPEN_PIPES,
    "HB_STDIO_RELAY_SOCKETS": s.RELAY_SOCKETS,
    "HB_STDIO_RELAY_FILES": s.RELAY_FILES,
    "HB_TREE_RECURSIVE": s.RECURSIVE,
    "HB_TREE_IDMAPPED": s.IDMAPPED,
    "HB_BIND_RECURSIVE": s.RECURSIVE,
    "HB_SET_IDS_DROP_GROUPS": s.DROP_GROUPS,
    "HB_CGROUP_DELEGATE": s.DELEGATE,
    "HB_LISTEN_TCP": s.LISTEN_TCP,
    "HB_LISTEN_UDP": s.LISTEN_UDP,
    "HB_LISTEN_BARE": s.LISTEN_BARE,
    "HB_CGROUP_DELEGATE_CPU": s.DELEGATE_CPU,
    "HB_CGROUP_LIMIT_IF_THERE": s.IF_THERE,
    "HB_SECCOMP_TELL": filters.TELLING,
    "HB_SECCOMP_WATCH": filters.WATCHING,
}
EXITS = {
    "HB_EXIT_TIME_LIMIT": errors.EXIT_TIME_LIMIT,
    "HB_EXIT_REFUSED": errors.EXIT_REFUSED,
    "HB_EXIT_CANNOT_EXECUTE": errors.EXIT_CANNOT_EXECUTE,
    "HB_EXIT_NOT_FOUND": errors.EXIT_NOT_FOUND,
    "HB_EXIT_SIGNAL_BASE": errors.EXIT_SIGNAL_BASE,
}
# The names that report.py has for itself: HB_RECORD_FAILED is its FAILED, HB_CAUSE_WALL _CAUSE_WALL.
RECORDS = (
    *("FAILED", "READ", "STARTED", "NO_EXEC", "ENDED"),
    *("DENIED", "OBSERVED", "SAMPLE", "LIMITS", "STREAMS"),
)
CAUSES = ("WALL", "CALLER", "LOST", "MEMORY", "OUTPUT")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("launch/plan.h", PLAN), ("launch/kinds.h", FLAGS), ("launch/supervisor.h", EXITS)],
    ids=("plan", "flags", "exit-codes"),
)
def test_every_number_of_a_header_is_known_to_python(path: str, expected: dict[str, int]) -> None:
    assert defines(path) == expected


def test_the_magic_is_the_same() -> None:
    (text,) = re.findall(r'#define HB_PLAN_MAGIC "([^"]*)"', source("launch/plan.h"))

    assert text.encode().decode("unicode_escape").encode("latin-1") == plan.MAGIC
    assert len(plan.MAGIC) == 8


def test_records_are_the_same() -> None:
    # The one that others ask for has a public name.
    mine = {name: report.FAILED if name == "FAILED" else getattr(report, f"_{name}") for name in RECORDS}
    assert members("hb_record_type") == {f"HB_RECORD_{name}": number for name, number in mine.items()}


def test_what_a_keeper_says_and_hears_is_the_same() -> None:
    told = members("hb_message_type")
    assert {name: told[f"HB_{name}"] for name in ("GO", "HELLO", "SOCKET")} == {
        name: getattr(wire, name) for name in ("GO", "HELLO", "SOCKET")
    }
    (body,) = re.findall(r"struct hb_message \{(.*?)\};", source("launch/wire.h"), re.DOTALL)
    fields = re.findall(r"(\w+) \w+;", body)
    letters = {"uint32_t": "I", "int32_t": "i"}
    assert wire.MESSAGE.format == "=" + "".join(letters[field] for field in fields)


def test_causes_are_the_same() -> None:
    named = {f"HB_CAUSE_{name}": getattr(report, f"_CAUSE_{name}") for name in CAUSES}

    assert members("hb_cause") == {"HB_CAUSE_OWN": 0} | named


def test_the_same_signals_are_forwarded() -> None:
    (names,) = re.findall(r"^#define HB_FORWARDED (.+)$", source("launch/supervisor.h"), re.MULTILINE)

    assert tuple(names.split(", ")) == tuple(each.name for each in namespaces.FORWARDED)


def test_the_door_refuses_with_the_same_status() -> None:
    assert defines("front/hardbox.c")["EXIT_REFUSED"] == errors.EXIT_REFUSED


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_a_flag_stands_once_in_the_launcher(name: str) -> None:
    """A second definition, with a name of its own, could drift from the first."""
    bare = name.removeprefix("HB_")
    sources = [path.read_text() for path in sorted((C / "launch").glob("*.[ch]"))]

    assert sum(len(re.findall(rf"#define \w*{bare}\b", text)) for text in sources) == 1
