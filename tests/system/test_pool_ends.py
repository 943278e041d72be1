"""A pool's members end when they should: too old, out of date, killed, closed, without an owner.

Run by: pytest. Each test is a small program that the caller runs with the installation's own interpreter.
"""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.said import POOL, of_pool

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_members_that_wait_too_long_end(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        with Pool(size=2, idle=1.0) as pool:
            pool.wait_ready(1)
            pids = members(pool)
            gone = eventually(lambda: pool.ready == 0 and not any(os.path.exists(f"/proc/{p}") for p in pids))
            say(len(pids) > 0, gone, code(lambda: pool.run(["true"])), eventually(lambda: pool.ready > 0))
        """,
    )
    assert found == [True, True, 0, True]


def test_a_changed_profile_ends_the_members(caller: Caller, program: Installed, place: str) -> None:
    """The next job is already decided anew; a profile that is no profile any more refuses it."""
    found = of_pool(
        caller,
        program.python,
        """
        path = sys.argv[1] + "/own.toml"
        def write(text):
            with open(path, "w") as file:
                file.write('extends = "strict"\\n' + text)
        write('[environment.set]\\nA = "one"\\n')
        with Pool(profile=path, size=2) as pool:
            pool.wait_ready(2)
            pids = members(pool)
            first = sh("echo $A", pool)
            write('[environment.set]\\nA = "two"\\n')
            second = sh("echo $A", pool)
            gone = eventually(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids))
            pool.wait_ready(2)
            third = sh("echo $A", pool)
            write("nonsense")
            say(first.stdout.decode(), second.stdout.decode(), third.stdout.decode(), gone,
                first.profile_sha256 != second.profile_sha256, code(lambda: pool.run(["true"]))[:3])
        """,
        place,
    )
    assert found == ["one\n", "two\n", "two\n", True, True, "HB4"]


def test_killed_members_cost_no_job(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        with Pool(size=3) as pool:
            pool.wait_ready(3)
            for pid in members(pool):
                os.kill(pid, signal.SIGKILL)
            say(code(lambda: pool.run(["true"])), eventually(lambda: pool.ready > 0))
        """,
    )
    assert found == [0, True]


