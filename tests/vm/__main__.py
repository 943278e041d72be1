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

# Under emulation, on two cores that others use too; a machine that hangs is ended.
_SECONDS: Final = 4 * 3600.0
# The name of this kernel's result.
HERE: Final = "here"
# Of the tests that pass, every so many are shown as a sign of life; the console's file has all.
_EVERY: Final = 100


def _say(text: str) -> None:
    print(f"vm-test: {text}", file=sys.stderr, flush=True)


def _mark(results: str, name: str) -> str:
    """Give the file that says of which tree a result is."""
    return os.path.join(results, f"{name}.tree")


def _current(results: str, name: str, tree: str) -> bool:
    """Whether there is a result of this very tree."""
    try:
        with open(_mark(results, name), encoding="ascii") as stream:
            return stream.read() == tree and os.path.exists(os.path.join(results, f"{name}.xml"))
    except FileNotFoundError:
        return False


def _keep(source: str, results: str, name: str, tree: str) -> None:
    """Move a whole result, and what it is of, to where the next run finds it."""
    ET.parse(source)  # noqa: S314 (written by our own run)
    os.replace(source, os.path.join(results, f"{name}.xml"))
    with open(_mark(results, name), "w", encoding="ascii") as stream:
        stream.write(tree)


def _here(pytest: str, results: str, runs: Mapping[str, list[str]], tree: str) -> None:
    """Run the tests on this kernel."""
    path = os.path.join(results, "new.xml")
    chosen = [word for words in runs.values() for word in words]
    words = (pytest, "-q", "-n", "2", "--dist", "worksteal", f"--junit-xml={path}", *chosen)
    subprocess.run(words, cwd=bundle.REPOSITORY, check=False, stdout=sys.stderr)
    _keep(path, results, HERE, tree)


def _image(cache: str) -> str:
    """Give the directory of the machine's disk; makes it if need be."""
    script = (os.path.join(bundle.HERE, "image.sh"), cache)
    return subprocess.run(script, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _there(
    image: str, results: str, runs: Mapping[str, list[str]], trees: Mapping[str, str], *, quiet: bool
) -> None:
    """Run the tests on the second kernel."""
    cache = os.path.dirname(results)
    installed, given, disk, folder = (
        os.path.join(cache, name) for name in ("environment", "given.tar", "results.tar", "there")
    )
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    bundle.environment(installed)
    lines = [" ".join((name, "-v", "--tb=short", "--color=no", *words)) for name, words in runs.items()]
    bundle.write(given, installed, lines)
    machine.empty_results(disk)
    _say(f"starting {os.path.basename(image)} with {len(lines)} files")
    start = time.monotonic()
    shown = 0
    with open(os.path.join(results, "console.txt"), "w", encoding="utf-8") as log:

        def console(text: str) -> None:
            print(f"{time.monotonic() - start:7.1f} {text}", file=log, flush=True)
            nonlocal shown
            shown += 1
            if not quiet and (" PASSED" not in text or shown % _EVERY == 0):
                print(f"  {text}", file=sys.stderr, flush=True)

        if not machine.run(machine.command(image, given, disk), _SECONDS, console):
            _say(f"the machine was ended after {_SECONDS:.0f} s; its console: {log.name}")
    if not machine.read_results(disk, folder):
        message = f"the machine left no results; its console: {log.name}"
        raise FileNotFoundError(message)
    for name in ("kernel", "doctor.json"):
        shutil.copyfile(os.path.join(folder, name), os.path.join(results, name))
    for name in runs:
        path = os.path.join(folder, f"{name}.xml")
        if os.path.exists(path):
            _keep(path, results, name, trees[name])


def _told(
    results: str, runs: Mapping[str, list[str]], trees: Mapping[str, str], *, there: bool
) -> tuple[tables.Run, ...]:
    """Read what has been kept of this tree."""
    files = [os.path.join(results, f"{name}.xml") for name in runs if _current(results, name, trees[name])]
    with open(os.path.join(results, "kernel"), encoding="ascii") as stream:
        second = tables.read(files, stream.read().strip())
    if there:
        return (second,)
    return tables.read([os.path.join(results, f"{HERE}.xml")], os.uname().release), second


def main() -> int:
    """Give the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m vm", description=__doc__)
    parser.add_argument("pytest", help="the pytest of the environment that hardbox is installed in")
    parser.add_argument("cache", help="a directory for the image and the results")
    parser.add_argument("--quiet", action="store_true", help="do not show the machine's console")
    parser.add_argument("--again", action="store_true", help="forget the results of this very tree")
    parser.add_argument("--there", action="store_true", help="run on the second kernel alone; one column")
    parser.add_argument("--suite", nargs="+", default=selection.SUITES, choices=selection.SUITES)
    parser.add_argument("--only", nargs="+", default=[], metavar="TEST", help="run these tests instead")
    given = parser.parse_args()
    if os.geteuid() != 0:
        _say("run this as root: the machine tests root and an ordinary user, so this kernel must too")
        return 1
    chosen, left_out = selection.runs(given.only, bundle.sources(), given.suite)
    results = os.path.join(given.cache, "only" if given.only else "results")
    if given.again or given.only:
        shutil.rmtree(results, ignore_errors=True)
    os.makedirs(results, exist_ok=True)
    try:
        image = _image(given.cache)
    except subprocess.CalledProcessError as error:
        _say(f"failed: {error}")
        return 1
    # A result counts for this tree and this disk only.
    trees = {name: f"{bundle.digest(words)} {os.path.basename(image)}" for name, words in chosen.items()}
    trees[HERE] = bundle.digest([word for words in chosen.values() for word in words])
    missing = {name: words for name, words in chosen.items() if not _current(results, name, trees[name])}
    try:
        if not given.there and not _current(results, HERE, trees[HERE]):
            _here(given.pytest, results, chosen, trees[HERE])
        if missing:
            _there(image, results, missing, trees, quiet=given.quiet)
        runs = _told(results, chosen, trees, there=given.there)
    except (OSError, subprocess.CalledProcessError, ET.ParseError) as error:
        _say(f"failed: {error}")
        return 1
    for line in tables.lines(runs, left_out):
        print(line)
    late = [name for name in chosen if not _current(results, name, trees[name])]
    for name in late:
        print(f"NOT RUN on {runs[-1].kernel}: {name}: the machine had to be ended; run this again")
    return 1 if late or tables.wrong(runs) else 0


if __name__ == "__main__":
    sys.exit(main())
