"""Mode `allow`: jobs that mean harm to the broker, to the report, or to whoever reads the terminal.

Run by: pytest.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from support import faults
from support import internet_map as at

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.questions import Asker, Question

pytestmark = pytest.mark.usefixtures("nothing_left")
NAME: Final = "index.example.org"
RULES: Final = (
    f"{NAME}:80",
    f"{NAME}:{at.ECHO}",
    f"files.example.org:{at.BANNER_PORT}",
    "*.files.example.org:80",
)
GET: Final = f"GET /x HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
# Names that are words to a terminal, to a shell, to a reader of JSON or of lines.
NASTY: Final = (
    *(
        "\x1b[31mred.test",
        "a\nhardbox: 0 things were denied.test",
        "$(touch /tmp/pwned).test",
        "`id`.test",
        "a;id.test",
    ),
    *(
        "'quoted'.test",
        '"double".test',
        "a\\b.test",
        "\u202eevil.test",
        "\x9b2Jc1.test",
        "a\rb.test",
        "tab\tbed.test",
    ),
    *(
        "--allow.test",
        "-oProxyCommand=id.test",
        "a b.test",
        "\x00nul.test",
        "\xff\xfe.test",
        "%s%n.test",
        "{0}.test",
    ),
)


def test_words_for_the_terminal(asker: Asker) -> None:
    """Nothing that a job says reaches the terminal as anything but plain text, or a paste as a command."""
    questions: list[Question] = [("dns", name) for name in NASTY if "\u202e" not in name]
    questions += [("socks", 3, name.encode().decode("latin-1"), 443, "x") for name in NASTY]
    questions += [
        ("proxy", f"CONNECT {name.encode().decode('latin-1')}:443 HTTP/1.1\r\n\r\n") for name in NASTY
    ]
    questions += [
        ("tcp", NAME, 80, f"GET / HTTP/1.1\r\nHost: {name.encode().decode('latin-1')}\r\n\r\n")
        for name in NASTY
    ]
    questions += [("tls", "direct", NAME, at.ECHO, "\\x1b.test")]
    told = asker.ask(*questions, rules=RULES)
    assert told.seen == [] or {row["what"] for row in told.seen} <= {"dns", "connection", "error"}
    text = told.done.stderr
    assert not [c for c in text if c != "\n" and not c.isprintable()]
    assert "\u202e" not in text
    assert all(line.startswith(("hardbox: ", "  ")) for line in text.splitlines())
    for line in text.splitlines():
        if "--allow" in line and "to allow:" in line:
            word = line.partition("--allow ")[2].split(" ")[0].rstrip(";,")
            assert not set(word) & set('$`;\\"()&|<>*?{}'), line
    for row in told.report["network"]["contacts"]:
        assert all(c.isprintable() for c in row["host"] + row["detail"]), row


def test_many_different_attempts(asker: Asker) -> None:
    """The report stays of a bearable size, counts what it leaves out, and the explanation stays short."""
    names = [f"n{number}.attacker.test" for number in range(1500)]
    told = asker.ask(*(("dns", name) for name in names), rules=RULES)
    network = told.report["network"]
    assert len(network["contacts"]) <= 512
    counted = sum(row["count"] for row in network["contacts"]) + network["dropped"]
    # Those too that came faster than a program asks, and were not answered.
    assert counted == len(names)
    assert len(told.done.stderr.splitlines()) < 200
    assert told.seen == []


def test_connections_that_say_nothing(asker: Asker) -> None:
    """Idle ones take from the job's own number of connections; the others still work."""
    script = (
        "import socket\n"
        "held = [socket.create_connection(('127.0.0.1', port)) for port in (53, 3128) for _ in range(100)]\n"
        f"held += [socket.create_connection(('{NAME}', {at.ECHO})) for _ in range(20)]\n"
        f"link = socket.create_connection(('{NAME}', {at.ECHO}))\n"
        "link.sendall(b'still\\n')\n"
        "print(link.recv(9))\n"
    )
    words = ("--set", "limits.open_files=1024", "--loosen", "limits.open_files=the test of it")
    rate = ("--set", "network.rate=1000", "--loosen", "network.rate=the test of it")
    patient = ("--env", "RES_OPTIONS=timeout:30 attempts:5")
    told = asker.run("python3", "-c", script, rules=RULES, words=(*words, *rate, *patient))
    assert faults.ran(told.done) == "b'still\\n'\n"


def test_floods(asker: Asker) -> None:
    """Garbage and questions as fast as they can be sent, and connections that are reset at once."""
    script = (
        "import os, socket, struct\n"
        "link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "link.connect(('127.0.0.1', 53))\n"
        "for number in range(20000):\n"
        "    try: link.send(os.urandom(number % 600))\n"
        "    except OSError: pass\n"
        "for number in range(1500):\n"
        "    one = socket.socket()\n"
        "    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
        "    try: one.connect(('127.0.0.1', 3128 if number % 2 else 53)), one.send(os.urandom(number % 99))\n"
        "    except OSError: pass\n"
        "    one.close()\n"
        "import time; time.sleep(3)\n"  # the bucket of new connections fills again
        f"link = socket.create_connection(('{NAME}', {at.ECHO}))\n"
        "link.sendall(b'still\\n')\n"
        "print(link.recv(9))\n"
    )
    told = asker.run("python3", "-c", script, rules=RULES)
    assert faults.ran(told.done) == "b'still\\n'\n"
    assert told.report["network"]["complete"] is True


