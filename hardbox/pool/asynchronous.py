"""A pool's jobs for asyncio: each waits in a thread of its own.

Run by: pool/, only where asyncio is used. Not the loop's executor, whose few threads are shared with everything else.
"""

from __future__ import annotations

import asyncio
import threading
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
            tell(lambda problem=error: done.set_exception(problem))
        else:
            tell(lambda: done.set_result(result))

    def tell(word: Callable[[], None]) -> None:
        # RuntimeError: the loop was closed behind a job that nobody waits for.
        try:
            loop.call_soon_threadsafe(lambda: None if done.done() else word())
        except RuntimeError:
            return

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
