"""Run the system and attack tests here and on the second kernel, and print both tables.

Run by: `make vm-test`. usage: python3 -m vm PYTEST CACHE. Status 0 only if nothing failed,
nothing escaped and both kernels ran the same tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

from vm import bundle, machine, selection, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

# Under emulation, on two busy cores; a machine that hangs is ended.
_SECONDS: Final = 3600.0
# Of the tests that pass, every so many are shown as a sign of life; the console's file has all.
_EVERY: Final = 100


def _say(text: str) -> None:
    print(f"vm-test: {text}", file=sys.stderr, flush=True)


def _here(pytest: str, folder: str, runs: Mapping[str, list[str]]) -> tables.Run:
    """Run the tests on this kernel."""
    path = os.path.join(folder, "here.xml")
    chosen = [word for words in runs.values() for word in words]
    words = (pytest, "-q", "-n", "2", "--dist", "worksteal", f"--junit-xml={path}", *chosen)
    subprocess.run(words, cwd=bundle.REPOSITORY, check=False, stdout=sys.stderr)
    return tables.read([path], os.uname().release)


def _there(cache: str, folder: str, runs: Mapping[str, list[str]], *, quiet: bool) -> tables.Run:
    """Run the tests on the second kernel."""
    image = subprocess.run(
        [os.path.join(bundle.HERE, "image.sh"), cache], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    installed, given, results = (
        os.path.join(cache, name) for name in ("environment", "given.tar", "results.tar")
    )
    bundle.environment(installed)
    lines = [" ".join((name, "-v", "--tb=short", "--color=no", *words)) for name, words in runs.items()]
    bundle.write(given, installed, lines)
    machine.empty_results(results)
    _say(f"starting {os.path.basename(image)}")
    start = time.monotonic()
    shown = 0
    with open(os.path.join(folder, "console.txt"), "w", encoding="utf-8") as log:

        def console(text: str) -> None:
            print(f"{time.monotonic() - start:7.1f} {text}", file=log, flush=True)
            nonlocal shown
            shown += 1
            if not quiet and (" PASSED" not in text or shown % _EVERY == 0):
                print(f"  {text}", file=sys.stderr, flush=True)

        if not machine.run(machine.command(image, given, results), _SECONDS, console):
            _say(f"the machine was ended after {_SECONDS:.0f} s; its console: {log.name}")
    if not machine.read_results(results, folder):
        message = f"the machine left no results; its console: {log.name}"
        raise FileNotFoundError(message)
    with open(os.path.join(folder, "kernel"), encoding="ascii") as stream:
        return tables.read([os.path.join(folder, f"{name}.xml") for name in runs], stream.read().strip())


def main() -> int:
    """Give the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m vm", description=__doc__)
    parser.add_argument("pytest", help="the pytest of the environment that hardbox is installed in")
    parser.add_argument("cache", help="a directory for the image and the results")
    parser.add_argument("--quiet", action="store_true", help="do not show the machine's console")
    parser.add_argument("--there", action="store_true", help="run on the second kernel alone; one column")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEST", help="run these tests instead")
    given = parser.parse_args()
    chosen, left_out = selection.runs(given.only)
    if os.geteuid() != 0:
        _say("run this as root: the machine tests root and an ordinary user, so this kernel must too")
        return 1
    folder = os.path.join(given.cache, "results")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        here = () if given.there else (_here(given.pytest, folder, chosen),)
        runs = (*here, _there(given.cache, folder, chosen, quiet=given.quiet))
    except (OSError, subprocess.CalledProcessError, ET.ParseError) as error:
        _say(f"failed: {error}")
        return 1
    for line in tables.lines(runs, left_out):
        print(line)
    return 1 if tables.wrong(runs) else 0


if __name__ == "__main__":
    sys.exit(main())
