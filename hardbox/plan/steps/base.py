"""What every kind of step is: a frozen record that describes and encodes itself.

Run by: the Python front; pure. Each kind has a row in hardbox/launch/kinds.h with the same
number, name and fields (tests/unit/test_steps.py compares them); `describe()` is what
`hardbox plan` prints and `encode()` is what the launcher executes.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final, dataclass_transform

KINDS: Final[dict[int, type[Step]]] = {}


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<I", len(data)) + data + b"\0"


@dataclass_transform(frozen_default=True)
class Step:
    """Base of all kinds: a frozen record whose annotated fields follow the layout.

    Not a `dataclasses.dataclass`: fifty of those cost 20 ms of start-up, this costs one.
    Type checkers see dataclasses all the same (PEP 681).
    """

    number: ClassVar[int]
    kind: ClassVar[str]
    layout: ClassVar[str]
    names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, number: int = 0, kind: str = "", layout: str = "") -> None:
        """Register a kind; its row of kinds.h stands in the class header."""
        own = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 (inspect costs 4 ms to import)
        inherited: tuple[str, ...] = getattr(cls, "names", ())
        cls.names = inherited + tuple(name for name in own if name != "what")
        cls.number, cls.kind, cls.layout = number, kind, layout
        if number:
            KINDS[number] = cls

    def __init__(self, *values: int | str | bytes) -> None:
        """Take the values in the order of the fields."""
        self.__dict__.update(zip(self.names, values, strict=True))

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a step never changes."""
        message = f"{type(self).__name__}.{name} is read-only"
        raise AttributeError(message)

    def __eq__(self, other: object) -> bool:
        """Compare kind and values."""
        return isinstance(other, Step) and (self.kind, self.values()) == (other.kind, other.values())

    def __hash__(self) -> int:
        """Hash kind and values."""
        return hash((self.kind, self.values()))

    def __repr__(self) -> str:
        """Give the class and its values."""
        return f"{type(self).__name__}{self.values()!r}"

    def describe(self) -> str:
        """Say in words what the launcher will do."""
        raise NotImplementedError

    def values(self) -> tuple[int | str | bytes, ...]:
        """Give the field values in the order of the layout."""
        return tuple(self.__dict__[name] for name in self.names)

    def encode(self) -> bytes:
        """Give the record of plan.h: kind, length, payload."""
        parts: list[bytes] = []
        for letter, value in zip(self.layout, self.values(), strict=True):
            if isinstance(value, int):
                parts.append(struct.pack("<I" if letter == "u" else "<Q", value))
            elif isinstance(value, str):
                parts.append(_string(value))
            else:
                parts.append(struct.pack("<I", len(value)) + value)
        payload = b"".join(parts)
        return struct.pack("<II", self.number, len(payload)) + payload
