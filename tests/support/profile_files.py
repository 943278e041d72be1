"""Profiles written to files, and the errors that they cause.  Used by the profile tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hardbox import profile
from hardbox.errors import HardboxError

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.profile import Setting

REASON = "a reason that is long enough"


def write(folder: Path, text: str | bytes, name: str = "ci.toml") -> str:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o644)
    return str(file)


def refused(path: str, *settings: Setting, reasons: dict[str, str] | None = None) -> HardboxError:
    with pytest.raises(HardboxError) as caught:
        profile.load(path, settings, reasons or {})
    return caught.value


def code(folder: Path, text: str | bytes) -> str:
    return refused(write(folder, text)).code
