"""The installed program, where both callers can execute it.

Run by: tests/conftest.py. Tests run against what `make build` installed. Where that stands
in a directory that only its owner may enter (a fresh `mktemp -d`), a copy is used.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
from dataclasses import dataclass


@dataclass(frozen=True)
class Installed:
    """Paths of one installation."""

    prefix: str

    @property
    def hardbox(self) -> str:
        """The front."""
        return os.path.join(self.prefix, "bin", "hardbox")

    @property
    def launch(self) -> str:
        """The launcher."""
        return os.path.join(self.prefix, "bin", "hardbox-launch")

    @property
    def python(self) -> str:
        """The interpreter that the front runs on."""
        return os.path.join(self.prefix, "bin", "python3")


def find(base: str) -> Installed:
    """Give this environment's installation, or a copy below `base` if others cannot reach it."""
    own = Installed(sys.prefix)
    for path in (own.hardbox, own.launch):
        if not os.access(path, os.X_OK):
            message = f"{path} is not installed: run `make build` first"
            raise RuntimeError(message)
    return own if _reachable(sys.prefix) else copy(own, os.path.join(base, "venv"))


def _reachable(path: str) -> bool:
    while path != "/":
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
        path = os.path.dirname(path)
    return True


def copy(own: Installed, prefix: str) -> Installed:
    """Copy what hardbox needs at run time; a venv finds itself by its place."""
    os.makedirs(os.path.join(prefix, "bin"))
    shutil.copy(os.path.join(own.prefix, "pyvenv.cfg"), prefix)
    os.symlink(os.path.realpath(own.python), os.path.join(prefix, "bin", "python3"))
    for program in (own.hardbox, own.launch):  # hardbox finds the interpreter beside itself
        shutil.copy(program, os.path.join(prefix, "bin"))
    folder = os.path.relpath(sysconfig.get_path("purelib"), sys.prefix)
    packages, inside = os.path.join(own.prefix, folder), os.path.join(prefix, folder)
    for name in os.listdir(packages):
        if name.partition("-")[0] in (
            "hardbox",
            *("dns", "h11", "idna", "pyroute2"),
            "pyseccomp",
            "pyseccomp.py",
            "tomlkit",
            "prctl.py",
            "_prctl",
        ):
            source = os.path.join(packages, name)
            target = os.path.join(inside, name)
            if os.path.isdir(source):
                shutil.copytree(source, target)
            else:
                os.makedirs(inside, exist_ok=True)
                shutil.copy(source, target)
    return Installed(prefix)
