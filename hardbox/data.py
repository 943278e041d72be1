"""Where the shipped profiles and filters are.

Run by: the Python front. The wheel carries them inside the package; a checkout has
them at its top level.
"""

from __future__ import annotations

from pathlib import Path

from hardbox.errors import ProfileError

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Give the directory of shipped data `name` ("profiles" or "seccomp").

    Raises ProfileError HB400 if the installation lacks it.
    """
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if any(candidate.glob("*.toml")):
            return candidate
    raise ProfileError(
        "HB400",
        f"this installation has no {name}",
        why=f"neither {_PACKAGE / name} nor the checkout holds any .toml file",
        instead="install hardbox again (pip install --force-reinstall hardbox)",
    )
