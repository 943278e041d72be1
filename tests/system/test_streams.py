"""Descriptors 0, 1 and 2: what may stand there, what may not; nothing else is inherited.

Run by: pytest.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import faults, patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

SUBSETS = ("0<&-", "1>&-", "2>&-", "0<&- 1>&-", "0<&- 2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-")


def run_with(
    caller: Caller, program: Installed, *command: str, stdin: int | None = None, stdout: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `hardbox run -- COMMAND` with given descriptors."""
    done = subprocess.run(
        [*caller.prefix, program.hardbox, "run", "--", *command],
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        env=caller.environment(),
        cwd=caller.home,
        timeout=patience.seconds(60),
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, (done.stdout or b"").decode(), done.stderr.decode()
    )


def test_stdin_is_a_pipe_a_file_or_nothing(
    hardbox: Hardbox, caller: Caller, program: Installed, place: str
) -> None:
    faults.ran(hardbox("run", "--", "cat", stdin="from a pipe"), "from a pipe")
    file = faults.own(caller, f"{place}/in", "from a file")
    done = faults.shell(caller, '"$1" run -- cat <"$2"', program.hardbox, file)
    faults.ran(done, "from a file")
    faults.ran(faults.shell(caller, '"$1" run -- cat </dev/null', program.hardbox), "")
    faults.ran(faults.shell(caller, 'echo a | "$1" run -- cat | cat', program.hardbox), "a\n")


def test_a_file_that_the_job_could_not_open_by_name_serves_as_stdin(
    caller: Caller, program: Installed, place: str
) -> None:
    file = faults.own(caller, f"{place}/secret", "read by descriptor", 0o600)
    faults.ran(faults.shell(caller, '"$1" run -- cat <"$2"', program.hardbox, file), "read by descriptor")


def test_large_data_passes_both_ways(hardbox: Hardbox) -> None:
    data = "0123456789abcde\n" * (1 << 18)  # 4 MiB: many times what a pipe holds
    done = hardbox("run", "--", "cat", stdin=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data


@pytest.mark.parametrize("closed", SUBSETS)
@pytest.mark.parametrize("through", ["hardbox", "launcher"])
def test_closed_descriptors_are_null_inside(
    caller: Caller, program: Installed, hardbox: Hardbox, place: str, closed: str, through: str
) -> None:
    """The job runs as it would outside, and none of hardbox's own descriptors slips into the gap."""
    tree = faults.own_dir(caller, f"{place}/w")
    look = "for n in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/self/fd/$n; echo; done >/w/fds; exit 3"
    words = ["--write", f"{tree}:/w"]
    if through == "hardbox":
        front = [program.hardbox, "run", *words]
    else:
        faults.ran(hardbox("compile", *words, "-o", f"{place}/p.plan", "--", "true"))
        front = [program.launch, f"{place}/p.plan"]
    done = faults.shell(caller, f'"$@" {closed}', *front, "--", "sh", "-c", look)
    assert done.returncode == 3, done
    with open(f"{tree}/fds", encoding="utf-8") as file:
        found = file.read().split("\n")
    seen = [line for line in found if line and not line.startswith("/proc/")]
    for line in seen:
        # /w/fds: the look's own; the rest: what this test gave.
        assert line in ("/dev/null", "/w/fds") or line.startswith("pipe:"), seen


def test_nothing_but_the_three_is_inherited(caller: Caller, program: Installed) -> None:
    script = 'exec 3</etc/passwd 4</ 5>/dev/null 9</dev/null; "$1" run -- ls /proc/self/fd'
    faults.ran(faults.shell(caller, script, program.hardbox), "0\n1\n2\n3\n")  # 3: ls reading
    many = "import os, sys\nfor i in range(300): os.set_inheritable(os.open('/', os.O_RDONLY), True)\n"
    many += "os.execv(sys.argv[1], sys.argv[1:])"
    done = caller.run("/usr/bin/python3", "-c", many, program.hardbox, "run", "--", "ls", "/proc/self/fd")
    faults.ran(done, "0\n1\n2\n3\n")


def _directory() -> int:
    return os.open("/", os.O_RDONLY | os.O_DIRECTORY)


def _path_only() -> int:
    return os.open("/etc/passwd", os.O_PATH)


def _path_only_null() -> int:
    return os.open("/dev/null", os.O_PATH)


def _path_only_directory() -> int:
    return os.open("/", os.O_PATH)


def _namespace() -> int:
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def _pty_master() -> int:
    return os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)


