"""Every system call of the launcher fails once: nothing weaker than asked for ever runs.

Run by: pytest. strace(1) makes the Nth call of a kind fail in each process of the launcher,
until the command's own exec. Then either nothing was run, or all walls stand as ever.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from support import faults

if TYPE_CHECKING:
    import subprocess

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

CALL: Final = re.compile(r"(\d+) +([a-z0-9_]+)\(")
# Cannot fail (getuid and its like), belong to the C library's start, or end the process; a
# failed close has closed all the same, so making it fail without closing would prove nothing.
LEFT_OUT: Final = frozenset(
    (
        *("arch_prctl", "brk", "close", "execve", "exit_group", "getegid", "geteuid", "getgid", "getpid"),
        *("getrandom", "getuid", "mprotect", "readlink", "rseq", "rt_sigreturn", "set_robust_list"),
        *("set_tid_address", "umask", "restart_syscall"),
        "wait4",  # fails only for want of a child; strace itself waits for what is left unwaited
    )
)
GROUPS: Final = {
    "files": frozenset(
        ("openat2", "openat", "open", "newfstatat", "fstatfs", "fchmod", "mkdirat", "symlinkat")
    ),
    "mounts": frozenset(
        ("move_mount", "mount_setattr", "open_tree", "fsconfig", "fsopen", "fsmount", "mount")
    ),
    "drops": frozenset(("prctl", "landlock_add_rule", "prlimit64", "rt_sigaction")),
}
ERRORS: Final = {
    "write": "ENOSPC",
    "fork": "EAGAIN",
    "clone": "EAGAIN",
    "clone3": "EAGAIN",
    "seccomp": "EINVAL",
}
# What the job itself says of its walls: capabilities, filter, ids, mounts, limits, root, links.
LOOK: Final = """
grep -E '^(Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Sig(Blk|Ign)|Cpus_allowed:)' /proc/self/status
cat /proc/self/uid_map /proc/self/gid_map /proc/self/limits /proc/self/oom_score_adj
cut -d' ' -f4- /proc/self/mountinfo
ls -la / /dev /etc /proc/self/fd; hostname; pwd; env
cat /proc/sys/user/max_user_namespaces /proc/sys/kernel/hostname
unshare -U true; echo x >/usr/x; echo x >/etc/passwd; echo x >/proc/sys/kernel/hostname
cat /proc/kcore; nice -n -5 true; ulimit -n 9999; exit 0
"""
# What differs between two good runs: ids of leases, times, sizes, device numbers.
VARIES: Final = re.compile(r"\b(\d\d:\d\d|\d{5,}|[A-Z][a-z]{2} +\d+|size=\w+|\d+)\b")


@dataclass(frozen=True)
class Ground:
    """A compiled plan, and how a run without faults looks."""

    caller: Caller
    launch: str
    plan: str
    log: str
    walls: str
    calls: Counter[str]

    def run(self, *tracing: str) -> subprocess.CompletedProcess[str]:
        """Run the look under strace, with the given options."""
        tracer = ("timeout", "-s", "KILL", "20", "strace", "-f", "-b", "execve", "-qq", "-o", self.log)
        return self.caller.run(*tracer, *tracing, self.launch, self.plan, "--", "sh", "-c", LOOK)


def walls(text: str) -> str:
    """Leave out what differs between two good runs."""
    return re.sub(" +", " ", VARIES.sub("N", faults.unexplained(text)))


@pytest.fixture
def ground(hardbox: Hardbox, caller: Caller, program: Installed, place: str) -> Ground:
    """Make a plan, and count the calls of each process on its way to the exec."""
    plan, log = f"{place}/p.plan", f"{place}/trace"
    faults.ran(hardbox("compile", "-o", plan, "--", "true"))
    bare = Ground(caller, program.launch, plan, log, "", Counter())
    done = bare.run()
    assert done.returncode == 0, done
    counts: Counter[tuple[str, str]] = Counter()
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = CALL.match(line)
            if match:
                counts[match[1], match[2]] += 1
    calls: Counter[str] = Counter()
    for (_, name), number in counts.items():
        calls[name] = max(calls[name], number)
    assert calls["seccomp"] == 1, "the trace reaches to the filter"
    look = walls(done.stdout + done.stderr)
    assert "NoNewPrivs:\tN" in look
    assert walls((again := bare.run()).stdout + again.stderr) == look, "two good runs look the same"
    return Ground(caller, program.launch, plan, log, look, calls)


def chosen(group: str, calls: Counter[str]) -> list[str]:
    """Give the calls of a group; "rest" has all that no group names."""
    named = frozenset().union(*GROUPS.values())
    wanted = set(calls) - LEFT_OUT
    return sorted(wanted - named if group == "rest" else wanted & GROUPS[group])


LOST = "hardbox: the sandbox was killed from outside\n"


def verdict(ground: Ground, name: str, done: subprocess.CompletedProcess[str]) -> str:
    """Say what is wrong with a run in which one call failed; "" if nothing is."""
    if done.returncode == 125:
        if name == "write" and not done.stderr:
            return ""  # it was the message itself that could not be written
        if done.stdout or not faults.LAUNCHER_FORM.fullmatch(done.stderr):
            return f"125, but: {done.stdout[:200]!r} {done.stderr[:400]!r}"
        return ""
    seen = walls((done.stdout + done.stderr).replace(LOST, ""))
    # 137: the supervisor could not watch any more, or could not read what init told it, and ended
    # the job, which may have said a part or all; that is not called a success.
    if done.returncode == 137 and name in ("poll", "recvmsg") and LOST in faults.unexplained(done.stderr):
        strange = [line for line in seen.splitlines() if line not in ground.walls]
        return f"ended, and ran with other walls: {strange[:5]}" if strange else ""
    if done.returncode == 0:
        lost = [line for line in ground.walls.splitlines() if line not in seen]
        return "" if seen == ground.walls else f"ran with other walls: {lost[:5]}"
    return f"status {done.returncode}: {done.stderr[:400]!r}"


@pytest.mark.parametrize("group", [*GROUPS, "rest"])
def test_each_call_fails_once(ground: Ground, group: str) -> None:
    names = chosen(group, ground.calls)
    assert names
    wrong: list[str] = []
    refused = total = 0
    for name in names:
        error = ERRORS.get(name, "ENOMEM")
        for number in range(1, ground.calls[name] + 1):
            done = ground.run("-e", f"inject={name}:error={error}:when={number}")
            problem = verdict(ground, name, done)
            total += 1
            refused += done.returncode == 125
            if problem:
                wrong.append(f"{name} {number}: {problem}")
    print(f"{group}: {total} faults, {refused} refused, {total - refused} did not matter")
    assert not wrong, "\n".join(wrong)
    assert refused > total // 2


def test_the_commands_own_exec_fails(ground: Ground) -> None:
    """The first exec of every process but strace's own child is the job's."""
    done = ground.run("-e", "inject=execve:error=ENOMEM:when=1")
    assert done.returncode in (1, 126), done  # 1: strace's own start
    assert not done.stdout


def test_no_fault_and_no_trace_look_the_same(ground: Ground) -> None:
    """The tracer itself changes nothing that the look shows."""
    done = ground.caller.run(ground.launch, ground.plan, "--", "sh", "-c", LOOK)
    assert walls(done.stdout + done.stderr) == ground.walls


@pytest.mark.parametrize("name", ["clone3", "seccomp", "openat2", "poll", "landlock_restrict_self", "capset"])
def test_a_process_killed_at_a_call_takes_all_with_it(ground: Ground, name: str) -> None:
    """An out-of-memory killer may come at any time; 137: the killed launcher itself."""
    number = max(1, ground.calls[name] // 2)
    done = ground.run("-e", f"inject={name}:signal=KILL:when={number}")
    assert done.returncode in (125, 137, -9, 0), done
    if done.returncode == 0:
        assert walls(done.stdout + done.stderr) == ground.walls
    else:
        assert "NoNewPrivs" not in done.stdout
    assert os.path.exists(ground.plan)
