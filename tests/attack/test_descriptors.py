"""D: what the caller holds must not reach the job, and what stands on 0, 1 and 2.

Run by: pytest. The control is the same probe, started by the same caller without a sandbox.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from support import patience

from attack import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import IO

    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

HELD = 100
# Beyond the usual soft limit of 1024.
HIGH = 4000


def _hold(stack: ExitStack) -> list[int]:
    """Open a hundred descriptors of every kind, inheritable."""
    files = []
    for number in range(HELD):
        kind = number % 5
        if kind == 0:
            files.append(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
        elif kind == 1:
            files.append(os.open("/etc/passwd", os.O_RDONLY))
        elif kind == 2:
            pair = socket.socketpair()
            stack.callback(pair[1].close)
            files.append(pair[0].detach())
        elif kind == 3:
            files.append(os.memfd_create("held"))
        else:
            files.append(os.open("/proc/self/ns/mnt", os.O_RDONLY))
        stack.callback(os.close, files[-1])
    return files


def _run(
    caller: Caller,
    words: list[str],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    pass_fds: Collection[int] = (),
    cwd: str | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*caller.prefix, *words],
        stdin=stdin,
        pass_fds=pass_fds,
        capture_output=True,
        text=True,
        cwd=cwd or caller.home,
        env=caller.environment(),
        timeout=patience.seconds(60),
        check=False,
    )


@pytest.mark.parametrize("attempt", ["fds", "fds-by-call"])
def test_held_by_the_caller(
    attempt: str, caller: Caller, program: Installed, probes: str, settle: Settle
) -> None:
    with ExitStack() as stack:
        held = _hold(stack)
        bare = _run(caller, [f"{probes}/probe64", "one", attempt], pass_fds=held, stdin=subprocess.DEVNULL)
        boxed = _run(
            caller,
            [*batch.sandbox(program, probes), "/probe/probe64", "one", attempt],
            pass_fds=held,
            stdin=subprocess.DEVNULL,
        )
    assert bare.returncode == 0
    outside = len(bare.stdout.splitlines())
    assert outside >= HELD
    gave = "" if boxed.returncode == 24 else f"exit {boxed.returncode}: {boxed.stdout[:300]}{boxed.stderr}"
    settle(f"D1-held-{attempt}", gave, f"outside: {outside} descriptors")


def _raise_own_limit(stack: ExitStack, files: int) -> None:
    """Have at least so many descriptors for a while; the hard limit allows it on any usual host."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], files), before[1]))
    stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)


def test_high_descriptor(caller: Caller, program: Installed, probes: str, settle: Settle) -> None:
    """One far above the usual numbers, which a loop up to some limit would miss."""
    with ExitStack() as stack:
        _raise_own_limit(stack, HIGH + 1)
        low = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, low)
        high = os.dup2(low, HIGH)
        stack.callback(os.close, high)
        boxed = _run(
            caller,
            [*batch.sandbox(program, probes), "/probe/probe64", "one", "fds-by-call"],
            pass_fds=[high],
            stdin=subprocess.DEVNULL,
        )
        bare = _run(
            caller,
            [f"{probes}/probe64", "one", "fds-by-call"],
            pass_fds=[high],
            stdin=subprocess.DEVNULL,
        )
    gave = "" if boxed.returncode == 24 else f"exit {boxed.returncode}: {boxed.stdout[:300]}{boxed.stderr}"
    settle("D1-held-high", gave, f"outside: {HIGH}" if str(HIGH) in bare.stdout else "")


def _directory(stack: ExitStack) -> int:
    file = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, file)
    return file


def _path_only(stack: ExitStack) -> int:
    file = os.open("/etc", os.O_PATH)
    stack.callback(os.close, file)
    return file


def _device(stack: ExitStack) -> int:
    file = os.open("/dev/fuse", os.O_RDWR)
    stack.callback(os.close, file)
    return file


