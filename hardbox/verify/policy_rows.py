"""P: profile files that must not load; each is written and read as a user's would be.

Run by: verify/examine.py. Spellings on the command line are tests/attack/test_policy.py's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hardbox import api
from hardbox.errors import HardboxError
from hardbox.verify.check import CLASSES, ESCAPED, HELD, VACUOUS
from hardbox.verify.corpus.profiles import BENIGN, TEXTS
from hardbox.verify.findings import Row

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows(base: str) -> Iterator[Row]:
    """Try each file."""
    live = not _refusal(base, "benign", BENIGN)
    for name, text in TEXTS.items():
        refusal = _refusal(base, name, text)
        word = (HELD if live else VACUOUS) if refusal else ESCAPED
        yield Row(
            name,
            CLASSES["P"][0],
            f"a profile of one's own: {' '.join(text.split())[:100]}",
            "CIS-5.4..5.31; PSS; runtime-tools misc_props",
            "the profile does not load",
            "the loader's error",
            "a harmless child of strict loads" if live else "",
            refusal or "it loaded",
            word,
            refusal or "the profile loads, and every check of it passes",
        )


def _refusal(base: str, name: str, text: str) -> str:
    """Give the error's code and sentence, "" if a profile loads and a plan of it can be made."""
    path = os.path.join(base, f"{name}.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("{own}", path))
    try:
        api.prepare(api.load_profile(path), ["true"], workdir="/")
    except HardboxError as error:
        return f"[{error.code}] {error.what}"
    finally:
        os.unlink(path)
    return ""
