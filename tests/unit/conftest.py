"""What several unit tests stand on.  Run by: pytest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import faults
from support.small_keepers import Keepers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keepers]:
    """Make keepers whose process runs a script; afterwards none is left."""
    before = set(os.listdir("/proc/self/fd"))
    children = faults.children()
    made = Keepers(monkeypatch)
    yield made
    made.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert faults.children() == children
