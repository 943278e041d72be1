"""What was refused, said on stderr and kept for `hardbox explain last`.

Run by: cli/run.py; and as the verb `denied`, by hardbox-launch where it has no Python around it
(launch/tell.c): it is no verb for people, and its exit status means nothing.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from hardbox import denials, filters, profile
from hardbox.cli import last
from hardbox.errors import HardboxError, printable
from hardbox.filters.of_policy import compile_for

_ROWS: Final = 3
_MOST_BYTES: Final = 1 << 20
_WORDS: Final = 3


def say(block: list[str]) -> None:
    """Print a block of denials on stderr."""
    first, *rest = block
    print("\n".join([f"hardbox: {printable(first)}", *map(printable, rest)]), file=sys.stderr)


def main(argv: list[str]) -> int:
    """Explain the rows on descriptor 3: `denied PROFILE DIGEST FILTER`, as the plan names them."""
    if len(argv) != _WORDS:
        return 1
    name, digest, made = argv
    try:
        with os.fdopen(_ROWS, "rb") as file:
            table = denials.parse(file.read(_MOST_BYTES))
        inputs, same = _inputs(name, made, table)
    except (OSError, ValueError):
        return 1
    told = denials.explain(table, inputs, same=same)
    if not told and not table.dropped:
        return 0
    shown = os.path.basename(name).removesuffix(".toml")
    say(denials.lines(told, table.dropped, shown))
    rows = [denial.to_json() for denial in told]
    ran = {"name": shown, "sha256": digest}
    last.keep({"schema": last.SCHEMA, "profile": ran, "denials": rows, "denials_dropped": table.dropped})
    return 0


def _inputs(name: str, made: str, table: denials.Table) -> tuple[denials.Inputs, bool]:
    """Give what decided the filter, and whether it is the one that was loaded (SHA-256 `made`)."""
    machine = table.rows[0].machine if table.rows else ""
    try:
        policy = profile.load(name)
        compiled = compile_for(policy, machine, tells=filters.TELLING)
    except HardboxError:  # the profile is gone, or was never a file
        return denials.Inputs("strict", no_memfd=True), False
    return denials.inputs_of(policy), compiled.digest == made
