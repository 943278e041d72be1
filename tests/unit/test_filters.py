"""compile_filter: errors, numbers, the cache, and random models against the reference interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit import bpf_interpreter, filter_oracle

from hardbox import cache, filters
from hardbox.errors import HardboxError, HostUnfit, ProfileError, Refused
from hardbox.filters import model as filter_model
from hardbox.filters.model import Compare, Row, Rules
from hardbox.filters.syscall_names import NEWER
from hardbox.policy import Seccomp

if TYPE_CHECKING:
    from pathlib import Path

FREE = """summary = "mine"
extends = "strict"
[group.mine]
why = "mine"
allow = ["acct"]
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "cache_folder", lambda: str(folder))
    return folder


def own_file(tmp_path: Path, text: str = FREE) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def answer(compiled: filters.CompiledFilter, call: str) -> int:
    words = bpf_interpreter.data(filter_oracle.numbers("x86_64")[call], 0xC000_003E, (0,) * 6)
    return bpf_interpreter.run(bpf_interpreter.load(compiled.bpf), words)


def test_the_numbers_of_newer_calls_are_those_of_the_library_where_it_knows_them() -> None:
    import pyseccomp  # noqa: PLC0415 (only here)

    known = {name: pyseccomp.resolve_syscall(pyseccomp.Arch.X86_64, name) for name in NEWER}
    assert {name: number for name, number in known.items() if number >= 0}.items() <= NEWER.items()
    headers = filter_oracle.numbers("aarch64")
    assert {name: headers[name] for name in NEWER} == NEWER
    assert sorted(NEWER.values()) == list(range(451, 451 + len(NEWER)))


def test_every_call_that_a_shipped_filter_names_has_a_number_on_some_machine() -> None:
    numbers = filter_oracle.numbers("x86_64") | filter_oracle.numbers("aarch64")
    gone = {"umount", "stime"}  # of other architectures; named so that they are refused by name
    for name in filters.shipped():
        model = filter_model.load(name, filters.read_filter)
        calls = frozenset[str]().union(*(group.calls() for group in model.groups))
        assert calls - gone <= numbers.keys()


def test_every_call_of_this_kernel_is_decided_on_purpose() -> None:
    left = {
        "afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms",
        "get_thread_area", "getpmsg", "putpmsg", "query_module", "security",
        "set_thread_area", "tuxcall", "vserver",  # never made, or 32-bit only
        "sched_getattr",  # from baseline on
    }  # fmt: skip
    rules = filter_model.effective(filter_model.load("strict", filters.read_filter))
    assert filter_oracle.numbers("x86_64").keys() - rules.calls() == left
    assert not rules.allow & rules.refuse.keys()


def test_the_library_tells_its_version() -> None:
    assert (2, 5, 0) <= filters.library_version() < (4, 0, 0)


@pytest.mark.parametrize("machine", ["i686", "armv7l", "riscv64", ""])
def test_another_machine_is_unfit(machine: str) -> None:
    with pytest.raises(HostUnfit) as caught:
        filters.compile_filter(Seccomp(), machine=machine)
    assert caught.value.code == "HB540"


def test_a_file_of_ones_own_extends_a_shipped_filter(tmp_path: Path) -> None:
    compiled = filters.compile_filter(Seccomp(str(own_file(tmp_path))), machine="x86_64")
    assert answer(compiled, "acct") == filter_oracle.ALLOW
    assert answer(filters.compile_filter(Seccomp(), machine="x86_64"), "acct") == 0x5_0001
    assert "acct" in compiled.rules.allow


def test_memfd_is_refused_under_a_file_that_does_not_know_the_group(tmp_path: Path) -> None:
    path = own_file(tmp_path, "[group.a]\nwhy = 'w'\nallow = ['memfd_create', 'read']\n")
    compiled = filters.compile_filter(Seccomp(str(path)), refuse=("memfd",), machine="x86_64")
    assert answer(compiled, "memfd_create") == 0x5_0001
    assert answer(compiled, "read") == filter_oracle.ALLOW


def test_an_unknown_call_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    path = own_file(tmp_path, "[group.a]\nwhy = 'w'\nallow = ['opennat']\n")
    with pytest.raises(ProfileError, match="opennat") as caught:
        filters.compile_filter(Seccomp(str(path)), machine="x86_64")
    assert caught.value.code == "HB452"
    assert "openat" in caught.value.instead


