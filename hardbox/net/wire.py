"""What a keeper of a network says and hears: messages of the supervisor, lines of events.

Run by: the broker and hardbox.net.bridge. Messages are those of hardbox/launch/wire.h; the events are read by
engines/keeper.py. Nothing slow is imported: every run with a network waits for this.
"""

from __future__ import annotations

import json
import os
import signal
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# struct hb_message: type, value, step.
MESSAGE: Final = struct.Struct("=IiI")
# enum hb_message_type, as far as it is said to a keeper or by one.
GO, HELLO, SOCKET, QUEUED = 1, 3, 10, 11
READY: Final[Mapping[str, object]] = {"event": "ready"}
# Others have their turn: whoever waits for the next event is asked for patience anew.
IN_QUEUE: Final[Mapping[str, object]] = {"event": "queued"}
# Seconds for whoever reads the events to take one.
_LAST_WORDS: Final = 30


def tell(events: int, event: Mapping[str, object]) -> None:
    """Write one event to a descriptor. A reader that is gone is no error; one that never reads ends us."""
    signal.alarm(_LAST_WORDS)
    line = memoryview(json.dumps(event, ensure_ascii=True).encode("ascii") + b"\n")
    try:
        while line:
            line = line[os.write(events, line) :]
    except BrokenPipeError:
        # The run has ended; the other channel says so.
        return
    finally:
        signal.alarm(0)


def message(kind: int) -> bytes:
    """Give a message that is no more than its type."""
    return MESSAGE.pack(kind, 0, 0)


def end(rows: Sequence[Mapping[str, object]] = (), **totals: int) -> dict[str, Any]:
    """Give the end event (network_report.py); what is not counted is 0.

    totals: dropped, connections, most, sent, received.
    """
    counted = dict.fromkeys(("dropped", "connections", "most", "sent", "received"), 0)
    return {"event": "end", "rows": list(rows), **counted, **totals}
