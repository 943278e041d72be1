"""A pool's jobs for asyncio: each waits in a thread of its own.

Run by: pool/, only where asyncio is used. Not the loop's executor, whose few threads are shared with
everything else.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from hardbox.pool.turns import Cancelled, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.report import Result


async def in_thread(wish: Callable[[Ticket], Result]) -> Result:
    """Run a job; a task that is cancelled meanwhile ends it, and waits until it has ended."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()
    ticket = Ticket()

    def work() -> None:
        try:
            result = wish(ticket)
        except BaseException as error:  # noqa: BLE001 (handed on, whatever it is)
            tell(functools.partial(done.set_exception, error))
        else:
            tell(functools.partial(done.set_result, result))

    def tell(word: Callable[[], None]) -> None:
        # The loop may have been closed behind a job that nobody waits for.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if done.done() else word())

    threading.Thread(target=work, name="hardbox-job", daemon=True).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        ticket.cancel()
        await asyncio.wait([done])
        done.exception()
        raise
    except Cancelled as error:  # by the pool, which was closed
        raise asyncio.CancelledError from error