def test_a_file_that_cannot_be_trusted_is_refused(tmp_path: Path) -> None:
    path = own_file(tmp_path)
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "fifo.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * ((1 << 20) + 1))
    (tmp_path / "large.toml").chmod(0o644)
    cases = [
        ("HB450", "no-such"),
        ("HB402", "../strict"),
        ("HB402", str(tmp_path / "none.toml")),
        ("HB450", ""),
        ("HB403", str(tmp_path / "folder.toml")),
        ("HB403", str(tmp_path / "fifo.toml")),
        ("HB402", str(tmp_path / "a\0b.toml")),
        ("HB404", str(tmp_path / "large.toml")),
    ]
    for mode in (0o666, 0o664):
        path.chmod(mode)
        for code, name in [*cases, ("HB230", str(path))]:
            with pytest.raises(HardboxError) as caught:
                filters.compile_filter(Seccomp(name), machine="x86_64")
            assert caught.value.code == code, name
            assert "filter" in caught.value.what


def test_the_way_to_a_filter_is_looked_at_as_that_to_a_profile(tmp_path: Path) -> None:
    path = own_file(tmp_path)
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "link.toml").symlink_to(path)
    wanted = Seccomp(str(tmp_path / "open" / "link.toml"))
    assert filters.compile_filter(wanted, machine="x86_64").bpf
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(Refused) as caught:
        filters.compile_filter(wanted, machine="x86_64")
    assert caught.value.code == "HB230"
    assert caught.value.what == "the way to the filter can be changed by others"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_symlink_of_another_on_the_way_to_a_filter_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(own_file(tmp_path))
    os.lchown(link, 12345, 12345)
    with pytest.raises(Refused) as caught:
        filters.compile_filter(Seccomp(str(link)), machine="x86_64")
    assert caught.value.code == "HB230"


def test_the_second_run_takes_the_entry_and_imports_no_compiler(own_cache: Path) -> None:
    first = filters.compile_filter(Seccomp(), machine="x86_64")
    assert len(list(own_cache.iterdir())) == 1
    script = (
        "import sys\nfrom hardbox import cache, filters\nfrom hardbox.policy import Seccomp\n"
        f"cache.cache_folder = lambda: {str(own_cache)!r}\n"
        "made = filters.compile_filter(Seccomp(), machine='x86_64')\n"
        "print(made.digest, sorted({'ctypes', 'pyseccomp', 'seccomp', 'tomllib', 'json'} & set(sys.modules)))"
    )
    # From elsewhere: the same hardbox as this test's, installed or not.
    where = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(filters.__file__))}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=where, cwd=own_cache)
    assert done.stdout == f"{first.digest} []\n"


def spoil_bytes(entry: Path) -> None:
    raw = entry.read_bytes()
    entry.write_bytes(raw[:-8] + b"\x06\0\0\0\0\0\xff\x7f")


def spoil_mode(entry: Path) -> None:
    entry.chmod(0o666)


def spoil_folder(entry: Path) -> None:
    entry.parent.chmod(0o777)


def spoil_link(entry: Path) -> None:
    entry.rename(entry.with_name("elsewhere"))
    entry.symlink_to("elsewhere")


def spoil_folder_link(entry: Path) -> None:
    entry.parent.rename(entry.parent.with_name("elsewhere"))
    entry.parent.symlink_to("elsewhere")


def spoil_empty(entry: Path) -> None:
    entry.write_bytes(b"")


