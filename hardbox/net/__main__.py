"""A keeper's start: arguments, descriptors, settings; then the broker, confined, or a bridge's keeper.

Run by: engines/keeper.py, as `python3 -EP -m hardbox.net --settings-fd N --sockets-fd M --events-fd K`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Read = TypeVar("Read")

_WORDS: Final = ("--settings-fd", "--sockets-fd", "--events-fd")
# A keeper ends when its sandbox does, not before. It has a process group of its own, which a terminal sends
# nothing to; these still come from a shell that hangs up its jobs, and from whoever means the whole session.
_IGNORED: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP)


def _descriptors(words: list[str]) -> tuple[int, int, int] | None:
    given = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) != 2 * len(_WORDS) or set(given) != set(_WORDS):
        return None
    if not all(number.isascii() and number.isdigit() for number in given.values()):
        return None
    settings, sockets, events = (int(given[word]) for word in _WORDS)
    return settings, sockets, events


def main(words: list[str]) -> int:
    """Keep one network; gives the exit status: 0, 1 after an error event, 2 for how it was called."""
    found = _descriptors(words)
    if found is None:
        print(
            "usage: python3 -EP -m hardbox.net --settings-fd N --sockets-fd M --events-fd K", file=sys.stderr
        )
        return 2
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    from hardbox.errors import HardboxError  # noqa: PLC0415 (after the signals are ignored)
    from hardbox.net import trouble, wire  # noqa: PLC0415 (the same)

    settings_fd, sockets_fd, events_fd = found
    try:
        return _run(settings_fd, sockets_fd, events_fd)
    except trouble.Trouble as error:
        wire.tell(events_fd, error.event())
    except HardboxError as error:
        told = trouble.Trouble(what=error.what, why=error.why, instead=error.instead).event()
        wire.tell(events_fd, {**told, "code": error.code})
    except Exception as error:  # noqa: BLE001 (whatever it is: say so, and serve nothing)
        why = f"{type(error).__name__}: {error}"
        wire.tell(events_fd, trouble.Trouble(what="its keeper has failed", why=why).event())
    return 1


def _run(settings_fd: int, sockets_fd: int, events_fd: int) -> int:
    from hardbox.net import broker, confine, decide, settings, wire  # noqa: PLC0415 (see main)

    table = _settings(lambda: settings.table(settings.read(settings_fd)))
    os.close(settings_fd)
    if table.get("mode") == "bridge":
        from hardbox.net import bridge  # noqa: PLC0415 (its libraries are none of the broker's)

        return bridge.keep(table, sockets_fd, events_fd)
    wanted = _settings(lambda: settings.of(table))
    decide.no_search_domains()
    program = broker.Broker(wanted)
    ports = {rule.port for rule in wanted.allow}
    confine.confine(confine.compiled(), ports, program.import_all)
    sys.dont_write_bytecode = True
    wire.tell(events_fd, wire.READY)
    program.run(sockets_fd)
    # Only now: who hears it takes the rows for all that there was.
    wire.tell(events_fd, program.ledger.end())
    return 0


def _settings(read: Callable[[], Read]) -> Read:
    """Read them. Raises Trouble: a list that cannot be read must not become one that lets through."""
    from hardbox.net.trouble import Trouble  # noqa: PLC0415 (see main)

    try:
        return read()
    except ValueError as error:
        raise Trouble(
            what="its settings cannot be used",
            why=str(error),
            instead="install hardbox anew, as a whole: its parts do not agree",
        ) from error


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Threads that hang in a look-up are not waited for.
    os._exit(status)
