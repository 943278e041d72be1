"""Streams that are copied: socket pairs, files if the profile says so, and counted output.

Run by: pytest.
"""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import faults
from system.test_api import value_of

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")
KINDS = "stat -Lc %F /proc/self/fd/0 /proc/self/fd/1"


def popen(
    caller: Caller, program: Installed, *words: str, stdin: int, stdout: int, stderr: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*caller.prefix, program.hardbox, "run", *words],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=caller.environment(),
        cwd=caller.home,
    )


def test_a_socket_pair_never_reaches_the_job(caller: Caller, program: Installed) -> None:
    """As node and others start programs: one pair for each stream, and they speak in turn."""
    (here, job_in), (there, job_out) = socket.socketpair(), socket.socketpair()
    with here, there:
        bare = subprocess.run(["sh", "-c", KINDS], stdin=job_in.fileno(), stdout=subprocess.PIPE, check=True)
        assert b"socket" in bare.stdout
        script = f'{KINDS}; while read line; do echo "<$line>"; done; echo end; exit 4'
        child = popen(
            caller, program, "--", "sh", "-c", script, stdin=job_in.fileno(), stdout=job_out.fileno()
        )
        job_in.close()
        job_out.close()
        with there.makefile("r") as said:
            assert [said.readline(), said.readline()] == ["fifo\n", "fifo\n"]
            for word in ("one", "two"):
                here.sendall(word.encode() + b"\n")
                assert said.readline() == f"<{word}>\n"
            here.shutdown(socket.SHUT_WR)
            assert said.read() == "end\n"
    assert child.wait(timeout=60) == 4, child.communicate()
    child.communicate()


def test_one_socket_on_all_three(caller: Caller, program: Installed) -> None:
    """As inetd starts programs; the order of stdout and stderr is kept."""
    here, job = socket.socketpair()
    script = 'read line; for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done; echo "<$line>"'
    with here, here.makefile("r") as said:
        number = job.fileno()
        child = popen(caller, program, "--", "sh", "-c", script, stdin=number, stdout=number, stderr=number)
        job.close()
        here.sendall(b"in\n")
        expected = "".join(f"out {i}\nerr {i}\n" for i in range(1, 10)) + "<in>\n"
        assert said.read() == expected
    assert child.wait(timeout=60) == 0


def test_large_data_passes_a_socket_pair_both_ways(caller: Caller, program: Installed) -> None:
    (here, job_in), (there, job_out) = socket.socketpair(), socket.socketpair()
    data = os.urandom(1 << 22)
    with here, there:
        child = popen(caller, program, "--", "cat", stdin=job_in.fileno(), stdout=job_out.fileno())
        job_in.close()
        job_out.close()
        feeder = os.fork()
        if feeder == 0:
            here.sendall(data)
            os._exit(0)
        here.close()
        with there.makefile("rb") as said:
            assert said.read() == data
        os.waitpid(feeder, 0)
    assert child.wait(timeout=60) == 0
    child.communicate()


def test_a_profile_may_refuse_socket_pairs(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str
) -> None:
    here, there = socket.socketpair()
    words = ["run", "--set", "streams.sockets=refuse", "--", "true"]
    with here, there:
        for env in ({}, {"HARDBOX_NO_CACHE": "1"}):
            done = hardbox(*words, stdin=there.fileno(), env=env)
            faults.refusal(done, "HB210", says='streams.sockets = "refuse"')
        faults.ran(hardbox("compile", "--set", "streams.sockets=refuse", "-o", f"{place}/p", "--", "true"))
        done = caller.run(program.launch, f"{place}/p", stdin=there.fileno())
        faults.refusal(done, "HB210", says='streams.sockets = "refuse"')


def test_whoever_stays_behind_does_not_hang_the_caller(caller: Caller, program: Installed) -> None:
    here, job = socket.socketpair()
    with here, here.makefile("r") as said:
        script = "sleep 1000 & (setsid sleep 1000 &) ; echo started"
        child = popen(
            caller, program, "--", "sh", "-c", script, stdin=subprocess.DEVNULL, stdout=job.fileno()
        )
        job.close()
        assert said.read() == "started\n"
    assert child.wait(timeout=60) == 0
    child.communicate()


