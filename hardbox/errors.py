"""Errors of hardbox and the exit codes that they become.

Run by: everybody; imports nothing of the package.

    HardboxError                 125  nothing was run
    ├── Usage                    125  the command line itself is wrong             HB0xx
    ├── Refused                  125  the request shares what is never shared      HB1xx-HB3xx
    ├── ProfileError             125  a profile or filter file cannot be used      HB4xx
    ├── HostUnfit                125  this host cannot enforce what is promised    HB5xx
    └── SetupFailed              125  a step of the plan failed                    HB6xx

Every error carries the five things a reader needs: what was refused, the value
and where it came from, why, what to do instead, and that nothing was run.
"""

from __future__ import annotations

EXIT_TIME_LIMIT = 124
EXIT_REFUSED = 125
EXIT_CANNOT_EXECUTE = 126
EXIT_NOT_FOUND = 127
EXIT_SIGNAL_BASE = 128
_MOST_SHOWN = 600


class HardboxError(Exception):
    """Base of all errors: a refusal to run, with its reason.

    code:     "HBnnn", stable; `hardbox explain CODE` knows it.
    what:     one sentence, no full stop, lower case: the verdict.
    value:    the offending value as "key = value" (may be empty).
    origin:   where the value came from: "ci.toml [network] mode" or "--network".
    why:      one sentence: what would go wrong.
    rule:     rule name and standard ids, e.g. "host-network: CIS-5.10, PSS-hostNamespaces".
    instead:  what to do instead.
    """

    verdict = "refused"

    def __init__(
        self,
        code: str,
        what: str,
        *,
        value: str = "",
        origin: str = "",
        why: str = "",
        rule: str = "",
        instead: str = "",
    ) -> None:
        """Take the parts; see the class."""
        super().__init__(f"[{code}] {what}")
        self.code = code
        self.what = what
        self.value = value
        self.origin = origin
        self.why = why
        self.rule = rule
        self.instead = instead

    def __str__(self) -> str:
        """Give all of it: what stands below a traceback is often all that anybody sees."""
        return "\n".join([f"[{self.code}] {_shown(self.what)}", *self._rows()])

    def render(self) -> str:
        """Give the block that the command line prints; ends with a newline."""
        return "\n".join([f"hardbox: {self.verdict} [{self.code}]: {_shown(self.what)}", *self._rows(), ""])

    def _rows(self) -> list[str]:
        value = self.value + (f"        ({self.origin})" if self.value and self.origin else "")
        rows = (
            ("value", value or self.origin),
            ("why", self.why),
            ("rule", self.rule),
            ("instead", self.instead),
        )
        return [*(f"  {name:<8} {_shown(text)}" for name, text in rows if text), "  nothing was run"]

    def to_json(self) -> dict[str, str]:
        """Give the parts as plain values, for a report."""
        names = ("code", "what", "value", "origin", "why", "rule", "instead")
        return {"verdict": self.verdict} | {name: plain(getattr(self, name)) for name in names}


def printable(text: str) -> str:
    """Escape everything but visible characters.

    A hostile name must not drive the reader's terminal, nor forge a line of a message.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def _shown(text: str) -> str:
    """Give a part of a message, cut where somebody's value is too long to be read."""
    if len(text) > _MOST_SHOWN:
        text = f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"
    return printable(text)


def plain(text: str) -> str:
    """Give text that is valid UTF-8, for JSON; other bytes show as U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Usage(HardboxError):  # noqa: N818 (the field's own term; reads as `raise Usage`)
    """The command line is wrong: an unknown flag, a missing command, a bad value."""

    verdict = "usage"


class Refused(HardboxError):  # noqa: N818 (one of the five nouns of docs/architecture.md)
    """The request would share the host; a rule of `rules/` says no."""


class ProfileError(HardboxError):
    """A profile or filter file is missing, unreadable, malformed, or weaker than its parent."""

    verdict = "profile error"


class HostUnfit(HardboxError):  # noqa: N818 (the field's own term)
    """The host cannot enforce what the profile promises; nothing weaker is run instead."""

    verdict = "host unfit"


class SetupFailed(HardboxError):  # noqa: N818 (the field's own term)
    """A step of the launch plan failed; the job was not started."""

    verdict = "set-up failed"
