"""The floor of every filter: a file that allows everything still refuses it.  Run by: pytest."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path

import pytest
from unit import bpf_interpreter, filter_oracle

from hardbox import cache, data, filters
from hardbox.errors import ProfileError
from hardbox.filters import floor
from hardbox.policy import FILTER_ORDER, Seccomp

Program = list[tuple[int, int, int, int]]
EPERM = filter_oracle.ERRNO | errno.EPERM
ENOSYS = filter_oracle.ERRNO | errno.ENOSYS
NUMBERS = filter_oracle.numbers("x86_64")
# All but those that no file may name.
ALLOWED = sorted(NUMBERS.keys() - floor.CALLS.keys())
PAGE = Path(__file__).parents[2] / "docs" / "filters.md"
SET_ID = (0o4755, 0o2755, 0o6777, 0o4000, 0xFFFF_F000 | 0o4000)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "cache_folder", lambda: "")


def compiled(tmp_path: Path, text: str, refuse: tuple[str, ...] = ("memfd",)) -> Program:
    path = tmp_path / "hostile.toml"
    path.write_text(text)
    path.chmod(0o644)
    made = filters.compile_filter(Seccomp(str(path)), refuse=refuse, machine="x86_64")
    return bpf_interpreter.load(made.bpf)


def hostile(tmp_path: Path) -> Program:
    """A file of its own that allows every call that it may name."""
    return compiled(
        tmp_path, f"[group.everything]\nwhy = 'w'\nallow = {ALLOWED!r}\n[group.memfd]\nwhy = 'w'\n"
    )


def answer(program: Program, call: str, *args: int) -> int:
    words = (*args, *[0] * 6)[:6]
    return bpf_interpreter.run(program, bpf_interpreter.data(NUMBERS[call], 0xC000_003E, words))


def test_a_file_that_allows_everything_allows_what_is_not_floor(tmp_path: Path) -> None:
    program = hostile(tmp_path)
    for call in ("ptrace", "bpf", "kexec_load", "io_uring_setup", "open_by_handle_at", "keyctl"):
        assert answer(program, call) == filter_oracle.ALLOW
    assert answer(program, "chmod", 0, 0o755) == filter_oracle.ALLOW
    assert answer(program, "openat", 0, 0, 0, 0o4755) == filter_oracle.ALLOW  # no O_CREAT: no mode
    assert answer(program, "clone", 0x11) == filter_oracle.ALLOW
    assert answer(program, "ioctl", 0, 0x5401) == filter_oracle.ALLOW


def test_its_group_of_the_right_name_does_not_replace_the_refusal_of_memory_files(tmp_path: Path) -> None:
    assert answer(hostile(tmp_path), "memfd_create") == EPERM
    text = "[group.memfd]\nwhy = 'w'\nallow = ['memfd_create', 'read']\n"
    assert answer(compiled(tmp_path, text), "memfd_create") == EPERM
    text = "[group.a]\nwhy = 'w'\nallow = ['memfd_create', 'read']\n"
    assert answer(compiled(tmp_path, text), "memfd_create") == EPERM
    assert answer(compiled(tmp_path, text, ()), "memfd_create") == filter_oracle.ALLOW


@pytest.mark.parametrize("mode", SET_ID)
def test_no_file_gets_a_set_id_bit(tmp_path: Path, mode: int) -> None:
    program = hostile(tmp_path)
    for call in ("chmod", "fchmod", "creat", "mknod"):
        assert answer(program, call, 0, mode) == EPERM, call
    for call in ("fchmodat", "fchmodat2", "mknodat"):
        assert answer(program, call, 0, 0, mode) == EPERM, call
    for creates in (0x40, 0x41, 0x400000, 0x410000, 0x440):
        assert answer(program, "open", 0, creates, mode) == EPERM
        assert answer(program, "openat", 0, 0, creates, mode) == EPERM


def test_nothing_types_into_a_terminal(tmp_path: Path) -> None:
    program = hostile(tmp_path)
    for request, high in itertools.product((0x5412, 0x541C), (0, 1 << 32, 0xFFFF_FFFF << 32)):
        assert answer(program, "ioctl", 0, request | high) == EPERM


@pytest.mark.parametrize("bit", [*(17, 25, 26, 27, 28, 29, 30)])
def test_no_namespace_is_made(tmp_path: Path, bit: int) -> None:
    program = hostile(tmp_path)
    for flags in (1 << bit, 1 << bit | 0x11, 0xFFFF_FFFF, 1 << bit | 1 << 40):
        assert answer(program, "clone", flags) == EPERM
        assert answer(program, "unshare", flags) == EPERM
    assert answer(program, "unshare", 0x80) == EPERM


def test_calls_of_the_floor_do_not_exist_in_a_file_that_does_not_name_them(tmp_path: Path) -> None:
    program = hostile(tmp_path)
    for call in floor.CALLS.keys() & NUMBERS.keys():
        assert answer(program, call) == ENOSYS, call


@pytest.mark.parametrize("call", floor.CALLS)
@pytest.mark.parametrize(
    "text",
    [
        "[group.a]\nwhy = 'w'\nallow = ['read', '{call}']\n",
        "[group.a]\nwhy = 'w'\nallow_when = [{{ call = '{call}', arg = 0, mask = 1, value = 1 }}]\n",
    ],
)
def test_a_file_that_allows_a_call_of_the_floor_is_an_error(tmp_path: Path, call: str, text: str) -> None:
    with pytest.raises(ProfileError) as caught:
        compiled(tmp_path, text.format(call=call))
    assert (caught.value.code, caught.value.value, caught.value.why) == ("HB462", call, floor.CALLS[call])


def test_a_group_that_a_profile_adds_cannot_lift_it(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("extends = 'strict'\n[group.joining]\nwhy = 'w'\naddable = true\nrefuse = ['setns']\n")
    path.chmod(0o644)
    assert filters.compile_filter(Seccomp(str(path)), machine="x86_64").bpf
    with pytest.raises(ProfileError) as caught:
        filters.compile_filter(Seccomp(str(path), add=("joining",)), machine="x86_64")
    assert caught.value.code == "HB462"


@pytest.mark.parametrize(
    "row",
    [
        "call = 'ioctl', arg = 1, mask = 0xffffffff, value = 0x5412",
        "call = 'chmod', arg = 1, mask = 0o7777, value = 0o4755",
        "call = 'unshare', arg = 0, mask = 0xffffffff, value = 0x10000000",
    ],
)
def test_a_row_that_could_only_match_what_the_floor_refuses_is_an_error(tmp_path: Path, row: str) -> None:
    with pytest.raises(ProfileError) as caught:
        compiled(tmp_path, f"[group.a]\nwhy = 'w'\nallow_when = [{{ {row} }}]\n")
    assert caught.value.code == "HB462"


@pytest.mark.parametrize("name", FILTER_ORDER)
@pytest.mark.parametrize("machine", filters.MACHINES)
def test_the_floor_changes_no_answer_of_a_shipped_filter(name: str, machine: str) -> None:
    made = filters.compile_filter(Seccomp(name), refuse=("memfd",), machine=machine)
    program = bpf_interpreter.load(made.bpf)
    oracle = filter_oracle.Oracle(
        filter_oracle.chain(Path(data.folder("seccomp")), name), machine, refuse=("memfd",)
    )
    for arch, number, args in oracle.interesting():
        got = bpf_interpreter.run(program, bpf_interpreter.data(number, arch, args))
        assert got == oracle.answer(arch, number, args), (hex(arch), number, args)


def test_the_page_states_the_floor() -> None:
    text = PAGE.read_text()
    part = text[text.index("## The floor of every filter") :].split("\n## ")[0]
    rows = {row.call for rows in floor.ROWS.values() for row in rows}
    missing = [call for call in (*floor.CALLS, *rows) if f"`{call}`" not in part]
    assert not missing
    for why in {*floor.CALLS.values(), *floor.ROWS}:
        assert why in part
