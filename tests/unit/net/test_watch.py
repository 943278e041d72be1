"""Notices of nftables: which tables were deleted."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as some

from hardbox.net.watch import deleted_tables

DELTABLE, NEWTABLE = 0x0A02, 0x0A00


def notice(kind: int, name: bytes) -> bytes:
    attribute = struct.pack("=HH", 4 + len(name), 1) + name + b"\0" * (-len(name) % 4)
    handle = struct.pack("=HHQ", 12, 4, 7)
    body = b"\1\0\0\0" + handle + attribute
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_deleted_tables_are_named() -> None:
    data = notice(NEWTABLE, b"a\0") + notice(DELTABLE, b"hardbox-hbx0\0") + notice(DELTABLE, b"own\0")
    assert deleted_tables(data) == ["hardbox-hbx0", "own"]


@given(some.binary(max_size=200))
def test_no_bytes_crash(data: bytes) -> None:
    assert isinstance(deleted_tables(data), list)


@given(some.integers(0, 200))
def test_a_notice_that_is_cut_short_crashes_nothing(length: int) -> None:
    assert deleted_tables(notice(DELTABLE, b"hardbox-hbx0\0")[:length]) in ([], ["hardbox-hbx0"])
