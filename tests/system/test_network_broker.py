"""Mode `allow`: the broker itself. It is confined, out of the job's sight, and nothing works without it.

Run by: pytest. Also: what the sandbox's network holds as ip(8) sees it. Many of everything at once is in
test_network_load.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from support import audit, faults
from support import internet_map as at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.questions import Asker, Question

pytestmark = pytest.mark.usefixtures("nothing_left")
NAME: Final = "index.example.org"
RULES: Final = (f"{NAME}:443", f"{NAME}:{at.ECHO}", f"{at.INWARDS}:{at.ECHO}")
SIX: Final = os.path.exists("/proc/net/if_inet6")
# Echoes twice over one connection, with a word on stdin in between; then tries a new connection.
TALK: Final = f"""
import socket, sys
def again():
    link.sendall(b"again\\n")
    return link.recv(9)
def anew():
    with socket.create_connection(("{NAME}", {at.ECHO}), 9) as new:
        new.sendall(b"new\\n")
        return new.recv(9)
def by_proxy():
    with socket.create_connection(("127.0.0.1", 3128), 9) as new:
        new.sendall(b"CONNECT {NAME}:443 HTTP/1.1\\r\\nHost: {NAME}\\r\\n\\r\\n")
        return new.recv(12)
link = socket.create_connection(("{NAME}", {at.ECHO}))
link.settimeout(9)
link.sendall(b"x\\n")
print(link.recv(9), flush=True)
sys.stdin.readline()
for attempt in (again, anew, by_proxy):
    try:
        print(attempt.__name__, attempt())
    except OSError as error:
        print(attempt.__name__, type(error).__name__)
