"""The last run of which there was something to tell, kept for `hardbox explain last`.

Run by: cli/run.py, cli/denied.py; read by cli/explain.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from hardbox import cache

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "last.json"
# Of a run without a report of its own: what was refused alone.
SCHEMA: Final = "hardbox.denials/1"


def keep(document: Mapping[str, object]) -> None:
    """Keep a report as the last one, for its owner alone; that it cannot be kept is no error."""
    cache.store(NAME, (json.dumps(document, indent=2) + "\n").encode())