def _namespace(stack: ExitStack) -> int:
    file = os.open("/proc/self/ns/net", os.O_RDONLY)
    stack.callback(os.close, file)
    return file


def _named_socket(stack: ExitStack) -> int:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(os.path.join(folder, "s"))
    listener.listen()
    client = stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(os.path.join(folder, "s"))
    return client.fileno()


def _abstract_socket(stack: ExitStack) -> int:
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(f"\0hardbox-canary-{os.getpid()}")
    listener.listen()
    client = stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(listener.getsockname())
    return client.fileno()


def _tcp(stack: ExitStack) -> int:
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = stack.enter_context(socket.socket())
    client.connect(listener.getsockname())
    return client.fileno()


def _epoll(stack: ExitStack) -> int:
    import select  # noqa: PLC0415 (this case alone)

    poller = stack.enter_context(select.epoll())
    return poller.fileno()


def _pidfd(stack: ExitStack) -> int:
    file = os.pidfd_open(os.getpid())
    stack.callback(os.close, file)
    return file


def _event(stack: ExitStack) -> int:
    file = os.eventfd(0)
    stack.callback(os.close, file)
    return file


KINDS = {
    "directory": _directory,
    "path": _path_only,
    "fuse": _device,
    "namespace": _namespace,
    "named-socket": _named_socket,
    "abstract-socket": _abstract_socket,
    "tcp": _tcp,
    "epoll": _epoll,
    "pidfd": _pidfd,
    "eventfd": _event,
}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_standard_stream(
    kind: str, number: int, caller: Caller, program: Installed, probes: str, settle: Settle
) -> None:
    """What leads out of the sandbox is refused on 0, 1 and 2: exit 125, nothing run."""
    hello = ["/probe/probe64", "one", "hello"]
    with ExitStack() as stack:
        file = KINDS[kind](stack)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        streams[("stdin", "stdout", "stderr")[number]] = file
        boxed = subprocess.run(
            [*caller.prefix, *batch.sandbox(program, probes), *hello],
            cwd=caller.home,
            env=caller.environment(),
            text=True,
            timeout=patience.seconds(60),
            check=False,
            **streams,  # type: ignore[call-overload]
        )
        bare = subprocess.run(
            [*caller.prefix, f"{probes}/probe64", "one", "exit", "0"],
            cwd=caller.home,
            timeout=patience.seconds(60),
            check=False,
            **streams,  # type: ignore[call-overload]
        )
    said = f"exit {boxed.returncode}: {boxed.stdout!r} {boxed.stderr!r}"
    held = boxed.returncode == 125 and "hello" not in (boxed.stdout or "")
    held = held and (number == 2 or "nothing was run" in boxed.stderr)
    settle(f"D5-{kind}-on-{number}", "" if held else said, f"outside: exit {bare.returncode}")


def test_closed_streams(caller: Caller, program: Installed, probes: str, settle: Settle) -> None:
    """With 0, 1 and 2 closed, no file of the launcher may take their numbers."""
    report = os.path.join(caller.home, "closed")
    script = '"$@" <&- >&- 2>&-'
    attempt = [*batch.sandbox(program, probes), "/probe/probe64", "one", "fds-by-call"]
    boxed = _run(caller, ["/bin/sh", "-c", script, "sh", *attempt])
    bare = _run(
        caller,
        [
            "/bin/sh",
            "-c",
            f'"$@" <&- 2>&- 7</etc/passwd >{report}',
            "sh",
            f"{probes}/probe64",
            "one",
            "fds-by-call",
        ],
    )
    assert bare.returncode == 0
    os.unlink(report)
    gave = "" if boxed.returncode in (24, 125) else f"exit {boxed.returncode}: {boxed.stderr}"
    settle("D1-closed-streams", gave, "outside: descriptor 7 is seen")


