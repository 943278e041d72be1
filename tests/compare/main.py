"""The corpus of `hardbox verify` under other launchers too, side by side.

Run by: `make compare` as root, with this environment's Python: -m compare.main docs/comparison.md.
As `--caller NAME` it runs the systems of one caller, as whoever runs it, and prints
what came out as JSON; the whole is put together by root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Final

from support import callers, faults

from compare import corpus, page
from compare.systems import PATIENCE_SECONDS, SYSTEMS, remove, version

if TYPE_CHECKING:
    from compare.systems import System

_HERE: Final = os.path.dirname(os.path.abspath(__file__))


def measure(made: corpus.World, system: System) -> dict[str, object]:
    """Run the corpus in one system; gives its verdicts, its version, and why it did not run if so."""
    print(f"{system.name}, as {system.caller}", file=sys.stderr)
    watched = corpus.canaries(made, f"inside-{SYSTEMS.index(system)}")
    try:
        given, facts = corpus.script(made, watched)
        before = corpus.observe(watched)
        said, status = "", "0"
        if not system.program:
            seen = corpus.without_sandbox(made)
            facts = made.facts
        else:
            stdout, said, status = _run(made, system, given, watched)
            seen = corpus.answers(stdout)
        after = corpus.observe(watched)
    finally:
        watched.remove()
    changed = sorted(name for name in before if before[name] != after[name] and name != "mount table")
    return {
        "name": system.name,
        "caller": system.caller,
        "program": system.program,
        "version": version(system),
        "shown": system.shown,
        "answered": len(seen),
        "rows": corpus.verdicts(made, facts, seen),
        "changed": changed,
        "error": "" if seen else f"exit status {status}: {said.strip()[-300:]}",
    }


def _run(made: corpus.World, system: System, given: str, watched: corpus.Canaries) -> tuple[str, str, str]:
    if shutil.which(system.version[0]) is None:
        return "", f"{system.version[0]} is not installed", "127"
    words = system.words(made.base, made.probes)
    # The same unusual parent as hardbox's own suite has: open descriptors, limits, signals.
    odd = [os.path.join(made.probes, corpus.PROBE), "one", "odd"]
    process = subprocess.Popen(
        [*odd, shutil.which(words[0]) or words[0], *words[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=watched.terminal[1],
        text=True,
        errors="replace",
        env={**os.environ, **corpus.secrets(watched.token)},
        cwd="/",
        start_new_session=True,
    )
    said: list[bytes] = []
    attendant = threading.Thread(target=_attend, args=(process, watched.terminal[0], said))
    attendant.start()
    try:
        stdout, _ = process.communicate(given, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, _ = process.communicate()
        said.append(f"ended after {PATIENCE_SECONDS} s".encode())
    attendant.join()
    remove(system, made.base)
    return stdout, b"".join(said).decode("utf-8", "replace"), str(process.returncode)


def _attend(process: subprocess.Popen[str], terminal: int, said: list[bytes]) -> None:
    """Hear what is said on the terminal, and wake what an attempt has stopped for good.

    Where the probe's own parent can be stopped, it would stay so.
    """
    os.set_blocking(terminal, False)
    while process.poll() is None:
        for pid in faults.descendants(process.pid):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    if file.read().rpartition(")")[2].split()[0] == "T":
                        os.kill(pid, signal.SIGCONT)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has just ended, or is another user's
        try:
            said.append(os.read(terminal, 1 << 16))
        except BlockingIOError:
            time.sleep(0.5)


def one_caller(name: str) -> None:
    """Measure the systems of one caller."""
    base = tempfile.mkdtemp(prefix="hardbox-compare-")
    os.chmod(base, 0o755)
    try:
        made = corpus.make_world(base)
        print(json.dumps([measure(made, system) for system in SYSTEMS if system.caller == name]))
    finally:
        shutil.rmtree(base)


def everything(target: str) -> int:
    """Measure as both callers and write the page."""
    if os.geteuid() != 0:
        print("compare: root is needed: runc, runsc and systemd-nspawn are started by it", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        results = []
        for name in ("user", "root"):
            caller = callers.make(name, base)
            done = subprocess.run(
                [*caller.prefix, sys.executable, "-m", "compare.main", "--caller", name],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=caller.environment(PYTHONPATH=os.path.dirname(_HERE)),
                cwd=caller.home,
            )
            results += json.loads(done.stdout)
    text = page.render(results)
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    print(text.partition("## What")[0])
    own = [r for r in results if r["name"] == "hardbox strict"]
    escaped = [
        row
        for r in own
        for row, (_, word, _) in r["rows"].items()
        if word == corpus.OPEN and row not in corpus.ALLOWED[r["caller"]]
    ]
    for row in escaped:
        print(f"open in hardbox strict: {row}", file=sys.stderr)
    return 1 if escaped or any(r["error"] for r in own) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--caller"]:
        one_caller(sys.argv[2])
    elif len(sys.argv) == 2:
        raise SystemExit(everything(sys.argv[1]))
    else:
        print("usage: python -m compare.main PAGE.md", file=sys.stderr)
        raise SystemExit(2)
