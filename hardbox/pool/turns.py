"""Whose turn it is: so many jobs at once, so many callers that wait, and none of them for ever.

Run by: pool/, in the owner's process.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

from hardbox.errors import SetupFailed, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST: Final = 1024
# Seconds; a member that may wait for less is never there when it is wanted.
_LEAST_IDLE: Final = 0.1
_BITS: Final = 256


class Cancelled(Exception):  # noqa: N818 (as in asyncio)
    """Whoever wanted this job does not want it any more."""


class Ticket:
    """One wish for a job, which can be taken back from another thread."""

    def __init__(self) -> None:
        """Make it; see `cancel`."""
        self._lock = threading.Lock()
        self._cancelled = False
        self._begun = False
        self._end: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether it was taken back."""
        return self._cancelled

    def begin(self) -> bool:
        """Say that the job is launched now; False if the wish was taken back."""
        with self._lock:
            self._begun = not self._cancelled
            return self._begun

    def job(self, end: Callable[[], None]) -> None:
        """Note what ends the job, or the wait for it; it is called at once if the wish was taken back."""
        with self._lock:
            self._end.append(end)
            late = self._cancelled
        if late:
            self._call()

    def cancel(self) -> None:
        """Take it back: the job, if there is one, ends."""
        with self._lock:
            self._cancelled = True
        self._call()

    def cancel_waiting(self) -> bool:
        """Take it back unless the job was launched; says whether it was taken back."""
        with self._lock:
            if self._begun:
                return False
            self._cancelled = True
        self._call()
        return True

    def _call(self) -> None:
        with self._lock:
            ends, self._end = self._end, []
        for end in ends:
            end()


class Turns:
    """Bounded waiting for one of so many places."""

    def __init__(self, places: int, waiting: int, patience: float) -> None:
        """Begin with all places free.

        waiting:  how many callers may wait.
        patience: seconds that one of them may wait.
        """
        self._places = places
        self._most = waiting
        self._patience = patience
        self._running = 0
        self._wait = 0
        self._closed = False
        self._change = threading.Condition()

    @contextmanager
    def turn(self, ticket: Ticket) -> Iterator[None]:
        """Wait for a place and keep it. Raises SetupFailed HB670, HB671, or Cancelled."""
        with self._change:
            if self._closed:
                raise closed()
            if self._running >= self._places:
                self._queue(ticket)
            self._running += 1
        try:
            yield
        finally:
            with self._change:
                self._running -= 1
                self._change.notify()

    def _queue(self, ticket: Ticket) -> None:
        if self._wait >= self._most:
            number = f"{self._wait} callers wait already"
            raise self._full(number)
        last = time.monotonic() + self._patience
        ticket.job(self.wake)
        self._wait += 1
        try:
            while self._running >= self._places:
                if self._closed:
                    raise closed()
                if ticket.cancelled:
                    raise Cancelled
                left = last - time.monotonic()
                if left <= 0:
                    late = f"no place came free in {self._patience:g} s"
                    raise self._full(late)
                self._change.wait(left)
            if ticket.cancelled:
                self._change.notify()
                raise Cancelled
        finally:
            self._wait -= 1

    def wake(self) -> None:
        """Let everybody who waits look again."""
        with self._change:
            self._change.notify_all()

    def close(self, seconds: float | None = None) -> bool:
        """Let nobody in any more, and wait for those who have a place; says whether they have gone."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            return self._change.wait_for(lambda: self._running == 0, seconds)

    def _full(self, value: str) -> SetupFailed:
        return SetupFailed(
            "HB671",
            "the pool is full",
            value=value,
            why=f"{self._places} jobs run at once, and {self._most} callers may wait {self._patience:g} s",
            instead="fewer jobs at a time, or a larger size, waiting or patience",
        )


def closed() -> SetupFailed:
    """Give the error for a pool that takes no more jobs."""
    return SetupFailed("HB670", "the pool is closed", instead="run jobs inside of the with statement")


def check(size: int, idle: float, waiting: int, patience: float) -> None:
    """Refuse numbers that no pool can have. Raises Usage HB002."""
    numbers: dict[str, tuple[float, float, int, bool]] = {
        "size": (size, 1, _MOST, True),
        "waiting": (waiting, 0, 1 << 20, True),
        "idle": (idle, _LEAST_IDLE, 1 << 30, False),
        "patience": (patience, 0, 1 << 30, False),
    }
    for name, (value, least, most, whole) in numbers.items():
        check_number(name, value, least, most, whole=whole)


def _shown(given: object) -> str:
    # Python writes no number of more than 4300 digits.
    return (
        "a number of that size"
        if isinstance(given, int) and given.bit_length() > _BITS
        else repr(given)[:120]
    )


def check_number(name: str, given: object, least: float, most: float, *, whole: bool = True) -> None:
    """Refuse what is no number of a pool's in its range. Raises Usage HB002."""
    fit = isinstance(given, int) or (isinstance(given, float) and not whole)
    if isinstance(given, bool) or not fit or not least <= cast("float", given) <= most:
        raise Usage(
            "HB002",
            f"a pool's {name} is out of range",
            value=f"{name}={_shown(given)}",
            why=f"it is a {'whole number' if whole else 'number'} from {least} to {most}",
            instead=f"{name}={min(most, 8 if name == 'size' else 60)}",
        )
