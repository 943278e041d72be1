"""One value on its way from a file or flag into a Policy, and the errors it can cause.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.errors import HardboxError, ProfileError
from hardbox.toml_text import toml

if TYPE_CHECKING:
    from hardbox.policy import Origin


class Spot:
    """A value where it was found.

    key:    its dotted key, "limits.memory".
    value:  as TOML or the flag gave it, unchecked.
    origin: file and key, or flag.
    folder: directory against which a path may be relative; "" where it must be absolute.
    """

    __slots__ = ("folder", "key", "origin", "value")

    def __init__(self, key: str, value: object, origin: Origin, folder: str = "") -> None:
        """Keep the four."""
        self.key = key
        self.value = value
        self.origin = origin
        self.folder = folder

    def error(self, code: str, what: str, *, why: str = "", instead: str = "") -> HardboxError:
        """Make the error; a value that is a known bad habit becomes the refusal that it deserves."""
        from hardbox import habits  # noqa: PLC0415 (only when something is wrong)

        habit = habits.key(self.key, self.value, str(self.origin))
        return habit or self.misspelt(code, what, why=why, instead=instead)

    def misspelt(self, code: str, what: str, *, why: str = "", instead: str = "") -> ProfileError:
        """Make the error for what cannot be a habit."""
        return ProfileError(
            code,
            what,
            value=f"{self.key} = {toml(self.value)}",
            origin=str(self.origin),
            why=why,
            instead=instead,
        )
