"""What every system test is followed by: a look at what it left behind.  Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def nothing_left(place: str) -> Iterator[None]:
    """Fail if a test's runs leave a process, or a mount that others can see."""
    faults.adopt_orphans()
    before = faults.children()
    yield
    try:
        faults.eventually(lambda: not faults.orphans(before), "all processes of the test have ended")
    finally:
        faults.end(faults.orphans(before))
    assert not faults.mounts_below(place)
