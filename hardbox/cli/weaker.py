"""What a run is weaker by than its profile, or its profile than it could be: never silent.

Run by: cli/run.py, cli/plan.py and cli/compile.py.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hardbox.errors import printable
from hardbox.report import absent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hardbox.runs import Prepared


def say(prepared: Prepared, reasons: Collection[str]) -> None:
    """Print it on stderr, one line each."""
    for line in lines(prepared, reasons):
        print(printable(f"hardbox: {line}"), file=sys.stderr)


def lines(prepared: Prepared, reasons: Collection[str]) -> Iterator[str]:
    """Say what the command line loosens, and which optional protection this host lacks.

    reasons: keys that the command line has given reasons for. What a profile loosens against its
             parent stands in `hardbox profile show` and in the report.
    """
    if prepared.policy.locked:
        yield f"reachable as a lock file names it: {', '.join(prepared.policy.locked)}"
    for key, reason in prepared.policy.loosen.items():
        if key in reasons:
            yield f"loosened {key}: {reason}"
    for name, reason in absent(prepared.policy, prepared.plan).items():
        yield f"without {name}, which this host lacks and the profile accepts: {reason}"
