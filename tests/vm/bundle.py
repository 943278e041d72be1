"""What the second kernel is given: what pip installs, the sources that tests read, the words for pytest.

Run by: tests/vm/__main__.py. The guest has no network, so everything is on its second disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE: Final = os.path.dirname(os.path.abspath(__file__))
REPOSITORY: Final = os.path.dirname(os.path.dirname(HERE))


_JUDGED: Final = (
    *("hardbox/", "profiles/", "seccomp/", "meson.build", "pyproject.toml", "tests/conftest.py"),
    *("tests/attack/", "tests/system/", "tests/support/", "tests/vm/guest.sh", "tests/vm/machine.py"),
)


def _requirements() -> list[str]:
    group = (sys.executable, os.path.join(REPOSITORY, "tools", "group"), "tests")
    told = subprocess.run(group, check=True, capture_output=True, text=True)
    return told.stdout.splitlines()


def environment(folder: str) -> None:
    """Build hardbox's wheel and install it, with all that it and the tests need, below `folder`.

    pip would take minutes under emulation; the guest makes a virtual environment around this.
    Raises subprocess.CalledProcessError, after pip's own words.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--use-pep517")
    subprocess.run(
        [*pip, "--ignore-installed", "--prefix", folder, f"{REPOSITORY}[doctor]", *_requirements()],
        check=True,
    )


def digest(words: Sequence[str]) -> str:
    """Say what a run's result depends on: code, data, what tests share, and its own test files.

    words: for pytest. Other test files and the documentation may change.
    """
    total = hashlib.sha256("\0".join(words).encode())
    own = tuple(word.partition("::")[0] for word in words)
    for name in sources():
        path = os.path.join(REPOSITORY, name)
        other = os.path.basename(name).startswith("test_") and not name.startswith(own)
        if name.startswith(_JUDGED) and not other and os.path.isfile(path):
            with open(path, "rb") as stream:
                total.update(f"{name}\0{hashlib.sha256(stream.read()).hexdigest()}\n".encode())
    return total.hexdigest()


def sources() -> list[str]:
    """Give the files of the working tree, those that git does not know yet too."""
    listing = ("git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    told = subprocess.run(listing, check=True, capture_output=True)
    names = sorted(set(os.fsdecode(told.stdout).split("\0")) - {""})
    return [name for name in names if os.path.lexists(os.path.join(REPOSITORY, name))]


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _text(archive: tarfile.TarFile, name: str, lines: Sequence[str]) -> None:
    content = "".join(f"{line}\n" for line in lines).encode()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(content))


def write(path: str, installed: str, runs: Sequence[str]) -> None:
    """Write the second disk: a tar archive.

    installed: what environment() made.
    runs: each a name and words for pytest.
    """
    with tarfile.open(path, "w") as archive:
        archive.add(os.path.join(HERE, "guest.sh"), "guest.sh", filter=_as_root)
        archive.add(installed, "environment", filter=_as_root)
        for name in sources():
            archive.add(
                os.path.join(REPOSITORY, name), f"repository/{name}", recursive=False, filter=_as_root
            )
        _text(archive, "runs", runs)
