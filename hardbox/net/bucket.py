"""How many per second.

Run by: the broker; pure.
"""

from __future__ import annotations


class Bucket:
    """A token bucket: so many per second, twice as many in a burst."""

    def __init__(self, rate: int, now: float) -> None:
        """Begin full."""
        self._rate, self._tokens, self._last = rate, 2.0 * rate, now

    def take(self, now: float) -> bool:
        """Take one if there is one."""
        self._tokens = min(2.0 * self._rate, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
