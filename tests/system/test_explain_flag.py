"""`hardbox run --explain`: what was asked for in vain, why, and the change that gives it.

Run by: pytest. As in test_denials.py, each change that is named is applied, and works.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller

pytestmark = pytest.mark.usefixtures("nothing_left")
EXPLAIN: Final = ("run", "--explain", "--report")


def explained(hardbox: Hardbox, place: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run with --explain; gives status and denials."""
    done = hardbox(*EXPLAIN, f"{place}/report.json", *words)
    assert "Traceback" not in done.stderr.replace('Traceback (most recent call last):\n  File "<string>"', "")
    with open(f"{place}/report.json", encoding="utf-8") as file:
        found: list[dict[str, Any]] = json.load(file)["denials"]
    return done.returncode, found


def the_one(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    matching = [row for row in found if row["what"].startswith(what)]
    assert matching, found
    return matching[0]


def change(text: str) -> list[str]:
    """Give the options of a named change."""
    words = re.split(r", or |: changes live|, for servers", text)[0]
    return shlex.split(words.replace("REASON", "a test of it"))


def test_a_host_file_that_is_not_shown(hardbox: Hardbox, caller: Caller, place: str) -> None:
    path = faults.own(caller, f"{place}/notes.txt", "hello\n")
    status, found = explained(hardbox, place, "--", "cat", path)
    assert status == 1
    row = the_one(found, f"reading of {path} (ENOENT)")
    assert (row["kind"], row["sure"], row["allow"]) == ("file", "likely", f"--read {path}")
    status, _ = explained(hardbox, place, *change(row["allow"]), "--", "cat", path)
    assert status == 0


def test_what_exists_nowhere_is_no_matter_of_the_sandbox(hardbox: Hardbox, place: str) -> None:
    status, found = explained(hardbox, place, "--", "cat", f"{place}/no-such-file")
    assert status == 1
    assert not [row for row in found if "no-such-file" in row["what"]]


def test_keys_of_the_caller(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """What may not be shown is not offered."""
    faults.own_dir(caller, f"{place}/.ssh")
    path = faults.own(caller, f"{place}/.ssh/id_ed25519", "secret\n", 0o600)
    status, found = explained(hardbox, place, "--", "cat", path)
    assert status == 1
    row = the_one(found, f"reading of {path} (ENOENT)")
    refused = hardbox("run", "--read", path, "--", "true").returncode == 125
    assert row["allow"].startswith("nothing: ") == refused
    assert row["allow"].startswith("--read ") != refused


def test_writing_to_the_system(hardbox: Hardbox, place: str) -> None:
    command = ("sh", "-c", "echo x >/etc/hardbox-test")
    status, found = explained(hardbox, place, "--", *command)
    assert status == 2
    row = the_one(found, "writing of /etc/hardbox-test (EROFS)")
    status, found = explained(hardbox, place, *change(row["allow"]), "--", *command)
    assert status == 0
    assert not os.path.exists("/etc/hardbox-test")


def test_writing_to_a_tree_that_is_shown_for_reading(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/tree")
    status, found = explained(hardbox, place, "--read", tree, "--", "touch", f"{tree}/x")
    assert status == 1
    row = the_one(found, f"writing of {tree}/x (EROFS)")
    assert row["allow"] == f"--write {tree} in place of --read"
    assert explained(hardbox, place, "--write", tree, "--", "touch", f"{tree}/x")[0] == 0


def test_executing_what_was_written(hardbox: Hardbox, place: str) -> None:
    command = ("sh", "-c", "cp /bin/true /tmp/code && /tmp/code")
    status, found = explained(hardbox, place, "--", *command)
    assert status == 126
    row = the_one(found, "execution of /tmp/code (EACCES)")
    assert explained(hardbox, place, *change(row["allow"]), "--", *command)[0] == 0


def test_plain_unix_permission(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/tree")
    path = faults.own(caller, f"{tree}/closed", "x\n", 0o000)
    status, found = explained(hardbox, place, "--read", tree, "--", "cat", path)
    assert status == 1
    row = the_one(found, f"reading of {path} (EACCES)")
    assert "mode 0000" in row["why"]
    os.chmod(path, 0o444)
    assert explained(hardbox, place, "--read", tree, "--", "cat", path)[0] == 0


def test_a_shared_library_that_is_not_shown(hardbox: Hardbox, caller: Caller, place: str) -> None:
    for name in ("lib", "bin"):
        faults.own_dir(caller, f"{place}/{name}")
    for name, text in (
        ("x.c", "int x(void) { return 0; }\n"),
        ("m.c", "int x(void); int main(void) { return x(); }\n"),
    ):
        faults.own(caller, f"{place}/{name}", text)
    library, program = f"{place}/lib/libx.so", f"{place}/bin/m"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, f"{place}/x.c"], check=True)
    linked = [f"-L{place}/lib", "-lx", f"-Wl,-rpath,{place}/lib"]
    subprocess.run(["cc", "-o", program, f"{place}/m.c", *linked], check=True)
    status, found = explained(hardbox, place, "--read", f"{place}/bin", "--", program)
    assert status == 127
    row = the_one(found, f"reading of {library} (ENOENT)")
    words = ("--read", f"{place}/bin", *change(row["allow"]))
    assert explained(hardbox, place, *words, "--", program)[0] == 0


def test_a_service_of_the_host(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """As docker's command line, or curl --unix-socket: a socket file that no profile shows."""
    path = f"{place}/docker.sock"
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(path)
        service.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
        assert caller.run("python3", "-c", code).returncode in (0, 1)
        status, found = explained(hardbox, place, "--", "python3", "-c", code)
        assert status == 1
        row = the_one(found, f"connection to {path} (ENOENT)")
        assert row["allow"].startswith("nothing: ")
        faults.refusal(hardbox("run", "--read", path, "--", "true"))


def test_no_network(hardbox: Hardbox, place: str) -> None:
    """As pip, or git over ssh: a name, then an address."""
    code = "import socket\ntry: socket.getaddrinfo('pypi.org', 443)\nexcept OSError: pass\n"
    code += "socket.create_connection(('192.0.2.1', 443), 5)"
    status, found = explained(hardbox, place, "--", "python3", "-c", code)
    assert status == 1
    assert "a look-up of a name" in the_one(found, "connect to 127.0.0.1:53")["what"]
    row = the_one(found, "connect to 192.0.2.1:443")
    assert (row["kind"], row["where"]) == ("network", 'network.mode = "none"')
    assert row["allow"].startswith("nothing in this version")


def test_git_over_ssh(hardbox: Hardbox, place: str) -> None:
    status, found = explained(hardbox, place, "--", "git", "ls-remote", "ssh://git@192.0.2.1/x.git")
    assert status == 128
    assert the_one(found, "connect to 192.0.2.1:22")["process"] == "ssh"


SERVER: Final = """
import socket
server = socket.socket()
server.bind(("127.0.0.1", 8080))
server.listen()
socket.create_connection(("127.0.0.1", 8080), 5)
"""


def test_a_server_of_its_own(hardbox: Hardbox, place: str) -> None:
    status, found = explained(hardbox, place, "--", "python3", "-c", SERVER)
    assert status == 1
    # Landlock refuses the bind already, where the kernel has its network rules.
    code = SERVER.replace("server.bind", "pass #").replace("server.listen()", "")
    status, found = explained(hardbox, place, "--", "python3", "-c", code)
    assert status == 1
    row = the_one(found, "connect to 127.0.0.1:8080")
    words = change(row["allow"])
    assert explained(hardbox, place, *words, "--", "python3", "-c", SERVER)[0] == 0


def test_a_low_port(hardbox: Hardbox, place: str) -> None:
    code = SERVER.replace("8080", "80")
    words = ("--network", "loopback", "--loosen", "network.mode=a test of it")
    status, found = explained(hardbox, place, *words, "--", "python3", "-c", code)
    row = the_one(found, "bind to 127.0.0.1:80")
    assert status == 1
    assert explained(hardbox, place, *words, *change(row["allow"]), "--", "python3", "-c", code)[0] == 0


def test_ids_signals_and_owners(hardbox: Hardbox, place: str) -> None:
    """As sudo and su, kill, and chown."""
    code = "import os\ntry: os.setuid(0)\nexcept OSError: os.kill(4444, 9)"
    status, found = explained(hardbox, place, "--", "python3", "-c", code)
    assert status == 1
    assert the_one(found, "setuid")["kind"] == "capability"
    assert the_one(found, "signal to process 4444")["kind"] == "signal"
    status, found = explained(hardbox, place, "--", "sh", "-c", "touch /tmp/a; chown 5 /tmp/a")
    assert status == 1
    assert "no-preserve" in the_one(found, "fchownat of /tmp/a")["allow"]


def test_the_answers_are_the_same_with_and_without(hardbox: Hardbox) -> None:
    """Looking decides nothing."""
    script = (
        "cat /etc/shadow; echo $?; echo x >/tmp/a; cat /tmp/a; ls /tmp; cd /nowhere; echo $?;"
        " kill 99; echo $?; chmod 4755 /tmp/a; echo $?; unshare -m true; echo $?;"
        " ln -s a /tmp/b; readlink /tmp/b; rm /tmp/b; id"
    )
    plain = hardbox("run", "--quiet", "--", "sh", "-c", script)
    looked = hardbox("run", "--quiet", "--explain", "--", "sh", "-c", script)
    assert (plain.returncode, plain.stdout, plain.stderr) == (looked.returncode, looked.stdout, looked.stderr)


def test_the_table_of_observations_is_bounded(hardbox: Hardbox, caller: Caller, place: str) -> None:
    for number in range(300):
        faults.own(caller, f"{place}/f{number}", "")
    script = f'for i in $(seq 0 299); do [ -e "{place}/f$i" ]; done; exit 0'
    done = hardbox(*EXPLAIN, f"{place}/r.json", "--", "sh", "-c", script)
    assert done.returncode == 0
    with open(f"{place}/r.json", encoding="utf-8") as file:
        told = json.load(file)
    assert len(told["denials"]) <= 256
    assert told["denials_dropped"] > 0
