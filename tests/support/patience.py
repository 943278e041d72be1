"""How long a test waits for what normally takes much less: one place, scaled for slow machines.

Run by: tests/support and the tests. No test passes or fails by how long something took; what is
not there after this time is not coming.
"""

from __future__ import annotations

import os
from typing import Final

# How much slower than a real one the machine is; tests/vm/guest.sh says so under emulation.
SLOWER: Final = float(os.environ.get("HARDBOX_TESTS_SLOWER", "1"))


def seconds(usual: float) -> float:
    """Give the time to wait on this machine for what gets `usual` seconds on a real, busy one."""
    return usual * SLOWER
