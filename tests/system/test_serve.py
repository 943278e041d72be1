"""`hardbox serve`, and `hardbox run` that finds it by HARDBOX_SOCKET.  Run by: pytest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import faults
from support.serving import jobs, served

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_plain_requests_are_served(caller: Caller, program: Installed, place: str) -> None:
    with served(caller, program, place, "--size", "2") as server:
        assert server.said.startswith("hardbox: serving profile strict")
        done = server.run("--", "sh", "-c", "cat; pwd; id -u; echo err >&2; exit 7", stdin="in ")
        assert (done.returncode, done.stdout, done.stderr) == (7, "in /home/box\n1000\n", "err\n")
        for words in (("--profile", "strict", "--"), ("--profile=strict",), ()):
            assert server.run(*words, "true").stderr == ""
        assert server.run("--", "nope").returncode == 127
        assert server.stop() == 0
        assert not os.path.exists(server.path)


def test_what_is_said_is_the_same(caller: Caller, program: Installed, place: str) -> None:
    with served(caller, program, place) as server:
        for words in (
            ("nope",),
            ("sh", "-c", "mount -t tmpfs x /mnt"),
            ("sh", "-c", "kill -9 $$"),
            ("/etc/passwd",),
        ):
            one = server.run("--", *words)
            other = caller.run(program.hardbox, "run", "--", *words)
            assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)


def test_it_is_the_server_that_runs_it(caller: Caller, program: Installed, place: str) -> None:
    """A job ends with its server, with its client, and gets its client's signals."""
    with served(caller, program, place) as server:
        client = server.start("--", "sleep", "1001.5")
        faults.eventually(lambda: jobs(caller, "^sleep 1001.5"), "the job runs")
        client.kill()
        client.communicate()
        faults.eventually(lambda: not jobs(caller, "^sleep 1001.5"), "it has ended with its client")
        client = server.start(
            "--", "sh", "-c", "trap 'echo told; exit 9' TERM; echo ready; sleep 1002.5 & wait"
        )
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        client.send_signal(signal.SIGTERM)
        assert client.communicate() == ("told\n", "")
        assert client.returncode == 9
        client = server.start("--", "sh", "-c", "echo ready; exec sleep 1003.5")
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        server.stop(signal.SIGKILL)
        _, stderr = client.communicate()
        assert client.returncode == 137
        assert "killed from outside" in stderr
        faults.eventually(lambda: not jobs(caller, "^sleep 1003.5"), "it has ended with its server")
        # A dead one's socket is in nobody's way.
        with served(caller, program, place) as again:
            assert again.run("--", "true").stderr == ""


@pytest.mark.parametrize(
    "words", [("--profile", "build"), ("--env", "A=b"), ("--workdir", "/tmp"), ("--timeout", "5s")]
)
def test_other_requests_are_decided_as_usual(
    caller: Caller, program: Installed, place: str, words: tuple[str, ...]
) -> None:
    with served(caller, program, place) as server:
        done = server.run(*words, "--", "true")
        assert (done.returncode, done.stderr) == (0, "")


def test_a_client_with_less_is_not_given_more(caller: Caller, program: Installed, place: str) -> None:
    """Limits, priority and CPUs of the client's own would be lost: decided as usual, and said."""
    with served(caller, program, place) as server:
        run = f"{program.hardbox} run -- sh -c 'ulimit -n'"
        for before, why in (
            ("ulimit -n 100;", "limits"),
            ("ulimit -n 100; nice -n 3", "limits"),
            ("nice -n 3", "priority"),
        ):
            done = caller.run("sh", "-c", f"{before} {run}", env=server.environment())
            assert done.returncode == 0
            assert "HARDBOX_SOCKET is not used: the server has" in done.stderr
            assert why in done.stderr
            assert done.stdout.strip() == ("100" if "ulimit" in before else "256")


def test_no_server(caller: Caller, program: Installed, place: str) -> None:
    os.mkdir(f"{place}/run", 0o700)
    os.chown(f"{place}/run", caller.uid, caller.gid)
    done = caller.run(program.hardbox, "run", "--", "true", env={"HARDBOX_SOCKET": f"{place}/run/socket"})
    assert done.returncode == 0
    assert done.stderr == "hardbox: HARDBOX_SOCKET is not used: no server answers there; decided here\n"


