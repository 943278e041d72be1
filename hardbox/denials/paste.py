"""Words that a job chose, in a suggestion that a person may paste into a shell.

Run by: the modules of denials/; pure.
"""

from __future__ import annotations

import shlex


def pasteable(path: str) -> str:
    """Quote a path for a shell; "" if it cannot be given in an option, or not be read before it is pasted."""
    return "" if ":" in path else pasteable_word(path)


def pasteable_word(text: str) -> str:
    """Quote a word for a shell; "" if it cannot be read before it is pasted."""
    return shlex.quote(text) if text.isprintable() else ""


def read_option(path: str) -> str:
    """Give the option that shows a path, or words where there is none to paste."""
    quoted = pasteable(path)
    if quoted:
        return f"--read {quoted}"
    return "--read of a directory above it: its name has a colon, or a character that is not printed"
