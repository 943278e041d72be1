"""Mode `allow`: the broker itself. It is confined, out of the job's sight, and nothing works without it.

Run by: pytest. Also: what the sandbox's network holds as ip(8) sees it, many runs at once, what is left.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Final

import pytest
from support import audit, faults, patience
from support import internet_map as at

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from support.questions import Asker, Question, Told

pytestmark = pytest.mark.usefixtures("nothing_left")
NAME: Final = "index.example.org"
RULES: Final = (f"{NAME}:443", f"{NAME}:{at.ECHO}", f"{at.INWARDS}:{at.ECHO}")
SIX: Final = os.path.exists("/proc/net/if_inet6")
# At once. As root fewer: what could get in each other's way is the same.
RUNS: Final = {"root": 10, "user": 50}
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


def broker_of(child: subprocess.Popen[bytes]) -> int:
    """Give the broker's process id: the one below the front that runs hardbox.net."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [
            pid for pid in (child.pid, *faults.descendants(child.pid)) if b"hardbox.net" in command(pid)
        ]
        return bool(found)

    faults.eventually(look, "there is a broker")
    assert len(found) == 1
    return found[0]


def command(pid: int) -> bytes:
    """Give a process's words; none if it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def status(pid: int) -> dict[str, str]:
    """Give /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


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
    os.kill(broker_of(running), signal.SIGKILL)
    said = finish(running)
    assert [line.split()[0] for line in said] == ["again", "anew", "by_proxy"]
    assert not any(line.endswith("'") and not line.endswith("b''") for line in said), said
    assert asker.internet.since(mark) == []
    told = faults.read_json(report(asker))
    assert told["network"]["complete"] is False  # type: ignore[index]


def test_confined(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """Its own walls, as /proc has them."""
    pid = broker_of(running)
    found = status(pid)
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
    pid = broker_of(running)
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
    pid = broker_of(running)
    job = audit.inside(running, audit.of(asker.internet.process.pid))
    running.kill()
    faults.finish(running)
    faults.eventually(lambda: not faults.alive(pid), "the broker has ended")
    faults.eventually(lambda: not faults.alive(job), "the job has ended")


def test_stopped_broker_holds_up_nothing_else(running: subprocess.Popen[bytes], asker: Asker) -> None:
    """A broker that hangs does not keep the run from its end."""
    if asker.caller.uid == 0:
        pytest.skip("it is waited for for half a minute: one caller is enough")
    pid = broker_of(running)
    os.kill(pid, signal.SIGSTOP)
    running.send_signal(signal.SIGTERM)
    done = faults.finish(running)
    assert done.returncode == 128 + signal.SIGTERM
    faults.eventually(lambda: not faults.alive(pid), "the broker has ended")


def test_many_at_once(asker: Asker) -> None:
    """Each has its own rules, its own answers, its own report; nothing is left."""
    runs = RUNS["root" if asker.caller.uid == 0 else "user"]
    told: list[Told | None] = [None] * runs
    allowed = [NAME if number % 2 else "files.example.org" for number in range(runs)]
    questions: list[Question] = [
        ("socks", 3, NAME, at.ECHO, "x\n"),
        ("socks", 3, "files.example.org", at.ECHO, "x\n"),
    ]
    asker.words(rules=())

    def run(number: int) -> None:
        patient = ("--env", f"ASK_SECONDS={patience.seconds(90)}")
        told[number] = asker.ask(*questions, rules=(f"{allowed[number]}:{at.ECHO}",), words=patient)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, one in enumerate(told):
        assert one is not None
        replies = [found["reply"] for found in one.answers]
        assert replies == ([0, 2] if allowed[number] == NAME else [2, 0])
        (row,) = one.rows(verdict="denied")
        assert row["host"] != allowed[number]


def test_many_connections(asker: Asker) -> None:
    """Five hundred at once, all of which move bytes both ways, twice."""
    script = (
        "import selectors, socket\n"
        f"links = [socket.create_connection(('{NAME}', {at.ECHO})) for _ in range(500)]\n"
        "for turn in range(2):\n"
        "    for number, link in enumerate(links): link.sendall(b'%04d\\n' % (number + turn))\n"
        "    for number, link in enumerate(links):\n"
        "        got = b''\n"
        "        while len(got) < 5: got += link.recv(5 - len(got)) or b'ended'\n"
        "        assert got == b'%04d\\n' % (number + turn), (number, got)\n"
        "print('all')\n"
    )
    words = (
        *("--set", "network.connections=600", "--loosen", "network.connections=the test of it"),
        *("--set", "network.rate=1000", "--loosen", "network.rate=the test of it"),
        *("--set", "limits.open_files=1024", "--loosen", "limits.open_files=the test of it"),
    )
    told = asker.run("python3", "-c", script, rules=RULES, words=words)
    assert faults.ran(told.done) == "all\n"
    assert told.report["network"]["most"] == 500
    assert told.rows(verdict="denied") == []
