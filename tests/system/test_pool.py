"""A pool: each member for one job, and the same walls, reports and refusals as without one.

Run by: pytest. Each test is a small program that the caller runs with the installation's own interpreter.
"""

from __future__ import annotations

import json
import os
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

PREAMBLE = """
import asyncio, hardbox, json, os, signal, subprocess, sys, threading, time
from hardbox import Pool
def sh(text, pool, **words):
    return pool.run(["sh", "-c", text], capture=True, **words)
def code(do):
    try:
        return do().exit_code
    except hardbox.HardboxError as error:
        assert "nothing was run" in error.render()
        return error.code
def eventually(true):
    for _ in range(600):
        if true():
            return True
        time.sleep(0.05)
    return False
def members(pool):
    return [member.pid for _, member in pool._last._waiting]
def say(*values):
    print(json.dumps(values))
"""


def said(caller: Caller, program: Installed, text: str, *argv: str, stderr: str = "") -> Any:  # noqa: ANN401 (JSON)
    done = caller.run(program.python, "-c", PREAMBLE + textwrap.dedent(text), *argv, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stderr == stderr
    return json.loads(done.stdout)


def test_a_job_gets_what_it_is_given(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
        """
        os.environ["LANG"] = "xx"
        with Pool(size=2) as pool:
            pool.wait_ready(2)
            a = sh("cat; pwd; echo $A $LANG $#", pool, input=b"in ", env={"A": "b"}, workdir="/tmp")
            b = pool.run(["sh", "-c", "echo err >&2; exit 3"], capture=True)
            say(a.stdout.decode(), a.exit_code, b.stderr.decode(), b.exit_code, pool.handed)
        """,
    )
    assert found == ["in /tmp\nb xx 0\n", 0, "err\n", 3, 2]


def test_trees_are_attached_at_hand_over(caller: Caller, program: Installed, place: str) -> None:
    """The second job of this kind is a member's; nothing of the first one's tree is in it."""
    found = said(
        caller,
        program,
        """
        place = sys.argv[1]
        for name in "ab":
            os.mkdir(f"{place}/{name}")
        with Pool(size=1, settings={"filesystem.exec": "shown"}) as pool:
            rows = []
            for name in "ab":
                tree = [f"{place}/{name}:/work"]
                r = sh("echo $0 > file; pwd; ls /work; ls /", pool, write=tree, workdir="/work")
                assert r.exit_code == 0, r
                rows.append(r.stdout.decode().split()[:2])
                assert pool._open.wait(1, 60), pool._open.problem
            r = sh("echo x > /work/file", pool, read=[f"{place}/a:/work"])
            none = sh("ls -d /work", pool)
            say(rows, os.listdir(place + "/b"), os.stat(place + "/b/file").st_uid,
                r.exit_code, none.exit_code, pool.handed)
        """,
        place,
    )
    assert found[:3] == [[["/work", "file"], ["/work", "file"]], ["file"], caller.uid]
    assert found[3] != 0
    assert found[4] != 0
    assert found[5] >= 2


def test_the_report_is_the_same(caller: Caller, program: Installed, place: str) -> None:
    found = said(
        caller,
        program,
        """
        place, differ = sys.argv[1], []
        tree = [place + ":/work"]
        jobs = ({}, {"env": {"A": "b"}}, {"workdir": "/tmp"}, {"write": tree}, {"samples": True})
        times = ("seconds", "start_seconds", "user_seconds", "system_seconds", "max_rss_bytes")
        argv = ["sh", "-c", "mount -t tmpfs x /mnt; sleep 0.2; exit 4"]
        with Pool(size=2) as pool:
            pool.run(argv, write=[place + ":/work"], capture=True)
            pool._open.wait(1, 60)
            pool.wait_ready(2)
            for words in jobs:
                one, other = (run(argv, capture=True, **words).to_json() for run in (pool.run, hardbox.run))
                for value in (one, other):
                    for name in times:
                        assert value.pop(name) >= 0
                    value["enforced"]["uid_map"] = value["enforced"]["gid_map"] = None
                    [limit.pop(name) for limit in value["limits"] for name in ("peak", "detail")]
                    [sample.pop(name) for sample in value.get("samples", ()) for name in list(sample)]
                    value["samples"] = bool(value.get("samples"))
                differ += [(name, one[name], other[name]) for name in one if one[name] != other[name]]
            say(differ, pool.handed)
        """,
        place,
    )
    assert found == [[], 5]


def test_a_member_takes_one_job(caller: Caller, program: Installed) -> None:
    """Two hand-overs end it, and no two jobs have seen the same sandbox."""
    found = said(
        caller,
        program,
        """
        with Pool(size=2) as pool:
            text = "ls /tmp; touch /tmp/seen"
            seen = [sh(text, pool).stdout.decode() for _ in range(6) if pool.wait_ready(1)]
            pool.wait_ready(1)
            member = pool._last.take()
            found = pool._base
            content = found.content(["sleep", "100"], "/", {})
            from hardbox.engines.namespaces import Streams
            plan = found.plan_for(["sleep", "100"], "/")
            null = os.open("/dev/null", os.O_RDWR)
            member.hand(plan, None, content, Streams(null, null, null), samples=False)
            member.hand(plan, None, content, Streams(null, null, null), samples=False)
            from hardbox import report
            records = member.wait()[1]
            say(seen, pool.handed, any(r.kind == 5 for r in records) or bool(report.failure(records)))
        """,
    )
    assert found == [[""] * 6, 6, True]


def test_time_counts_from_the_hand_over(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
        """
        with Pool(size=1, settings={"limits.wall": "2s"}) as pool:
            pool.wait_ready(1)
            time.sleep(2.5)
            short, long = sh("sleep 1", pool), sh("sleep 50", pool)
            say(short.outcome, short.seconds < 2, long.outcome, long.limit, long.exit_code)
        """,
    )
    assert found == ["exited", True, "limit", "wall", 124]


def test_limits_hold(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
        """
        with Pool(size=1, profile="build", settings={"limits.memory": "64M", "limits.output": "1K"}) as pool:
            pool.wait_ready(1)
            r = pool.run(["python3", "-c", "x = bytearray(200 << 20)"], capture=True)
            pool.wait_ready(1)
            o = pool.run(["head", "-c", "1M", "/dev/zero"], capture=True)
            say(r.exit_code != 0, o.limit, o.exit_code, o.output is not None, pool.handed)
        """,
    )
    assert found == [True, "output", 124, True, 2]


def test_members_that_wait_too_long_end(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
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
    found = said(
        caller,
        program,
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
    found = said(
        caller,
        program,
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
    found = said(
        caller,
        program,
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
        PREAMBLE
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


def test_fifty_threads(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
        """
        before = len(os.listdir("/proc/self/fd"))
        rows = []
        with Pool(size=4) as pool:
            pool.wait_ready(4)
            def one(number):
                rows.append((number, int(sh(f"echo {number}", pool).stdout)))
            threads = [threading.Thread(target=one, args=(n,)) for n in range(50)]
            [t.start() for t in threads]; [t.join() for t in threads]
            say_handed = pool.handed
        left = len(os.listdir("/proc/self/fd")) - before
        say(len(rows), all(a == b for a, b in rows), say_handed >= 4, left)
        """,
    )
    assert found == [50, True, True, 0]


def test_waiting_is_bounded(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
        """
        with Pool(size=1, waiting=0) as pool, Pool(size=1, waiting=1, patience=0.5) as other:
            rows = []
            for one in (pool, other):
                one.wait_ready(1)
                thread = threading.Thread(target=one.run, args=(["sleep", "3"],))
                thread.start()
                eventually(lambda: one.handed == 1)
                rows.append(code(lambda: one.run(["true"])))
                thread.join()
                rows.append(code(lambda: one.run(["true"])))
            say(*rows)
        """,
    )
    assert found == ["HB671", 0, "HB671", 0]


def test_asyncio(caller: Caller, program: Installed) -> None:
    """Jobs overlap, and a task that is cancelled ends its job, whether that has begun or waits."""
    found = said(
        caller,
        program,
        """
        async def main(pool):
            echo = (pool.run_async(["sh", "-c", f"echo {n}"], capture=True) for n in range(8))
            rows = await asyncio.gather(*echo)
            tasks = [asyncio.create_task(pool.run_async(["sleep", "100"])) for n in range(4)]
            await asyncio.sleep(1)
            ended = []
            for task in reversed(tasks):
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    ended.append(True)
            failed = None
            try:
                await pool.run_async([])
            except hardbox.Usage as error:
                failed = error.code
            return [int(row.stdout) for row in rows], ended, failed
        with Pool(size=2) as pool:
            pool.wait_ready(2)
            say(*asyncio.run(main(pool)), code(lambda: pool.run(["true"])))
        """,
    )
    assert found == [[*range(8)], [True] * 4, "HB003", 0]


def test_to_close_ends_what_runs(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
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


def test_what_cannot_be_pooled_is_refused(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
        """
        rows = []
        for words in ({"profile": "agent"}, {"size": 0}, {"profile": "nope"}, {"read": ["/"]}):
            try:
                Pool(**words).close()
            except hardbox.HardboxError as error:
                rows.append(error.code)
        say(*rows)
        """,
    )
    assert found[:3] == ["HB011", "HB002", "HB401"]
    assert found[3].startswith("HB2")


def test_refusals_are_the_same(caller: Caller, program: Installed) -> None:
    found = said(
        caller,
        program,
        """
        rows = []
        with Pool(size=1) as pool:
            for argv, words in ((["true"], {"workdir": "/nope"}), (["nope"], {}), (["/etc/passwd"], {}),
                                ("true", {}), (["true"], {"write": ["/etc"]}), (["true"], {"env": {"A": 1}}),
                                (["true"], {"input": "text"}), (["true"], {"read": ["/root", "/nope"]})):
                rows.append([code(lambda: run(argv, **words)) for run in (pool.run, hardbox.run)])
                pool.wait_ready(1)
        say(*rows)
        """,
    )
    assert [one for one, _ in found] == [other for _, other in found]


def test_streams_of_every_kind(caller: Caller, program: Installed, place: str) -> None:
    """Pipes, files (which may be reopened in their mode alone), /dev/null, a socket pair, a directory."""
    found = said(
        caller,
        program,
        """
        import socket
        place, rows = sys.argv[1], []
        open(place + "/in", "w").write("hello")
        job = ["sh", "-c", "cat /dev/stdin; echo x > /dev/stdin"]
        def run(text, run, stdin):
            own = os.dup(0)
            os.dup2(stdin, 0)
            try:
                return run(["sh", "-c", text], capture=True)
            except hardbox.HardboxError as error:
                return error.code
            finally:
                os.dup2(own, 0); os.close(own)
        with Pool(size=1) as pool:
            for number in range(2):
                file = os.open(place + "/in", os.O_RDONLY)
                r = run("cat /dev/stdin; echo x > /dev/stdin", pool.run, file)
                rows.append([r.stdout.decode(), r.exit_code != 0, open(place + "/in").read()])
                pool._open.wait(1, 60)
            r = run("cat", pool.run, os.open("/dev/null", os.O_RDWR))
            rows.append([r.exit_code, r.stdout.decode()])
            a, b = socket.socketpair()
            b.sendall(b"pair"); b.shutdown(socket.SHUT_WR)
            r = run("cat", pool.run, a.fileno())
            rows.append([r.exit_code, r.stdout.decode()])
            rows.append(run("cat", pool.run, os.open("/", os.O_RDONLY)))
        say(*rows)
        """,
        place,
    )
    assert found[:2] == [["hello", True, "hello"]] * 2
    assert found[2:] == [[0, ""], [0, "pair"], "HB210"]


def test_a_child_of_the_owner_has_no_pool(caller: Caller, program: Installed) -> None:
    """Nor does it keep members alive behind the owner's back."""
    found = said(
        caller,
        program,
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


def test_the_audit_log_has_each_job(caller: Caller, program: Installed, place: str) -> None:
    log, own = os.path.join(place, "log"), os.path.join(place, "own.toml")
    found = said(
        caller,
        program,
        """
        log, own = sys.argv[1:]
        with open(own, "w") as file:
            file.write(f'extends = "strict"\\n[audit]\\nfile = "{log}"\\n')
        with Pool(size=1, profile=own) as pool:
            pool.wait_ready(1)
            sh("exit 3", pool)
            code(lambda: pool.run(["true"], workdir="/nope"))
        say(*(json.loads(line)["outcome"] for line in open(log)))
        """,
        *(log, own),
    )
    assert found == ["exited", "set-up-failed"]
