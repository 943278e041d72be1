"""HostFacts: parsing, faking, and what the kernel answers.  Run by: pytest."""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardbox import host
from hardbox.cache import cache_folder
from hardbox.errors import HostUnfit
from hardbox.host import HostFacts, IdRange, parse_ranges, split_range

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/cap_last_cap").write_text("41\n")
    (tmp_path / "proc/4711").mkdir()
    (tmp_path / "proc/kcore").touch()
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(f"someone:x:{os.geteuid()}:0::/:/bin/sh\n")
    return tmp_path


def ranges_for_caller(text: str) -> str:
    owner = "hardbox" if os.geteuid() == 0 else "someone"
    return text.replace("OWNER", owner)


def test_a_faked_host_is_read_as_it_stands(root: Path) -> None:
    (root / "etc/subuid").write_text(ranges_for_caller("other:1:9\nOWNER:100000:65536\n"))
    (root / "etc/subgid").write_text(ranges_for_caller("OWNER:200000:65536\nOWNER:300000:10\n"))
    helper = root / "usr/bin/newuidmap"
    helper.touch()
    helper.chmod(0o755)
    facts = host.read_facts(str(root))
    assert facts.last_cap == 41
    assert facts.user_name == "someone"
    assert facts.subuid == (IdRange(100000, 65536),)
    assert facts.subgid == (IdRange(200000, 65536), IdRange(300000, 10))
    assert (facts.newuidmap, facts.newgidmap) == ("/usr/bin/newuidmap", "")
    assert facts.cgroup_namespaces is False


def test_missing_id_files_are_no_ranges(root: Path) -> None:
    facts = host.read_facts(str(root))
    assert (facts.subuid, facts.subgid) == ((), ())


def test_no_proc_is_an_unfit_host(root: Path) -> None:
    (root / "proc/sys/kernel/cap_last_cap").unlink()
    with pytest.raises(HostUnfit) as caught:
        host.read_facts(str(root))
    assert caught.value.code == "HB502"
    assert "mount -t proc" in caught.value.instead


def test_a_python_without_ctypes_is_an_unfit_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_ctypes", None)
    with pytest.raises(HostUnfit) as caught:
        host.landlock_abi()
    assert caught.value.code == "HB503"


def test_the_abi_is_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said = max(ctypes.CDLL(None).syscall(444, None, 0, 1), 0)
    assert host.landlock_abi() == said
    import _ctypes  # noqa: PLC0415 (patched: what if Python renames its private function?)

    monkeypatch.delattr(_ctypes, "call_function")
    assert host.landlock_abi() == said


def test_this_host() -> None:
    facts = host.read_facts()
    assert (facts.uid, facts.gid) == (os.geteuid(), os.getegid())
    known = {user.pw_uid: user.pw_name for user in reversed(pwd.getpwall())}
    assert facts.user_name == known.get(os.geteuid(), "")
    assert facts.kernel == os.uname().release
    assert set(facts.cpus) == os.sched_getaffinity(0)


def test_own_paths_are_resolved_and_complete() -> None:
    paths = host.own_paths()
    assert os.path.realpath(sys.prefix) in paths
    assert os.path.dirname(os.path.realpath(host.__file__)) in paths
    assert os.path.realpath(cache_folder()) in paths
    assert "/usr" not in paths
    assert all(path == os.path.realpath(path) for path in paths)


def test_no_cache_folder_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "cache_folder", lambda: "")
    assert os.getcwd() not in host.own_paths()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"#comment",
        b"u:100000",
        b"u:100000:65536:1",
        b":100000:65536",
        b"u:x:65536",
        b"u:-1:65536",
        b"u: 1:65536",
        b"u:100000:0",
        b"u:0:65536",
        b"u:4294967295:1",
        b"u:4294967000:296",
        b"u:99999999999:1",
        b"u:0x10:1",
        "u:\N{SUPERSCRIPT TWO}:1".encode(),
    ],
)
def test_a_line_that_newuidmap_would_not_take_counts_as_absent(line: bytes) -> None:
    assert split_range(line) is None


def test_the_last_usable_range() -> None:
    assert split_range(b"u:4294967000:295") == ("u", IdRange(4294967000, 295))


def test_ranges_are_found_by_name_and_by_number_and_keep_their_order() -> None:
    text = b"1000:300000:10\nme:100000:10\nmee:1:1\n\nme:100005:10"
    assert parse_ranges(text, ("me", "1000")) == (
        IdRange(300000, 10),
        IdRange(100000, 10),
        IdRange(100005, 10),
    )


def test_a_caller_without_a_name_has_nobodys_ranges() -> None:
    assert parse_ranges(b":100000:10\n", ("", "7")) == ()


@given(st.binary(max_size=200), st.lists(st.text(max_size=4), max_size=3))
def test_no_text_breaks_the_parser_and_no_range_holds_id_0(text: bytes, owners: list[str]) -> None:
    for own in parse_ranges(text, owners):
        assert 0 < own.start < own.start + own.count <= 2**32 - 1


@given(st.integers(1, 2**32 - 3), st.integers(1, 2**16))
def test_every_valid_line_is_understood(start: int, count: int) -> None:
    expected = () if start + count > 2**32 - 1 else (IdRange(start, count),)
    assert parse_ranges(f"a:{start}:{count}\n".encode(), ["a"]) == expected


def test_an_unreadable_file_is_empty(tmp_path: Path) -> None:
    assert host.read_bytes(str(tmp_path)) == b""
    assert host.read_bytes(str(tmp_path / "none")) == b""


def test_roots_leases_come_from_the_range_that_both_files_name() -> None:
    root = HostFacts(uid=0, gid=0)
    default = IdRange(0x70000000, 4096 * 65536)
    own, small, low = IdRange(200000, 131072), IdRange(200000, 65535), IdRange(1000, 131072)
    assert root.lease_ids() == default
    assert replace(root, subuid=(own,), subgid=(own,)).lease_ids() == own
    assert replace(root, subuid=(own,), subgid=()).lease_ids() == default
    assert replace(root, subuid=(small,), subgid=(small,)).lease_ids() == default
    assert replace(root, subuid=(low,), subgid=(low,)).lease_ids() == default