RELAY = ("run", "--set", "streams.files=relay", "--")


def test_a_relayed_file_cannot_be_touched(caller: Caller, program: Installed, place: str) -> None:
    """The control: as an ordinary user's, the job may change a file that it was only to write to."""
    out = faults.own(caller, f"{place}/out", "first\n", 0o640)
    script = "chmod 777 /proc/self/fd/1; touch -d 2001-01-01 /proc/self/fd/1; : >/proc/self/fd/1; echo second"
    words = ["sh", "-c", script]
    if caller.uid != 0:
        faults.shell(caller, 'f=$1; shift; "$@" >>"$f" 2>&1', out, program.hardbox, "run", "--", *words)
        with open(out, encoding="utf-8") as file:
            assert os.stat(out).st_mode & 0o777 == 0o777
            assert "first" not in file.read()
        faults.own(caller, out, "first\n", 0o640)
    faults.shell(caller, 'f=$1; shift; "$@" >>"$f" 2>/dev/null', out, program.hardbox, *RELAY, *words)
    with open(out, encoding="utf-8") as file:
        assert file.read() == "first\nsecond\n"
    assert os.stat(out).st_mode & 0o777 == 0o640
    assert os.stat(out).st_mtime > 1_000_000_000


def test_relayed_files_and_pipes_carry_the_same(caller: Caller, program: Installed, place: str) -> None:
    text = "".join(f"line {number}\n" for number in range(50000))
    file = faults.own(caller, f"{place}/in", text)
    script = 'f=$1; shift; "$@" <"$f" | cat'
    done = faults.shell(caller, script, file, program.hardbox, *RELAY, "cat")
    assert faults.ran(done) == text
    done = faults.shell(
        caller, 'f=$1; shift; "$@" <"$f" >"$f.out"; cat "$f.out"', file, program.hardbox, *RELAY, "cat"
    )
    assert faults.ran(done) == text
    done = faults.shell(
        caller, '"$@" 2>&1', program.hardbox, *RELAY, "sh", "-c", "echo a; echo b >&2; echo c"
    )
    faults.ran(done, "a\nb\nc\n")


def test_a_relayed_file_is_bounded_as_a_file_of_the_job(
    caller: Caller, program: Installed, place: str
) -> None:
    done = faults.shell(
        caller,
        'f=$1; shift; "$@" >"$f"; echo $?; wc -c <"$f"',
        f"{place}/out",
        *(
            program.hardbox,
            "run",
            "--set",
            "streams.files=relay",
            "--set",
            "limits.file_size=100K",
            "--",
            "yes",
        ),
    )
    assert faults.ran(done) == "141\n102400\n"


def test_a_reader_that_leaves_ends_the_job(caller: Caller, program: Installed) -> None:
    done = faults.shell(caller, '"$@" | head -1', program.hardbox, *RELAY, "yes")
    assert done.stdout == "y\n"


@pytest.mark.parametrize("front", ["hardbox", "launcher"])
def test_too_much_output_ends_the_job(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str, front: str
) -> None:
    limit = ("--set", "limits.output=1000")
    if front == "launcher":
        faults.ran(hardbox("compile", *limit, "-o", f"{place}/p", "--", "yes"))
        done = caller.run(program.launch, f"{place}/p")
    else:
        done = hardbox("run", *limit, "--report", f"{place}/r", "--", "yes")
        report = faults.read_json(f"{place}/r")
        assert (report["outcome"], report["limit"], report["exit_code"]) == ("limit", "output", 124)
        assert report["output"] == {"stdout": 1000, "stderr": 0}
    assert done.returncode == 124
    assert done.stdout == "y\n" * 500
    assert "ended by its output limit" in done.stderr


def _output_row(place: str) -> dict[str, object]:
    limits = faults.read_json(f"{place}/r")["limits"]
    assert isinstance(limits, list)
    (row,) = (row for row in limits if row["key"] == "limits.output")
    return {name: row[name] for name in ("value", "means", "hits", "peak")}


