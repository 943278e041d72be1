"""Too little of everything: disk, memory, descriptors, processes.  Run by: pytest.

Either hardbox says that it could not, and runs nothing, or the command runs as ever.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pexpect
import pytest
from support import faults, terminals

if TYPE_CHECKING:
    import subprocess

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

# A new mount namespace with a tiny, full file system on "$1/full"; then the rest runs in it.
FULL = """
mount -t tmpfs -o size=64k,nr_inodes=16 tmpfs "$1/full" || exit 99
head -c 200000 /dev/zero >"$1/full/fill" 2>/dev/null
shift; exec "$@"
"""


def limited(caller: Caller, program: str, limit: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program under bash's ulimit."""
    return caller.run("bash", "-c", f'ulimit {limit} || exit 98; exec "$@"', "bash", program, *words)


@pytest.fixture
def on_full_disk(caller: Caller, place: str) -> list[str]:
    """Words before a command that let it run with a full file system at PLACE/full."""
    faults.own_dir(caller, f"{place}/full")
    unshare = ["unshare", "-m"] if caller.uid == 0 else ["unshare", "-Urm"]
    return [*unshare, "sh", "-c", FULL, "sh", place]


def test_a_report_on_a_full_disk(
    caller: Caller, program: Installed, place: str, on_full_disk: list[str]
) -> None:
    words = ("run", "--report", f"{place}/full/r.json", "--", "sh", "-c", "echo ran; exit 3")
    done = caller.run(*on_full_disk, program.hardbox, *words)
    if caller.uid == 0:
        assert (done.returncode, done.stdout) == (3, "ran\n"), done
        assert "HB607" in done.stderr
    else:
        # Inside `unshare -U` the caller is a root without a range of ids, whose launch is refused.
        assert (done.returncode, done.stdout) == (125, ""), done
        assert "HB604" in done.stderr
        assert done.stderr.endswith("  nothing was run\n")


def test_a_plan_on_a_full_disk(
    caller: Caller, program: Installed, place: str, on_full_disk: list[str]
) -> None:
    script = '"$@"; echo $?; ls "$0/full"'
    words = ("compile", "-o", f"{place}/full/p.plan", "--", "true")
    done = caller.run(*on_full_disk, "sh", "-c", script, place, program.hardbox, *words)
    assert done.stdout == "125\nfill\n", done  # no half of a plan stays behind
    assert faults.FORM.fullmatch(done.stderr), done.stderr
    assert "HB606" in done.stderr


def test_a_full_cache_is_no_obstacle(
    caller: Caller, program: Installed, place: str, on_full_disk: list[str]
) -> None:
    words = ("env", f"XDG_CACHE_HOME={place}/full", f"HOME={place}/full", f"TMPDIR={place}/full")
    done = caller.run(*on_full_disk, *words, program.hardbox, "plan", "--", "true")
    assert "seccomp" in faults.ran(done)


def test_a_cache_that_cannot_be_used_is_no_obstacle(hardbox: Hardbox, caller: Caller, place: str) -> None:
    file = faults.own(caller, f"{place}/file")
    shut = faults.own_dir(caller, f"{place}/shut", 0o000)
    loose = faults.own_dir(caller, f"{place}/loose", 0o777)
    os.symlink("circle", f"{place}/circle")
    for cache in (file, shut, loose, f"{place}/circle", f"{place}/missing/deep", "/dev/null", "", "relative"):
        faults.ran(hardbox("run", "--", "echo", "x", env={"XDG_CACHE_HOME": cache}), "x\n")


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 4096])
def test_a_damaged_cache_is_no_obstacle(hardbox: Hardbox, caller: Caller, place: str, damage: bytes) -> None:
    """A cut or foreign file in the cache is made again, never loaded as a filter."""
    cache = faults.own_dir(caller, f"{place}/cache")
    env = {"XDG_CACHE_HOME": cache, "HOME": place}
    faults.ran(hardbox("run", "--", "true", env=env))
    for name in faults.listing(cache):
        path = os.path.join(cache, name)
        if os.path.isfile(path):
            with open(path, "wb") as file:
                file.write(damage)
    out = faults.ran(hardbox("run", "--", "grep", "Seccomp:", "/proc/self/status", env=env))
    assert out.split() == ["Seccomp:", "2"]


# As the door has it (FILES_NEEDED): what root needs with a terminal and a cgroup of version 1.
FILES_NEEDED = 19


@pytest.mark.parametrize("files", range(3, FILES_NEEDED))
def test_too_few_descriptors(caller: Caller, program: Installed, files: int) -> None:
    faults.refusal(limited(caller, program.hardbox, f"-n {files}", "run", "--", "echo", "fine"), "HB611")


@pytest.mark.parametrize("files", range(FILES_NEEDED, FILES_NEEDED + 3))
def test_few_descriptors_are_enough(caller: Caller, program: Installed, files: int) -> None:
    for env in ({"HARDBOX_NO_CACHE": "1"}, {}):
        script = f'ulimit -n {files} || exit 98; exec "$@"'
        words = ("bash", "-c", script, "bash", program.hardbox, "run", "--", "echo", "fine")
        faults.ran(caller.run(*words, env=env), "fine\n")
        child = terminals.start(caller, *words, environment=env)
        child.expect_exact("fine\r\n")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0


CGROUP_PLAN = """
import sys
from hardbox import api
plan = api.prepare(api.load_profile("strict"), ["true"]).plan
open(sys.argv[1], "wb").write(plan.encode())
"""


