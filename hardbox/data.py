"""Where the shipped profiles and filters are.

Run by: the Python front. The wheel carries them inside the package; a checkout has
them at its top level.
"""

from __future__ import annotations

import os
from typing import Final

from hardbox.errors import ProfileError

_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__))
_SUFFIX: Final = ".toml"


def folder(name: str) -> str:
    """Give the directory of shipped data `name` ("profiles" or "seccomp").

    Raises ProfileError HB400 if the installation lacks it.
    """
    for parent in (_PACKAGE, os.path.dirname(_PACKAGE)):
        candidate = os.path.join(parent, name)
        if os.path.isdir(candidate) and any(entry.endswith(_SUFFIX) for entry in os.listdir(candidate)):
            return candidate
    raise ProfileError(
        "HB400",
        f"this installation has no {name}",
        why=f"neither {os.path.join(_PACKAGE, name)} nor the checkout holds any {_SUFFIX} file",
        instead="install hardbox again (pip install --force-reinstall hardbox)",
    )


def names(name: str) -> tuple[str, ...]:
    """Give the names of what is shipped in `folder(name)`, sorted."""
    entries = os.listdir(folder(name))
    return tuple(sorted(entry.removesuffix(_SUFFIX) for entry in entries if entry.endswith(_SUFFIX)))


def path(name: str, item: str) -> str:
    """Give the file of one shipped item."""
    return os.path.join(folder(name), item + _SUFFIX)
