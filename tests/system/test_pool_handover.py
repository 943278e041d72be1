"""Hand-overs that no owner of ours sends: another wall, a step too many, a second job.  Run by: pytest.

The controls are hand-overs that differ from these in nothing else, and run.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from support.said import said

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

PREAMBLE = """
import json, os, socket, struct, sys, hashlib
import hardbox
from hardbox import api, report, runs
from hardbox.engines.member import Member
from hardbox.engines.namespaces import Streams
from hardbox.plan import HEADER, MAGIC, VERSION, LaunchPlan, steps as s
from hardbox.pool import decision
null = os.open("/dev/null", os.O_RDWR)
policy = api.load_profile("strict")
place = sys.argv[1]
def made(argv, **words):
    added = api.Added((), words.pop("write", ()), (), None)
    return api.prepare(api.decide("strict", added, None, None), argv, **words)
base = made(["true"])
at = decision.hold_point(base.plan, policy.filesystem.scratch)
def pack(*rows):
    body = b"".join(row.encode() for row in rows)
    digest = hashlib.sha256(body).digest()
    return HEADER.pack(MAGIC, VERSION, HEADER.size + len(body), digest, len(rows), 0) + body
def handed(point, content, streams=None):
    member = Member(base.plan, point)
    assert member.ready(60), member.trouble()
    member.hand(base.plan, None, content, streams or Streams(null, null, null), samples=False)
    status, records = member.wait()
    failed = report.failure(records)
    began = any(r.kind == 3 for r in records)
    return [status, failed.errno if failed else 0, began]
def changed(plan, old, *new):
    rows = [x for step in plan.steps for x in (new if step == old else (step,))]
    return LaunchPlan(tuple(rows), plan.policy_name, plan.policy_digest)
def only(plan, kind):
    return next(step for step in plan.steps if isinstance(step, kind))
