"""The file of `--report`: opened before anything runs, never inside what the job may change.

Run by: cli/run.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hardbox.errors import SetupFailed
from hardbox.record_file import emptied, open_for_writing, tree_around

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ReportFile:
    """One report. A report that cannot be written is a refusal, so it is opened first."""

    def __init__(self, path: str, asked: Iterable[str]) -> None:
        """Name the file; nothing is opened yet.

        asked: the host paths of --write, for a refusal that comes before the policy is known.
        """
        self.path = path
        self._asked = tuple(asked)
        self._file = -1
        self._refused = False

    def open(self, write: Iterable[str]) -> None:
        """Open the file. Raises SetupFailed HB604, HB608.

        write: the host paths that the job may change.
        """
        tree = self._tree_around(write)
        if tree:
            raise SetupFailed(
                "HB608",
                "the report stands in a tree that the job may change",
                value=self.path,
                origin="--report",
                why="a job could put a symlink there, and the next report would overwrite what it leads to",
                instead="name a file outside " + tree,
            )
        try:
            self._file = emptied(open_for_writing(self.path))
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error

    def refuse(self) -> None:
        """Never write to the file: it is something else's."""
        self._refused = True

    def write(self, document: Mapping[str, object]) -> str:
        """Write the report; give what went wrong, or "".

        A refusal that came before `open` is written too, if the file can be opened and
        was not itself what was refused.
        """
        import json  # noqa: PLC0415 (only with --report)

        if self._file < 0:
            try:
                if self._refused or self._tree_around(self._asked):
                    return ""
                self._file = emptied(open_for_writing(self.path))
            except SetupFailed as error:
                return error.what
            except (OSError, ValueError) as error:
                return getattr(error, "strerror", None) or str(error)
        try:
            with os.fdopen(self._file, "w", encoding="utf-8") as stream:
                stream.write(json.dumps(document, indent=2) + "\n")
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _tree_around(self, write: Iterable[str]) -> str:
        """Give the tree of `write` that the file stands in, or ""; remembers that it was refused."""
        try:
            tree = tree_around(self.path, write)
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error
        self._refused |= bool(tree)
        return tree

    def _unusable(self, error: OSError | ValueError) -> SetupFailed:
        self._refused = True
        return SetupFailed(
            "HB604",
            f"the report cannot be written: {getattr(error, 'strerror', None) or error}",
            value=self.path,
            origin="--report",
            instead="name a file in a directory that you may write",
        )
