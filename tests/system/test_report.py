"""--report: valid for every outcome, and true: equal to what the job and the outside see.

Run by: pytest.
"""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

SCHEMA_FILE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "report.schema.json")
TRIPLE = re.compile(r"\s*(\d+)\s+(\d+)\s+(\d+)\s*")


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The published schema, itself checked."""
    found = faults.read_json(SCHEMA_FILE)
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def report(path: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Read a report and hold it against the schema."""
    found = faults.read_json(path)
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


NET = ("--profile", "net-client")
OUTCOMES = (
    ((), ("true",), "exited", 0),
    ((), ("sh", "-c", "exit 7"), "exited", 7),
    ((), ("sh", "-c", "kill -SEGV $$"), "signaled", 128 + signal.SIGSEGV),
    ((), ("sh", "-c", "kill -KILL $$"), "signaled", 128 + signal.SIGKILL),
    (("--timeout", "200ms", "--set", "limits.grace=100ms"), ("sleep", "60"), "limit", 124),
    ((), ("no-such-command",), "not-found", 127),
    ((), ("/etc/passwd",), "not-executable", 126),
    (("--network", "host"), ("true",), "refused", 125),
    (("--memory", "nonsense"), ("true",), "refused", 125),
    (("--workdir", "/nowhere"), ("true",), "set-up-failed", 125),
    ((*NET, "--allow", "a.example.org:443"), ("true",), "exited", 0),
    ((*NET, "--allow", "a.example.org:443", "--workdir", "/nowhere"), ("true",), "set-up-failed", 125),
    (NET, ("true",), "refused", 125),
)


@pytest.mark.parametrize(("words", "command", "outcome", "status"), OUTCOMES)
def test_every_outcome_has_its_report(
    hardbox: Hardbox,
    place: str,
    schema: dict[str, Any],
    words: tuple[str, ...],
    command: tuple[str, ...],
    outcome: str,
    status: int,
) -> None:
    path = f"{place}/r.json"
    done = hardbox("run", "--report", path, *words, "--", *command)
    found = report(path, schema)
    assert (found["outcome"], found["exit_code"], done.returncode) == (outcome, status, status), done.stderr
    assert found["argv"] == list(command)
    if status == 125:
        error = found["error"]
        assert f"[{error['code']}]" in done.stderr
        assert error["what"] in done.stderr
        return
    if outcome != "limit":  # there it is the one that hardbox sent
        assert found["signal"] == (status - 128 if outcome == "signaled" else None)
    assert found["limit"] == ("wall" if outcome == "limit" else None)
    assert found["enforced"]["no_new_privs"] is True
    assert found["seconds"] > 0


def test_a_killed_launcher_has_its_report(
    caller: Caller, program: Installed, place: str, schema: dict[str, Any]
) -> None:
    path = f"{place}/r.json"
    script = "echo ready; sleep 60"
    child = faults.spawn(caller, program.hardbox, "run", "--report", path, "--", "sh", "-c", script)
    assert faults.read_line(child) == "ready"
    (launcher,) = faults.children(child.pid)
    os.kill(launcher, signal.SIGKILL)
    done = faults.finish(child)
    assert done.returncode == 137, done
    assert report(path, schema)["outcome"] == "lost"


STATUS = "cd /proc/self; cat status; echo ---; cat uid_map; echo ---; cat gid_map; echo ---; "
STATUS += "for n in user mnt pid net ipc uts cgroup; do echo $n $(readlink /proc/self/ns/$n); done"


def fields(text: str) -> dict[str, str]:
    """Parse /proc/PID/status."""
    rows = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in rows}


def test_what_is_reported_is_what_the_job_itself_sees(
    hardbox: Hardbox, place: str, schema: dict[str, Any]
) -> None:
    path = f"{place}/r.json"
    out = faults.ran(hardbox("run", "--report", path, "--", "sh", "-c", STATUS))
    status_text, uid_map, gid_map, namespaces = out.split("---\n")
    status = fields(status_text)
    enforced = report(path, schema)["enforced"]
    assert enforced["no_new_privs"] == (status["NoNewPrivs"] == "1") is True
    assert enforced["seccomp"] == (status["Seccomp"] == "2") is True
    assert enforced["seccomp_filters"] == int(status["Seccomp_filters"]) == 1
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert enforced["capabilities"][name] == int(status[name], 16) == 0
    # The map shows the outside as "here" from within; inside id and count are the same.
    for key, text in (("uid_map", uid_map), ("gid_map", gid_map)):
        match = TRIPLE.fullmatch(text)
        assert match is not None
        (row,) = enforced[key]
        assert (row[0], row[2]) == (int(match[1]), int(match[3])) == (1000, 1)
        assert row[1] != 0
    own = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "mnt", "pid", "net", "ipc", "uts")}
    seen = dict(line.split() for line in namespaces.splitlines())
    assert {kind for kind, link in own.items() if seen[kind] != link} == set(own)
    assert set(own) <= set(enforced["namespaces"])