def test_reopen_for_writing(
    caller: Caller, program: Installed, probes: str, settle: Settle, place: str
) -> None:
    """A file given for reading must not be opened for writing through /dev/stdin."""
    canary = os.path.join(place, "read-only")
    with open(canary, "w", encoding="ascii") as stream:
        stream.write("canary")
    os.chown(canary, caller.uid, caller.gid)
    words = ["one", "write", "/proc/self/fd/0", "harmed"]
    with open(canary, "rb") as given:
        boxed = _run(caller, [*batch.sandbox(program, probes), "/probe/probe64", *words], stdin=given)
    with open(canary, encoding="ascii") as stream:
        after = stream.read()
    with open(canary, "rb") as given:
        bare = _run(caller, [f"{probes}/probe64", *words], stdin=given)
    with open(canary, encoding="ascii") as stream:
        control = stream.read()
    gave = "" if after == "canary" and boxed.returncode != 0 else f"exit {boxed.returncode}, file: {after}"
    settle(
        "D5-reopen-stdin", gave, "outside: written" if control == "harmed" and bare.returncode == 0 else ""
    )


def test_working_directory(caller: Caller, program: Installed, probes: str, settle: Settle) -> None:
    """The caller's working directory is a host directory that the job was not shown."""
    folder = tempfile.mkdtemp(dir=caller.home)
    os.chmod(folder, 0o755)
    with open(os.path.join(folder, "canary"), "w", encoding="ascii") as stream:
        stream.write("canary")
    words = ["one", "read", "canary"]
    boxed = _run(caller, [*batch.sandbox(program, probes), "/probe/probe64", *words], cwd=folder)
    bare = _run(caller, [f"{probes}/probe64", *words], cwd=folder)
    gave = f"exit {boxed.returncode}: {boxed.stdout}" if "canary" in boxed.stdout else ""
    settle("D3-working-directory", gave, f"outside: {bare.stdout}")


@pytest.mark.parametrize(
    "workdir", ["/proc/self/fd/3", "/proc/self/fd/7", "/proc/self/fd/20", "/proc/self/cwd/.."]
)
def test_workdir_through_proc(
    workdir: str, caller: Caller, program: Installed, probes: str, settle: Settle
) -> None:
    """CVE-2024-21626: a working directory that is a descriptor of the launcher."""
    words = [program.hardbox, "run", "--read", f"{probes}:/probe", "--workdir", workdir]
    with ExitStack() as stack:
        held = _hold(stack)
        boxed = _run(
            caller,
            [*words, "--", "/probe/probe64", "one", "list", "."],
            pass_fds=held,
            stdin=subprocess.DEVNULL,
        )
        root = _directory(stack)
        bare = _run(
            caller,
            [f"{probes}/probe64", "one", "list", f"/proc/self/fd/{root}"],
            pass_fds=[root],
            stdin=subprocess.DEVNULL,
        )
    leaked = {"boot", "root", "opt", "mnt"} & set(boxed.stdout.split())
    gave = f"exit {boxed.returncode}, host names {leaked}" if leaked else ""
    settle(
        f"D3-workdir{workdir.replace('/', '-')}", gave, "outside: lists /" if "boot" in bare.stdout else ""
    )


def test_own_descriptors_do_not_grow(caller: Caller, program: Installed, settle: Settle) -> None:
    """D6: many runs by one Python process leave no descriptor open."""
    script = (
        "import os, hardbox\n"
        "def count(): return len(os.listdir('/proc/self/fd'))\n"
        "hardbox.run(['/bin/true']); first = count()\n"
        "for _ in range(10): hardbox.run(['/bin/true'])\n"
        "leak = os.open('/', os.O_RDONLY)\n"
        "print(first, count())\n"
    )
    done = _run(caller, [program.python, "-c", script], stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    first, last = (int(word) for word in done.stdout.split())
    # The one that the script opens on purpose is the control: it is counted.
    settle(
        "D6-descriptors",
        "" if last == first + 1 else f"{first} became {last}",
        f"{first}, {last} with one leak",
    )
