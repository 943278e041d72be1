"""`hardbox cache`: where decisions and compiled filters are kept, and how to drop them.

Run by: cli/main.py.
"""

from __future__ import annotations

from typing import Final

from hardbox import cache
from hardbox.errors import Usage, printable

USAGE: Final = """usage: hardbox cache [clear]
Shows the folder of sealed plans and compiled filters, or empties it. Nothing in it is needed:
what is missing, or not exactly as it was, is decided and compiled anew. HARDBOX_NO_CACHE=1 in the
environment makes `hardbox run` decide anew."""


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status. Raises Usage."""
    if argv and argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if argv not in ([], ["clear"]):
        raise Usage(
            "HB001",
            "hardbox cache has no such word",
            value=" ".join(argv),
            instead="hardbox cache says what is kept; hardbox cache clear removes it",
        )
    names = cache.names()
    seals = sum(name.endswith(".seal") for name in names)
    plans = sum(name.endswith(".plan") for name in names)
    folder = cache.cache_folder() or "no folder: neither HOME nor XDG_CACHE_HOME is set"
    print(printable(f"{folder}: {seals} sealed decisions, {len(names) - seals - plans} compiled filters"))
    if argv:
        print(f"removed {cache.clear()} files")
    return 0