def test_a_launcher_that_lacks_descriptors_leaves_no_cgroup(
    caller: Caller, program: Installed, place: str
) -> None:
    """With each number it gets one step further: the folder is made, opened, locked."""
    faults.ran(caller.run(program.python, "-c", CGROUP_PLAN, f"{place}/p.plan"))
    before = faults.cgroups_left()
    ends = []
    for files in range(4, 20):
        done = limited(caller, program.launch, f"-n {files}", f"{place}/p.plan", "--", "echo", "fine")
        ends.append(done.returncode)
        if done.returncode == 0:
            faults.ran(done, "fine\n")
        else:
            faults.launcher_refusal(done)
            faults.no_cgroups_left(before)
    assert set(ends) == {0, 125}


@pytest.mark.parametrize("files", [*range(3, 10), *range(13, 17)])
def test_few_descriptors_for_the_launcher(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str, files: int
) -> None:
    faults.ran(hardbox("compile", "-o", f"{place}/p.plan", "--", "true"))
    done = limited(caller, program.launch, f"-n {files}", f"{place}/p.plan", "--", "echo", "fine")
    if files >= 13:  # with ten to twelve it depends on the caller
        faults.ran(done, "fine\n")
    else:
        faults.launcher_refusal(done)


@pytest.mark.parametrize("kilobytes", [1, 100, 500, 1000, 1500, 2000, 3000, 5000, 10000])
def test_little_memory_for_the_launcher(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str, kilobytes: int
) -> None:
    faults.ran(hardbox("compile", "-o", f"{place}/p.plan", "--", "true"))
    done = limited(caller, program.launch, f"-v {kilobytes}", f"{place}/p.plan", "--", "echo", "fine")
    if done.returncode in (-9, -11, 126, 127, 137, 139):
        # The kernel could not even load a program: the launcher (by a signal), or the command.
        assert "fine" not in done.stdout
    elif done.returncode == 0:
        faults.ran(done, "fine\n")
    else:
        faults.launcher_refusal(done)


@pytest.mark.parametrize("megabytes", [14, 18, 20, 22, 24, 26, 28, 30, 34, 40, 60, 100])
def test_little_memory_for_python(caller: Caller, program: Installed, megabytes: int) -> None:
    """From where Python itself comes up (which `--version` shows), every end is one of ours."""
    comes_up = limited(caller, program.hardbox, f"-v {megabytes * 1000}", "--version")
    done = limited(caller, program.hardbox, f"-v {megabytes * 1000}", "run", "--", "echo", "fine")
    assert done.returncode != 0 or done.stdout == "fine\n"
    if comes_up.returncode != 0:
        # What was decided before needs no Python.
        assert (done.returncode == 0) == (done.stdout == "fine\n")
        return
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 125, 126, 127, 134, 139), done
    if done.returncode == 125:
        assert done.stderr.startswith("hardbox: "), done.stderr


def test_no_process_to_spare(hardbox: Hardbox, caller: Caller, program: Installed) -> None:
    """RLIMIT_NPROC counts a user's processes; root's job is a user of its own, and bound by it too."""
    faults.ran(hardbox("run", "--", "true"))  # the filter is cached from here on
    found = faults.refusal(limited(caller, program.hardbox, "-u 1", "run", "--", "echo", "fine"))
    assert "noexec" not in found[0], "the advice fits the cause"
    assert found["code"] in ("HB510", "HB601", "HB602", "HB611")


def test_no_file_may_grow(hardbox: Hardbox, caller: Caller, program: Installed) -> None:
    """The root's own files cannot be written, and that is told, not died of."""
    faults.ran(hardbox("run", "--", "true"))
    faults.refusal(limited(caller, program.hardbox, "-f 0", "run", "--", "echo", "fine"), "HB601", "HB611")


def test_a_small_stack(caller: Caller, program: Installed) -> None:
    faults.ran(limited(caller, program.hardbox, "-s 128", "run", "--", "echo", "fine"), "fine\n")


def test_no_cpu_time_left_is_a_death_not_a_success(caller: Caller, program: Installed) -> None:
    done = limited(caller, program.hardbox, "-t 1", "run", "--", "sh", "-c", "while :; do :; done")
    assert done.returncode in (125, 137, 152), done
    assert "Traceback" not in done.stderr


def test_a_broken_installation_says_so(caller: Caller, program: Installed, place: str) -> None:
    """Without its launcher, its profiles or its filters hardbox runs nothing."""
    code = "import sys; from hardbox.engines import namespaces; "
    code += "path = sys.argv.pop(1); namespaces.launcher_path = lambda: path; "
    code += "from hardbox.cli.main import entry; sys.exit(entry())"
    text = faults.own(caller, f"{place}/text", "no program", 0o755)
    script = faults.own(caller, f"{place}/script", "#!/bin/sh\nexit 0\n", 0o755)
    noise = faults.own(caller, f"{place}/noise", '#!/bin/sh\neval "echo noise >&$4"\n', 0o755)
    silent = faults.own(caller, f"{place}/silent", "#!/bin/sh\nkill -9 $$\n", 0o755)
    for launcher in (f"{place}/missing", place, text, script, noise, silent, "/bin/true", "/bin/false"):
        done = caller.run(program.python, "-c", code, launcher, "run", "--", "echo", "fine")
        faults.refusal(done, "HB611", "HB612")
