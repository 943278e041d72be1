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
from support import faults, patience

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")
EXPLAIN: Final = ("run", "--explain", "--report")


def explained(hardbox: Hardbox, place: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run with --explain; gives status and denials.

    All looks of a run have half a second. An emulated machine does not always get through with them, and then
    says so: it is given more runs, a real one has none too many.
    """
    for _ in range(10 if patience.SLOWER > 1 else 1):
        done = hardbox(*EXPLAIN, f"{place}/report.json", *words)
        assert "Traceback" not in done.stderr.replace(
            'Traceback (most recent call last):\n  File "<string>"', ""
        )
        with open(f"{place}/report.json", encoding="utf-8") as file:
            found: list[dict[str, Any]] = json.load(file)["denials"]
        if not any("there were too many to " in row["why"] + row["allow"] for row in found):
            break
    return done.returncode, found


def the_one(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    matching = [row for row in found if row["what"].startswith(what)]
    assert matching, found
    return matching[0]


def change(text: str) -> list[str]:
    """Give the options of a named change."""
    words = re.split(r", or |, if |: changes live|, for servers", text)[0]
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


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="creat(2) is not everywhere, nor has one number")
def test_creat_of_what_exists_asks_the_file_not_its_directory(
    hardbox: Hardbox, caller: Caller, place: str
) -> None:
    tree = faults.own_dir(caller, f"{place}/tree")
    faults.own(caller, f"{tree}/x", "old")
    os.chmod(tree, 0o555)
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(85, sys.argv[1].encode(), 0o644) < 0)"
    command = ("/usr/bin/python3", "-c", code)
    status, found = explained(hardbox, place, "--write", tree, "--", *command, f"{tree}/x")
    assert (status, os.stat(f"{tree}/x").st_size) == (0, 0)
    assert not [row for row in found if f"{tree}/x" in row["what"]]
    # The control: what does not exist is told.
    status, found = explained(hardbox, place, "--write", tree, "--", *command, f"{tree}/y")
    assert status == 1
    the_one(found, f"writing of {tree}/y (EACCES)")


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
    code = "import socket\ntry: socket.getaddrinfo('index.example.org', 443)\nexcept OSError: pass\n"
    code += "socket.create_connection(('192.0.2.1', 443), 5)"
    status, found = explained(hardbox, place, "--", "python3", "-c", code)
    assert status == 1
    assert "a look-up of a name" in the_one(found, "connect to 127.0.0.1:53")["what"]
    row = the_one(found, "connect to 192.0.2.1:443")
    assert (row["kind"], row["where"]) == ("network", 'network.mode = "none"')
    assert row["allow"].startswith("--profile net-client --allow 192.0.2.1:443, ")


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


def test_a_tree_that_the_job_named_is_not_listed(caller: Caller, program: Installed, place: str) -> None:
    """The control: with --read the same tree is listed, for what must not be shown."""
    tree = faults.own_dir(caller, f"{place}/tree")
    for number in range(3):
        faults.own_dir(caller, f"{tree}/{number}")
    trace = f"{place}/trace"

    def listed(*words: str) -> int:
        done = caller.run(
            *("strace", "-f", "-qq", "-y", "-e", "trace=getdents64", "-o", trace),
            *(program.hardbox, "run", "--report", f"{place}/r.json", *words),
        )
        assert done.returncode == 0, done.stderr
        with open(trace, encoding="utf-8", errors="replace") as file:
            lines = file.read().count(f"<{tree}/")
        os.unlink(trace)
        return lines

    names = " ".join(f"{'/' * number}{tree}/{{0,1,2}}" for number in range(1, 4))
    assert listed("--read", tree, "--", "true") > 0
    explained = ("--explain", "--", "bash", "-c", f"stat {names}; true")
    assert listed(*explained) == 0
    # Once more without strace(1), under which the looks may take longer than they may.
    faults.ran(caller.run(program.hardbox, "run", "--report", f"{place}/r.json", *explained))
    with open(f"{place}/r.json", encoding="utf-8") as file:
        told = [row for row in json.load(file)["denials"] if tree in row["what"]]
    assert len(told) == 3
    assert all(row["allow"].endswith(", if it holds no socket, pipe or key") for row in told)


@pytest.mark.parametrize("path", ["//proc/self/environ", "/./proc//1/mem", "/usr/../proc/1/x", "//dev/x"])
def test_proc_and_dev_are_not_looked_at_however_they_are_spelt(
    caller: Caller, program: Installed, place: str, path: str
) -> None:
    """Nothing is told, and the supervisor does not resolve the name; of others it does (the control)."""
    trace = f"{place}/trace"
    words = ("strace", "-f", "-qq", "-s", "200", "-e", "trace=openat2", "-o", trace)
    done = caller.run(
        *(*words, program.hardbox, "run", "--explain", "--", "cat", path, "/usr/no-such-file"), cwd=place
    )
    assert done.returncode == 1
    with open(trace, encoding="utf-8", errors="replace") as file:
        text = file.read()
    assert '"/usr/no-such-file"' in text
    assert f'"{path}"' not in text


FULL: Final = "for i in 1 2 3 4 5; do head -c 20000000 /dev/zero >/tmp/x$i || exit 3; done"


def test_a_full_scratch_directory(hardbox: Hardbox, place: str) -> None:
    status, found = explained(hardbox, place, "--", "sh", "-c", FULL)
    assert status == 3
    row = the_one(found, "all 64M of scratch /tmp were used (ENOSPC)")
    assert (row["kind"], row["sure"], row["where"]) == ("limit", "possible", "filesystem.scratch = 64M")
    assert "full at the end" in row["why"]
    status, found = explained(hardbox, place, *change(row["allow"]), "--", "sh", "-c", FULL)
    assert status == 0
    assert not [row for row in found if row["kind"] == "limit"]


def test_what_was_full_and_is_removed_again(hardbox: Hardbox, place: str) -> None:
    """As a compiler that removes its temporary files when it fails."""
    script = f"({FULL}); status=$?; rm /tmp/x*; exit $status"
    status, found = explained(hardbox, place, "--", "sh", "-c", script)
    assert status == 3
    assert "though not at the end" in the_one(found, "all 64M of scratch /tmp")["why"]


def test_too_many_files_in_scratch(hardbox: Hardbox, place: str) -> None:
    code = "for i in range(6000): open(f'/dev/shm/{i}', 'w').close()"
    status, found = explained(hardbox, place, "--", "python3", "-c", code)
    assert status == 1
    row = the_one(found, "all files that scratch /dev/shm may hold were used (ENOSPC)")
    assert explained(hardbox, place, *change(row["allow"]), "--", "python3", "-c", code)[0] == 0


def test_too_many_files_where_the_profile_states_a_number(hardbox: Hardbox, place: str) -> None:
    flags = ("--set", "limits.scratch_files=100")
    command = ("--", "python3", "-c", "for i in range(150): open(f'/tmp/{i}', 'w').close()")
    status, found = explained(hardbox, place, *flags, *command)
    assert status == 1
    row = the_one(found, "all 100 files that scratch /tmp may hold were used (ENOSPC)")
    # Twice as many are still fewer than strict allows: the reason is for those who state it in a profile.
    assert explained(hardbox, place, *change(row["allow"])[:2], *command)[0] == 0


def test_a_full_layer_of_changes(hardbox: Hardbox, place: str) -> None:
    words = (
        *("--profile", "inspect", "--set", "filesystem.changes=4M"),
        *("--", "sh", "-c", "head -c 6000000 /dev/zero >/usr/x"),
    )
    status, found = explained(hardbox, place, *words)
    assert status == 1
    row = the_one(found, "all 4M of the layer of changes were used (ENOSPC)")
    applied = change(row["allow"])
    assert applied[:2] == ["--set", "filesystem.changes=8M"]
    # Half of what inspect gives: no reason is needed.
    assert explained(hardbox, place, *words[:2], *applied[:2], *words[4:])[0] == 0
    assert not os.path.exists("/usr/x")


THREADS: Final = """
    #include <pthread.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void *rest(void *nothing) { pause(); return nothing; }
    int main(int count, char **words)
    {
        pthread_attr_t how;
        pthread_t thread;
        pthread_attr_init(&how);
        if (count > 1)
            pthread_attr_setstacksize(&how, strtoul(words[1], 0, 10));
        for (int i = 0; i < 80; i++)
            if (pthread_create(&thread, &how, rest, 0) != 0)
                return 1;
        return 0;
    }
"""


def built(caller: Caller, path: str, source: str, *flags: str) -> str:
    """Compile a program; gives its path."""
    faults.own(caller, f"{path}.c", source)
    subprocess.run(["cc", "-pthread", "-o", path, f"{path}.c", *flags], check=True)
    return path


def test_too_many_threads(hardbox: Hardbox, caller: Caller, place: str) -> None:
    program = built(caller, f"{place}/threads", THREADS)
    words = ("--read", program)
    command = ("--", program, "65536")
    assert caller.run(program, "65536").returncode == 0
    status, found = explained(hardbox, place, *words, *command)
    assert status == 1
    row = the_one(found, "a new thread (EAGAIN)")
    assert (row["kind"], row["sure"], row["process"]) == ("limit", "likely", "threads")
    assert (row["where"], row["why"]) == ("limits.tasks = 64", "64 threads and processes were there")
    status, found = explained(hardbox, place, *words, *change(row["allow"]), *command)
    assert status == 0
    assert not [row for row in found if row["kind"] == "limit"]


def test_threads_whose_stacks_have_no_room(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """The C library then makes no clone(2); beyond it stands the limit of tasks."""
    program = built(caller, f"{place}/threads", THREADS)
    words = ["--read", program]
    status, found = explained(hardbox, place, *words, "--", program)
    assert status == 1
    row = the_one(found, "another thread (EAGAIN)")
    assert (row["where"], row["sure"]) == ("limits.memory = 512M", "possible")
    words += change(row["allow"])
    status, found = explained(hardbox, place, *words, "--", program)
    assert status == 1
    words += change(the_one(found, "a new thread (EAGAIN)")["allow"])
    assert explained(hardbox, place, *words, "--", program)[0] == 0


def test_too_many_processes(hardbox: Hardbox, place: str) -> None:
    code = "import os\nfor i in range(80):\n    if os.fork() == 0:\n        os.read(os.pipe()[0], 1)"
    status, found = explained(hardbox, place, "--", "python3", "-c", code)
    assert status == 1
    row = the_one(found, "a new process (EAGAIN)")
    assert explained(hardbox, place, *change(row["allow"]), "--", "python3", "-c", code)[0] == 0


def test_processes_that_have_ended_are_not_counted(hardbox: Hardbox, place: str) -> None:
    script = "for i in $(seq 150); do (exit 0); done; exit 5"
    status, found = explained(hardbox, place, "--", "sh", "-c", script)
    assert status == 5
    assert not [row for row in found if row["kind"] == "limit"]


def linked(caller: Caller, place: str) -> tuple[str, str]:
    """Make a library of its own folder, and a program that needs it; gives both paths."""
    for name in ("lib", "bin"):
        faults.own_dir(caller, f"{place}/{name}")
    faults.own(caller, f"{place}/x.c", "int x(void) { return 0; }\n")
    library = f"{place}/lib/libhbtest.so.1"
    soname = "-Wl,-soname,libhbtest.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", soname, "-o", library, f"{place}/x.c"], check=True)
    source = "int x(void); int main(void) { return x(); }\n"
    return library, built(caller, f"{place}/bin/m", source, library, f"-Wl,-rpath,{place}/lib")


def test_a_shared_library_that_is_nowhere(hardbox: Hardbox, caller: Caller, place: str) -> None:
    library, program = linked(caller, place)
    os.rename(library, f"{place}/removed")
    words = ("--read", f"{place}/bin", "--", program)
    status, found = explained(hardbox, place, *words)
    assert status == 127
    (row,) = [row for row in found if "libhbtest" in row["what"]]
    assert row["what"] == "reading of libhbtest.so.1 (ENOENT)"
    assert (row["sure"], row["process"]) == ("possible", "m")
    assert row["where"] == "missing everywhere, on the host too"
    assert row["allow"].startswith("install the package that has libhbtest.so.1, or ")
    # As if the package were there, in a folder that is not shown: now that is what is said.
    os.rename(f"{place}/removed", library)
    status, found = explained(hardbox, place, *words)
    assert status == 127
    (row,) = [row for row in found if "libhbtest" in row["what"]]
    allow = f"--read {place}/lib, if it holds no socket, pipe or key"
    assert (row["sure"], row["allow"]) == ("likely", allow)
    status, found = explained(hardbox, place, *change(row["allow"]), *words)
    assert status == 0
    assert not [row for row in found if "libhbtest" in row["what"]]


def test_a_program_that_is_nowhere(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """By a shell, which looks first, and by execvp(3), which does not."""
    faults.own_dir(caller, f"{place}/bin")
    flags = ("--read", f"{place}/bin", "--env", f"PATH={place}/bin:/usr/bin:/bin")
    for command in (("sh", "-c", "hbtest-tool"), ("env", "hbtest-tool")):
        status, found = explained(hardbox, place, *flags, "--", *command)
        assert status == 127
        row = the_one(found, "execution of hbtest-tool (ENOENT)")
        assert (row["sure"], row["process"]) == ("possible", command[0])
    faults.own(caller, f"{place}/bin/hbtest-tool", "#!/bin/sh\nexec true\n", 0o755)
    for command in (("sh", "-c", "hbtest-tool; :"), ("env", "hbtest-tool")):
        status, found = explained(hardbox, place, *flags, "--set", "filesystem.exec=shown", "--", *command)
        assert status == 0
        assert not [row for row in found if "hbtest-tool" in row["what"]]


def test_what_is_found_in_a_later_place_is_not_missing(hardbox: Hardbox, place: str) -> None:
    """The usual suspects, which look for libraries and programs in many places."""
    source = "printf '#include <zlib.h>\\nint main(void) { return 0; }' >/tmp/a.c; cc -o /tmp/a /tmp/a.c"
    flags = ("--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    for script in ("git --version", "python3 -c 'import ssl, json'", "make --version", f"{source} || :"):
        _, found = explained(hardbox, place, *flags, "--", "sh", "-c", script)
        assert not [row for row in found if row["where"].startswith("missing everywhere")], found