def spoil_kind(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


@pytest.mark.parametrize(
    "spoil",
    [spoil_bytes, spoil_mode, spoil_folder, spoil_link, spoil_folder_link, spoil_empty, spoil_kind],
)
def test_an_entry_that_is_off_is_no_entry(own_cache: Path, spoil: object) -> None:
    assert callable(spoil)
    good = filters.compile_filter(Seccomp(), machine="x86_64")
    entry = next(own_cache.iterdir())
    key = entry.name
    assert cache.get(key) == good.bpf
    spoil(entry)
    assert cache.get(key) is None
    assert filters.compile_filter(Seccomp(), machine="x86_64") == good


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_entry_of_another_user_is_no_entry(own_cache: Path) -> None:
    filters.compile_filter(Seccomp(), machine="x86_64")
    entry = next(own_cache.iterdir())
    os.chown(entry, 12345, 12345)
    assert cache.get(entry.name) is None


def test_an_entry_under_another_name_is_no_entry(own_cache: Path) -> None:
    filters.compile_filter(Seccomp("inspect"), machine="x86_64")
    lax = next(own_cache.iterdir()).read_bytes()
    strict = filters.compile_filter(Seccomp(), machine="x86_64")
    entry = next(path for path in own_cache.iterdir() if path.read_bytes() != lax)
    entry.write_bytes(lax)
    assert filters.compile_filter(Seccomp(), machine="x86_64") == strict


def test_without_a_place_for_the_cache_filters_still_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("", "/proc/no/such", "/dev/null/x"):
        monkeypatch.setattr(cache, "cache_folder", lambda folder=folder: folder)
        assert filters.compile_filter(Seccomp(), machine="x86_64").bpf


def test_the_cache_does_not_grow_without_end(own_cache: Path) -> None:
    for number in range(cache.MOST_ENTRIES + 10):
        cache.put(f"{number:064x}", b"x" * 8)
    assert 0 < len(list(own_cache.iterdir())) <= cache.MOST_ENTRIES


def test_a_changed_file_is_compiled_anew(tmp_path: Path) -> None:
    path = own_file(tmp_path)
    wanted = Seccomp(str(path))
    before = filters.compile_filter(wanted, machine="x86_64")
    own_file(tmp_path, FREE.replace("acct", "reboot"))
    after = filters.compile_filter(wanted, machine="x86_64")
    assert answer(before, "reboot") == 0x5_0001
    assert answer(after, "reboot") == filter_oracle.ALLOW


CALLS = ("read", "ioctl", "clone", "mmap", "fchmodat2", "statmount")
words = st.integers(0, 0xFFFF_FFFF)
masks = words | st.sampled_from([1, 0xFF, 0xFFFF_FFFF, 0x8000_0000])
compares = st.builds(
    lambda arg, mask, value: Compare(arg, mask or 1, value & (mask or 1)), st.integers(0, 5), masks, words
)
rows = st.builds(
    lambda call, tests: Row(call, tuple({test.arg: test for test in tests}.values())),
    st.sampled_from(CALLS),
    st.lists(compares, max_size=2),
)
random_rules = st.builds(
    Rules,
    st.lists(rows, max_size=8).map(tuple),
    st.frozensets(st.sampled_from(CALLS), max_size=3),
    st.lists(rows, max_size=8).map(tuple),
    st.dictionaries(st.sampled_from(CALLS), st.sampled_from([1, 13, 38]), max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(random_rules, st.data())
def test_random_rules_compile_to_programs_equal_to_the_model(rules: Rules, draw: st.DataObject) -> None:
    program = bpf_interpreter.load(filters.compile_rules(rules, "x86_64"))
    numbers = filter_oracle.numbers("x86_64")
    every = [test for row in (*rules.refuse_when, *rules.allow_when) for test in row.tests]
    near = st.sampled_from([0, 0xFFFF_FFFF_FFFF_FFFF, *(test.value for test in every)])
    value = st.builds(
        lambda low, high: low ^ high, near, st.sampled_from([0, 0, 1, 1 << 33, 0xFF << 40, 1 << 31])
    )
    for _ in range(30):
        args = tuple(draw.draw(st.tuples(*[value] * 6)))
        for call in (*CALLS, "write"):
            got = bpf_interpreter.run(program, bpf_interpreter.data(numbers[call], 0xC000_003E, args))
            number = filter_model.answer(rules, call, args)
            assert got == (0x5_0000 | number if number else 0x7FFF_0000), (call, args)


def test_a_filter_that_is_too_large_is_an_error_of_ours() -> None:
    many = tuple(Row("ioctl", (Compare(1, 0xFFFF_FFFF, n), Compare(2, 0xFFFF_FFFF, n))) for n in range(900))
    with pytest.raises(HardboxError) as caught:
        filters.compile_rules(Rules(many, frozenset(), (), {}), "x86_64")
    assert caught.value.code == "HB459"
