"""What the launcher counted: struct hb_denials of launch/notify.h, decoded.

Run by: the Python front; pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

_HEAD: Final = struct.Struct("<QI4x")
_ROW: Final = struct.Struct("<IIIIQ6Q16s")
_FIRST_ARGUMENT: Final = 4
# AUDIT_ARCH_* of linux/audit.h -> machine, as uname(2) names it.
MACHINES: Final = {0xC000_003E: "x86_64", 0xC000_00B7: "aarch64"}


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of refused call.

    errno:  what the call was answered with.
    count:  how often.
    args:   the six arguments, as far as the filter looked at them; None: it did not look.
    comm:   name of the thread that was first, "" if it was gone already.
    """

    number: int
    machine: str
    errno: int
    count: int
    args: tuple[int | None, ...]
    comm: str


@dataclass(frozen=True, slots=True)
class Table:
    """All rows, the first refusal first, and how many calls found no room in the table."""

    rows: tuple[Row, ...] = ()
    dropped: int = 0


def parse(data: bytes) -> Table:
    """Decode a table. Raises ValueError if it is not one."""
    if len(data) < _HEAD.size:
        message = f"{len(data)} bytes are no table of refusals"
        raise ValueError(message)
    dropped, count = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + count * _ROW.size:
        message = f"{len(data)} bytes are no table of {count} refusals"
        raise ValueError(message)
    return Table(tuple(_row(*fields) for fields in _ROW.iter_unpack(data[_HEAD.size :])), dropped)


def _row(number: int, architecture: int, error: int, looked: int, count: int, *rest: int | bytes) -> Row:
    *args, comm = rest
    # An argument counts as seen with its lower half; filters compare no other.
    seen = [looked >> (_FIRST_ARGUMENT + 2 * place) & 1 for place in range(len(args))]
    name = comm if isinstance(comm, bytes) else b""
    return Row(
        number,
        MACHINES.get(architecture, ""),
        error,
        count,
        tuple(int(arg) if is_seen else None for arg, is_seen in zip(args, seen, strict=True)),
        name.partition(b"\0")[0].decode("utf-8", "replace"),
    )
