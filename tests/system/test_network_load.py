"""Mode `allow`: many runs at once, many connections, bytes that nobody reads.  Run by: pytest.

Whatever a job does, the broker's memory and descriptors stay bounded, and other runs do not notice.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

import pytest
from support import audit, faults, patience
from support import internet_map as at

if TYPE_CHECKING:
    from support.questions import Asker, Question, Told

pytestmark = pytest.mark.usefixtures("nothing_left")
NAME: Final = "index.example.org"
RULES: Final = (f"{NAME}:443", f"{NAME}:{at.ECHO}")
# At once. As root fewer: what could get in each other's way is the same.
RUNS: Final = {"root": 10, "user": 50} if patience.SLOWER == 1 else {"root": 3, "user": 3}


def test_slow_readers_cost_little(asker: Asker) -> None:
    """What a job does not read is not read from outside either: the broker's memory stays small."""
    rules = (f"{NAME}:80",)
    job = (
        "import socket, sys\n"
        "links = [socket.create_connection(('index.example.org', 80)) for _ in range(40)]\n"
        "ask = b'GET /big?300000000 HTTP/1.1\\r\\nHost: index.example.org\\r\\n\\r\\n'\n"
        "for link in links: link.sendall(ask)\n"
        "print([len(link.recv(1)) for link in links].count(1), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    report = os.path.join(asker.place, "report.json")
    argv = asker.words("--report", report, rules=rules)
    child = asker.internet.spawn(asker.caller, *argv, "--", "python3", "-c", job)
    assert faults.read_line(child) == "40"
    pid = audit.broker_of(child)
    seen = [-1]

    def settled() -> bool:
        """Say whether no more comes in."""
        before = seen[0]
        time.sleep(0.3)
        seen[0] = int(audit.status(pid)["VmHWM"].split()[0])
        return seen[0] == before

    faults.eventually(settled, "the broker reads no more")
    child.communicate(b"go on\n", timeout=patience.seconds(120))
    assert child.returncode == 0
    assert seen[0] < 150_000, "kilobytes"
    received = faults.read_json(report)["network"]["received"]  # type: ignore[index]
    assert received < 40 * 20_000_000


@pytest.mark.skipif(os.geteuid() != 0, reason="its descriptors are shut to its own user")
def test_descriptors_are_given_back(asker: Asker) -> None:
    """After connections of every kind and every end the broker holds what it held before."""
    job = (
        "import socket, sys\n"
        "def ask(where, *words, patience=20):\n"
        "    try:\n"
        "        with socket.create_connection(where, 20) as link:\n"
        "            link.settimeout(patience)\n"
        "            for word in words:\n"
        "                link.sendall(word)\n"
        "                link.recv(99)\n"
        "    except OSError: pass\n"
        "proxy = ('127.0.0.1', 3128)\n"
        "def turn():\n"
        f"    ask(('{NAME}', {at.ECHO}), b'x\\n')\n"
        f"    ask(('{NAME}', 443), b'GET / HTTP/1.1\\r\\nHost: blocked.test\\r\\n\\r\\n')\n"
        f"    ask(('{NAME}', 443))\n"
        f"    ask(('198.18.9.9', 443), b'x\\n')\n"
        "    ask(proxy), ask(proxy, b'x', patience=0.01), ask(('127.0.0.1', 53))\n"
        "    ask(('127.0.0.1', 53), b'\\0\\3abc', patience=0.01)\n"
        f"    ask(proxy, b'CONNECT {NAME}:{at.ECHO} HTTP/1.0\\r\\n\\r\\n', b'x\\n')\n"
        f"    ask(proxy, b'CONNECT {NAME}:{at.CLOSED} HTTP/1.0\\r\\n\\r\\n', b'x\\n')\n"
        "    ask(proxy, b'CONNECT blocked.test:443 HTTP/1.0\\r\\n\\r\\n')\n"
        "    ask(proxy, b'\\5\\1\\0', b'\\5\\1\\0\\1\\1\\1\\1\\1\\0P')\n"
        "for times in (2, 40):\n"
        "    for _ in range(times): turn()\n"
        "    print('turned', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    rate = ("--set", "network.rate=5000", "--loosen", "network.rate=the test of it")
    argv = asker.words(*rate, rules=(*RULES, f"{NAME}:{at.CLOSED}"))
    child = asker.internet.spawn(asker.caller, *argv, "--", "python3", "-c", job)
    assert child.stdin is not None
    counts = []
    for _ in range(2):
        assert faults.read_line(child) == "turned"
        folder = f"/proc/{audit.broker_of(child)}/fd"
        last = [-1]

        def settled(folder: str = folder, last: list[int] = last) -> bool:
            before = last[0]
            time.sleep(0.3)
            last[0] = len(os.listdir(folder))
            return last[0] == before

        faults.eventually(settled, "the broker has closed what has ended")
        counts.append(last[0])
        child.stdin.write(b"go on\n")
        child.stdin.flush()
    faults.finish(child)
    assert counts[0] == counts[1]


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