def test_a_killed_supervisor_ends_its_job(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        with Pool(size=1) as pool:
            pool.wait_ready(1)
            pid = members(pool)[0]
            threading.Timer(1, os.kill, (pid, signal.SIGKILL)).start()
            r = sh("sleep 100", pool)
            say(r.outcome, r.exit_code)
        """,
    )
    assert found == ["lost", 137]


def test_a_killed_owner_leaves_nothing(caller: Caller, program: Installed) -> None:
    """The fixture sees to it that no process is left: neither members nor the job."""
    done = caller.run(
        program.python,
        "-c",
        POOL
        + textwrap.dedent(
            """
            pool = Pool(size=3)
            pool.wait_ready(3)
            threading.Thread(target=pool.run, args=(["sleep", "100"],), daemon=True).start()
            assert eventually(lambda: pool.handed == 1)
            time.sleep(0.3)
            print("ready", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            """
        ),
    )
    assert (done.stdout, done.stderr) == ("ready\n", "")


def test_to_close_ends_what_runs(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        pool = Pool(size=1)
        pool.wait_ready(1)
        rows = []
        thread = threading.Thread(target=lambda: rows.append(code(lambda: pool.run(["sleep", "100"]))))
        waits = threading.Thread(target=lambda: rows.append(code(lambda: pool.run(["sleep", "100"]))))
        thread.start(); eventually(lambda: pool.handed == 1); waits.start(); time.sleep(0.5)
        pool.close(); thread.join(); waits.join()
        say(*sorted(map(str, rows)), code(lambda: pool.run(["true"])), pool.ready)
        """,
    )
    assert found == ["137", "HB670", "HB670", 0]


def test_a_child_of_the_owner_has_no_pool(caller: Caller, program: Installed) -> None:
    """Nor does it keep members alive behind the owner's back."""
    found = of_pool(
        caller,
        program.python,
        """
        pool = Pool(size=1)
        pool.wait_ready(1)
        pid = members(pool)[0]
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, str(code(lambda: pool.run(["true"]))).encode())
            time.sleep(5)
            os._exit(0)
        answer = os.read(read, 100).decode()
        pool.close()
        gone = eventually(lambda: not os.path.exists(f"/proc/{pid}"))
        os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
        say(answer, gone)
        """,
    )
    assert found == ["HB670", True]


@pytest.mark.parametrize("undone", ["stays", "undone"])
def test_a_changed_mount_table_is_noticed_whoever_sees_it_first(
    caller: Caller, program: Installed, undone: str
) -> None:
    """The members end; the next job is decided anew, and members are made again."""
    if caller.uid != 0:
        pytest.skip("only root can mount without becoming somebody else")
    inside = replace(caller, prefix=(*caller.prefix, "unshare", "-m"))
    found = of_pool(
        inside,
        program.python,
        """
        with Pool(size=2) as pool:
            pool.wait_ready(2)
            base, pids = pool._base, members(pool)
            subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], check=True)
            if sys.argv[1] == "undone":
                subprocess.run(["umount", "/mnt"], check=True)
            gone = eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
            ran, anew = code(lambda: pool.run(["true"])), pool._base is not base
            filled = eventually(lambda: pool.ready == 2)
            base = pool._base
            say(gone, ran, anew, filled, code(lambda: pool.run(["true"])), pool._base is base, pool.handed)
        """,
        undone,
    )
    assert found == [True, 0, True, True, 0, True, 1]


CHANGES = {
    "groups": ("os.setgroups([12345])", "os.setgroups(groups)"),
    "CPUs": ("move(sorted(cpus)[:1])", "move(cpus)"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_has_changed_stays_changed(caller: Caller, program: Installed, what: str) -> None:
    """It is undone once the members have ended for it; the pool fills itself with the next job."""
    if caller.uid != 0 and what == "groups":
        pytest.skip("only root can change its groups")
    if what == "CPUs" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one CPU alone")
    change, undo = CHANGES[what]
    found = of_pool(
        caller,
        program.python,
        f"""
        groups, cpus = os.getgroups(), os.sched_getaffinity(0)
        def move(cpus):
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), cpus)
        with Pool(size=2) as pool:
            pool.wait_ready(2)
            base = pool._base
            {change}
            dropped = eventually(lambda: pool.ready == 0)
            {undo}
            say(dropped, code(lambda: pool.run(["true"])), pool._base is not base, pool.wait_ready(2))
        """,
    )
    assert found == [True, 0, True, True]


def test_to_wait_decides_anew_too(caller: Caller, program: Installed, place: str) -> None:
    """Nobody has to run a job first for members to be made again."""
    found = of_pool(
        caller,
        program.python,
        r"""
        path = sys.argv[1] + "/own.toml"
        with open(path, "w") as file:
            file.write('extends = "strict"\n')
        with Pool(profile=path, size=1) as pool:
            pool.wait_ready(1)
            os.utime(path)
            dropped = eventually(lambda: pool.ready == 0)
            say(dropped, pool.wait_ready(1))
        """,
        place,
    )
    assert found == [True, True]


def test_what_the_owner_gives_up_its_jobs_lose_too(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        import resource
        out = []
        show = ["sh", "-c", "ulimit -n; nice"]
        with hardbox.Pool(size=1) as pool:
            for _ in range(2):
                pool.wait_ready(1)
                out.append(pool.run(show, input=b"", capture=True).stdout.split() == [b"256", b"0"])
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            os.nice(7)
            out.append(pool.run(show, input=b"", capture=True).stdout.decode().split())
            out.append(hardbox.run(show, input=b"", capture=True).stdout.decode().split())
        print(json.dumps(out))
        """,
    )
    assert found == [True, True, ["64", "7"], ["64", "7"]]
