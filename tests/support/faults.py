"""Bad circumstances, and what has to hold in all of them.

Run by: tests/system/test_*.py. A refusal has one form; nothing stays behind; the walls of a
job that did run are the same as ever.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from support import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.callers import Caller

_PR_SET_CHILD_SUBREAPER: Final = 36
# Generous: the machine may be busy. What is awaited normally takes milliseconds.
PATIENCE: Final = patience.seconds(20)
FORM: Final = re.compile(
    r"hardbox: (?P<verdict>usage|refused|profile error|host unfit|set-up failed)"
    r" \[(?P<code>HB\d{3})\]: (?P<what>[^\n]+)\n"
    r"(?:  (?:value   |why     |rule    |instead ) [^\n]+\n)*"
    r"  nothing was run\n"
)
LAUNCHER_FORM: Final = re.compile(
    r"hardbox(?:-launch)?: (?:refused|set-up failed) \[HB60[123]\]: [^\n]+\n"
    r"(?:  (?:why    |instead) [^\n]+\n)*"
    r"  nothing was run\n"
)
# What is said of refused calls, and where it cannot be said; a fault may cost either.
EXPLAINED: Final = re.compile(
    r"hardbox: \d+ things? (?:was|were) denied by profile [^\n]*\n(?:  [^\n]*\n)*"
    r"|hardbox: \d+ kinds of system calls were refused\n"
)
CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def unexplained(text: str) -> str:
    """Leave out what is told of refused calls, and by which of its errors a call was refused.

    The kernel answers ENOSYS in place of a listener that the supervisor has given up: refused all the same.
    """
    lines = EXPLAINED.sub("", text).splitlines(keepends=True)
    old, new = "Function not implemented", "Operation not permitted"
    return "".join(line.replace(old, new) if line.startswith("unshare:") else line for line in lines)


def refusal(
    done: subprocess.CompletedProcess[str], *codes: str, says: str = "", status: int = 125
) -> re.Match[str]:
    """Assert that `done` is a refusal of the one form, with one of `codes`; gives its parts."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    assert not done.stdout, done.stdout
    found = FORM.fullmatch(done.stderr)
    assert found is not None, done.stderr
    assert not CONTROL.search(done.stderr), done.stderr
    if codes:
        assert found["code"] in codes, done.stderr
    assert says in done.stderr, done.stderr
    return found


def launcher_refusal(done: subprocess.CompletedProcess[str], says: str = "") -> None:
    """Assert that hardbox-launch, run by hand, refused."""
    assert done.returncode == 125, (done.returncode, done.stdout, done.stderr)
    assert not done.stdout, done.stdout
    assert LAUNCHER_FORM.fullmatch(done.stderr), done.stderr
    assert not CONTROL.search(done.stderr), done.stderr
    assert says in done.stderr, done.stderr


def ran(done: subprocess.CompletedProcess[str], stdout: str | None = None, status: int = 0) -> str:
    """Assert that the command ran with this status (and output); gives its output."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    if stdout is not None:
        assert done.stdout == stdout, (done.stdout, done.stderr)
    return done.stdout


def eventually(holds: Callable[[], object], what: str, within: float = PATIENCE) -> float:
    """Wait until `holds` gives something true; gives the seconds that it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within, f"did not happen: {what}"
        time.sleep(0.01)
    return time.monotonic() - began


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose parent ends (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def children(of: int | str = "self") -> set[int]:
    """Give the process ids of all direct children, zombies too."""
    found: set[int] = set()
    try:
        for thread in os.listdir(f"/proc/{of}/task"):
            with open(f"/proc/{of}/task/{thread}/children", encoding="ascii") as file:
                found.update(map(int, file.read().split()))
    except (FileNotFoundError, ProcessLookupError):
        return found  # it has just ended
    return found


def descendants(of: int) -> set[int]:
    """Give all processes below one."""
    found: set[int] = set()
    ahead = [of]
    while ahead:
        below = children(ahead.pop()) - found
        found |= below
        ahead += below
    return found


def alive(pid: int) -> bool:
    """Say whether a process is there and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def orphans(before: set[int]) -> set[int]:
    """Give adopted processes that still live; reaps those that do not."""
    for pid in children() - before:
        if not alive(pid):
            os.waitpid(pid, 0)
    return children() - before


def end(pids: set[int]) -> None:
    """Kill what a failed test has left, so that the next one starts clean."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def removed(folder: str) -> bool:
    """Try to remove an empty directory, such as a cgroup whose last process is about to be gone."""
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def spawn(
    caller: Caller,
    program: str,
    *argv: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program as the caller; its pid is the program's own (setpriv execs)."""
    return subprocess.Popen(
        # As from a terminal: who started the tests may have them ignore interrupts (`make test &`).
        ["env", "--default-signal", *caller.prefix, program, *argv],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=caller.environment(**(env or {})),
        cwd=caller.home,
    )


def shell(
    caller: Caller, script: str, *argv: str, timeout: float = 60, cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell script as the caller: for redirections and limits that only a shell can make."""
    return caller.run("sh", "-c", script, "sh", *argv, timeout=timeout, cwd=cwd)


def read_line(child: subprocess.Popen[bytes]) -> str:
    """Read one line of a child's output, by which it says that it has come so far."""
    assert child.stdout is not None
    return child.stdout.readline().decode().rstrip("\n")


def finish(child: subprocess.Popen[bytes]) -> subprocess.CompletedProcess[str]:
    """Wait for a spawned program."""
    out, err = child.communicate(timeout=patience.seconds(60))
    return subprocess.CompletedProcess(
        child.args, child.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    )


def read_json(path: str) -> dict[str, object]:
    """Read a JSON object."""
    with open(path, encoding="utf-8") as file:
        found: dict[str, object] = json.load(file)
    return found


def own(caller: Caller, path: str, content: str | bytes = b"", mode: int = 0o644) -> str:
    """Write a file that belongs to the caller; gives its path."""
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.chmod(path, mode)
    os.chown(path, caller.uid, caller.gid)
    return path


def own_dir(caller: Caller, path: str, mode: int = 0o755) -> str:
    """Make a directory that belongs to the caller; gives its path."""
    os.mkdir(path)
    os.chmod(path, mode)
    os.chown(path, caller.uid, caller.gid)
    return path


def listing(path: str) -> set[str]:
    """Give everything below a directory, relative."""
    return {
        os.path.relpath(os.path.join(folder, name), path)
        for folder, folders, files in os.walk(path)
        for name in (*folders, *files)
    }


def mounts_below(path: str) -> list[str]:
    """Give this mount namespace's lines that name a path."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return [line for line in file if path in line]


def cgroups_left() -> set[str]:
    """Give the cgroups of sandboxes that nobody holds any more: whoever made one is dead.

    Or has not come as far as to hold it: see no_cgroups_left().
    """
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            if name.startswith("hardbox-") and _unheld(f"{folder}/{name}"):
                found.add(f"{folder}/{name}")
    return found


def no_cgroups_left(before: set[str]) -> None:
    """Assert that a test has left none; other workers' come and go meanwhile."""
    eventually(lambda: not cgroups_left() - before, "all cgroups are removed")


def _unheld(path: str) -> bool:
    """Say whether nobody has it locked. To try would keep its maker, or whoever removes it, from it."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    name = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with open("/proc/locks", encoding="ascii") as locks:
        held = any(name in line.split() for line in locks)
    return not held and os.path.exists(path)


def words(argv: Sequence[str]) -> str:
    """Give a short id for a parametrised case."""
    return " ".join(argv)[:60].replace("\n", "\\n") or "(none)"
