"""The broker's loop: coroutines, timers, descriptors; and that no error of one ends the others."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from hardbox.net.loop import Cancelled, Loop, Pause


class Run:
    """A loop, and what it has told of."""

    def __init__(self) -> None:
        self.failed: list[BaseException] = []
        self.loop = Loop(self.failed.append)

    def until_over(self, *coroutines: object) -> list[BaseException | None]:
        """Run coroutines to their ends; gives what each one raised."""
        ends: list[BaseException | None] = []

        def ended(error: BaseException | None) -> None:
            ends.append(error)
            if len(ends) == len(coroutines):
                self.loop.stop()

        for coroutine in coroutines:
            self.loop.spawn(coroutine, ended)  # type: ignore[arg-type]
        self.loop.run()
        return ends


def test_a_pause_is_settled_once() -> None:
    run, pause, got = Run(), Pause(), []

    async def waits() -> None:
        got.append(await pause)

    pause_twice = (pause.wake, pause.fail)
    run.loop.soon(lambda: pause_twice[0]("first"))
    run.loop.soon(lambda: pause_twice[1](ValueError("late")))
    assert run.until_over(waits()) == [None]
    assert got == ["first"]


def test_an_error_ends_its_task_alone() -> None:
    run, done = Run(), []

    async def breaks() -> None:
        raise ZeroDivisionError

    async def works() -> None:
        await run.loop.sleep(0.01)
        done.append(True)

    first, second = run.until_over(breaks(), works())
    assert isinstance(first, ZeroDivisionError)
    assert second is None
    assert done == [True]


def test_a_cancelled_task_is_told_wherever_it_waits() -> None:
    run, seen = Run(), []

    async def waits() -> None:
        for _ in range(2):
            try:
                await run.loop.sleep(1000)
            except Cancelled:
                seen.append("told")
        await run.loop.sleep(1000)

    ends: list[BaseException | None] = []

    def ended(error: BaseException | None) -> None:
        ends.append(error)
        run.loop.stop()

    task = run.loop.spawn(waits(), ended)
    run.loop.later(0.01, task.cancel)
    run.loop.run()
    assert seen == ["told", "told"]
    assert isinstance(ends[0], Cancelled)


def test_a_descriptor_wakes_its_reader_and_a_deadline_ends_the_wait() -> None:
    run = Run()
    reader, writer = socket.socketpair()

    async def reads() -> None:
        await run.loop.readable(reader.fileno(), run.loop.time() + 1000)
        assert reader.recv(10) == b"x"
        with pytest.raises(TimeoutError):
            await run.loop.readable(reader.fileno(), run.loop.time() + 0.01)

    run.loop.later(0.01, lambda: writer.sendall(b"x"))
    assert run.until_over(reads()) == [None]
    reader.close()
    writer.close()


def test_two_cannot_wait_for_one_descriptor() -> None:
    run = Run()
    reader, writer = socket.socketpair()

    async def reads() -> None:
        await run.loop.readable(reader.fileno(), run.loop.time() + 0.05)

    ends = run.until_over(reads(), reads())
    assert sorted(type(end).__name__ for end in ends) == ["RuntimeError", "TimeoutError"]
    reader.close()
    writer.close()


def test_a_callback_that_raises_loses_its_descriptor_and_nothing_else() -> None:
    run = Run()
    reader, writer = socket.socketpair()
    writer.send(b"x")

    def breaks() -> None:
        raise ZeroDivisionError

    run.loop.on_readable(reader.fileno(), breaks)

    async def lives() -> None:
        await run.loop.sleep(0.05)

    assert run.until_over(lives()) == [None]
    assert [type(error) for error in run.failed] == [ZeroDivisionError]
    reader.close()
    writer.close()


def test_a_hang_up_that_nobody_watches_costs_nothing() -> None:
    """A descriptor without callbacks is not registered: the kernel would tell of its hang-up for ever."""
    run = Run()
    reader, writer = socket.socketpair()
    turns: list[bool] = []

    def once() -> None:
        turns.append(True)
        run.loop.on_readable(reader.fileno(), None)

    run.loop.on_readable(reader.fileno(), once)
    writer.close()

    async def waits() -> None:
        await run.loop.sleep(0.05)

    run.until_over(waits())
    assert len(turns) == 1
    reader.close()


def test_threads_hand_over_what_is_to_be_called() -> None:
    run, pause = Run(), Pause()
    threading.Thread(target=lambda: run.loop.from_thread(pause.wake)).start()

    async def waits() -> None:
        await run.loop.settled(pause, run.loop.time() + 1000)

    assert run.until_over(waits()) == [None]


def test_cancelled_timers_do_not_pile_up() -> None:
    run = Run()
    kept = [run.loop.later(1000, lambda: None) for _ in range(10)]
    for _ in range(10_000):
        run.loop.later(1000, lambda: None).cancel()
    assert len(run.loop._timers) < 1000  # noqa: SLF001 (what is bounded)
    assert all(timer.callback for timer in kept)


def test_a_descriptor_that_is_forgotten_can_be_watched_again_under_its_number() -> None:
    run, got = Run(), []
    reader, writer = os.pipe()
    run.loop.on_readable(reader, lambda: got.append(b"old"))
    run.loop.forget(reader)
    os.close(reader)
    os.close(writer)
    again, writer = os.pipe()
    run.loop.on_readable(again, lambda: got.append(os.read(again, 10)))
    os.write(writer, b"new")

    async def waits() -> None:
        await run.loop.sleep(0.02)

    run.until_over(waits())
    assert got == [b"new"]
    run.loop.forget(again)
    os.close(again)
    os.close(writer)
