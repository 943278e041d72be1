"""The broker's event loop: one thread, one epoll(7), coroutines, timers.

Run by: the broker. Not asyncio, for its import alone takes twice as long as everything else that the broker
does before it is ready (40 ms of 60 where this was measured), and every run with network waits for that;
nor `socket`, whose tables of enumerations take 6 ms: `_socket` is the same without them.

A descriptor has one owner for reading and one for writing. Whatever a task or a callback raises ends that
task, or the watch on that descriptor, and never the loop.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

_READ: Final = select.EPOLLIN
_WRITE: Final = select.EPOLLOUT
_ALWAYS: Final = select.EPOLLERR | select.EPOLLHUP
_EVENTS_AT_ONCE: Final = 128
# Cancelled timers stay in the heap until they are due, or are so many.
_STALE_TIMERS: Final = 256


class Cancelled(BaseException):
    """Raised in a task where it waits, when it is to end. A task that waits again gets it again."""


class Pause:
    """What a task waits for: settled once, with a result or an error; later settlements count for nothing."""

    __slots__ = ("_error", "_result", "_resume", "settled")

    def __init__(self) -> None:
        """Make an unsettled one."""
        self.settled = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._resume: Callable[[], None] | None = None

    def wake(self, result: Any = None) -> None:  # noqa: ANN401 (whatever the waiter expects)
        """Let the waiter go on with a result."""
        self._settle(result, None)

    def fail(self, error: BaseException) -> None:
        """Raise an error where the task waits."""
        self._settle(None, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:  # noqa: ANN401 (see wake)
        if not self.settled:
            self.settled, self._result, self._error = True, result, error
            if self._resume is not None:
                self._resume()

    def on_settled(self, resume: Callable[[], None]) -> None:
        """Name who is called at the settlement; at once if it has been."""
        self._resume = resume
        if self.settled:
            resume()

    def __await__(self) -> Generator[Pause, None, Any]:
        """Wait for the settlement."""
        if not self.settled:
            yield self
        if self._error is not None:
            raise self._error
        return self._result


class Timer:
    """One call in the future; `cancel` may be called at any time."""

    __slots__ = ("_loop", "callback")

    def __init__(self, loop: Loop, callback: Callable[[], None]) -> None:
        """Hold the callback until it is due."""
        self._loop = loop
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call."""
        if self.callback is not None:
            self.callback = None
            self._loop.timer_cancelled()


