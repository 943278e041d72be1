"""A pool: each member for one job, and the same walls, reports and refusals as without one.

Run by: pytest. Each test is a small program that the caller runs with the installation's own interpreter.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.said import of_pool

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_job_gets_what_it_is_given(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
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
    found = of_pool(
        caller,
        program.python,
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
    found = of_pool(
        caller,
        program.python,
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
    found = of_pool(
        caller,
        program.python,
        """
        with Pool(size=2) as pool:
            text = "ls /tmp; touch /tmp/seen"
            seen = [sh(text, pool).stdout.decode() for _ in range(6) if pool.wait_ready(1)]
            pool.wait_ready(1)
            member = pool._last.take(pool._base.plan)
            found = pool._base
            content = found.content(["sleep", "100"], "/", {})
            from hardbox.engines.namespaces import Streams
            plan = found.template.filled(("sleep", "100"), "/")
            null = os.open("/dev/null", os.O_RDWR)
            member.hand(plan, None, content, Streams(null, null, null), samples=False)
            member.hand(plan, None, content, Streams(null, null, null), samples=False)
            status, records = member.wait()
            say(seen, pool.handed, status, [r.payload[4] for r in records if r.kind == 5])
        """,
    )
    assert found == [[""] * 6, 6, 137, [2]]  # HB_CAUSE_CALLER: as if its owner had gone


def test_time_counts_from_the_hand_over(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        with Pool(size=1, settings={"limits.wall": "2s"}) as pool:
            pool.wait_ready(1)
            time.sleep(2.5)
            short, long = sh("sleep 1", pool), sh("sleep 50", pool)
            say(short.outcome, long.outcome, long.limit, long.exit_code)
        """,
    )
    assert found == ["exited", "limit", "wall", 124]


def test_limits_hold(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        with Pool(size=1, profile="build", settings={"limits.memory": "64M", "limits.output": "1K"}) as pool:
            pool.wait_ready(1)
            small, r = (pool.run(["python3", "-c", f"bytearray({n} << 20)"], capture=True) for n in (2, 200))
            pool.wait_ready(1)
            o = pool.run(["head", "-c", "1M", "/dev/zero"], capture=True)
            died = r.stderr.decode().split()[-1]
            say(small.exit_code, r.exit_code, died, o.limit, o.exit_code, o.output is not None)
        """,
    )
    assert found == [0, 1, "MemoryError", "output", 124, True]


def test_fifty_threads(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
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
    found = of_pool(
        caller,
        program.python,
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
    found = of_pool(
        caller,
        program.python,
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


def test_what_cannot_be_pooled_is_refused(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
        """
        rows = []
        wrong = ({"size": 0}, {"size": 1.5}, {"size": True}, {"waiting": 0.5}, {"idle": 0}, {"patience": "1"},
                 {"size": 10**5000})
        for words in ({"profile": "agent"}, {"profile": "nope"}, {"read": ["/"]}, *wrong):
            try:
                Pool(**words).close()
            except hardbox.HardboxError as error:
                rows.append(error.code)
        with Pool(size=1) as pool:
            try:
                pool.wait_ready(2)
            except hardbox.HardboxError as error:
                rows.append(error.code)
        say(*rows)
        """,
    )
    assert found[:2] == ["HB011", "HB401"]
    assert found[2].startswith("HB2")
    assert found[3:] == ["HB002"] * 8


def test_refusals_are_the_same(caller: Caller, program: Installed) -> None:
    found = of_pool(
        caller,
        program.python,
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
    found = of_pool(
        caller,
        program.python,
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


def test_the_audit_log_has_each_job(caller: Caller, program: Installed, place: str) -> None:
    log, own = os.path.join(place, "log"), os.path.join(place, "own.toml")
    found = of_pool(
        caller,
        program.python,
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
