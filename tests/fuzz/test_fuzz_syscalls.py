"""Random system calls from inside the strict sandbox, while the outside is watched.

Run by: pytest. A quarter of HARDBOX_FUZZ_SECONDS per caller, five minutes at most.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.callers import Caller
    from support.installed import Installed

HERE: Final = Path(__file__).parent
SECONDS: Final = min(300, int(os.environ.get("HARDBOX_FUZZ_SECONDS", "40")) // 4)
SLICE: Final = 60  # below the profile's limits of time
SEED: Final = int(os.environ.get("HARDBOX_FUZZ_SEED", "20240229"))
LINE: Final = re.compile(r"(\d+) calls in (\d+) batches, (\d+) of them foreign, (\d+) ended by a signal")
# Counters and random numbers, which change by themselves.
ALIVE: Final = re.compile(
    r"random/|-nr$|-state$|ns_last_pid|pty/nr|nr_|netfilter|/conf/|/neigh/|sched_domain|keys/|min_free|lowmem|_mem$"
    r"|fs/quota/"  # how often anybody has called sync(2), and the like
)
TREES: Final = ("/var/tmp", "/dev/shm", "/tmp")


@pytest.fixture(scope="module")
def probe(base: str) -> str:
    folder = os.path.join(base, "fuzz-syscalls")
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    target = os.path.join(folder, "fuzz_syscalls")
    source = str(HERE / "fuzz_syscalls.c")
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True)
    os.chmod(target, 0o755)
    return folder


@pytest.fixture
def canaries(place: str) -> Iterator[dict[str, str]]:
    """Files that anybody may write, in several trees: path -> digest."""
    made: dict[str, str] = {}
    for tree in (*TREES, place):
        path = os.path.join(tree, f"hardbox-canary-{os.getpid()}")
        Path(path).write_bytes(os.urandom(64))
        os.chmod(path, 0o666)
        made[path] = _digest(path)
    yield made
    for path in made:
        os.unlink(path)


def _digest(path: str) -> str:
    found = os.stat(path)
    content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return f"{content} {found.st_mode:o} {found.st_uid}:{found.st_gid}"


def _sysctls() -> dict[str, bytes]:
    """Read every sysctl of the host that can be read."""
    found: dict[str, bytes] = {}
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(folder, name)
            if not ALIVE.search(path):
                try:
                    found[path] = Path(path).read_bytes()
                except OSError:
                    continue  # write-only, or not for this caller
    return found


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines())


@pytest.mark.usefixtures("canaries")
def test_random_calls_change_nothing_outside(
    caller: Caller,
    program: Installed,
    probe: str,
    canaries: dict[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    faults.adopt_orphans()
    before = faults.children()
    victim = subprocess.Popen([*caller.prefix, "sleep", "3600"], start_new_session=True)
    sysctls, mounts, devices = _sysctls(), _mounts(), os.stat("/dev/null")
    calls = batches = foreign = killed = 0
    left = SECONDS
    try:
        while left > 0:
            seconds = min(left, SLICE)
            shown = ("--read", f"{probe}:/probe")
            words = (program.hardbox, "run", "--profile", "strict", *shown, "--", "/probe/fuzz_syscalls")
            done = caller.run(*words, str(SEED + left), str(seconds), timeout=seconds + 120)
            assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-500:])
            match = LINE.fullmatch(done.stdout.strip())
            assert match, done.stdout[-500:]
            numbers = [int(number) for number in match.groups()]
            calls, batches = calls + numbers[0], batches + numbers[1]
            foreign, killed = foreign + numbers[2], killed + numbers[3]
            left -= seconds
        record_property(
            "fuzz",
            f"system calls as {caller.name}: {calls} in {SECONDS} s, {batches} processes, "
            f"{foreign} of them i386 or x32, {killed} ended by a signal",
        )
        assert faults.alive(victim.pid), "the canary process lives"
        assert {path: _digest(path) for path in canaries} == canaries
        after = _sysctls()
        assert {path: after.get(path) for path in sysctls} == sysctls
        strange = {line for line in _mounts() - mounts if "hardbox" in line or "/probe" in line}
        assert not strange
        assert mounts <= _mounts() | {line for line in mounts if "hardbox" not in line}
        null = os.stat("/dev/null")
        assert (null.st_mode, null.st_rdev, null.st_uid) == (devices.st_mode, devices.st_rdev, devices.st_uid)
        assert calls > batches > foreign > killed // 2 > 0
    finally:
        victim.kill()
        victim.wait()
    faults.eventually(lambda: not faults.orphans(before), "all processes of the sandbox have ended")
