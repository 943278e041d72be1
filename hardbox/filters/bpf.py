"""Classic BPF programs: reading, joining and checking them.

Run by: filters/__init__.py on a cache miss; pure. libseccomp cannot express "allow but for these
arguments", nor two defaults in one filter, and 2.5.4 can mix up the actions of one filter
(GHSA-4q85-33p6-j5g6). So it compiles small programs of one action each; a program says "go
on" by returning GO_ON, and `join` turns each such return into a jump to the next program. What
a number alone decides is `by_number`, a program of our own: the shortest that there is.
Instructions are those of bpf(4) and linux/filter.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP: Final = 0x05  # BPF_JMP | BPF_JA
JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K

RET_KILL_PROCESS: Final = 0x8000_0000
RET_ERRNO: Final = 0x0005_0000
RET_ALLOW: Final = 0x7FFF_0000
# The supervisor is asked. The kernel ignores the lower half of this action, in which our programs
# carry the errno to answer with: the decision stays the program's. 0: told, and then allowed.
RET_USER_NOTIF: Final = 0x7FC0_0000
# A trace action with data that nothing else uses; never left in a joined program.
GO_ON: Final = 0x7FF0_4842
# libseccomp takes no notification with data. It compiles an errno with one of these bits instead,
# above every errno that a filter answers with; `tell` puts the notification in its place.
LOUD: Final = 0x800
SEEN: Final = RET_ERRNO | 0x400

OFFSET_NUMBER: Final = 0
OFFSET_ARCHITECTURE: Final = 4
X32_BIT: Final = 0x4000_0000
_FARTHEST: Final = 255  # jt and jf are bytes
MAX_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS

AUDIT_ARCHITECTURES: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_ENOSYS: Final = 38
_FORMAT: Final = struct.Struct("=HBBI")


class Instruction(NamedTuple):
    """struct sock_filter: jt and jf count from the next instruction."""

    code: int
    jt: int
    jf: int
    k: int


def unpack(raw: bytes) -> list[Instruction]:
    """Read an array of struct sock_filter. Raises ValueError if the length is not a multiple of 8."""
    if len(raw) % _FORMAT.size:
        message = f"{len(raw)} bytes are no array of struct sock_filter"
        raise ValueError(message)
    return [Instruction(*fields) for fields in _FORMAT.iter_unpack(raw)]


def pack(program: Sequence[Instruction]) -> bytes:
    """Write an array of struct sock_filter."""
    return b"".join(_FORMAT.pack(*instruction) for instruction in program)


def entry(machine: str) -> list[Instruction]:
    """Give the start of every filter: other architectures are killed, impossible numbers get ENOSYS.

    x32 numbers (0x40000000..0x7fffffff on x86_64) are killed: they reach the same calls under
    numbers that no rule names. Negative ones do not exist on any architecture.
    """
    no_call = Instruction(RETURN, 0, 0, RET_ERRNO | _ENOSYS)
    kill = Instruction(RETURN, 0, 0, RET_KILL_PROCESS)
    return [
        Instruction(LD_WORD, 0, 0, OFFSET_ARCHITECTURE),
        Instruction(JUMP_EQUAL, 1, 0, AUDIT_ARCHITECTURES[machine]),
        kill,
        Instruction(LD_WORD, 0, 0, OFFSET_NUMBER),
        Instruction(JUMP_AT_LEAST, 0, 3, X32_BIT),
        Instruction(JUMP_AT_LEAST, 1, 0, 2 * X32_BIT),
        kill if machine == "x86_64" else no_call,
        no_call,
    ]


def by_number(actions: Mapping[int, int], default: int) -> list[Instruction]:
    """Give a binary search over system call numbers: the action of each, `default` for all others.

    Neighbours with one action are one leaf, which makes the program short: the kernel compiles
    it for each job, and walks it once for each number (about 200 us for 700 instructions).
    """
    starts: list[tuple[int, int]] = [(0, actions.get(0, default))]
    for number in sorted({edge for known in actions for edge in (known, known + 1)}):
        action = actions.get(number, default)
        if number > 0 and action != starts[-1][1]:
            starts.append((number, action))
    return [Instruction(LD_WORD, 0, 0, OFFSET_NUMBER), *_search(starts)]


def _search(starts: list[tuple[int, int]]) -> list[Instruction]:
    if len(starts) == 1:
        return [Instruction(RETURN, 0, 0, starts[0][1])]
    middle = len(starts) // 2
    below, above = _search(starts[:middle]), _search(starts[middle:])
    if len(below) <= _FARTHEST:
        return [Instruction(JUMP_AT_LEAST, len(below), 0, starts[middle][0]), *below, *above]
    far = Instruction(JUMP, 0, 0, len(below))
    return [Instruction(JUMP_AT_LEAST, 0, 1, starts[middle][0]), far, *below, *above]


def retarget(program: list[Instruction], native: int, machine: str) -> list[Instruction]:
    """Make a program that was compiled for this host's architecture check for `machine`.

    libseccomp translates numbers between architectures by name, and so cannot take numbers
    that it has no name for; instead it compiles the numbers of `machine` as if they were native.
    Raises ValueError if the program does not begin with that check.
    """
    head = [Instruction(LD_WORD, 0, 0, OFFSET_ARCHITECTURE), (JUMP_EQUAL, native)]
    if len(program) < len(head) or program[0] != head[0] or (program[1].code, program[1].k) != head[1]:
        message = "libseccomp's program does not begin with a check of the architecture"
        raise ValueError(message)
    return [program[0], program[1]._replace(k=AUDIT_ARCHITECTURES[machine]), *program[2:]]


def join(programs: Sequence[Sequence[Instruction]]) -> list[Instruction]:
    """Run programs one after the other: each GO_ON becomes a jump to the start of the next.

    Raises ValueError if the result is too long, the last program has a GO_ON, or any jump
    leaves its program.
    """
    whole: list[Instruction] = []
    for program in programs:
        start = len(whole)
        following = start + len(program)
        for number, instruction in enumerate(program):
            _check(instruction, number, len(program))
            if instruction.code == RETURN and instruction.k == GO_ON:
                if program is programs[-1]:
                    message = "the last program goes on to nowhere"
                    raise ValueError(message)
                whole.append(Instruction(JUMP, 0, 0, following - start - number - 1))
            else:
                whole.append(instruction)
    if len(whole) > MAX_INSTRUCTIONS:
        message = f"{len(whole)} instructions; the kernel takes {MAX_INSTRUCTIONS}"
        raise ValueError(message)
    return whole


def tell(program: Sequence[Instruction]) -> list[Instruction]:
    """Turn each return that is marked LOUD or SEEN into a notification."""
    told = []
    for instruction in program:
        marked = instruction.code == RETURN and instruction.k >> 16 == RET_ERRNO >> 16
        if marked and instruction.k == SEEN:
            told.append(instruction._replace(k=RET_USER_NOTIF))
        elif marked and instruction.k & LOUD:
            told.append(instruction._replace(k=RET_USER_NOTIF | (instruction.k & 0xFFFF & ~LOUD)))
        else:
            told.append(instruction)
    return told


def _check(instruction: Instruction, number: int, length: int) -> None:
    """Check that control stays inside the program; the entry part may fall through to the next."""
    code, jt, jf, k = instruction
    reach = 0
    if code == JUMP:
        reach = k + 1
    elif code & 0x07 == JUMP & 0x07:
        reach = max(jt, jf) + 1
    if number + reach > length:
        message = f"the jump of instruction {number} leaves its program of {length}"
        raise ValueError(message)