out = []
"""


def answers(caller: Caller, program: Installed, place: str, text: str) -> Any:  # noqa: ANN401 (JSON)
    text = textwrap.dedent(text) + "\nprint(json.dumps(out))\n"
    return said(caller, program.python, PREAMBLE, text, place)


REFUSED = [125, 74, False]  # EBADMSG


def test_where_the_walls_stand_nothing_else_is_taken(caller: Caller, program: Installed, place: str) -> None:
    """Every kind of step but variables, search path, arguments and directory."""
    found = answers(
        caller,
        program,
        place,
        """
        job = (s.Env("A", "b"), s.Search("/bin"), s.Arg("true"), s.Chdir("/"))
        out.append(handed(0, pack(*job)))
        plan = base.plan
        free = (s.Env, s.Search, s.Arg, s.Chdir)
        others = {type(step): step for step in plan.steps if not isinstance(step, free)}
        out.append(len(others))
        out += [handed(0, pack(step, *job)) for step in others.values()]
        """,
    )
    assert found[0] == [0, 0, True]
    assert found[1] > 25
    assert found[2:] == [REFUSED] * found[1]


def test_bad_bytes(caller: Caller, program: Installed, place: str) -> None:
    found = answers(
        caller,
        program,
        place,
        """
        job = (s.Search("/bin"), s.Arg("true"), s.Chdir("/"))
        good = pack(*job)
        out.append(handed(0, good))
        for bad in (good[:-1], good + b"x", good[:60] + b"\\xff" + good[61:], b"x", pack(s.Chdir("/")),
                    pack(s.Arg("true")), pack(*job, s.Chdir("/tmp")), base.plan.encode()):
            out.append(handed(0, bad))
        for bad in (good, base.plan.encode()[:-1], b"x"):
            out.append(handed(at, bad))
        out.append(handed(at, base.plan.encode()))
        """,
    )
    assert found[0] == found[-1] == [0, 0, True]
    assert found[1:-1] == [REFUSED] * 11


def test_before_the_walls_stand_the_plan_has_to_be_the_members(
    caller: Caller, program: Installed, place: str
) -> None:
    """Without a step, with a weaker one, or with one more: for every step of the plan."""
    found = answers(
        caller,
        program,
        place,
        """
        tree = made(["true"], write=[place + ":/work"]).plan
        out.append(handed(at, tree.encode()))
        free = (s.Env, s.PassEnv, s.Search, s.Arg, s.PolicyName, s.Facts, s.Chdir)
        own = {step for step in tree.steps if step not in base.plan.steps}
        walls = [step for step in tree.steps if step not in own and not isinstance(step, free)]
        # One of each kind: a launch for each step would take minutes.
        kinds = {type(step): step for step in walls}
        out.append(len(kinds))
        out += [handed(at, changed(tree, step).encode()) for step in kinds.values()]
        """,
    )
    assert found[0] == [0, 0, True]
    assert found[1] > 25
    assert found[2:] == [REFUSED] * found[1]


def test_weaker_values_and_more_steps(caller: Caller, program: Installed, place: str) -> None:
    found = answers(
        caller,
        program,
        place,
        """
        tree = made(["true"], write=[place + ":/work"]).plan
        only_filter, enforce = only(tree, s.SeccompFilter), only(tree, s.LandlockEnforce)
        wall, stdio = only(tree, s.Wall), only(tree, s.LandlockStdio)
        allow = struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)
        attach = next(x for x in tree.steps if isinstance(x, s.Attach | s.BindMount) and x.dest == "/work")
        scratch = only(tree, s.Tmpfs)
        for bad in (
            changed(tree, only_filter, s.SeccompFilter(allow, 0)),
            changed(tree, wall, s.Wall(10**9, 1)),
            changed(tree, stdio, s.LandlockPath("/etc", 15), stdio),
            changed(tree, attach, attach, s.Sysctl("/proc/sys/user/max_user_namespaces", "9")),
            changed(tree, attach, attach, s.Tmpfs("/more", 1 << 20, 9, 0o777, 6)),
            changed(tree, attach, attach, s.WriteFile("/etc/more", 0o444, b"x")),
            changed(tree, attach, attach, s.Symlink("/proc", "/more")),
            changed(tree, scratch, s.Tmpfs(scratch.dest, 1 << 30, 9999, 0o777, 6)),
            changed(base.plan, only(base.plan, s.Host), only(base.plan, s.Host), s.Wall(1, 1)),
        ):
            out.append(handed(at, bad.encode()))
        """,
    )
    assert found == [REFUSED] * 9


def test_bad_messages(caller: Caller, program: Installed, place: str) -> None:
    """Too few descriptors, none, another word, a cut message: nothing is run."""
    found = answers(
        caller,
        program,
        place,
        """
        def spoken(*parts):
            member = Member(base.plan, 0)
            assert member.ready(60)
            socket.send_fds(member._hold, *parts)
            status, records = member.wait()
            return [status, report.failure(records) is not None, any(r.kind == 3 for r in records)]
        for parts in (([struct.pack("<IiI", 1, 0, 0)], [null] * 3), ([struct.pack("<IiI", 1, 0, 0)], []),
                      ([struct.pack("<IiI", 2, 0, 0)], [null] * 4), ([b"x"], [null] * 4),
                      ([struct.pack("<IiI", 1, 0, 0)], [null] * 5)):
            out.append(spoken(*parts))
        """,
    )
    assert found == [[125, True, False]] * 5


def test_descriptors_are_judged(caller: Caller, program: Installed, place: str) -> None:
    """What never reaches a job does not reach one this way either."""
    found = answers(
        caller,
        program,
        place,
        """
        job = pack(s.Search("/bin"), s.Arg("true"), s.Chdir("/"))
        out.append(handed(0, job))
        import pty
        for bad in (os.open("/", os.O_RDONLY), os.open("/", os.O_PATH), os.memfd_create("x"),
                    pty.openpty()[1], socket.socket(socket.AF_INET).detach()):
            out.append(handed(0, job, Streams(bad, null, null))[::2])
            out.append(handed(0, job, Streams(null, null, bad))[::2])
        """,
    )
    assert found[0] == [0, 0, True]
    assert found[1:] == [[125, False]] * 10
