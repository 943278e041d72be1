"""How long a test waits for what normally takes much less: one place, scaled for slow machines.

Run by: tests/support and the tests. No test passes or fails by how long something took; what is
not there after this time is not coming. Time that a test spends in any case is scaled less: under
emulation most of a run would be pauses.
"""

from __future__ import annotations

import os
from typing import Final

# How much slower than a real one the machine is; tests/vm/guest.sh says so under emulation.
SLOWER: Final = float(os.environ.get("HARDBOX_TESTS_SLOWER", "1"))
_SPENT_AT_MOST: Final = 15.0


def seconds(usual: float) -> float:
    """Give the time to wait on this machine for what gets `usual` seconds on a real, busy one."""
    return usual * SLOWER


def spent(usual: float) -> float:
    """Give the time that is spent even where all is well: a pause, a wall time that is to end a job."""
    return usual * min(SLOWER, _SPENT_AT_MOST)