def _name(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()


def test_what_is_reported_is_what_the_outside_sees(
    caller: Caller, program: Installed, place: str, schema: dict[str, Any]
) -> None:
    path = f"{place}/r.json"
    script = "echo ready; exec sleep 60"
    child = faults.spawn(caller, program.hardbox, "run", "--report", path, "--", "sh", "-c", script)
    assert faults.read_line(child) == "ready"
    (launcher,) = faults.children(child.pid)
    (init,) = faults.children(launcher)
    (job,) = faults.children(init)
    faults.eventually(lambda: _name(job) == "sleep", "the job is sleep")
    with open(f"/proc/{job}/status", encoding="ascii") as file:
        status = fields(file.read())
    with open(f"/proc/{job}/uid_map", encoding="ascii") as file:
        row = list(map(int, file.read().split()))
    differ = {
        kind
        for kind in os.listdir(f"/proc/{job}/ns")
        if os.readlink(f"/proc/{job}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    }
    child.terminate()
    faults.finish(child)
    enforced = report(path, schema)["enforced"]
    assert enforced["uid_map"] == [row]
    assert status["Uid"].split() == [str(row[1])] * 4
    assert row[1] == caller.uid if caller.uid != 0 else row[1] >= 65536
    assert set(enforced["namespaces"]) == differ & {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}
    assert int(status["NoNewPrivs"]) == enforced["no_new_privs"] == 1
    assert int(status["Seccomp_filters"]) == enforced["seccomp_filters"] == 1
    assert status["Groups"].split() == []


def test_digests_are_those_of_plan_and_profile(hardbox: Hardbox, place: str, schema: dict[str, Any]) -> None:
    words = ("--env", "A=1", "--", "sh", "-c", "true")
    faults.ran(hardbox("run", "--report", f"{place}/r.json", *words))
    found = report(f"{place}/r.json", schema)
    plan = json.loads(faults.ran(hardbox("plan", "--json", *words)))
    assert found["plan"]["sha256"] == plan["sha256"]
    assert found["profile"] == plan["profile"]
    compiled = faults.ran(hardbox("compile", "-o", f"{place}/p.plan", *words))
    # A plan that is kept does not name the cgroup that we are in now.
    here = any(step["kind"] == "cgroup" for step in plan["steps"])
    assert (plan["sha256"] in compiled) is not here
    plain = json.loads(faults.ran(hardbox("plan", "--json", "--", "true")))
    assert plain["profile"]["sha256"] in faults.ran(hardbox("profile", "show", "strict"))
    assert plain["profile"]["sha256"] != plan["profile"]["sha256"]


def test_what_is_loosened_is_reported(hardbox: Hardbox, place: str, schema: dict[str, Any]) -> None:
    words = ("--memory", "1G", "--loosen", "limits.memory=a test needs the room")
    done = hardbox("run", "--report", f"{place}/r.json", *words, "--", "true")
    faults.ran(done)
    assert "loosened limits.memory: a test needs the room" in done.stderr
    assert report(f"{place}/r.json", schema)["loosened"] == {"limits.memory": "a test needs the room"}


def test_hostile_arguments_keep_the_report_valid(
    caller: Caller, program: Installed, place: str, schema: dict[str, Any]
) -> None:
    script = """
b=$(printf '\\377\\033[31m\\n"x')
"$1" run --report "$2/r.json" -- printf %s "$b"; "$1" run --report "$2/s.json" -- "$b"
"""
    faults.shell(caller, script, program.hardbox, place)
    assert report(f"{place}/r.json", schema)["outcome"] == "exited"
    assert report(f"{place}/s.json", schema)["outcome"] == "not-found"


def test_a_report_is_private_and_replaces_the_last(
    hardbox: Hardbox, caller: Caller, place: str, schema: dict[str, Any]
) -> None:
    path = f"{place}/r.json"
    faults.ran(hardbox("run", "--report", path, "--", "true"))
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(path).st_uid == caller.uid
    with open(path, "a", encoding="utf-8") as file:
        file.write("x" * 100_000)
    faults.ran(hardbox("run", "--report", path, "--", "true"))
    report(path, schema)


def test_a_report_that_cannot_be_written_is_a_refusal(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    os.mkfifo(f"{place}/fifo")
    os.chown(f"{place}/fifo", caller.uid, caller.gid)
    faults.own(caller, f"{place}/file")
    os.symlink("circle", f"{place}/circle")
    names = ("no/such", "fifo", "file/x", "circle", "x" * 300)
    rows = [place, *(f"{place}/{name}" for name in names)]
    rows += ["", "/proc/nowhere/x"]
    if caller.uid != 0:
        os.mkdir(f"{place}/shut", 0o500)
        rows += [f"{place}/shut/r.json", "/r.json", "/etc/passwd"]
    for path in rows:
        done = hardbox("run", "--report", path, "--write", f"{tree}:/w", "--", "touch", "/w/ran")
        faults.refusal(done, "HB604", "HB002")
        assert faults.listing(tree) == set(), path


def test_a_report_in_the_jobs_own_tree_is_refused(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    faults.own_dir(caller, f"{tree}/deep")
    os.symlink(tree, f"{place}/link")
    os.symlink(f"{tree}/target", f"{place}/report-link")
    file = faults.own(caller, f"{place}/file")
    for path in (f"{tree}/r.json", f"{tree}/deep/r.json", f"{place}/link/r.json", f"{place}/report-link"):
        done = hardbox("run", "--report", path, "--write", f"{tree}:/w", "--", "touch", "/w/ran")
        faults.refusal(done, "HB608")
    faults.refusal(hardbox("run", "--report", file, "--write", f"{file}:/f", "--", "true"), "HB608")
    faults.refusal(hardbox("run", "--report", "r.json", "--write", ".:/w", "--", "true", cwd=tree), "HB608")
    assert faults.listing(tree) == {"deep"}
    # Beside it is fine, though its name begins with the tree's.
    faults.ran(hardbox("run", "--report", f"{tree}.json", "--write", f"{tree}:/w", "--", "true"))


def test_a_report_never_follows_a_symlink(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """An earlier job may have put it there."""
    tree = faults.own_dir(caller, f"{place}/w")
    victim = faults.own(caller, f"{place}/victim", "untouched\n")
    os.symlink(victim, f"{tree}/r.json")
    os.symlink(place, f"{tree}/up")
    for path in (f"{tree}/r.json", f"{tree}/up/r.json"):
        for more in ((), ("--network", "host"), ("--read", f"{tree}:/r")):
            done = hardbox("run", "--report", path, *more, "--", "true")
            assert done.returncode == 125, (path, more, done)
            assert "HB604" in done.stderr, (path, more, done)
    with open(victim, encoding="utf-8") as file:
        assert file.read() == "untouched\n"
    assert not os.path.exists(f"{place}/r.json")


def test_a_full_disk_does_not_hide_the_jobs_status(hardbox: Hardbox) -> None:
    done = hardbox("run", "--report", "/dev/full", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3, done
    assert "HB607" in done.stderr
    assert "the command was run" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_can_go_to_a_pipe_that_is_read(
    caller: Caller, program: Installed, schema: dict[str, Any]
) -> None:
    done = faults.shell(caller, '"$1" run --report /dev/stdout -- true | cat', program.hardbox)
    jsonschema.Draft202012Validator(schema).validate(json.loads(faults.ran(done)))


def test_explain_understands_a_report(hardbox: Hardbox, place: str) -> None:
    hardbox("run", "--report", f"{place}/r.json", "--timeout", "100ms", "--", "sleep", "9")
    assert "124" in faults.ran(hardbox("explain", f"{place}/r.json"))


def test_usage_is_of_the_whole_sandbox(hardbox: Hardbox, place: str, schema: dict[str, Any]) -> None:
    script = "i=0; (while [ $i -lt 100000 ]; do i=$((i+1)); done); true"
    faults.ran(hardbox("run", "--report", f"{place}/r.json", "--", "sh", "-c", script))
    found = report(f"{place}/r.json", schema)
    assert found["user_seconds"] > 0
    assert found["max_rss_bytes"] >= 1 << 19
    assert found["start_seconds"] <= found["seconds"]
