"""The native door: what the caller's environment cannot make of it.  Run by: pytest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed


@pytest.fixture
def other(place: str, program: Installed) -> str:
    """An environment whose hardbox runs commands as they are; gives its interpreter."""
    folder = Path(place, "other")
    packages = folder / f"lib/python{'.'.join(map(str, program_version(program)))}/site-packages"
    (packages / "hardbox/cli").mkdir(parents=True)
    for name in ("hardbox/__init__.py", "hardbox/cli/__init__.py"):
        (packages / name).touch()
    (packages / "hardbox/cli/main.py").write_text("def entry(_seal):\n    print('unheld')\n    return 0\n")
    (folder / "bin").mkdir()
    shutil.copy(os.path.join(program.prefix, "pyvenv.cfg"), folder)
    (folder / "bin/python3").symlink_to(os.path.realpath(program.python))
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return str(folder / "bin/python3")


def program_version(program: Installed) -> tuple[str, str]:
    """Give major and minor version of the installation's Python."""
    name = os.path.basename(os.path.dirname(next(Path(program.prefix).glob("lib/python3*/site-packages"))))
    major, _, minor = name.removeprefix("python").partition(".")
    return major, minor


@pytest.mark.parametrize("name", ["PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"])
def test_no_variable_puts_another_hardbox_in_its_place(
    name: str, hardbox: Hardbox, caller: Caller, program: Installed, other: str
) -> None:
    code = "from hardbox.cli.main import entry; raise SystemExit(entry(''))"
    control = caller.run(program.python, "-EP", "-c", code, env={**caller.environment(), name: other})
    assert control.stdout == "unheld\n"
    words = ("run", "--memory", "101M", "--", "id", "-u")
    done = hardbox(*words, env={**caller.environment(), name: other, "HARDBOX_NO_CACHE": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "1000\n", "")