def test_a_name_server_that_never_answers(asker: Asker) -> None:
    """Look-ups that hang hold up neither other names, nor the end of the run."""
    script = (
        "import socket, sys\n"
        "for number in range(20):\n"
        "    link = socket.create_connection(('127.0.0.1', 3128))\n"
        f"    link.sendall(b'CONNECT {at.MUTE}:443 HTTP/1.0\\r\\n\\r\\n')\n"
        "    globals()[f'link{number}'] = link\n"
        f"link = socket.create_connection(('{NAME}', {at.ECHO}))\n"
        "link.settimeout(60)\n"
        "link.sendall(b'still\\n')\n"
        "print(link.recv(9))\n"
    )
    told = asker.run("python3", "-c", script, rules=(*RULES, f"{at.MUTE}:443"))
    assert faults.ran(told.done) == "b'still\\n'\n"
    assert at.MUTE in told.names_asked
    assert told.report["network"]["complete"] is True


def test_addresses_that_nobody_gave(asker: Asker) -> None:
    """Synthetic addresses are no way around the names: not guessed ones, not with another rule's port."""
    questions: list[Question] = [
        ("tcp", "198.18.77.77", 80, GET),
        ("tcp", "198.19.255.254", at.ECHO, "x\n"),
        ("tcp", "198.18.0.0", 80, GET),
        ("tcp", "127.0.0.1", 80, GET),
        ("tcp", "127.9.9.9", 80, GET),
        ("tcp", NAME, at.BANNER_PORT, "x\n"),
        ("tcp", "files.example.org", at.ECHO, "x\n"),
        ("tcp", "files.example.org", 80, GET),
        ("socks", 1, "198.18.0.1", 80, GET),
        ("socks", 1, "198.18.77.77", 80, GET),
        ("proxy", "CONNECT 198.18.77.77:80 HTTP/1.0\r\n\r\n", GET),
    ]
    if os.path.exists("/proc/net/if_inet6"):
        questions += [("tcp", "fd68:6278:6f78::7777", 80, GET), ("tcp", "::1", 80, GET)]
    told = asker.ask(*questions, rules=RULES)
    assert told.saw("connection") == []
    for question, found in zip(questions, told.answers, strict=True):
        got: str = found.get("got", "")
        head: str = found.get("head", got)
        assert "error" in found or found.get("reply") or not got or " 403 " in head, question


def test_ended_in_the_middle(asker: Asker) -> None:
    """The time is up while bytes are on their way: the status says so, and the report is whole."""
    fetch = ("curl", "-sS", "-o", "/dev/null", f"http://{NAME}/slow?600")
    told = asker.run(*fetch, rules=RULES, words=("--timeout", "3s"))
    assert told.done.returncode == 124, told.done.stderr
    assert told.report["network"]["complete"] is True


def test_again_and_again(asker: Asker, hardbox: Hardbox) -> None:
    """A plain request is not launched from a plan that was kept, without a broker."""
    words = (asker.program.hardbox, "run", "--profile", "net-client", "--allow", f"{NAME}:80", "--")
    fetch = ("curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", f"http://{NAME}/x")
    for _ in range(3):
        done = asker.internet.run(asker.caller, *words, *fetch)
        assert faults.ran(done) == "200"
    # The same words elsewhere: another network, and the same caller.
    assert hardbox("run", "--profile", "net-client", "--allow", f"{NAME}:80", "--", "true").returncode == 0


def test_from_python(asker: Asker) -> None:
    script = (
        "import hardbox\n"
        f"result = hardbox.run(['curl', '-sS', '-m', '20', 'http://{NAME}/x', 'http://blocked.example.org/'],\n"
        f"    profile='net-client', settings={{'network.allow': ['{NAME}:80']}}, capture=True,\n"
        "    loosen={'network.allow': 'the test of it'})\n"
        "assert result.exit_code == 0, result.stderr\n"
        "print([(one.host, one.verdict) for one in result.network.contacts if one.via == 'http'])\n"
    )
    done = asker.internet.run(asker.caller, asker.program.python, "-c", script)
    assert faults.ran(done) == "[('blocked.example.org', 'denied')]\n"


def test_explain_names_raw_attempts(asker: Asker) -> None:
    """An address for which there is no way is in no row of the broker's; --explain hears of it."""
    told = asker.run(
        *("python3", "-c", f"import socket; socket.create_connection(('{at.ONE}', 443))"),
        rules=RULES,
        words=("--explain",),
    )
    assert told.done.returncode == 1
    assert at.ONE in told.done.stderr.partition("hardbox: ")[2]


def test_a_closed_stderr_or_stdin(asker: Asker) -> None:
    """The broker needs neither."""
    words = asker.words(rules=RULES)
    fetch = ("curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", f"http://{NAME}/x")
    argv = [*asker.internet.words(asker.caller), "sh", "-c", 'exec "$@" <&- 2>&-', "sh", *words, "--", *fetch]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=asker.caller.environment())
    assert faults.ran(done) == "200"