def test_output_is_counted_together_and_may_end_just_at_the_limit(hardbox: Hardbox, place: str) -> None:
    words = ("run", "--set", "limits.output=1000", "--report", f"{place}/r", "--", "sh", "-c")
    done = hardbox(*words, "yes | head -c 600; yes | head -c 400 >&2")
    assert (done.returncode, len(done.stdout), len(done.stderr)) == (0, 600, 400)
    assert faults.read_json(f"{place}/r")["output"] == {"stdout": 600, "stderr": 400}
    assert _output_row(place) == {"value": 1000, "means": "relay", "hits": 0, "peak": 1000}
    done = hardbox(*words, "yes | head -c 600; yes | head -c 401 >&2; exit 0")
    assert done.returncode == 124
    assert _output_row(place) == {"value": 1000, "means": "relay", "hits": 1, "peak": 1000}
    assert len(done.stdout) == 600
    assert done.stderr.startswith("y\n" * 200 + "hardbox: ")


def test_a_job_may_tidy_up_when_its_output_is_too_much(hardbox: Hardbox, place: str) -> None:
    tidy = "yes | head -c 100000; echo tidy >/w/done; exit 0"
    script = f"trap '{tidy}' TERM; yes | head -c 2000; while :; do sleep 0.1; done"
    os.chmod(place, 0o777)
    done = hardbox(
        *("run", "--set", "limits.output=1000", "--write", f"{place}:/w", "--timeout", "60s", "--"),
        *("sh", "-c", script),
    )
    assert done.returncode == 124, done
    assert os.path.exists(f"{place}/done")


def test_a_job_that_ignores_the_limit_dies_of_it(hardbox: Hardbox) -> None:
    done = hardbox(
        *("run", "--set", "limits.output=10", "--set", "limits.grace=300ms", "--"),
        *("sh", "-c", "trap '' TERM; while :; do echo more; done"),
    )
    assert done.returncode == 124
    assert done.stdout == "more\nmore\n"


def test_output_goes_to_a_directory(caller: Caller, program: Installed, place: str) -> None:
    faults.own_dir(caller, f"{place}/d")
    text = """
        argv = ["sh", "-c", "cat; echo err >&2; sleep 1000 & exit 3"]
        r = hardbox.run(argv, input=b"in", output_dir=sys.argv[1])
        files = [open(os.path.join(sys.argv[1], name)).read() for name in ("stdout", "stderr")]
        print(json.dumps([r.exit_code, files, r.stdout, [r.output.stdout, r.output.stderr]]))
        """
    for _ in range(2):  # the second run starts from empty files
        assert value_of(caller, program, text, f"{place}/d") == [3, ["in", "err\n"], None, [2, 4]]
    assert os.stat(f"{place}/d/stdout").st_mode & 0o777 == 0o600


def test_the_directory_of_output_is_out_of_the_jobs_reach(
    caller: Caller, program: Installed, place: str
) -> None:
    tree = faults.own_dir(caller, f"{place}/tree")
    faults.own_dir(caller, f"{place}/tree/d")
    os.symlink(tree, f"{place}/link")
    faults.own_dir(caller, f"{place}/out")
    os.symlink("/etc/passwd", f"{place}/out/stdout")
    text = """
        def at(where, **words):
            return attempt(["echo", "ran"], output_dir=where, write=[sys.argv[1] + "/tree"], **words)
        here = sys.argv[1]
        print(json.dumps([at(here + "/tree"), at(here + "/tree/d"), at(here + "/link/d"), at(here + "/out"),
                          at(here + "/missing"), at(here, capture=True)]))
        """
    assert value_of(caller, program, text, place) == [
        *["SetupFailed HB641"] * 3,
        *["SetupFailed HB640"] * 2,
        "Usage HB002",
    ]


def test_output_in_a_directory_is_bounded(caller: Caller, program: Installed, place: str) -> None:
    faults.own_dir(caller, f"{place}/d")
    text = """
        r = hardbox.run(["yes"], output_dir=sys.argv[1], settings={"limits.file_size": "64K"})
        s = hardbox.run(["yes"], output_dir=sys.argv[1], settings={"limits.output": "1K"})
        print(json.dumps([r.outcome, r.signal, r.output.stdout, s.outcome, s.limit, s.output.stdout]))
        """
    assert value_of(caller, program, text, f"{place}/d") == ["signaled", 13, 65536, "limit", "output", 1024]
