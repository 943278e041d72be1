"""`hardbox serve`: whose variables, who asks, and who does not answer.  Run by: pytest."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support import faults
from support.serving import jobs, served

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_the_clients_variables_whoever_launches(caller: Caller, program: Installed, place: str) -> None:
    """With a regular file on its output the first job has no member that is made for such."""
    with served(caller, program, place, "--size", "1") as server:
        script = 'LANG=client.L HARDBOX_SOCKET="$1" exec "$0" run -- printenv LANG </dev/null >"$2"'
        for number in range(3):
            out = f"{place}/out{number}"
            done = caller.run("bash", "-c", script, program.hardbox, server.path, out)
            assert (done.returncode, done.stderr) == (0, "")
            with open(out, encoding="ascii") as file:
                assert file.read() == "client.L\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_that_is_stopped_holds_nobody(
    caller: Caller, program: Installed, place: str, number: signal.Signals
) -> None:
    """Nothing of it is run later, either."""
    with served(caller, program, place) as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            client = server.start("--", "sleep", "1004.5")
            faults.eventually(lambda: client.poll() is None and waits(client.pid), "it waits for the server")
            client.send_signal(number)
            stdout, stderr = client.communicate(timeout=60)
            assert (client.returncode, stdout, stderr) == (
                *(128 + number, "", "hardbox: interrupted\n  nothing was run\n"),
            )
            # Without a signal it loses patience, and decides by itself.
            done = server.run("--", "echo", "here")
            assert (done.returncode, done.stdout) == (0, "here\n")
            assert "does not answer; decided here" in done.stderr
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert server.run("--", "echo", "again").stdout == "again\n"
        assert not jobs(caller, "^sleep 1004.5")


def waits(pid: int) -> bool:
    with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
        return "poll" in file.read()


def test_who_connects_and_ends_is_nobody(caller: Caller, program: Installed, place: str) -> None:
    """Another process may have its number by the time that it asks."""
    text = (
        "import os, socket, struct, sys\n"
        "link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "if sys.argv[2] == 'dead':\n"
        "    child = os.fork()\n"
        "    if not child: link.connect(sys.argv[1]); os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "else: link.connect(sys.argv[1])\n"
        "ask = os.memfd_create('ask')\n"
        "words = [sys.argv[3], '', '/', '1', 'true', 'PATH=/usr/bin']\n"
        "os.write(ask, b''.join(word.encode() + b'\\0' for word in words))\n"
        "assert struct.unpack('<Ii', link.recv(4096)[:8])[0] == 6\n"
        "socket.send_fds(link, [b'HBXASK\\x01\\0'], [ask, 0, 1, 2])\n"
        "print(struct.unpack('<Ii', link.recv(4096)[:8])[0])\n"
    )
    with served(caller, program, place) as server:
        python = os.path.join(program.prefix, "bin", "python3")
        version = caller.run(program.hardbox, "--version").stdout.split()[1]
        for state, answer in (("alive", "1\n"), ("dead", "2\n")):
            done = caller.run(python, "-c", text, server.path, state, version)
            assert (done.stdout, done.stderr) == (answer, "")
