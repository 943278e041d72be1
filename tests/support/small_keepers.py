"""Small processes that stand in for the keeper of a network, `python3 -m hardbox.net`.

Run by: tests/unit/test_keeper_process.py, tests/unit/test_runs_network.py.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hardbox.engines import keeper
from hardbox.engines.keeper import Keeper
from support import plans

if TYPE_CHECKING:
    import pytest

POLICY: Final = plans.policy(network="allow", allow=("a.example.org:443",))
END: Final[dict[str, Any]] = {
    "event": "end",
    "rows": [],
    **dict.fromkeys(("dropped", "connections", "most", "sent", "received"), 1),
}
READY: Final = "say({'event': 'ready'})\n"
# The end of the sandbox is the end of the socket.
GONE: Final = "sockets.recv(12)\n"
# What each child begins with: descriptors 10 to 12 are settings, sockets and events.
HEAD: Final = """
import json, os, socket, sys, time
settings = json.loads(os.read(10, 1 << 20))
sockets = socket.socket(fileno=11)
def say(event):
    raw(json.dumps(event).encode() + b"\\n")
def raw(data):
    try:
        while data:
            data = data[os.write(12, data):]
    except BrokenPipeError:
        os._exit(3)
"""


class Keepers:
    """Those of one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._made: list[Keeper] = []

    def __call__(self, script: str, **changed: Any) -> Keeper:  # noqa: ANN401 (fields of policy.Network)
        """Start one that runs a script, behind HEAD; changed: what its policy says of the network."""

        def spawn(*given: int) -> int:
            moves: list[tuple[int, ...]] = []
            moves += [(os.POSIX_SPAWN_DUP2, end, 50 + place) for place, end in enumerate(given)]
            moves += [(os.POSIX_SPAWN_DUP2, 50 + place, 10 + place) for place in range(3)]
            moves += [(os.POSIX_SPAWN_CLOSE, 50 + place) for place in range(3)]
            words = [sys.executable, "-IS", "-c", HEAD + script]
            return os.posix_spawn(sys.executable, words, {}, file_actions=moves)

        self._patch.setattr(keeper, "_start", spawn)
        self._made.append(Keeper(replace(POLICY, network=replace(POLICY.network, **changed))))
        return self._made[-1]

    def close(self) -> None:
        """End all."""
        for one in self._made:
            one.close()


def gone(one: Keeper) -> bool:
    """Say whether its process has ended and was waited for."""
    try:
        os.waitpid(one.pid, os.WNOHANG)
    except ChildProcessError:
        return not os.path.exists(f"/proc/{one.pid}")
    return False
