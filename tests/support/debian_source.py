"""Sources of a Debian package, fetched through a private deb-src list.

Run by: tests/system/test_real_project.py. The machine's own lists stay as they are: they are
copied with `deb` turned into `deb-src`, and apt keeps everything else below one directory.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import subprocess
from typing import Final

_LISTS: Final = "/etc/apt/sources.list"
_DONE: Final = "complete"


def source_list(text: str, *, deb822: bool) -> str:
    """Turn a list of binary packages into one of sources.

    deb822: the format of *.sources (stanzas with "Types:"); else one line each (sources.list(5)).
    """
    if deb822:
        return re.sub(r"^Types:.*$", "Types: deb-src", text, flags=re.MULTILINE | re.IGNORECASE)
    # Without lines of sources that are there already: each comes from its line of binaries.
    lines = (line for line in text.splitlines(keepends=True) if re.match(r"deb\s", line))
    return "".join("deb-src" + line[len("deb") :] for line in lines)


def fetch(package: str, directory: str) -> tuple[str, ...]:
    """Give the files of a source package, the .dsc first; they are fetched once per directory.

    directory: made if missing; several processes may ask for the same one at once.
    Raises RuntimeError with apt's own words.
    """
    os.makedirs(directory, exist_ok=True)
    files = os.path.join(directory, package)
    with open(os.path.join(directory, f"{package}.lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = os.path.join(directory, f"{package}.{_DONE}")
        if not os.path.exists(done):
            os.makedirs(files, exist_ok=True)
            options = _private_apt(directory)
            _apt(*options, "update", cwd=files)
            _apt(*options, "source", "--download-only", package, cwd=files)
            with open(done, "w", encoding="utf-8"):
                pass
    found = glob.glob(os.path.join(files, "*"))
    return tuple(sorted(found, key=lambda path: (not path.endswith(".dsc"), path)))


def _private_apt(directory: str) -> tuple[str, ...]:
    """Give the options that keep apt below `directory`, which need no privilege."""
    parts = os.path.join(directory, "parts")
    for name in ("parts", "state/lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    for path in (_LISTS, *glob.glob(f"{_LISTS}.d/*.list"), *glob.glob(f"{_LISTS}.d/*.sources")):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = source_list(file.read(), deb822=path.endswith(".sources"))
            name = os.path.basename(path)
            with open(os.path.join(parts, name), "w", encoding="utf-8") as file:
                file.write(text)
    return (
        "-qq",
        *("-o", "Dir::Etc::sourcelist=/dev/null"),
        *("-o", f"Dir::Etc::sourceparts={parts}"),
        *("-o", f"Dir::State={directory}/state"),
        *("-o", f"Dir::Cache={directory}/cache"),
        # Root's apt would fetch as user _apt, who may not write here.
        *("-o", "APT::Sandbox::User="),
    )


def _apt(*argv: str, cwd: str) -> None:
    done = subprocess.run(["apt-get", *argv], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"apt-get {argv[-1]}: status {done.returncode}\n{done.stdout}{done.stderr}"
        raise RuntimeError(message)
