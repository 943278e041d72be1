"""Reading a plan that was kept: the same checks as the launcher's, but for the floor.

Run by: cli/planned.py. The bytes are whatever stands in a file.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from hardbox.plan import HEADER, MAGIC, SIZE_MAX, STEPS_MAX, VERSION, LaunchPlan
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from hardbox.plan.steps import Step


def decode(data: bytes) -> LaunchPlan:
    """Give the plan that `LaunchPlan.encode` has made these bytes of. Raises ValueError: what is wrong."""
    if not HEADER.size <= len(data) <= SIZE_MAX:
        message = "its size is out of range"
        raise ValueError(message)
    magic, version, size, digest, count, zero = HEADER.unpack_from(data)
    wrong = (
        (magic != MAGIC, "it is not a hardbox plan"),
        (version != VERSION, "it was made for another version of the plan format"),
        (size != len(data), "it is cut short or has something appended"),
        (
            digest != hashlib.sha256(data[HEADER.size :]).digest(),
            "its digest does not match: it was changed or damaged",
        ),
        (not 0 < count <= STEPS_MAX or zero != 0, "its number of steps is out of range"),
    )
    for is_so, what in wrong:
        if is_so:
            raise ValueError(what)
    try:
        steps, rest = [], memoryview(data)[HEADER.size :]
        for _ in range(count):
            kind, length = struct.unpack_from("<II", rest)
            steps.append(_step(kind, bytes(rest[8 : 8 + length]), length))
            rest = rest[8 + length :]
    except (struct.error, KeyError) as error:
        message = "a step is malformed or of unknown kind"
        raise ValueError(message) from error
    if rest:
        message = "something stands behind its last step"
        raise ValueError(message)
    policy = next((step for step in steps if isinstance(step, s.PolicyName)), s.PolicyName("", ""))
    return LaunchPlan(tuple(steps), policy.name, policy.digest)


def _step(number: int, payload: bytes, length: int) -> Step:
    """Decode one record. Raises KeyError or struct.error."""
    kind = s.KINDS[number]
    values: list[int | str | bytes] = []
    at = 0
    for letter in kind.layout:
        (value,) = struct.unpack_from("<Q" if letter == "q" else "<I", payload, at)
        at += 8 if letter == "q" else 4
        if letter in "sb":
            content = payload[at : at + value]
            at += value + (letter == "s")
            if letter == "s" and (b"\0" in content or payload[at - 1 : at] != b"\0"):
                raise struct.error
            values.append(content.decode("utf-8", "surrogateescape") if letter == "s" else content)
        else:
            values.append(value)
    if at != length or len(payload) != length:
        raise struct.error
    return kind(*values)
