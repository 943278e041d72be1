"""What a network mode cannot do, in the words that its event carries.  Run by: hardbox.net's process."""

from __future__ import annotations

__all__ = ("Trouble",)


class Trouble(Exception):  # noqa: N818 (a reason to stop that is told, not a defect)
    """A reason to end before the job is executed.

    what:    one line, lower case, no full stop: what cannot be done.
    why:     one line: what would go wrong, or what was found ("" if that is said).
    instead: one line: what to do ("" if nothing can be done).
    """

    def __init__(self, *, what: str, why: str = "", instead: str = "") -> None:
        """Take the three lines."""
        super().__init__(what)
        self.what = what
        self.why = why
        self.instead = instead

    def event(self) -> dict[str, str]:
        """Give the event line's object."""
        return {"event": "error", "message": self.what, "why": self.why, "instead": self.instead}
