"""hardbox-launch and a keeper of the job's network that says too little, too much, or dies.

Run by: pytest; the test itself is the keeper (tests/support/launched.py). Without a keeper that has said that
it serves, nothing is run; one that dies later takes its sockets along, and no more.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

import pytest
from support import faults, launched
from support.launched import Launched

from hardbox.net.wire import GO, HELLO, QUEUED, SOCKET, message
from hardbox.plan import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.callers import Caller
    from support.installed import Installed

    from hardbox.plan import LaunchPlan

pytestmark = pytest.mark.usefixtures("nothing_left")
RAN: Final = "echo ran >/w/canary; echo end"
# Connects to the proxy and to a synthetic address before and after the keeper's death.
CONNECT: Final = """
import errno, socket, sys
def tried(where):
    try:
        socket.create_connection(where, 5).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "connected"
for _ in range(2):
    print(*(tried(where) for where in (("127.0.0.1", 3128), ("198.18.0.1", 443))), flush=True)
    while not __import__("os").path.exists("/w/go"):
        __import__("time").sleep(0.01)
"""


class Ground:
    """A plan, and the tree in which its job would leave a trace."""

    def __init__(self, caller: Caller, program: Installed, place: str, mode: str = "allow") -> None:
        self.caller, self.program = caller, program
        self.work = faults.own_dir(caller, os.path.join(place, "work"))
        self.plan = launched.commanded(launched.make_plan(caller, program, self.work, mode), "sh", "-c", RAN)

    def launch(self, plan: LaunchPlan | None = None) -> Launched:
        """Start it."""
        return Launched(self.caller, self.program, plan or self.plan)

    def nothing_ran(self) -> bool:
        """Say whether the job left no trace."""
        return not os.listdir(self.work)


@pytest.fixture
def ground(caller: Caller, program: Installed, place: str) -> Ground:
    return Ground(caller, program, place)


def refused(ground: Ground, launch: Launched, number: int) -> None:
    """Assert that a launch failed for want of its keeper, and ran nothing."""
    found = launch.failed()
    assert (found.step, errno.errorcode[found.errno]) == (
        *(launched.listening(ground.plan), errno.errorcode[number]),
    )
    assert ground.nothing_ran()


def test_a_keeper_that_serves_lets_the_job_go(ground: Ground) -> None:
    """The control of all others here."""
    with ground.launch() as launch:
        launch.hear_all()
        assert ground.nothing_ran(), "the job waits"
        launch.say(GO)
        status, stdout, _, _ = launch.end()
        assert (status, stdout) == (0, "end\n")
        assert launch.hear() == 0, "the end of the sandbox is the end of the channel"
    assert os.listdir(ground.work) == ["canary"]


def test_a_plan_without_its_keeper_is_refused(ground: Ground) -> None:
    def alone(plan: int, status: int, _network: int) -> Sequence[str]:
        return launched.called(plan, status, 0)[:4]

    with Launched(ground.caller, ground.program, ground.plan, alone) as launch:
        refused(ground, launch, errno.ENOTCONN)


def test_a_file_with_such_a_plan_is_refused(ground: Ground, place: str) -> None:
    """hardbox compile makes none (HB662); one that is made by other means has no keeper."""
    path = faults.own(ground.caller, f"{place}/p.plan", ground.plan.encode(), 0o600)
    faults.launcher_refusal(ground.caller.run(ground.program.launch, path), "listen")
    assert ground.nothing_ran()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_keeper_that_goes_before_it_has_all(ground: Ground, taken: int) -> None:
    with ground.launch() as launch:
        for _ in range(taken):
            assert launch.hear() == SOCKET
        launch.keeper.close()
        found = launch.failed()
        assert found.step == launched.listening(ground.plan)
        assert errno.errorcode[found.errno] in ("ECONNRESET", "EPIPE", "EPROTO")
    assert ground.nothing_ran()


def test_a_keeper_that_goes_instead_of_serving(ground: Ground) -> None:
    with ground.launch() as launch:
        launch.hear_all()
        launch.keeper.close()
        refused(ground, launch, errno.ECONNRESET)


@pytest.mark.parametrize(
    "data",
    [
        message(99),
        message(HELLO),
        message(SOCKET),
        message(GO)[:-1],
        message(GO) + b"x",
        b"x" * 5000,
    ],
    ids=["unknown", "hello", "socket", "short", "long", "huge"],
)
@pytest.mark.parametrize("early", [True, False])
def test_a_keeper_that_speaks_nonsense(ground: Ground, data: bytes, early: bool) -> None:  # noqa: FBT001 (a case)
    with ground.launch() as launch:
        if not early:
            launch.hear_all()
        launch.keeper.send(data)
        refused(ground, launch, errno.EPROTO)


def test_a_keeper_that_has_to_wait_for_others_says_so(ground: Ground) -> None:
    with ground.launch() as launch:
        launch.hear_all()
        for _ in range(3):
            launch.say(QUEUED)
            assert ground.nothing_ran(), "the job waits"
        launch.say(GO)
        assert launch.end()[0] == 0
    assert os.listdir(ground.work) == ["canary"]


def test_it_may_have_to_wait_before_it_is_asked_too(ground: Ground) -> None:
    with ground.launch() as launch:
        launch.say(QUEUED)
        launch.hear_all()
        launch.say(QUEUED)
        launch.say(GO)
        assert launch.end()[0] == 0
    assert os.listdir(ground.work) == ["canary"]


@pytest.fixture(scope="session")
def impatient(base: str) -> str:
    """A launcher that waits for two seconds, and six in all."""
    patience = ("-DKEEPER_PATIENCE_MS=2000u", "-DKEEPER_QUEUE_MS=6000u")
    return launched.compile_launcher(os.path.join(base, "hardbox-launch-impatient"), *patience)


def test_it_is_waited_for_as_long_as_others_have_their_turn(ground: Ground, impatient: str) -> None:
    with Launched(ground.caller, ground.program, ground.plan, binary=impatient) as launch:
        launch.hear_all()
        for _ in range(8):
            time.sleep(0.5)
            launch.say(QUEUED)
        assert ground.nothing_ran(), "the job waits"
        launch.say(GO)
        assert launch.end()[0] == 0
    assert os.listdir(ground.work) == ["canary"]


@pytest.mark.parametrize("says", [0, 30])
def test_it_is_not_waited_for_for_ever(ground: Ground, impatient: str, says: int) -> None:
    """Nor if it goes on saying that others have their turn."""
    began = time.monotonic()
    with Launched(ground.caller, ground.program, ground.plan, binary=impatient) as launch:
        launch.hear_all()
        for _ in range(says):
            time.sleep(0.4)
            try:
                launch.say(QUEUED)
            except (BrokenPipeError, ConnectionResetError):
                break
        refused(ground, launch, errno.ETIMEDOUT)
    # By the launcher's own clock; a busy machine only makes it later.
    assert time.monotonic() - began >= (6 if says else 2)


def test_a_go_before_it_is_asked_for_is_none(ground: Ground) -> None:
    """It cannot serve yet: it has not been told that it has all sockets."""
    with ground.launch() as launch:
        launch.say(GO)
        refused(ground, launch, errno.EPROTO)


def test_descriptors_of_the_keepers_are_not_taken(ground: Ground) -> None:
    plan = launched.commanded(ground.plan, "ls", "/proc/self/fd")
    with ground.launch(plan) as launch, socket.socket() as own:
        launch.hear_all()
        socket.send_fds(launch.keeper, [message(GO)], [own.fileno()])
        status, stdout, _, _ = launch.end()
    assert (status, stdout.split()) == (0, ["0", "1", "2", "3"]), "3 is the folder itself"


def test_a_second_go_is_nonsense_that_comes_too_late(ground: Ground) -> None:
    """The job runs once, and its keeper is heard no more."""
    slow = launched.commanded(
        ground.plan, "sh", "-c", "echo up; while [ ! -e /w/go ]; do sleep 0.02; done; exit 7"
    )
    with ground.launch(slow) as launch:
        launch.hear_all()
        launch.say(GO)
        launch.say(GO)
        assert launch.line() == "up"
        assert launch.hear() == 0, "told that it is not needed any more"
        faults.own(ground.caller, f"{ground.work}/go")
        status, stdout, _, _ = launch.end()
    assert (status, stdout) == (7, "")


def test_a_keeper_that_dies_takes_its_sockets_along_and_no_more(ground: Ground) -> None:
    with ground.launch(launched.commanded(ground.plan, "python3", "-c", CONNECT)) as launch:
        launch.hear_all()
        launch.say(GO)
        assert launch.line() == "connected connected"
        launch.keeper.close()
        for one in launch.sockets:
            one.close()
        faults.own(ground.caller, f"{ground.work}/go")
        assert launch.line() == "ECONNREFUSED ECONNREFUSED"
        assert launch.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_while_the_keeper_is_waited_for(ground: Ground, number: signal.Signals) -> None:
    with ground.launch() as launch:
        launch.hear_all()
        launch.signal(number)
        found = launch.failed()
        assert (found.step, found.errno) == (0, errno.EINTR)
        assert launch.hear() == 0
    assert ground.nothing_ran()


def test_a_window_that_changes_its_size_is_no_reason(ground: Ground) -> None:
    with ground.launch() as launch:
        launch.hear_all()
        launch.signal(signal.SIGWINCH)
        launch.say(GO)
        assert launch.end()[0] == 0
    assert os.listdir(ground.work) == ["canary"]


def test_a_killed_launcher_leaves_the_keeper_alone_with_an_end(ground: Ground) -> None:
    with ground.launch() as launch:
        launch.hear_all()
        launch.signal(signal.SIGKILL)
        assert launch.hear() == 0
        assert launch.end()[0] == -signal.SIGKILL
    assert ground.nothing_ran()


def test_a_caller_that_goes_ends_it_while_the_keeper_is_waited_for(ground: Ground) -> None:
    with ground.launch() as launch:
        launch.hear_all()
        launch.hang_up()
        assert launch.hear() == 0
        assert launch.child.wait(faults.PATIENCE) == 125
    assert ground.nothing_ran()


def test_descriptors_that_are_the_same_or_none_are_refused(ground: Ground) -> None:
    cases = {
        "network is plan": lambda p, s, _n: launched.called(p, s, p),
        "network is status": lambda p, s, _n: launched.called(p, s, s),
        "network is stderr": lambda p, s, _n: launched.called(p, s, 2),
        "not a number": lambda p, s, n: (*launched.called(p, s, n)[:5], f"{n}x"),
        "negative": lambda p, s, n: (*launched.called(p, s, n)[:5], "-1"),
        "empty": lambda p, s, n: (*launched.called(p, s, n)[:5], ""),
        "not open": lambda p, s, _n: launched.called(p, s, 1000),
        "no value": lambda p, s, n: launched.called(p, s, n)[:5],
        "without status": lambda p, _s, n: (*launched.called(p, 0, n)[:2], "--network-fd", str(n)),
        "another order": lambda p, s, n: (
            *launched.called(p, s, n)[:2],
            *launched.called(p, s, n)[4:],
            *launched.called(p, s, n)[2:4],
        ),
        "twice": lambda p, s, n: (*launched.called(p, s, n), *launched.called(p, s, n)[4:]),
    }
    for name, words in cases.items():
        with Launched(ground.caller, ground.program, ground.plan, words) as launch:
            status, stdout, stderr, records = launch.end()
            assert (status, stdout, records) == (125, "", ()), name
            assert "nothing was run" in stderr, name
            assert launch.hear() == 0
        assert ground.nothing_ran()


def test_samples_may_stand_behind_the_keeper(ground: Ground) -> None:
    def sampled(*given: int) -> Sequence[str]:
        return (*launched.called(*given), "--samples")

    with Launched(ground.caller, ground.program, ground.plan, sampled) as launch:
        launch.hear_all()
        launch.say(GO)
        assert launch.end()[0] == 0


def test_a_keeper_of_a_plan_without_a_network_is_not_asked(ground: Ground) -> None:
    kinds = (steps.Listen, steps.LocalRoute)
    plan = ground.plan
    for step in plan.steps:
        plan = launched.swapped(plan, step) if isinstance(step, kinds) else plan
    with ground.launch(plan) as launch:
        status, stdout, _, _ = launch.end()
        assert (status, stdout) == (0, "end\n")
        assert launch.hear() == 0


def test_what_stands_there_and_is_no_socket_is_refused(ground: Ground) -> None:
    null = os.open(os.devnull, os.O_RDWR)

    def words(plan: int, status: int, _network: int) -> Sequence[str]:
        return launched.called(plan, status, null)

    with Launched(ground.caller, ground.program, ground.plan, words, (null,)) as launch:
        refused(ground, launch, errno.ENOTSOCK)
    os.close(null)