class Task:
    """A coroutine under way. `ended` is called once, with what it raised or None."""

    __slots__ = ("_cancelled", "_coroutine", "_ended", "_loop", "_waits", "over")

    def __init__(
        self,
        loop: Loop,
        coroutine: Coroutine[Pause, None, None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        """Start with the loop's next turn."""
        self._loop, self._coroutine, self._ended = loop, coroutine, ended
        self._waits: Pause | None = None
        self._cancelled = False
        self.over = False
        loop.soon(self._step)

    def cancel(self) -> None:
        """Raise Cancelled where the task waits, or where it will wait next."""
        self._cancelled = True
        if self._waits is not None and not self.over:
            self._waits.fail(Cancelled())

    def _step(self) -> None:
        self._waits = None
        try:
            pause = self._coroutine.send(None)
        except StopIteration:
            self._end(None)
        except (Exception, Cancelled) as error:  # noqa: BLE001 (one connection's error is not the broker's)
            self._end(error)
        else:
            self._waits = pause
            pause.on_settled(self._wake)
            if self._cancelled:
                pause.fail(Cancelled())

    def _wake(self) -> None:
        self._loop.soon(self._step)

    def _end(self, error: BaseException | None) -> None:
        self.over = True
        self._ended(error)


class Loop:
    """The loop. Use it from one thread; only `from_thread` may be called from others."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        """Make an idle loop.

        failed: told what a callback raised; the watch on its descriptor is gone by then.
        """
        self._failed = failed
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}
        self._masks: dict[int, int] = {}
        self._soon: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._stale = 0
        self._stopped = False
        self._inbox: deque[Callable[[], None]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.on_readable(self._bell, self._empty_inbox)

    time = staticmethod(time.monotonic)

    def spawn(
        self, coroutine: Coroutine[Pause, None, None], ended: Callable[[BaseException | None], None]
    ) -> Task:
        """Run a coroutine beside the others."""
        return Task(self, coroutine, ended)

    def soon(self, callback: Callable[[], None]) -> None:
        """Call in the next turn."""
        self._soon.append(callback)

    def later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call after some seconds."""
        timer = Timer(self, callback)
        self._sequence += 1
        heappush(self._timers, (self.time() + seconds, self._sequence, timer))
        return timer

    def timer_cancelled(self) -> None:
        """Count a timer that is in the heap for nothing."""
        self._stale += 1
        if self._stale > _STALE_TIMERS and self._stale * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapify(self._timers)
            self._stale = 0

    def on_readable(self, fd: int, callback: Callable[[], None] | None) -> None:
        """Call whenever a descriptor has something to read, or an error; None: no more."""
        self._set(self._readers, fd, callback)

    def on_writable(self, fd: int, callback: Callable[[], None] | None) -> None:
        """Call whenever a descriptor takes something, or has an error; None: no more."""
        self._set(self._writers, fd, callback)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more; to be called before it is closed."""
        self._readers.pop(fd, None)
        self._writers.pop(fd, None)
        self._apply(fd)

    def _set(
        self, callbacks: dict[int, Callable[[], None]], fd: int, callback: Callable[[], None] | None
    ) -> None:
        if callback is None:
            callbacks.pop(fd, None)
        else:
            callbacks[fd] = callback
        self._apply(fd)

    def _apply(self, fd: int) -> None:
        wanted = (_READ if fd in self._readers else 0) | (_WRITE if fd in self._writers else 0)
        current = self._masks.get(fd, 0)
        if wanted == current:
            return
        # Unwatched means unregistered: with an empty mask the kernel would still tell of hang-ups, for ever.
        if not wanted:
            del self._masks[fd]
            self._epoll.unregister(fd)
        else:
            (self._epoll.modify if current else self._epoll.register)(fd, wanted)
            self._masks[fd] = wanted

    async def readable(self, fd: int, deadline: float) -> None:
        """Wait until a descriptor can be read, or has an error. Raises TimeoutError at the deadline."""
        await self._wait(self._readers, fd, deadline)

    async def writable(self, fd: int, deadline: float) -> None:
        """Wait until a descriptor can be written, or has an error. Raises TimeoutError at the deadline."""
        await self._wait(self._writers, fd, deadline)

    async def _wait(self, callbacks: dict[int, Callable[[], None]], fd: int, deadline: float) -> None:
        if fd in callbacks:
            message = f"two wait for descriptor {fd}"
            raise RuntimeError(message)
        pause = Pause()
        self._set(callbacks, fd, pause.wake)
        try:
            await self.settled(pause, deadline)
        finally:
            # Whoever closed the descriptor has taken the watch away, and another may have its number.
            if callbacks.get(fd) == pause.wake:
                self._set(callbacks, fd, None)

    async def settled(self, pause: Pause, deadline: float) -> Any:  # noqa: ANN401 (see Pause.wake)
        """Wait for a pause. Raises TimeoutError at the deadline."""
        timer = self.later(max(0.0, deadline - self.time()), lambda: pause.fail(TimeoutError()))
        try:
            return await pause
        finally:
            timer.cancel()

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds; 0: let the others go first."""
        pause = Pause()
        timer = self.later(seconds, pause.wake)
        try:
            await pause
        finally:
            timer.cancel()

    def from_thread(self, callback: Callable[[], None]) -> None:
        """Call in the loop's own thread; may be called from any."""
        self._inbox.append(callback)
        os.eventfd_write(self._bell, 1)

    def _empty_inbox(self) -> None:
        os.eventfd_read(self._bell)
        while self._inbox:
            self._soon.append(self._inbox.popleft())

    def stop(self) -> None:
        """Return from `run` after this turn."""
        self._stopped = True

    def run(self) -> None:
        """Serve until `stop`. Raises what epoll_wait(2) itself may: nothing that a peer can cause."""
        self._stopped = False
        while not self._stopped:
            for fd, mask in self._epoll.poll(self._patience(), _EVENTS_AT_ONCE):
                if mask & (_READ | _ALWAYS) and (reader := self._readers.get(fd)):
                    self._call(reader, fd)
                if mask & (_WRITE | _ALWAYS) and (writer := self._writers.get(fd)):
                    self._call(writer, fd)
            self._run_timers()
            for _ in range(len(self._soon)):
                self._call(self._soon.popleft(), -1)

    def run_rest(self) -> None:
        """After `run`: let cancelled tasks come to their ends, and close the loop."""
        while self._soon:
            self._call(self._soon.popleft(), -1)
        # The eventfd stays open: a thread that is late must not ring at what has its number by then.
        self._epoll.close()

    def _patience(self) -> float:
        if self._soon:
            return 0.0
        return max(0.0, self._timers[0][0] - self.time()) if self._timers else -1.0

    def _run_timers(self) -> None:
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            timer = heappop(self._timers)[2]
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._stale = max(0, self._stale - 1)
            else:
                self._call(callback, -1)

    def _call(self, callback: Callable[[], None], fd: int) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 (see the class)
            if fd >= 0:
                self.forget(fd)
            self._failed(error)
