"""The sockets that hardbox-launch makes in a job's network: where they are, and that the job holds none.

Run by: pytest; the test itself is the network's keeper (tests/support/launched.py).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

import pytest
from support import faults, launched
from support.launched import Launched

from hardbox.net.wire import GO, HELLO, SOCKET
from hardbox.plan import steps as s

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

    from hardbox.plan import LaunchPlan

pytestmark = pytest.mark.usefixtures("nothing_left")
SIOCGSKNS: Final = 0x894C
SIX: Final = os.path.exists("/proc/net/if_inet6")
LOCAL: Final = bytes((127, 0, 0, 1))
WAIT: Final = ("sh", "-c", "echo ran >/w/canary; echo up; exec sleep 600")
ANY: Final = "::" if SIX else "0.0.0.0"  # noqa: S104 (what is expected)
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
FAMILY: Final = socket.AF_INET6 if SIX else socket.AF_INET
EXPECTED: Final = (
    (socket.AF_INET, UDP, "127.0.0.1", 53),
    (socket.AF_INET, TCP, "127.0.0.1", 53),
    (socket.AF_INET, TCP, "127.0.0.1", 3128),
    (FAMILY, TCP, ANY, 443),
    (FAMILY, TCP, ANY, 5432),
    (FAMILY, TCP, ANY, 8080),
)


@pytest.fixture
def work(caller: Caller, place: str) -> str:
    return faults.own_dir(caller, os.path.join(place, "work"))


@pytest.fixture
def plan(caller: Caller, program: Installed, work: str) -> LaunchPlan:
    return launched.commanded(launched.make_plan(caller, program, work), *WAIT)


def namespace(one: socket.socket) -> tuple[int, int]:
    """Give the network namespace that a socket is in."""
    descriptor = fcntl.ioctl(one.fileno(), SIOCGSKNS)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return found.st_dev, found.st_ino


def inside(launch: Launched) -> set[int]:
    """Give the processes of the sandbox: all below the launcher."""
    return faults.descendants(launch.child.pid)


def held(pid: int) -> set[int]:
    """Give the inodes of the sockets that a process holds."""
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


def test_what_arrives(caller: Caller, program: Installed, plan: LaunchPlan) -> None:
    with Launched(caller, program, plan) as launch:
        launch.hear_all()
        found = [(x.family, x.type, *x.getsockname()[:2]) for x in launch.sockets]
        assert tuple(found) == EXPECTED
        for one in launch.sockets:
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            assert listens == (one.type == TCP)
            if one.family == socket.AF_INET6:
                assert one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0, "it takes IPv4 too"
            assert not os.get_inheritable(one.fileno())


def test_they_are_in_the_jobs_network_and_the_job_holds_none(
    caller: Caller, program: Installed, plan: LaunchPlan
) -> None:
    with Launched(caller, program, plan) as launch:
        launch.hear_all()
        launch.say(GO)
        assert launch.line() == "up"
        processes = inside(launch)
        assert len(processes) >= 2, "init and the job"
        spaces = {(x.st_dev, x.st_ino) for x in (os.stat(f"/proc/{pid}/ns/net") for pid in processes)}
        assert {namespace(one) for one in launch.sockets} == spaces
        assert os.stat("/proc/self/ns/net").st_ino not in {inode for _, inode in spaces}
        mine = {os.fstat(one.fileno()).st_ino for one in launch.sockets}
        assert mine <= held(os.getpid()), "the control: they are seen where they are held"
        for pid in (*processes, launch.child.pid):
            assert not mine & held(pid), f"of {os.readlink(f'/proc/{pid}/exe')}"
        launch.signal(signal.SIGTERM)
        assert launch.end()[0] == 128 + signal.SIGTERM


def test_what_the_job_connects_to_is_accepted_outside(
    caller: Caller, program: Installed, plan: LaunchPlan
) -> None:
    """Each address of its own, on each port; and nothing else has a way."""
    script = """
import errno, socket
def tried(host, port):
    try:
        with socket.create_connection((host, port), 5) as made:
            return made.recv(10).decode()
    except OSError as error:
        return errno.errorcode[error.errno]
for place in [("127.0.0.1", 3128), ("198.18.7.7", 443), ("198.19.255.254", 443), ("10.0.3.7", 5432),
              ("127.0.0.1", 8080), ("10.0.3.8", 5432), ("198.18.7.7", 444), ("192.0.2.1", 443)]:
    print(tried(*place))