def _tcp() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.create_connection(listener.getsockname())
    return client.detach()


def _tcp_listener() -> int:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener.detach()


def _udp() -> int:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()


def _unix_unconnected() -> int:
    return socket.socket(socket.AF_UNIX).detach()


def _unix_abstract() -> int:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # the kernel chooses an abstract name
        listener.listen()
        client = socket.socket(socket.AF_UNIX)
        client.connect(listener.getsockname())
    return client.detach()


def _netlink() -> int:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).detach()


def _epoll() -> int:
    with select.epoll() as waiter:
        return os.dup(waiter.fileno())


def _pidfd() -> int:
    return os.pidfd_open(os.getpid())


REFUSED = (
    *(_directory, _path_only, _path_only_null, _path_only_directory, _namespace, _pty_master),
    *(_tcp, _tcp_listener, _udp, _unix_unconnected, _unix_abstract, _netlink, _epoll, _pidfd),
)


@pytest.mark.parametrize("opened", REFUSED)
@pytest.mark.parametrize("at", [0, 1])
def test_what_leads_out_is_refused(
    caller: Caller, program: Installed, opened: Callable[[], int], at: int
) -> None:
    descriptor = opened()
    try:
        done = (
            run_with(caller, program, "true", stdin=descriptor)
            if at == 0
            else run_with(caller, program, "true", stdout=descriptor)
        )
    finally:
        os.close(descriptor)
    faults.refusal(done, "HB210")


