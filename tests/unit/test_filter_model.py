"""Reading filter files: what is refused, and what groups do."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox.errors import HardboxError, ProfileError
from hardbox.filters import model as models

GOOD = """
summary = "s"
[group.a]
why = "w"
allow = ["read"]
allow_when = [{ call = "clone", arg = 0, mask = 0xf, value = 1, and_arg = 1, and_mask = 3, and_value = 2 }]
[group.b]
why = "w"
addable = true
refuse = ["ptrace"]
[group.c]
why = "w"
optional = true
refuse_when = [{ call = "read", arg = 0, mask = 0, value = 0 }]
[group.d]
why = "w"
with_capability = "NET_RAW"
allow = ["bind"]
[group.e]
why = "w"
errno = "ENOSYS"
refuse = ["clone3"]
"""


def model(text: str = GOOD) -> models.Filter:
    return models.load("x", lambda _name: text.encode())


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("HB451", "x ="),
        ("HB451", 'summary = "a"\nsummary = "b"'),
        ("HB451", "#" * (models.MAX_BYTES + 1)),
        ("HB452", "sum = 'x'"),
        ("HB452", "summary = 1"),
        ("HB452", "group = 1"),
        ("HB452", "group.a = 1"),
        ("HB452", "[group.a]\nallow = ['read']"),
        ("HB452", "[group.a]\nwhy = 'w'\nalow = ['read']"),
        ("HB452", "[group.a]\nwhy = 'w'\nallow = 'read'"),
        ("HB452", "[group.a]\nwhy = 'w'\nallow = [1]"),
        ("HB452", "[group.a]\nwhy = 'w'\nallow = ['read', 'read']"),
        (
            "HB452",
            "[group.a]\nwhy = 'w'\nallow = ['read\\u0000x']".replace("'read\\u0000x'", '"read\\u0000x"'),
        ),
        ("HB452", "[group.a]\nwhy = 'w'\nallow = ['']"),
        ("HB452", "[group.a]\nwhy = 'w'\nerrno = 'EWHAT'"),
        ("HB452", "[group.a]\nwhy = 'w'\naddable = 1\nrefuse = ['read']"),
        ("HB452", "[group.a]\nwhy = 'w'\naddable = true\nallow = ['read']"),
        ("HB452", "[group.a]\nwhy = 'w'\noptional = true\nallow = ['read']"),
        ("HB452", "[group.a]\nwhy = 'w'\nallow_when = [{ arg = 0, mask = 1, value = 1 }]"),
        ("HB452", "[group.a]\nwhy = 'w'\nallow_when = [{ call = 'read', arg = 6, mask = 1, value = 1 }]"),
        ("HB452", "[group.a]\nwhy = 'w'\nallow_when = [{ call = 'read', arg = true, mask = 1, value = 1 }]"),
        ("HB452", "[group.a]\nwhy = 'w'\nallow_when = [{ call = 'read', arg = 0, mask = 1, value = 2 }]"),
        (
            "HB452",
            "[group.a]\nwhy = 'w'\nallow_when = [{ call = 'read', arg = 0, mask = 0x100000000, value = 0 }]",
        ),
        ("HB452", "[group.a]\nwhy = 'w'\nallow_when = [{ call = 'read', arg = 0, mask = -1, value = 0 }]"),
        (
            "HB452",
            "[group.a]\nwhy = 'w'\nallow_when=[{call='read', arg=0, mask=1, value=1, and_arg=1}]",
        ),
        ("HB453", 'extends = "x"'),
        ("HB453", 'extends = "/etc/passwd"'),
        ("HB453", 'extends = "../x"'),
    ],
)
def test_a_bad_file_is_refused_with_its_code(code: str, text: str) -> None:
    with pytest.raises(ProfileError) as caught:
        model(text)
    assert caught.value.code == code
    assert caught.value.render().endswith("nothing was run\n")


def test_an_argument_compared_twice_in_a_row_is_refused() -> None:
    row = "{ call = 'read', arg = 0, mask = 1, value = 1, and_arg = 0, and_mask = 2, and_value = 2 }"
    with pytest.raises(ProfileError, match="twice"):
        model(f"[group.a]\nwhy = 'w'\nallow_when = [{row}]")


def test_a_child_adds_groups_and_replaces_none() -> None:
    parent = "[group.a]\nwhy = 'w'\nallow = ['read']"
    files = {"p": parent, "c": 'extends = "p"\n[group.b]\nwhy = "w"\nallow = ["write"]'}
    loaded = models.load("c", lambda name: files[name].encode())
    assert [group.name for group in loaded.groups] == ["a", "b"]
    files["c"] = files["c"].replace("group.b", "group.a")
    with pytest.raises(ProfileError, match="stands in p already"):
        models.load("c", lambda name: files[name].encode())


def test_the_five_steps() -> None:
    rules = models.effective(model())
    nothing = (0,) * 6
    assert models.answer(rules, "read", nothing) == 0
    assert models.answer(rules, "clone", (1 | 0x123 << 32, 2, 0, 0, 0, 0)) == 0
    assert models.answer(rules, "clone", (1, 1, 0, 0, 0, 0)) == errno.EPERM
    assert models.answer(rules, "ptrace", nothing) == errno.EPERM
    assert models.answer(rules, "clone3", nothing) == errno.ENOSYS
    assert models.answer(rules, "bind", nothing) == errno.ENOSYS
    refused = models.effective(model(), refuse=("c",))
    assert models.answer(refused, "read", nothing) == errno.EPERM


def test_groups_can_be_lifted_enforced_and_opened_by_a_capability() -> None:
    nothing = (0,) * 6
    assert models.answer(models.effective(model(), add=("b",)), "ptrace", nothing) == 0
    assert models.answer(models.effective(model(), keep=("NET_RAW",)), "bind", nothing) == 0
    refused = models.effective(model(), refuse=("a",))
    assert models.answer(refused, "read", nothing) == errno.EPERM
    assert models.answer(refused, "clone", (1, 2, 0, 0, 0, 0)) == errno.EPERM


@pytest.mark.parametrize(
    ("code", "add", "refuse"),
    [("HB455", ("bb",), ()), ("HB455", (), ("nope",)), ("HB456", ("a",), ()), ("HB456", ("b",), ("b",))],
)
def test_a_wrong_group_name_is_refused(code: str, add: tuple[str, ...], refuse: tuple[str, ...]) -> None:
    with pytest.raises(ProfileError) as caught:
        models.effective(model(), add=add, refuse=refuse)
    assert caught.value.code == code


def test_two_error_numbers_for_one_call_are_refused() -> None:
    text = "[group.a]\nwhy = 'w'\nrefuse = ['bpf']\n[group.b]\nwhy = 'w'\nerrno = 'ENOSYS'\nrefuse = ['bpf']"
    with pytest.raises(ProfileError) as caught:
        models.effective(model(text))
    assert caught.value.code == "HB457"


@given(st.binary(max_size=200) | st.text(alphabet="[]group.a=\"'{}why \n0x1,", max_size=200).map(str.encode))
def test_no_bytes_make_anything_but_our_errors(raw: bytes) -> None:
    try:
        parsed = models.parse(raw, "x")
    except HardboxError as error:
        assert error.code.startswith("HB45")  # noqa: PT017 (both outcomes are checked)
    else:
        assert isinstance(parsed, models.Filter)