"""
    with Launched(caller, program, launched.commanded(plan, "python3", "-c", script)) as launch:
        launch.hear_all()
        launch.say(GO)
        ports = {x.getsockname()[1]: x for x in launch.sockets if x.type == TCP}
        seen = []
        for port in (3128, 443, 443, 5432, 8080):
            ports[port].settimeout(faults.PATIENCE)
            made, _ = ports[port].accept()
            seen.append(made.getsockname()[0].removeprefix("::ffff:"))
            made.sendall(b"served")
            made.close()
        status, stdout, _, _ = launch.end()
    assert seen == ["127.0.0.1", "198.18.7.7", "198.19.255.254", "10.0.3.7", "127.0.0.1"]
    assert status == 0
    assert stdout.split() == ["served"] * 5 + ["ENETUNREACH", "ECONNREFUSED", "ENETUNREACH"]


def test_a_bridges_socket_is_bare(caller: Caller, program: Installed, work: str) -> None:
    plan = launched.commanded(launched.make_plan(caller, program, work, "bridge"), *WAIT)
    with Launched(caller, program, plan) as launch:
        assert [launch.hear(), launch.hear()] == [SOCKET, HELLO]
        (one,) = launch.sockets
        assert (one.family, one.type) == (socket.AF_INET, TCP)
        assert one.getsockname() == ("0.0.0.0", 0)  # noqa: S104 (unbound)
        assert not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        launch.say(GO)
        assert launch.line() == "up"
        spaces = {os.stat(f"/proc/{pid}/ns/net").st_ino for pid in inside(launch)}
        assert {namespace(one)[1]} == spaces
        launch.signal(signal.SIGTERM)
        assert launch.end()[0] == 128 + signal.SIGTERM


UDP_STEP: Final = s.Listen(s.LISTEN_UDP, LOCAL, 53)
PROXY: Final = s.Listen(s.LISTEN_TCP, LOCAL, 3128)
POOL: Final = s.LocalRoute(bytes((198, 18, 0, 0)), 15)
# name -> (the step whose place it takes, the bad step, the errno)
BAD: Final[dict[str, tuple[s.Step, s.Step, int]]] = {
    **{
        f"an address of {size} bytes": (UDP_STEP, s.Listen(s.LISTEN_UDP, bytes(size), 53), errno.EINVAL)
        for size in (0, 3, 5, 15, 17, 300)
    },
    **{
        f"a socket for {how}": (UDP_STEP, s.Listen(how, LOCAL, 53), errno.EINVAL)
        for how in (0, 4, 255, 0xFFFFFFFF)
    },
    "port 65536": (UDP_STEP, s.Listen(s.LISTEN_UDP, LOCAL, 65536), errno.EINVAL),
    "port 65589": (UDP_STEP, s.Listen(s.LISTEN_UDP, LOCAL, 65536 + 53), errno.EINVAL),
    "the largest port": (UDP_STEP, s.Listen(s.LISTEN_UDP, LOCAL, 0xFFFFFFFF), errno.EINVAL),
    "a port of a bare one": (UDP_STEP, s.Listen(s.LISTEN_BARE, LOCAL, 65536), errno.EINVAL),
    "an address elsewhere": (
        UDP_STEP,
        s.Listen(s.LISTEN_UDP, bytes((192, 0, 2, 1)), 53),
        errno.EADDRNOTAVAIL,
    ),
    "a socket twice": (PROXY, s.Listen(s.LISTEN_TCP, LOCAL, 53), errno.EADDRINUSE),
    **{
        f"a prefix of {size} bytes": (POOL, s.LocalRoute(bytes(size), 0), errno.EINVAL)
        for size in (0, 3, 5, 15, 17, 300)
    },
    "33 bits of 32": (POOL, s.LocalRoute(bytes(4), 33), errno.EINVAL),
    "many bits": (POOL, s.LocalRoute(bytes(4), 0xFFFFFFFF), errno.EINVAL),
    "256 bits more": (POOL, s.LocalRoute(bytes((198, 18, 0, 0)), 256 + 15), errno.EINVAL),
    "129 bits of 128": (POOL, s.LocalRoute(bytes(16), 129), errno.EINVAL),
    "bits behind the prefix": (POOL, s.LocalRoute(bytes((198, 18, 0, 1)), 15), errno.EINVAL),
    "what is its own already": (POOL, s.LocalRoute(bytes((127, 0, 0, 0)), 8), errno.EEXIST),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_step_fails_and_nothing_runs(
    caller: Caller, program: Installed, plan: LaunchPlan, work: str, name: str
) -> None:
    good, bad, number = BAD[name]
    broken = launched.swapped(plan, good, bad)
    with Launched(caller, program, broken) as launch:
        found = launch.failed()
    assert broken.steps[found.step - 1] == bad
    assert errno.errorcode[found.errno] == errno.errorcode[number]
    assert not os.listdir(work)


@pytest.mark.parametrize("behind", [s.NoNewPrivs, s.SetCaps, s.CloseFds])
@pytest.mark.parametrize(
    "late", [s.Listen(s.LISTEN_TCP, bytes(4), 8081), s.LocalRoute(bytes((10, 9, 9, 9)), 32)]
)
def test_nothing_is_made_behind_the_giving_up_of_rights(
    caller: Caller, program: Installed, plan: LaunchPlan, work: str, behind: type[s.Step], late: s.Step
) -> None:  # fmt: skip
    step = next(step for step in plan.steps if isinstance(step, behind))
    with Launched(caller, program, launched.swapped(plan, step, step, late)) as launch:
        status, stdout, stderr, records = launch.end()
    assert (status, stdout, records) == (125, "", ())
    assert "the plan cannot be used" in stderr
    assert not os.listdir(work)
