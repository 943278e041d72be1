"""The ground of the fault tests: a plan, a tracer, a canary, and a look at what is left.

Run by: tests/faults/*.py. The plan has a writable tree, into which the job puts its canary: a
file that only a job that was run can make. As root its lease of ids is taken from a file of
the test's own, so that a lease left behind is seen whatever else runs on the machine.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest
from support import faults, launched

from faults import handed, kept
from hardbox import api, grants
from hardbox.plan import LaunchPlan, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.callers import Caller
    from support.installed import Installed

SOURCE: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fault.c")
ALL: Final = os.environ.get("HARDBOX_FAULTS", "") == "all"
CANARY: Final = "canary"
KILLED: Final = 137
# What is tried: a plan by itself; with a network, whose keeper is the test itself; and a member of a pool,
# whose owner is the test, at its last hold point and at an open one.
MODES: Final = pytest.mark.parametrize("ground", ["none", "allow", "bridge", "last", "open"], indirect=True)
# Numbers of x86_64 (asm/unistd_64.h) that the verdicts need; the tracer is of that machine too.
SENDTO, SENDMSG = 44, 46
# What the job itself says of its walls.
LOOK: Final = """echo ran >/w/canary
grep -E '^(Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Sig(Blk|Ign)|Cpus_allowed:)' /proc/self/status
cat /proc/self/uid_map /proc/self/gid_map /proc/self/limits /proc/self/oom_score_adj
cut -d' ' -f4- /proc/self/mountinfo
ls -la / /dev /etc /proc/self/fd; hostname; pwd; env
unshare -U true; echo x >/usr/x; echo x >/etc/passwd; cat /proc/kcore; ulimit -n 9999; exit 0
"""
# What differs between two good runs: leases, times, sizes, device numbers.
_VARIES: Final = re.compile(r"\b(\d\d:\d\d|[A-Z][a-z]{2} +\d+|size=\w+|\d+)\b")
# What is said afterwards of what was refused; a launcher that cannot hear of it does without.
# Refused all the same: where the launcher has given its listener up, the kernel answers in its place.
_FLOCK: Final = "hhiqqi4x"
_MOST_LEASES: Final = 1 << 20


@dataclass(frozen=True)
class Trace:
    """What one traced launch did.

    done:   the fault was made to happen.
    exec:   the job became the command.
    late:   it became the command although the fault had happened before.
    calls:  (role, number of the call), in order.
    before: how many of these were made when the fault happened.
    """

    returncode: int
    stdout: str
    stderr: str
    done: bool
    exec: bool
    late: bool
    calls: tuple[tuple[str, int], ...]
    before: int

    def count(self, role: str) -> int:
        """Give how many calls a process has made."""
        return sum(1 for each, _ in self.calls if each == role)

    def sends(self, who: str) -> int:
        """Give how many messages the launcher may have sent when the fault struck at a call of `who`."""
        made = [call for role, call in self.calls[: self.before] if role == "launcher"]
        if who == "launcher" and made:
            made.pop()  # stopped on its way in, and killed there
        return sum(1 for call in made if call in (SENDTO, SENDMSG))


@dataclass(frozen=True)
class Ground:
    """One caller's plan, and how a launch without a fault looks.

    plan:    None where it is only in its file.
    mode:    see MODES.
    """

    caller: Caller
    program: Installed
    tool: str
    place: str
    plan: LaunchPlan | None
    mode: str = "none"
    look: str = ""
    calls: tuple[tuple[str, int], ...] = ()
    go: int = 0

    @property
    def work(self) -> str:
        """The writable tree."""
        return os.path.join(self.place, "work")

    def canary(self) -> bool:
        """Tell whether a job was run, and forget it."""
        path = os.path.join(self.work, CANARY)
        if not os.path.lexists(path):
            return False
        os.unlink(path)
        return True

    def launch(self) -> tuple[str, ...]:
        """Give the words that launch the look."""
        return (self.program.launch, f"{self.place}/p.plan", "--", "sh", "-c", LOOK)

    def trace(self, *fault: str, command: tuple[str, ...] = (), stdin: int | None = None) -> Trace:
        """Launch under the tracer. A process that is left makes it hang: subprocess.TimeoutExpired."""
        log = os.path.join(self.place, "log")
        tool = (self.tool, log, *fault, "--")
        if self.mode in ("last", "open"):
            assert self.plan is not None
            at = handed.LAST if self.mode == "last" else handed.open_point(self.plan)
            done = handed.run(self.caller, self.program, self.plan, at, tool)
        elif self.mode != "none":
            assert self.plan is not None
            done = kept.run(self.caller, self.program, self.plan, tool)
        else:
            words = command or self.launch()
            done = self.caller.run(*tool, *words, stdin=stdin, timeout=faults.PATIENCE * 3)
        with open(log, encoding="ascii") as file:
            lines = file.read().splitlines()
        at = lines.index("done") if "done" in lines else len(lines)
        calls = [line.split() for line in lines if " " in line]
        return Trace(
            done.returncode,
            done.stdout,
            done.stderr,
            "done" in lines,
            "exec" in lines,
            "exec" in lines[at:],
            tuple((role, int(call)) for role, _, call in calls),
            sum(1 for line in lines[:at] if " " in line),
        )

    def left(self) -> Iterator[str]:
        """Name what a launch has left behind, beside processes, for which the tracer waits."""
        strange = set(os.listdir(self.place)) - {"work", "p.plan", "log", "leases"}
        if strange or os.listdir(self.work):
            yield f"files: {strange} {os.listdir(self.work)}"
        if faults.mounts_below(self.place):
            yield f"mounts: {faults.mounts_below(self.place)}"
        if lease_held(os.path.join(self.place, "leases")):
            yield "a lease of ids"


def lease_held(path: str) -> bool:
    """Tell whether an open file anywhere holds a lock on the leases (F_OFD_GETLK of fcntl(2))."""
    if not os.path.exists(path):
        return False
    fd = os.open(path, os.O_RDWR)
    try:
        wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, _MOST_LEASES, 0)
        answer = fcntl.fcntl(fd, 36, wanted)  # F_OFD_GETLK, which Python does not name
    finally:
        os.close(fd)
    kind: int = struct.unpack(_FLOCK, answer)[0]
    return kind != fcntl.F_UNLCK


def build_tool(folder: str) -> str:
    """Compile the tracer. Raises subprocess.CalledProcessError."""
    target = os.path.join(folder, "fault")
    flags = ("-std=c17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *flags, "-o", target, SOURCE], check=True)
    os.chmod(target, 0o755)
    return target


def walls(text: str) -> str:
    """Leave out what differs between two good runs."""
    return re.sub(" +", " ", _VARIES.sub("N", faults.unexplained(text)))


def make_ground(caller: Caller, program: Installed, tool: str, place: str, mode: str = "none") -> Ground:
    """Make the plan, for one of MODES, and look at a launch without a fault."""
    work = faults.own_dir(caller, os.path.join(place, "work"))
    plan = None
    path = os.path.join(place, "p.plan")
    if mode != "none":
        network = mode if mode in ("allow", "bridge") else "none"
        plan = launched.commanded(launched.make_plan(caller, program, work, network), "sh", "-c", LOOK)
    elif caller.uid == 0:
        policy = api.load_profile("strict", [grants.grant("filesystem.write", f"{work}:/w", "--write")])
        plan = api.prepare(policy, ["true"]).plan
    if plan is not None and caller.uid == 0:
        lease = os.path.join(place, "leases")
        changed = tuple(
            steps.IdLease(lease, step.first, step.size, step.ranges)
            if isinstance(step, steps.IdLease)
            else step
            for step in plan.steps
        )
        assert changed != plan.steps
        plan = LaunchPlan(changed, plan.policy_name, plan.policy_digest)
    if plan is not None:
        faults.own(caller, path, plan.encode())
    else:
        faults.ran(caller.run(program.hardbox, "compile", "--write", f"{work}:/w", "-o", path, "--", "true"))
    bare = Ground(caller, program, tool, place, plan, mode)
    seen = bare.trace("look")
    assert seen.returncode == 0, (seen.stdout, seen.stderr)
    assert seen.exec
    assert bare.canary(), "the canary works"
    look = walls(seen.stdout + seen.stderr)
    assert "NoNewPrivs:\tN" in look
    again = bare.trace("look")
    assert walls(again.stdout + again.stderr) == look, "two good runs look the same"
    assert bare.canary()
    assert not list(bare.left())
    sends = sum(1 for role, call in seen.calls if role == "launcher" and call in (SENDTO, SENDMSG))
    return replace(bare, look=look, calls=seen.calls, go=sends)


def formed(said: str) -> bool:
    """Tell whether a message has the form of a refusal, of the front's or of the launcher's own."""
    return bool(faults.FORM.fullmatch(said) or faults.LAUNCHER_FORM.fullmatch(said))


def sample(numbers: list[int], wanted: int) -> list[int]:
    """Give `wanted` of them, evenly spread, the last one too; all of them in the long pass."""
    if ALL or len(numbers) <= wanted:
        return numbers
    return sorted({numbers[round(i * (len(numbers) - 1) / (wanted - 1))] for i in range(wanted)})


def kill(pid: int) -> bool:
    """Kill a process if it is still there; its pid is a child's that nobody has waited for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.kill(pid, 9) == 0:
        return True
    assert ctypes.get_errno() == errno.ESRCH
    return False
