"""The keeper's start: arguments, descriptors, settings; then the broker, confined, or a bridge's keeper.

Run by: engines/keeper.py, as `python3 -m hardbox.net --settings-fd N --sockets-fd M --events-fd K`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

_WORDS: Final = ("--settings-fd", "--sockets-fd", "--events-fd")
# What a terminal sends to everybody in front of it: the broker ends when the sandbox does, not before.
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
    """Run the broker; gives its exit status: 0, 1 for what it was given, 2 for how it was called."""
    found = _descriptors(words)
    if found is None:
        print(
            "usage: python3 -I -m hardbox.net --settings-fd N --sockets-fd M --events-fd K", file=sys.stderr
        )
        return 2
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    from hardbox.net import broker  # noqa: PLC0415 (after the signals are ignored)

    settings_fd, sockets_fd, events_fd = found
    try:
        return _run(settings_fd, sockets_fd, events_fd)
    except Exception as error:  # noqa: BLE001 (whatever it is: say so, and serve nothing)
        broker.tell(events_fd, {"event": "error", "message": f"{type(error).__name__}: {error}"})
        return 1


def _run(settings_fd: int, sockets_fd: int, events_fd: int) -> int:
    from hardbox.net import broker, confine, decide, settings  # noqa: PLC0415 (see main)

    table = settings.table(settings.read(settings_fd))
    os.close(settings_fd)
    if table.get("mode") == "bridge":
        from hardbox.net import bridge  # noqa: PLC0415 (its libraries are none of the broker's)

        return bridge.keep(table, sockets_fd, events_fd)
    wanted = settings.of(table)
    decide.no_search_domains()
    program = broker.Broker(wanted)
    ports = {rule.port for rule in wanted.allow}
    confine.confine(confine.compiled(), ports, program.import_all)
    sys.dont_write_bytecode = True
    broker.tell(events_fd, {"event": "ready"})
    try:
        program.run(sockets_fd)
    finally:
        broker.tell(events_fd, program.ledger.end())
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Threads that hang in a look-up are not waited for.
    os._exit(status)
