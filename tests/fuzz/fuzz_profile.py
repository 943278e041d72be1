#!/usr/bin/env python3
"""Coverage-guided fuzzing of everything between a profile's bytes and a plan.

Run by: tests/fuzz/test_fuzz_profile.py, as a program: `fuzz_profile.py CORPUS... -flags` with
libFuzzer's flags; `-merge=1` runs it again by its own name. HARDBOX_FUZZ_FOLDER names a folder
for the two files that each input is written to.

An input is up to three parts, cut by a line `#--`: a profile, the one that it may extend as
`./parent.toml`, and settings of the command line, a line each. Whatever they say, loading ends
in a policy or in HardboxError; what was loaded is refused or planned, by the same promise.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import tomllib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

atheris: Any = importlib.import_module("atheris")  # no type hints are published
with atheris.instrument_imports(include=["hardbox"]):  # all of it: `plans` imports it too
    from support import plans

    from hardbox import profile, refusals
    from hardbox.errors import HardboxError
    from hardbox.plan import trees
    from hardbox.profile import Setting

CUT: Final = b"\n#--\n"
ENDING: Final = "  nothing was run\n"
LONGEST_RENDER: Final = 8192
PARTS: Final = ("child.toml", "parent.toml")


def problem(error: HardboxError) -> None:
    """Demand the one form of every error."""
    said = error.render()
    assert said.startswith("hardbox: "), said
    assert said.endswith(ENDING), said
    assert len(said) < LONGEST_RENDER, said
    strange = [c for c in said if c != "\n" and not (c.isprintable() or c == " ")]
    assert not strange, (strange, said)


def settings(text: bytes) -> tuple[list[Setting], dict[str, str]]:
    """Read `key = value` lines as --set, `+key = value` as flags that add, `!key reason` as --loosen."""
    found: list[Setting] = []
    reasons: dict[str, str] = {}
    for line in text.decode("utf-8", "surrogateescape").split("\n")[:20]:
        mark, body = line[:1], line[1:]
        if mark == "!":
            key, _, reason = body.partition(" ")
            reasons[key] = reason
            continue
        key, _, given = (body if mark == "+" else line).partition("=")
        try:
            value: object = tomllib.loads(f"v = {given}")["v"]
        except (ValueError, RecursionError):
            value = given.strip()  # as text, as the command line does it
        found.append(Setting(key.strip(), value, "--set", append=mark == "+"))
    return found, reasons


def once(folder: str, data: bytes) -> None:
    """Try one input; raises what must never be raised."""
    parts = data.split(CUT)
    for name, part in zip(PARTS, (*parts[:2], b""), strict=False):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(part)
    flags, reasons = settings(parts[2]) if len(parts) > 2 else ([], {})
    policy, problems, *_ = profile.inspect(os.path.join(folder, PARTS[0]), flags, reasons)
    assert (policy is None) == bool(problems)
    for error in problems:
        problem(error)
    if policy is None:
        return
    for facts in (plans.USER, plans.ROOT):
        try:
            refusals.check(policy, facts, trees.look_all(policy))
            plans.build(policy, facts).encode()
        except HardboxError as error:
            problem(error)


def mutator(lines: list[bytes]) -> Callable[[bytes, int, int], bytes]:
    """Give a mutation that knows lines: bytes alone seldom stay TOML."""

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        draw = random.Random(seed)  # noqa: S311 (a mutation, no secret)
        own = data.split(b"\n")
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(own))
            match draw.randrange(7):
                case 0:
                    own.insert(at, draw.choice(lines))
                case 1:
                    own[at] = draw.choice(lines)
                case 2 if len(own) > 1:
                    del own[at]
                case 3:
                    key, equals, _ = own[at].partition(b"=")
                    own[at] = key + equals + draw.choice(lines).partition(b"=")[2]
                case 4:
                    _, equals, value = own[at].partition(b"=")
                    own[at] = draw.choice(lines).partition(b"=")[0] + equals + value
                case 5:
                    own[at] = own[at].replace(b'"', draw.choice((b"", b"'", b'""', b'"\\u0000'))[:8], 1)
                case _:
                    own[at] = bytes(atheris.Mutate(own[at], len(own[at]) + 16))
        return b"\n".join(own)[:most]

    return mutate


def main() -> None:
    """Hand over to libFuzzer, which ends the process itself."""
    folder = os.environ["HARDBOX_FUZZ_FOLDER"]
    lines: list[bytes] = [b"#--"]
    for place in (word for word in sys.argv[1:] if os.path.isdir(word)):
        for entry in os.scandir(place):
            if entry.is_file():
                with open(entry.path, "rb") as file:
                    lines += [line for line in file.read().split(b"\n") if b"=" in line or line[:1] == b"["]
    mutate = mutator(lines)
    atheris.Setup(sys.argv, lambda data: once(folder, data), custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