def test_a_named_unix_socket_is_refused(caller: Caller, program: Installed, place: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(f"{place}/s")
        listener.listen()
        client.connect(f"{place}/s")
        faults.refusal(run_with(caller, program, "true", stdin=client.fileno()), "HB210")
        accepted, _ = listener.accept()
        with accepted:
            faults.refusal(run_with(caller, program, "true", stdin=accepted.fileno()), "HB210")


def test_a_directory_on_stderr_is_refused(caller: Caller, program: Installed) -> None:
    script = '"$1" run -- true 2<.; echo $?'
    faults.ran(faults.shell(caller, script, program.hardbox), "125\n")


def test_a_socket_pair_is_a_pipe(caller: Caller, program: Installed) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(b"through a pair\n")
        here.shutdown(socket.SHUT_WR)
        faults.ran(run_with(caller, program, "cat", stdin=there.fileno()), "through a pair\n")
        done = run_with(caller, program, "echo", "back", stdout=there.fileno())
        assert done.returncode == 0, done.stderr
        assert here.recv(100) == b"back\n"


@pytest.mark.parametrize("target", [0, 1, 2])
def test_a_memory_file_is_refused(caller: Caller, program: Installed, target: int) -> None:
    """It has no path: the job could open it anew for writing, and execute what it wrote."""
    memory = os.memfd_create("x")
    try:
        done = subprocess.run(
            [*caller.prefix, program.hardbox, "run", "--", "true"],
            stdin=memory if target == 0 else subprocess.DEVNULL,
            stdout=memory if target == 1 else subprocess.PIPE,
            stderr=memory if target == 2 else subprocess.PIPE,
            env=caller.environment(),
            check=False,
        )
        said = done.stderr if target != 2 else os.pread(memory, 4096, 0)
    finally:
        os.close(memory)
    assert done.returncode == 125
    assert b"[HB210]" in said


def test_dev_stdin_and_stdout_can_be_opened_again(caller: Caller, program: Installed, place: str) -> None:
    file = faults.own(caller, f"{place}/in", "again\n")
    for name in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        faults.ran(faults.shell(caller, f'"$1" run -- cat {name} <"$2"', program.hardbox, file), "again\n")
        done = faults.shell(caller, f'echo pipe | "$1" run -- cat {name}', program.hardbox)
        faults.ran(done, "pipe\n")
    out = faults.own(caller, f"{place}/out")
    script = '"$1" run -- sh -c "echo one >/dev/stdout" >"$2" 2>"$2.err" && cat "$2"'
    done = faults.shell(caller, script, program.hardbox, out)
    if caller.uid == 0:  # the file stays root's, and the job is another user (docs/limits.md)
        assert done.returncode == 2
        with open(f"{out}.err", encoding="utf-8") as complaint:
            assert "Permission denied" in complaint.read()
    else:
        faults.ran(done, "one\n")
    # The pipes are made by the caller's own shell: as root's, and as a user's, they have an owner.
    for name in ("/dev/stdout", "/dev/stderr"):
        done = faults.shell(caller, f'"$1" run -- sh -c "echo x >{name}" 2>&1 | cat', program.hardbox)
        faults.ran(done, "x\n")


@pytest.mark.parametrize("name", ["/proc/self/fd/0", "/dev/stdin", "/dev/fd/0"])
def test_a_file_given_for_reading_cannot_be_opened_for_writing(
    caller: Caller, program: Installed, place: str, name: str
) -> None:
    file = faults.own(caller, f"{place}/in", "untouched\n")
    for script in (
        f"echo changed >{name}",
        f"echo changed >>{name}",
        f": <>{name}; echo changed >&0",
    ):
        done = faults.shell(caller, f'"$1" run -- sh -c "{script}" <"$2"', program.hardbox, file)
        assert done.returncode != 0, (script, done)
    done = faults.shell(caller, f'"$1" run -- truncate -s 0 {name} <"$2"', program.hardbox, file)
    assert done.returncode != 0, done
    with open(file, encoding="utf-8") as content:
        assert content.read() == "untouched\n"
    with_write = faults.shell(caller, '"$1" run -- sh -c "echo more >&0" 0<>"$2"', program.hardbox, file)
    assert with_write.returncode == 0, with_write
    with open(file, encoding="utf-8") as content:
        assert content.read() == "more\nched\n"


def test_a_file_given_for_appending_stays_so(caller: Caller, program: Installed, place: str) -> None:
    file = faults.own(caller, f"{place}/log", "first\n")
    faults.ran(faults.shell(caller, '"$1" run -- echo second >>"$2"', program.hardbox, file))
    with open(file, encoding="utf-8") as content:
        assert content.read() == "first\nsecond\n"


def test_output_of_job_and_hardbox_goes_where_the_shell_says(
    caller: Caller, program: Installed, place: str
) -> None:
    script = '"$1" run -- sh -c "echo out; echo err >&2" 2>&1'
    faults.ran(faults.shell(caller, script, program.hardbox), "out\nerr\n")
    script = '"$1" run --quiet -- sh -c "echo out; echo err >&2" >"$2/o" 2>"$2/e"; cat "$2/e" "$2/o"'
    faults.ran(faults.shell(caller, script, program.hardbox, place), "err\nout\n")


def test_a_full_disk_on_stdout_is_the_jobs_affair(caller: Caller, program: Installed) -> None:
    done = faults.shell(caller, '"$1" run -- sh -c "echo x || exit 9" >/dev/full', program.hardbox)
    assert done.returncode == 9, done


def test_many_pipes_of_the_caller_do_not_hang_hardbox(caller: Caller, program: Installed) -> None:
    """Above /proc/sys/fs/pipe-user-pages-soft the kernel gives pipes of two pages only (pipe(7))."""
    with open("/proc/sys/fs/pipe-user-pages-soft", encoding="ascii") as file:
        enough = int(file.read()) // 16 + 8
    many = f"""
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
kept = [os.pipe() for _ in range({enough})]
sys.exit(subprocess.run(sys.argv[1:], timeout={patience.seconds(30)}).returncode)
"""
    done = caller.run("/usr/bin/python3", "-c", many, program.hardbox, "run", "--", "echo", "fine")
    faults.ran(done, "fine\n")
