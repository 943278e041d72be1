"""The attack corpus against members of a pool, at both hold points; and two jobs one after the other.

Run by: pytest.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attack.conftest import VERIFY_SECONDS, left_by_the_dead

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

POOLED = (Path(__file__).parent / "pooled.py").read_text(encoding="utf-8")


def verified(caller: Caller, program: Installed, point: str, *words: str) -> dict[str, Any]:
    argv = (program.python, "-c", POOLED, point, "--json", *words)
    done = caller.run(*argv, timeout=VERIFY_SECONDS)
    assert done.returncode in (0, 1), done.stderr
    assert int(done.stderr.rsplit("members ", 1)[1]) >= 1, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("point", ["last", "open"])
def test_corpus(caller: Caller, program: Installed, point: str) -> None:
    """Every row is judged as without a pool, controls included."""
    found = verified(caller, program, point)
    assert [row for row in found["checks"] if row["verdict"] == "escaped"] == []
    assert found["nothing_escaped"] is True
    assert all(counts["held"] for counts in found["counts"].values())
    assert left_by_the_dead(caller) == []


@pytest.mark.parametrize("profile", ["baseline", "build"])
def test_looser_profiles(caller: Caller, program: Installed, profile: str) -> None:
    found = verified(caller, program, "last", "--profile", profile)
    assert [row["id"] for row in found["checks"] if row["verdict"] == "escaped"] == []


# What a first job leaves wherever it can, and what a second one sees of it. The filter refuses System V
# memory, message queues and keys to both, so the second looks at the kernel's tables too.
LEAVE = r"""
set -e
echo left > /tmp/left; echo left > /var/tmp/left; echo left > /dev/shm/left; echo left > "$HOME/left"
export LEFT=1
python3 - <<'P'
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
libc.shmget(0x4c454654, 4096, 0o1666); libc.msgget(0x4c454654, 0o1666); libc.semget(0x4c454654, 1, 0o1666)
libc.mq_open(b"/left", os.O_CREAT | os.O_RDWR, 0o600, None)
libc.syscall(248, b"user", b"left", b"left", 4, -3)
s = socket.socket(socket.AF_UNIX); s.bind("\0left"); s.listen()
P
(setsid sleep 1000 &) >/dev/null 2>&1 </dev/null
"""
LOOK = r"""
for f in /tmp/left /var/tmp/left /dev/shm/left "$HOME/left"; do [ ! -e "$f" ] || echo "file $f"; done
[ -z "$LEFT" ] || echo environment
for f in shm msg sem; do [ "$(wc -l < /proc/sysvipc/$f)" = 1 ] || echo "sysv $f"; done
grep -q @left /proc/net/unix && echo socket
python3 - <<'P'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.mq_open(b"/left", os.O_RDWR) >= 0: print("queue")
if libc.syscall(250, 10, -3, b"user", b"left", 0) >= 0: print("key")
print(*[p for p in os.listdir("/proc") if p.isdigit() and
        open(f"/proc/{p}/cmdline", "rb").read() == b"sleep\0001000\0"], sep="\n", end="")
P
"""
BOTH = """
import hardbox, json, sys
leave, look = sys.argv[1:3]
with hardbox.Pool(size=2, profile=sys.argv[3]) as pool:
    pool.wait_ready(2)
    first = pool.run(["sh", "-c", leave], capture=True)
    control = pool.run(["sh", "-c", leave + look], capture=True)
    pool.wait_ready(1)
    then = pool.run(["sh", "-c", look], capture=True)
    print(json.dumps({
        "first": [first.exit_code, first.stderr.decode()],
        "control": control.stdout.decode().split("\\n"),
        "then": [then.stdout.decode().strip(), then.exit_code],
        "ids": [list(r.enforced.uid_map[0]) for r in (first, control, then)], "handed": pool.handed,
        "errors": then.stderr.decode(),
    }))
"""


def test_two_jobs_share_nothing(caller: Caller, program: Installed) -> None:
    """The control is one job that looks at what it has left itself."""
    argv = (program.python, "-c", textwrap.dedent(BOTH), LEAVE, LOOK, "strict")
    done = caller.run(*argv)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["first"][0] == 0, found
    assert {"file /tmp/left", "file /dev/shm/left", "file /var/tmp/left", "environment"} <= set(
        found["control"]
    )
    assert found["then"] == ["", 0], found
    assert found["handed"] == 3


def test_leases_are_distinct(caller: Caller, program: Installed) -> None:
    """Root's jobs have ids of their own while they live; an ordinary caller has one id alone."""
    text = """
        import hardbox, json, threading
        with hardbox.Pool(size=4) as pool:
            pool.wait_ready(4)
            rows = []
            def one():
                rows.append(pool.run(["sleep", "0.5"]).enforced.uid_map[0][1])
            threads = [threading.Thread(target=one) for _ in range(4)]
            [t.start() for t in threads]; [t.join() for t in threads]
            print(json.dumps([rows, pool.handed]))
    """
    done = caller.run(program.python, "-c", textwrap.dedent(text))
    rows, handed = json.loads(done.stdout)
    assert handed == 4
    assert len(set(rows)) == (4 if caller.uid == 0 else 1)
    assert 0 not in rows


SOCKET = """
import hardbox, json, os, socket, sys, threading
place, kind = sys.argv[1:]
job = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/work/sock'); print(s.recv(9).decode())"
tree = {kind: [f"{place}:/work"]}
def answer(run, **words):
    try:
        return run(["python3", "-c", job], capture=True, **words).stdout.decode()
    except hardbox.HardboxError as error:
        return error.code
with hardbox.Pool(size=1, profile="build", **tree) as pool:
    assert pool.wait_ready(1)
    pool.run(["true"], capture=True)
    handed = pool.handed
    assert pool.wait_ready(1)
    with socket.socket(socket.AF_UNIX) as host:
        host.bind(place + "/sock")
        os.chmod(place + "/sock", 0o777)
        host.listen()
        def serve():
            while True:
                link, _ = host.accept()
                link.send(b"HOST")
                link.close()
        threading.Thread(target=serve, daemon=True).start()
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(place + "/sock")
            rows = [control.recv(9).decode()]
        rows += [answer(pool.run), answer(hardbox.run, profile="build", **tree)]
        os.unlink(place + "/sock")
    assert pool.wait_ready(1)
    rows.append(pool.run(["true"], capture=True).exit_code)
    print(json.dumps([handed, *rows, pool.handed]), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("kind", ["read", "write"])
def test_trees_are_looked_through_for_each_job(
    caller: Caller, program: Installed, place: str, kind: str
) -> None:
    """A socket of the host's that was put in the pool's tree after its members were made reaches no job."""
    done = caller.run(program.python, "-c", SOCKET, place, kind)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, "HOST", "HB213", "HB213", 0, 2]
