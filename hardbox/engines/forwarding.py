"""The caller's signals, forwarded to one launch.

Run by: cli/run.py.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Self

from hardbox.engines.namespaces import FORWARDED

if TYPE_CHECKING:
    from hardbox.engines.namespaces import Launch


class Forwarding:
    """Forwards the caller's signals to one launch; main thread only.

    From the `with` on they are held back, so that none is lost or ends the caller before
    there is a launch to forward them to.
    """

    def __enter__(self) -> Self:
        """Hold signals back."""
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        self._before: dict[signal.Signals, object] = {}
        return self

    def to(self, launch: Launch) -> None:
        """Forward from here on."""

        def forward(number: int, _frame: object) -> None:
            launch.signal(number)

        self._before = {number: signal.signal(number, forward) for number in FORWARDED}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)

    def __exit__(self, *_: object) -> None:
        """Give the caller its own handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