"""
SERVED: Final = {("udp", "127.0.0.1", 53), ("tcp", "127.0.0.1", 53), ("tcp", "127.0.0.1", 3128)}


@pytest.fixture
def running(asker: Asker) -> Iterator[subprocess.Popen[bytes]]:
    words = asker.words("--report", report(asker), rules=RULES)
    child = asker.internet.spawn(asker.caller, *words, "--", "python3", "-c", TALK)
    assert faults.read_line(child) == r"b'x\n'"
    yield child
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        faults.finish(child)


def report(asker: Asker) -> str:
    """Say where the report goes."""
    return os.path.join(asker.place, "report.json")


def finish(child: subprocess.Popen[bytes]) -> list[str]:
    """Let the job go on to its end; gives what it says."""
    out, err = child.communicate(b"go on\n", timeout=120)
    assert child.returncode == 0, err.decode()
    return out.decode().splitlines()


def test_works(running: subprocess.Popen[bytes]) -> None:
    """The control of the tests below."""
    assert finish(running) == [r"again b'again\n'", r"anew b'new\n'", "by_proxy b'HTTP/1.1 200'"]


def test_killed(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """Without it nothing works any more, by any way; the job goes on, and the report says so."""
    mark = asker.internet.mark()
    os.kill(audit.broker_of(running), signal.SIGKILL)
    said = finish(running)
    assert [line.split()[0] for line in said] == ["again", "anew", "by_proxy"]
    assert not any(line.endswith("'") and not line.endswith("b''") for line in said), said
    assert asker.internet.since(mark) == []
    told = faults.read_json(report(asker))
    assert told["network"]["complete"] is False  # type: ignore[index]


def test_confined(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """Its own walls, as /proc has them."""
    pid = audit.broker_of(running)
    found = audit.status(pid)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[name], 16) == 0, name
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    uid = 65534 if asker.caller.uid == 0 else asker.caller.uid
    assert found["Uid"].split() == [str(uid)] * 4
    gid = 65534 if asker.caller.uid == 0 else asker.caller.gid
    assert found["Gid"].split() == [str(gid)] * 4
    assert found["Groups"] == ("" if asker.caller.uid == 0 else found["Groups"])
    assert audit.of(pid) in ("", audit.of(asker.internet.process.pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="its memory is shut to its own user, and so is its /proc")
def test_not_dumpable_and_no_core(running: subprocess.Popen[bytes]) -> None:
    pid = audit.broker_of(running)
    # What may not be dumped belongs to root, in the eyes of /proc (proc(5)).
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        (core,) = [line.split()[4:6] for line in file if line.startswith("Max core")]
    assert core == ["0", "0"]
    open_files = sorted(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    files = {path for path in open_files if path.startswith("/") and not path.startswith("/dev/null")}
    assert {path for path in files if "memfd" not in path and not path.startswith("/dev/")} == set()


def test_not_in_the_jobs_sight(asker: Asker) -> None:
    """No process, no descriptor, no file of it; a job that kills everything it can kills only itself."""
    look = (
        "import os, sys\n"
        "names = [open(f'/proc/{p}/comm').read().strip() for p in os.listdir('/proc') if p.isdigit()]\n"
        "words = [open(f'/proc/{p}/cmdline').read() for p in os.listdir('/proc') if p.isdigit()]\n"
        "found = any('hardbox' '.net' in each for each in words)\n"
        "print(len(names), found, sorted(os.listdir('/proc/self/fd'))[:3])\n"
        "print(sorted(name for name in os.environ if 'HARDBOX' in name.upper()))\n"
    )
    told = asker.run("python3", "-c", look, rules=RULES)
    first, second = faults.ran(told.done).splitlines()
    assert first == "2 False ['0', '1', '2']"
    assert second == "[]"
    everything = (
        "trap '' TERM; kill -9 -1; curl -sS -m 9 -o /dev/null -w '%{http_code}' -k https://index.example.org/"
    )
    told = asker.run("sh", "-c", everything, rules=RULES)
    assert faults.ran(told.done) == "200"
    assert told.report["network"]["complete"] is True


def test_seen_from_outside(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """Interfaces, routes, rules, listeners: what is served, local routes on lo, and nothing else."""
    found = audit.network(audit.inside(running, audit.of(asker.internet.process.pid)))
    assert set(found.links) == {"lo"}
    assert found.rules == ()
    assert found.unix == ()
    assert {device for _, _, _, device in found.routes} == {"lo"}
    beyond = {
        (table, kind, where) for table, kind, where, _ in found.routes if kind not in ("local", "broadcast")
    }
    assert beyond <= {("main", "unicast", "::1")}
    local = {where for _, kind, where, _ in found.routes if kind == "local"}
    own = {"127.0.0.0/8", "127.0.0.1", "198.18.0.0/15", at.INWARDS}
    assert own <= local
    assert local - own <= {"::1", "fd68:6278:6f78::/64"}
    assert found.sockets >= SERVED
    everywhere = {"*", "::", "0.0.0.0"}  # noqa: S104 (what is bound)
    rest = {(protocol, port) for protocol, address, port in found.sockets - SERVED if address in everywhere}
    assert rest == {("tcp", 443), ("tcp", at.ECHO)}
    assert len(found.sockets) == len(SERVED) + 2


def test_shut_to_everybody_else(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """Its ports are the sandbox's: neither the host's side nor another sandbox reaches them."""
    assert running.poll() is None
    ports: list[Question] = [("tcp", "127.0.0.1", 3128, "x"), ("udp", "127.0.0.1", 9, "x")]
    assert [found["error"] for found in asker.ask_outside(*ports)] == ["ECONNREFUSED"] * 2
    loopback = ("--network", "loopback", "--loosen", "network.mode=the test of it")
    told = asker.ask(ports[0], ("dns", NAME), words=loopback, profile="strict")
    assert [found["error"] for found in told.answers] == ["ECONNREFUSED"] * 2


def test_nobody_else_s_rules(asker: Asker, running: subprocess.Popen[bytes]) -> None:
    """Two sandboxes at once, with other rules each."""
    assert running.poll() is None
    questions: list[Question] = [
        ("socks", 3, NAME, at.ECHO, "x\n"),
        ("socks", 3, "files.example.org", at.ECHO, "x\n"),
    ]
    told = asker.ask(*questions, rules=(f"files.example.org:{at.ECHO}",))
    assert told.answers == [{"reply": 2}, {"reply": 0, "got": "x\n", "end": "eof"}]


def test_ends_with_the_front(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """Whoever kills the front has ended the job and the broker too."""
    pid = audit.broker_of(running)
    job = audit.inside(running, audit.of(asker.internet.process.pid))
    running.kill()
    faults.finish(running)
    faults.eventually(lambda: not faults.alive(pid), "the broker has ended")
    faults.eventually(lambda: not faults.alive(job), "the job has ended")


def test_stopped_broker_holds_up_nothing_else(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """A broker that hangs does not keep the run from its end."""
    if asker.caller.uid == 0:
        pytest.skip("it is waited for for half a minute: one caller is enough")
    pid = audit.broker_of(running)
    os.kill(pid, signal.SIGSTOP)
    running.send_signal(signal.SIGTERM)
    done = faults.finish(running)
    assert done.returncode == 128 + signal.SIGTERM
    faults.eventually(lambda: not faults.alive(pid), "the broker has ended")


def test_interrupts_are_the_jobs(asker: Asker) -> None:
    """What a terminal sends to all of its foreground group does not end the broker."""
    job = (
        "import os, signal, socket, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'caught\\n'))\n"
        "print('up', flush=True)\n"
        "sys.stdin.readline()\n"
        f"link = socket.create_connection(('{NAME}', {at.ECHO}))\n"
        "link.sendall(b'still\\n')\n"
        "print(link.recv(9))\n"
    )
    argv = [*asker.internet.words(asker.caller), *asker.words(rules=RULES), "--", "python3", "-c", job]
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        ["env", "--default-signal", *argv],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=asker.caller.environment(),
        start_new_session=True,
    )
    assert faults.read_line(child) == "up"
    os.killpg(child.pid, signal.SIGINT)
    assert faults.read_line(child) == "caught"
    assert finish(child) == [r"b'still\n'"]
