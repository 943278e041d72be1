"""The members that wait: made ahead by a thread, taken oldest first, dropped when they have waited too long.

Run by: pool/, in the owner's process.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from hardbox.engines.member import Member
from hardbox.errors import HardboxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.plan import LaunchPlan

# Seconds that a member may take to come to its hold point.
_PATIENCE: Final = 60.0
# After one that could not be made; while jobs are launched the usual way.
_PAUSE: Final = 1.0
_LOOK: Final = 1.0
# While enough others wait, a job that has just begun has the CPUs for itself so long.
_PRECEDENCE: Final = 0.01


class IdleMembers:
    """Members of one kind. Everything is done under one lock, but for making and ending a member."""

    def __init__(self, size: int, idle: float, same: Callable[[], bool]) -> None:
        """Keep none yet; see `set`.

        size: how many are kept.
        idle: seconds that one may wait, and that they are made anew behind the last job.
        same: says whether what was decided still holds; called now and then.
        """
        self._size = size
        self._idle = idle
        self._same = same
        self._change = threading.Condition()
        self._waiting: deque[tuple[float, Member]] = deque()
        self._plan: LaunchPlan | None = None
        self._at = 0
        self._used = time.monotonic()
        self._closed = False
        self._pause = 0.0
        self._thread: threading.Thread | None = None
        self.problem: HardboxError | None = None

    def set(self, plan: LaunchPlan, at: int) -> None:
        """Make members for this plan from here on; those of another one end."""
        with self._change:
            old, self._waiting = self._waiting, deque()
            self._plan, self._at, self._used, self._pause = plan, at, time.monotonic(), 0.0
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._keep, name="hardbox-pool", daemon=True)
                self._thread.start()
            self._change.notify_all()
        for _, member in old:
            member.close()

    def drop(self, plan: LaunchPlan | None = None) -> None:
        """End all, and make no more before `set`; plan: only those of this one."""
        with self._change:
            if plan is not None and plan is not self._plan:
                return
            old, self._waiting = tuple(self._waiting), deque()
            self._plan = None
        self._end(old)

    def take(self, plan: LaunchPlan) -> Member | None:
        """Give the member of this plan that has waited longest, None if there is none."""
        while True:
            with self._change:
                self._used = time.monotonic()
                if not self._waiting or plan is not self._plan:
                    self._change.notify_all()
                    return None
                member = self._waiting.popleft()[1]
            if member.alive():
                return member
            member.close()

    def refill(self) -> None:
        """Replace what was taken; not before its job runs, which should not wait for that."""
        with self._change:
            self._change.notify_all()

    def count(self) -> int:
        """Say how many wait."""
        with self._change:
            return len(self._waiting)

    def wait(self, count: int, seconds: float) -> bool:
        """Wait until so many members wait, or one could not be made; says whether they do."""
        with self._change:
            return (
                self._change.wait_for(
                    lambda: len(self._waiting) >= count or self._closed or self.problem is not None, seconds
                )
                and len(self._waiting) >= count
            )

    def close(self) -> None:
        """End all that wait, and make no more."""
        with self._change:
            self._closed = True
            thread = self._thread
            self._change.notify_all()
        if thread is not None:
            thread.join()
        self._end(tuple(self._waiting))
        self._waiting.clear()

    def forget(self) -> None:
        """Be empty, in a child process that is not the owner."""
        for _, member in self._waiting:
            member.forget()
        self._waiting.clear()
        self._closed, self._thread, self._change = True, None, threading.Condition()

    def _keep(self) -> None:
        while True:
            with self._change:
                if self._closed:
                    return
                old = self._expired()
                plan, at = self._plan, self._at
                wanted = plan if self._short() else None
                if not old and wanted is None:
                    self._change.wait(None if not self._waiting and not self._pause else _LOOK)
                    if self._short() and 2 * len(self._waiting) >= self._size:
                        self._change.wait_for(lambda: self._closed, _PRECEDENCE)
            self._end(old)
            if plan is not None and not self._same():
                self.drop(plan)
            elif wanted is not None:
                self._make(wanted, at)

    def _short(self) -> bool:
        now = time.monotonic()
        return len(self._waiting) < self._size and now - self._used < self._idle and now >= self._pause

    def _expired(self) -> list[tuple[float, Member]]:
        """Take away who has waited too long."""
        first = time.monotonic() - self._idle
        return [self._waiting.popleft() for born, _ in tuple(self._waiting) if born < first]

    def _make(self, plan: LaunchPlan, at: int) -> None:
        member, problem, ready = None, None, False
        try:
            member = Member(plan, at)
            ready = member.ready(_PATIENCE)
            problem = None if ready else member.trouble()
        except HardboxError as error:
            problem = error
        with self._change:
            self.problem = None if ready else problem
            if ready and member is not None and self._plan is plan and not self._closed:
                self._waiting.append((time.monotonic(), member))
                member = None
            self._pause = 0.0 if ready else time.monotonic() + _PAUSE
            self._change.notify_all()
        if member is not None:
            member.close()

    @staticmethod
    def _end(members: tuple[tuple[float, Member], ...] | list[tuple[float, Member]]) -> None:
        for _, member in members:
            member.close()
