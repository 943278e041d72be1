"""The same filter in fewer instructions: what is known is not asked again, and equal ends are one.

Run by: filters/__init__.py on a cache miss; pure. The joined programs each check the architecture and search
the number anew. Here every path is walked with what it has learnt of both; a comparison that is decided
disappears, and so does a load that nobody reads. The kernel compiles the program for each job, which is most
of what a filter costs a launch (docs/performance.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox.filters.bpf import (
    JUMP,
    JUMP_AT_LEAST,
    JUMP_EQUAL,
    LD_WORD,
    OFFSET_ARCHITECTURE,
    OFFSET_NUMBER,
    RETURN,
    Instruction,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP_MORE: Final = 0x25  # BPF_JMP | BPF_JGT | BPF_K
JUMP_ANY: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_TESTS: Final = (JUMP_EQUAL, JUMP_AT_LEAST, JUMP_MORE, JUMP_ANY)
_WORD: Final = 0xFFFF_FFFF
_FARTHEST: Final = 255  # jt and jf are bytes


class _Known(NamedTuple):
    """What a path has learnt: where it is, the word and mask that are loaded, the architecture, the number.

    word:  offset of what the accumulator holds, -1 before the first load (it is 0 then).
    arch:  -1 where it is not known.
    low, high: the number is one of these.
    """

    at: int = 0
    word: int = -1
    mask: int = 0
    arch: int = -1
    low: int = 0
    high: int = _WORD

    def value(self) -> int | None:
        """Give what the accumulator holds, None if it depends on the call."""
        if not self.mask:
            return 0
        if self.word == OFFSET_ARCHITECTURE and self.arch >= 0:
            return self.arch & self.mask
        if self.word == OFFSET_NUMBER and self.low == self.high:
            return self.low & self.mask
        return None


class _Node(NamedTuple):
    """An instruction with the nodes that follow it, by their place in the list; -1: none."""

    code: int
    k: int
    then: int = -1
    other: int = -1


def shorten(program: Sequence[Instruction]) -> list[Instruction]:
    """Give a program with the same answer to every call, never a longer one.

    Raises ValueError for an instruction that filters do not have.
    """
    states: set[_Known] = set()
    waiting = [_Known()]
    while waiting:
        state = waiting.pop()
        if state not in states:
            states.add(state)
            waiting.extend(_next(program, state))
    nodes: list[_Node] = []
    places: dict[_Node, int] = {}
    node_of: dict[_Known, int] = {}
    # Jumps lead forward only, so what follows a state is there before it.
    for state in sorted(states, reverse=True):
        found = _node(program, state, [node_of[known] for known in _next(program, state)], nodes)
        if isinstance(found, _Node):
            place = places.setdefault(found, len(nodes))
            if place == len(nodes):
                nodes.append(found)
            node_of[state] = place
        else:
            node_of[state] = found
    shorter = _laid_out(nodes, node_of[_Known()])
    return shorter if len(shorter) <= len(program) else list(program)


def _next(program: Sequence[Instruction], state: _Known) -> list[_Known]:
    """Give the states that may follow: two where the call decides."""
    code, jt, jf, k = program[state.at]
    after = state._replace(at=state.at + 1)
    if code == RETURN:
        return []
    if code == JUMP:
        return [after._replace(at=after.at + k)]
    if code == LD_WORD:
        return [after._replace(word=k, mask=_WORD)]
    if code == AND:
        return [after._replace(mask=state.mask & k)]
    if code not in _TESTS:
        message = f"instruction {state.at} has code {code:#x}, which no filter of ours has"
        raise ValueError(message)
    then, other = _learnt(state, code, k)
    return [
        known._replace(at=after.at + way)
        for known, way in ((then, jt), (other, jf))
        if known is not None and known.low <= known.high
    ]


def _learnt(state: _Known, code: int, k: int) -> tuple[_Known | None, _Known | None]:
    """Give what is known where the test holds, and where it does not; None where that cannot be."""
    value = state.value()
    if value is not None:
        holds = {
            JUMP_EQUAL: value == k,
            JUMP_AT_LEAST: value >= k,
            JUMP_MORE: value > k,
            JUMP_ANY: value & k != 0,
        }[code]
        return (state, None) if holds else (None, state)
    if state.mask != _WORD:
        return state, state
    if state.word == OFFSET_ARCHITECTURE and code == JUMP_EQUAL:
        return state._replace(arch=k), state
    if state.word != OFFSET_NUMBER or code == JUMP_ANY:
        return state, state
    if code == JUMP_EQUAL:
        low = state.low + (state.low == k)
        high = state.high - (state.high == k)
        holds = state.low <= k <= state.high
        return state._replace(low=k, high=k) if holds else None, state._replace(low=low, high=high)
    first = k if code == JUMP_AT_LEAST else k + 1
    return state._replace(low=max(state.low, first)), state._replace(high=min(state.high, first - 1))


def _node(
    program: Sequence[Instruction], state: _Known, following: list[int], nodes: list[_Node]
) -> _Node | int:
    """Give the node of a state; the place of the one that follows where none is needed."""
    code, _, _, k = program[state.at]
    if code == RETURN:
        return _Node(code, k)
    first, last = following[0], following[-1]
    if code in _TESTS:
        return first if first == last else _Node(code, k, first, last)
    if code == JUMP or nodes[first].code in (RETURN, LD_WORD):
        return first  # what would be loaded is not read
    if code == LD_WORD and state.word == k and state.mask == _WORD:
        return first  # it is there already
    if code == AND and state.mask & k == state.mask:
        return first
    return _Node(code, k, first)


def _laid_out(nodes: list[_Node], root: int) -> list[Instruction]:
    """Put nodes in a row, parents first; returns that are too far are repeated, others jumped to."""
    wanted = {root}
    for place in range(root, -1, -1):
        if place in wanted:
            wanted.update(child for child in nodes[place][2:] if child >= 0)
    row: list[Instruction] = []  # from the end
    at: dict[int, int] = {}  # the nearest that leads there
    home: dict[int, int] = {}

    def near(place: int, reach: int) -> None:
        """See to it that a node, or a jump to it, is at most `reach` instructions away."""
        if place in at and len(row) - at[place] - 1 <= reach:
            return
        if nodes[place].code == RETURN:
            row.append(Instruction(RETURN, 0, 0, nodes[place].k))
        else:
            row.append(Instruction(JUMP, 0, 0, len(row) - home[place] - 1))
        at[place] = len(row) - 1

    for place in range(root + 1):
        code, k, then, other = nodes[place]
        if place not in wanted or code == RETURN:
            continue  # a return is written where it is needed first
        if code in _TESTS:
            near(other, _FARTHEST - 1)  # one for the jump that `then` may need
            near(then, _FARTHEST)
            row.append(Instruction(code, len(row) - at[then] - 1, len(row) - at[other] - 1, k))
        else:
            near(then, 0)
            row.append(Instruction(code, 0, 0, k))
        at[place] = home[place] = len(row) - 1
    if nodes[root].code == RETURN:
        near(root, 0)
    return row[::-1]
