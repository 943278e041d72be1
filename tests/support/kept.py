"""hardbox with a cache folder of its own, so that what is sealed can be seen.  Run by: tests/system."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from support import faults

if TYPE_CHECKING:
    import subprocess

    from support.callers import Caller
    from support.installed import Installed


class Kept:
    """hardbox with a cache folder of its own, so that what is sealed can be seen.

    Root's folder is fixed, so root's hardbox runs in a mount namespace with another /var/cache.
    """

    def __init__(self, caller: Caller, program: Installed, place: str, inside: int | None) -> None:
        self.program = program
        self.home = faults.own_dir(caller, f"{place}/cache-home")
        enter = () if inside is None else ("nsenter", "-m", "-t", str(inside), "--")
        self.caller = replace(caller, prefix=(*enter, *caller.prefix))
        self.folder = f"{self.home}/hardbox" if inside is None else f"/proc/{inside}/root/var/cache/hardbox"

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `hardbox WORDS...`."""
        return self.caller.run(self.program.hardbox, *words, env={"XDG_CACHE_HOME": self.home, **env})

    def python_was_needed(self, *words: str, **env: str) -> bool:
        """Run it under strace and see whether an interpreter was started."""
        traced = self.caller.run(
            *("strace", "-f", "-e", "trace=execve", self.program.hardbox, *words),
            env={"XDG_CACHE_HOME": self.home, **env},
        )
        return "/python3" in traced.stderr

    def seals(self) -> list[str]:
        """Give the paths of all seals."""
        found = os.listdir(self.folder) if os.path.isdir(self.folder) else []
        return [os.path.join(self.folder, name) for name in found if name.endswith(".seal")]
