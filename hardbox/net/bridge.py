"""Network mode "bridge": the keeper of one sandbox's network.

Run by: `python3 -m hardbox.net`, a process of the caller's outside the sandbox, from before the job is
executed until the sandbox is gone. As root it makes a pair of interfaces between the sandbox and a bridge
(engine "veth", veth.py); as anybody else pasta copies packets (engine "pasta", pasta.py).
"""

from __future__ import annotations

import signal
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from hardbox.net import bridge_settings
from hardbox.net.keeper_wire import Gone, Supervisor
from hardbox.net.trouble import Trouble
from hardbox.net.wire import end, tell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardbox.net.keeper_wire import Say

__all__ = ("keep",)


def keep(settings: Mapping[str, object], sockets: int, events: int) -> int:
    """Make one sandbox's network, keep it until the sandbox is gone, and take it away.

    settings: the JSON object of mode "bridge" (bridge_settings.py).
    sockets:  descriptor of the channel to the supervisor; taken over.
    events:   descriptor of the pipe for events.
    Returns the process's exit status: 0, or 1 after an error event.
    """
    # As in __main__.py; but a handler, unlike "ignore", is not handed on to the programs that are run.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _stay)
    say = partial(tell, events)
    with closing(Supervisor(sockets)) as supervisor:
        try:
            say(_keep(settings, supervisor, say))
        except Gone:
            say(end())
        except Trouble as trouble:
            say(_whole(trouble).event())
            return 1
        except (OSError, ValueError) as error:
            say(_whole(Trouble(what="the sandbox's network cannot be made", why=str(error)), error).event())
            return 1
    return 0


def _stay(_number: int, _frame: object) -> None:
    """Hear a signal and go on."""


def _keep(settings: Mapping[str, object], supervisor: Supervisor, say: Say) -> dict[str, object]:
    wanted = bridge_settings.read(settings)
    # Each engine has libraries of its own, and a keeper starts with every run: none imports the other's.
    if wanted.engine == "pasta":
        from hardbox.net import pasta  # noqa: PLC0415 (see above)

        return pasta.keep(wanted, supervisor, say)
    from hardbox.net import veth  # noqa: PLC0415 (see above)

    return veth.keep(wanted, supervisor, say)


def _whole(trouble: Trouble, error: BaseException | None = None) -> Trouble:
    """Give the first of several troubles, and in its words what went wrong while tidying up."""
    first, later = trouble, ""
    before = (error or trouble).__context__
    while before is not None:
        if isinstance(before, Trouble) and before is not first and trouble.__cause__ is not before:
            later = f"; then: {first.what} ({first.why})"
            first = before
        before = before.__context__
    return Trouble(what=first.what, why=first.why + later, instead=first.instead)