@pytest.mark.parametrize("what", ["open-folder", "relative", "no-socket", "foreign"])
def test_who_cannot_be_trusted_is_refused(caller: Caller, program: Installed, place: str, what: str) -> None:
    """Nothing is run: not there, and not here either."""
    folder, path = f"{place}/run", f"{place}/run/socket"
    os.mkdir(folder, 0o755 if what == "open-folder" else 0o700)
    if what == "no-socket":
        with open(path, "w"):
            pass
    if what in ("open-folder", "foreign"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
    if what == "foreign" and os.geteuid() != 0:
        pytest.skip("only root can make another user's socket")
    os.chown(folder, caller.uid, caller.gid)
    if os.path.exists(path):
        other = caller.uid + 1 if what == "foreign" else caller.uid
        os.chown(path, other, caller.gid)
    done = caller.run(
        program.hardbox,
        *("run", "--", "touch", "/tmp/x"),
        env={"HARDBOX_SOCKET": "run/socket" if what == "relative" else path},
    )
    assert done.returncode == 125
    assert "refused [HB673]" in done.stderr
    assert "nothing was run" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_not_served(caller: Caller, program: Installed, place: str) -> None:
    """Even where the socket can be reached: modes are opened, and root is let in by nobody."""
    with served(caller, program, place) as server:
        os.chmod(os.path.dirname(server.path), 0o711)
        os.chmod(server.path, 0o666)
        text = (
            "import socket, sys\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1])\n"
            "s.settimeout(30)\n"
            "try:\n"
            "    socket.send_fds(s, [b'HBXASK\\x01\\0'], [0, 0, 1, 2])\n"
            "    print(s.recv(100)[:1].hex() or 'closed')\n"
            "except (BrokenPipeError, ConnectionResetError):\n"
            "    print('closed')\n"
        )
        other = (
            ("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups") if caller.uid == 0 else ()
        )
        argv = [*other, program.python, "-c", text, server.path]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", timeout=100)
        assert (done.stdout, done.stderr) == ("closed\n", "")
        # The server's own user is told that it is heard.
        control = caller.run(program.python, "-c", text, server.path)
        assert (control.stdout, control.stderr) == ("06\n", "")
        os.chmod(os.path.dirname(server.path), 0o700)
        assert server.run("--", "true").returncode == 0


def test_words(caller: Caller, program: Installed, place: str) -> None:
    serve = (program.hardbox, "serve")
    help_text = caller.run(*serve, "--help")
    assert help_text.returncode == 0
    assert "--socket PATH" in help_text.stdout
    os.chmod(place, 0o755)
    for words, code in (
        ((), "HB001"),
        (("--socket",), "HB001"),
        (("--socket", "x"), "HB002"),
        (("--socket", f"{place}/run/s", "--size", "many"), "HB001"),
        (("--socket", f"{place}/run/s", "--size", "0"), "HB002"),
        (("--socket", f"{place}/run/s", "--profile", "./x.toml"), "HB002"),
        (("--socket", f"{place}/run/s", "--profile", "agent"), "HB011"),
        (("--socket", f"{place}/socket"), "HB674"),
        (("--socket", f"{place}/run/s", "--what"), "HB001"),
    ):
        done = caller.run(*serve, *words)
        assert done.returncode == 125, words
        assert code in done.stderr, words


# More than the descriptors that a pool's member takes.
TIMES = 20


def test_clients_that_say_nonsense(caller: Caller, program: Installed, place: str) -> None:
    """They are dropped; the server serves on, and keeps nothing of theirs."""
    text = (
        "import os, socket, struct, sys\n"
        "null = os.open('/dev/null', os.O_RDWR)\n"
        "def memory(data):\n"
        "    file = os.memfd_create('x'); os.write(file, data); return file\n"
        "magic = b'HBXASK\\x01\\0'\n"
        "rows = ((b'', []), (b'x' * 60, []), (magic, []), (magic, [null] * 3),\n"
        "        (magic, [null] * 4),\n"
        "        (struct.pack('<Ii', 5, 15), []), (magic, [memory(b'')] * 4),\n"
        "        (magic, [memory(b'9.9\\0\\0/\\0001\\0true\\0'), null, null, null]),\n"
        "        (magic, [memory(b'0.1.0\\0\\0/\\000999\\0true\\0'), null, null, null]),\n"
        "        (magic, [memory(b'0.1.0\\0\\0/\\0000\\0'), null, null, null]))\n"
        "for word, files in rows * int(sys.argv[2]):\n"
        "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "    s.connect(sys.argv[1]); s.settimeout(30)\n"
        "    socket.send_fds(s, [word], files) if word else None\n"
        "    s.shutdown(socket.SHUT_WR)\n"
        "    while s.recv(1000): pass\n"
    )
    with served(caller, program, place, "--size", "1") as server:
        fds = f"/proc/{server.process.pid}/fd"
        assert server.run("--", "true").returncode == 0
        before = len(os.listdir(fds)) if caller.prefix == () else 0
        done = caller.run(program.python, "-c", text, server.path, str(TIMES))
        assert (done.returncode, done.stderr) == (0, "")
        assert server.run("--", "true").stderr == ""
        if caller.prefix == ():
            # There may be a member more than before, which has fewer than each kind of nonsense would leave.
            faults.eventually(lambda: len(os.listdir(fds)) < before + TIMES, "nothing is kept")
