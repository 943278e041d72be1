"""M5, M6: mounts of the host stay the host's, mounts of the sandbox stay inside, and nothing
is left over, however a run ends.

Run by: pytest. The host is played by a mount namespace of the test's own, with a shared
tree: the machine's own mounts are not touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support import patience

from attack import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

RUNS = 50


def _mounts(pid: str = "self") -> list[str]:
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as stream:
        return stream.read().splitlines()


def test_nothing_is_left(caller: Caller, program: Installed, probes: str, settle: Settle) -> None:
    """M6: fifty runs, some killed, some that fail in set-up, some refused."""
    before = _mounts()
    for number in range(RUNS):
        words = [*caller.prefix, *batch.sandbox(program, probes), "/probe/probe64", "one"]
        if number % 5 == 0:
            started = subprocess.Popen(
                [*words, "linger", "x"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=caller.home,
                env=caller.environment(),
            )
            assert started.stdout is not None
            # Killed at different moments: during start-up too.
            if number % 10 == 0:
                started.stdout.readline()
            else:
                time.sleep(0.01 * (number % 7))
            started.kill()
            started.wait()
            started.stdout.close()
        elif number % 5 == 1:
            # Fails in set-up: the working directory does not exist inside.
            failing = batch.sandbox(program, probes, "--workdir", "/nonexistent")
            assert caller.run(*failing, "/probe/probe64", "one", "hello").returncode == 125
        else:
            assert caller.run(*words[len(caller.prefix) :], "hello").returncode == 0
    after = _mounts()
    # The control: in a mount namespace of its own, one mount more is seen.
    script = "wc -l < /proc/self/mountinfo; mount -t tmpfs none /mnt; wc -l < /proc/self/mountinfo"
    control = caller.run("unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", script)
    counts = control.stdout.split()
    live = f"one mount more is seen: {counts}" if int(counts[1]) == int(counts[0]) + 1 else ""
    settle("M6-left-over", "" if before == after else f"{set(before) ^ set(after)}", live)


# Of 50 ms each.
TURNS = round(patience.seconds(10) / 0.05)
SCENE = """
set -e
mount --bind {base} {base}
mount --make-shared {base}
mkdir -p {base}/shown/later
mount --bind {base}/shown {base}/shown
mount --make-shared {base}/shown
rm -f {base}/shown/go
echo before > {base}/shown/later/file
{command} &
job=$!
for i in $(seq {turns}); do test -s {out} && break; sleep 0.05; done
mount -t tmpfs none {base}/shown/later
echo after > {base}/shown/later/file
echo go > {base}/shown/go
wait $job
grep -c {base} /proc/self/mountinfo
"""
JOB = """
cat /proc/self/mountinfo > {mountinfo}; echo ready > {ready}
for i in $(seq {turns}); do test -e {shown}/go && break; sleep 0.05; done
echo "file: $(cat {shown}/later/file)"
grep -E 'shared:|master:|propagate_from:' /proc/self/mountinfo || echo "all private"
"""


@pytest.fixture
def stage(place: str) -> Iterator[str]:
    """A directory that becomes a shared mount in the scene's own namespace."""
    path = os.path.join(place, "stage")
    os.mkdir(path)
    os.chmod(path, 0o777)
    yield path
    shutil.rmtree(path)


def _scene(caller: Caller, stage: str, out: str, command: str) -> subprocess.CompletedProcess[str]:
    script = SCENE.format(base=stage, out=out, command=command, turns=TURNS)
    prefix = ["unshare", "--mount", "--propagation", "private"]
    if caller.uid != 0:
        prefix += ["--user", "--map-current-user", "--keep-caps"]
    return caller.run(*prefix, "/bin/sh", "-c", script, timeout=60)


def _script(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)
    os.chmod(path, 0o644)
    return path


def test_propagation(caller: Caller, program: Installed, place: str, stage: str, settle: Settle) -> None:
    """M5: a mount made by the host after the start does not appear inside."""
    out = os.path.join(place, "out")
    os.mkdir(out)
    os.chmod(out, 0o777)
    os.chown(out, caller.uid, caller.gid)
    ready = os.path.join(out, "ready")
    bare_job = _script(
        place, "bare", JOB.format(mountinfo="/dev/null", ready=ready, shown=f"{stage}/shown", turns=TURNS)
    )
    slave = "unshare --mount --propagation slave" if caller.uid == 0 else ""
    bare = _scene(caller, stage, ready, f"{slave} /bin/sh {bare_job}")
    os.unlink(ready)
    job = _script(
        place, "job", JOB.format(mountinfo="/dev/null", ready="/out/ready", shown="/shown", turns=TURNS)
    )
    shown = f"--read {stage}/shown:/shown --write {out}:/out --read {job}:/job"
    boxed = _scene(caller, stage, ready, f"{program.hardbox} run {shown} -- /bin/sh /job")
    said = f"{boxed.stdout!r} {boxed.stderr!r}"
    held = "file: before" in boxed.stdout and "all private" in boxed.stdout
    live = "outside: the mount appears" if "file: after" in bare.stdout else ""
    settle("M5-host-mount", "" if held else said, live or "")
    assert live, f"{bare.stdout!r} {bare.stderr!r}"
