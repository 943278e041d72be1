"""--audit and audit.file: no run without its line, and every line whole.  Run by: pytest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed
    from support.kept import Kept

pytestmark = pytest.mark.usefixtures("nothing_left")

SCHEMA = faults.read_json(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "audit.schema.json"))
PLAIN = ("run", "--profile", "strict", "--timeout", "1s", "--")


def lines(path: str) -> list[dict[str, Any]]:
    """Read a log; every line is whole, bounded and valid."""
    with open(path, "rb") as file:
        rows = file.read().splitlines(keepends=True)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    found = []
    for row in rows:
        assert row.endswith(b"\n")
        assert len(row) <= 4096
        found.append(json.loads(row))
        validator.validate(found[-1])
    return found


def profile(caller: Caller, place: str, log: str, more: str = "") -> str:
    text = f'extends = "strict"\n[audit]\nfile = "{log}"\n{more}'
    return faults.own(caller, f"{place}/p.toml", text)


@pytest.mark.parametrize(
    ("words", "outcome", "status"),
    [
        (("--", "true"), "exited", 0),
        (("--", "sh", "-c", "exit 7"), "exited", 7),
        (("--", "sh", "-c", "kill -SEGV $$"), "signaled", 139),
        (("--timeout", "200ms", "--set", "limits.grace=100ms", "--", "sleep", "60"), "limit", 124),
        (("--", "no-such-command"), "not-found", 127),
        (("--network", "host", "--", "true"), "refused", 125),
        (("--profile", "no-such-profile", "--", "true"), "refused", 125),
        (("--workdir", "/nowhere", "--", "true"), "set-up-failed", 125),
    ],
)
def test_every_outcome_has_its_line(
    hardbox: Hardbox, caller: Caller, place: str, words: tuple[str, ...], outcome: str, status: int
) -> None:
    done = hardbox("run", "--audit", f"{place}/log", "--report", f"{place}/r.json", *words)
    assert done.returncode == status, done
    (found,) = lines(f"{place}/log")
    assert (found["outcome"], found["exit_code"]) == (outcome, status)
    assert found["who"]["uid"] == caller.uid
    assert os.stat(f"{place}/log").st_mode & 0o777 == 0o600
    report = faults.read_json(f"{place}/r.json")
    if status == 125:
        assert f"[{found['code']}]" in done.stderr
        return
    for name in ("signal", "limit", "seconds", "plan", "profile"):
        assert found[name] == report[name]


def test_200_concurrent_runs_leave_200_whole_lines(caller: Caller, program: Installed, place: str) -> None:
    script = """
i=0; while [ $i -lt 200 ]; do
    case $((i % 4)) in
    0) "$1" run --audit "$2" --network host -- "n$i" & ;;
    *) "$1" run --audit "$2" --quiet -- "n$i" "$3" & ;;
    esac
    i=$((i+1))
done 2>"$2.err"; wait
"""
    faults.shell(caller, script, program.hardbox, f"{place}/log", "x" * 9000, timeout=600)
    found = lines(f"{place}/log")
    assert Counter(row["command"]["program"] for row in found) == {f"n{i}": 1 for i in range(200)}
    assert Counter(row["outcome"] for row in found) == {"not-found": 150, "refused": 50}


def test_a_profile_with_a_log_is_never_sealed(kept: Kept, place: str) -> None:
    for _ in range(3):
        kept(*PLAIN, "true")
    assert not kept.python_was_needed(*PLAIN, "true"), "without a log, this request is sealed"
    log = f"{place}/log"
    words = ("run", "--profile", profile(kept.caller, place, log), "--", "true")
    flag = (*PLAIN[:-1], "--audit", f"{place}/flag", "--", "true")
    inherited = ("run", "--set", f"audit.file={log}", "--", "true")
    for _ in range(3):
        for request in (words, flag, inherited):
            assert kept(*request).returncode == 0
    assert len(lines(log)) == 6
    assert len(lines(f"{place}/flag")) == 3
    for request in (words, flag, inherited):
        assert kept.python_was_needed(*request)
    assert len(kept.seals()) == 1


def test_a_log_that_cannot_be_kept_is_a_refusal(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    os.symlink("circle", f"{place}/circle")
    os.symlink(f"{tree}/x", f"{place}/link")
    rows = [place, f"{place}/no/such", f"{place}/circle", "/dev/full", "/dev/null", "x" * 300]
    rows += [f"{tree}/log", f"{place}/link", "-", ""]
    if caller.uid != 0:
        rows += ["/etc/passwd", "/log"]
    for path in rows:
        done = hardbox("run", "--audit", path, "--write", f"{tree}:/w", "--", "touch", "/w/ran")
        faults.refusal(done, "HB650", "HB651", "HB002")
        assert faults.listing(tree) == set(), path
    named = profile(caller, place, f"{tree}/log")
    done = hardbox("run", "--profile", named, "--write", f"{tree}:/w", "--", "touch", "/w/ran")
    faults.refusal(done, "HB651")
    assert faults.listing(tree) == set()


def test_a_symlink_of_an_earlier_job_is_not_followed(hardbox: Hardbox, caller: Caller, place: str) -> None:
    tree = faults.own_dir(caller, f"{place}/w")
    victim = faults.own(caller, f"{place}/victim", "untouched\n")
    faults.ran(hardbox("run", "--write", f"{tree}:/w", "--", "ln", "-s", victim, "/w/log"))
    faults.ran(hardbox("run", "--write", f"{tree}:/w", "--", "ln", "-s", place, "/w/up"))
    for path in (f"{tree}/log", f"{tree}/up/new"):
        assert hardbox("run", "--audit", path, "--", "true").returncode == 125
    with open(victim, encoding="utf-8") as file:
        assert file.read() == "untouched\n"
    assert not os.path.exists(f"{place}/new")


def test_a_child_profile_cannot_drop_its_parents_log(hardbox: Hardbox, caller: Caller, place: str) -> None:
    parent = profile(caller, place, f"{place}/log")
    child = f"{place}/child.toml"
    for value in ('""', f'"{place}/other"'):
        faults.own(caller, child, f'extends = "{parent}"\n[audit]\nfile = {value}\n')
        faults.refusal(hardbox("run", "--profile", child, "--", "true"), "HB417")
        faults.refusal(
            hardbox("run", "--profile", parent, "--set", f"audit.file={value}", "--", "true"), "HB417"
        )
    reason = '[loosen]\n"audit.file" = "this one is logged by its caller"\n'
    faults.own(caller, child, f'extends = "{parent}"\n[audit]\nfile = ""\n{reason}')
    faults.ran(hardbox("run", "--profile", child, "--", "true"))
    assert not os.path.exists(f"{place}/log")
    # The flag adds, and takes nothing away.
    faults.ran(hardbox("run", "--profile", parent, "--audit", f"{place}/flag", "--", "true"))
    assert len(lines(f"{place}/log")) == len(lines(f"{place}/flag")) == 1


def test_whole_arguments_only_if_the_profile_says_so(hardbox: Hardbox, caller: Caller, place: str) -> None:
    secret = "pass" + "word-1"
    faults.ran(hardbox("run", "--audit", f"{place}/a", "--", "true", secret))
    named = profile(caller, place, f"{place}/b", "argv = true\n")
    faults.ran(hardbox("run", "--profile", named, "--", "true", secret))
    assert secret not in json.dumps(lines(f"{place}/a"))
    assert lines(f"{place}/b")[0]["command"]["argv"] == ["true", secret]


def test_a_line_that_fails_after_the_run_keeps_the_status(
    caller: Caller, program: Installed, place: str
) -> None:
    child = faults.spawn(
        caller,
        program.hardbox,
        "run",
        "--audit",
        f"{place}/log",
        "--",
        "sh",
        "-c",
        "echo ready; read x; exit 3",
        stdin=subprocess.PIPE,
    )
    assert faults.read_line(child) == "ready"
    assert caller.run("prlimit", "--pid", str(child.pid), "--fsize=0:").returncode == 0
    done = faults.finish(child)
    assert done.returncode == 3, done
    assert "[HB652]" in done.stderr
    assert "the command was run" in done.stderr
    assert os.path.getsize(f"{place}/log") == 0


def test_a_report_never_replaces_the_log(hardbox: Hardbox, caller: Caller, place: str) -> None:
    log = f"{place}/log"
    named = profile(caller, place, log)
    faults.ran(hardbox("run", "--profile", named, "--", "true"))
    os.link(log, f"{place}/hard")
    for words in (
        ("--profile", named, "--report", log),
        ("--profile", named, "--report", f"{place}/hard"),
        ("--audit", log, "--report", log),
        ("--audit", log, "--report", log, "--network", "host"),
    ):
        done = hardbox("run", *words, "--", "true")
        assert done.returncode == 125, done
        assert lines(log)
        assert lines(log)[0]["outcome"] == "exited", words


def test_a_compiled_plan_would_leave_no_line(hardbox: Hardbox, caller: Caller, place: str) -> None:
    named = profile(caller, place, f"{place}/log")
    faults.refusal(hardbox("compile", "--profile", named, "-o", f"{place}/p.plan", "--", "true"), "HB653")
    assert not os.path.exists(f"{place}/p.plan")
    assert (
        hardbox("compile", "--audit", f"{place}/log", "-o", f"{place}/p.plan", "--", "true").returncode == 125
    )


def test_a_log_that_can_only_be_added_to(hardbox: Hardbox, caller: Caller, place: str) -> None:
    log = faults.own(caller, f"{place}/log", "", 0o600)
    able = os.geteuid() == 0 and shutil.which("chattr")
    if not able or subprocess.run(["chattr", "+a", log], check=False).returncode != 0:
        pytest.skip(
            "no append-only files here: only root can set the attribute, on file systems that have it"
        )
    try:
        with pytest.raises(PermissionError):
            os.truncate(log, 0)
        faults.ran(hardbox("run", "--audit", log, "--", "true"))
        faults.ran(hardbox("run", "--audit", log, "--", "true"))
        assert len(lines(log)) == 2
    finally:
        subprocess.run(["chattr", "-a", log], check=True)


API: str = """
import hardbox, json, os, signal, sys, threading, time
before = sorted(os.listdir("/proc/self/fd"))
said = ""
if sys.argv[3] == "interrupt":
    def interrupt():
        while not os.path.exists(sys.argv[2] + "/begun"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    script = "touch /w/begun; exec sleep " + sys.argv[4]
    try:
        hardbox.run(["sh", "-c", script], profile=sys.argv[1], capture=True, write=[sys.argv[2] + ":/w"])
    except KeyboardInterrupt:
        said = "KeyboardInterrupt"
else:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        hardbox.run(["head", "-c", "3M", "/dev/zero"], profile=sys.argv[1], output_dir=sys.argv[2])
    except OSError as error:
        said = str(error)
print(json.dumps([said, before == sorted(os.listdir("/proc/self/fd"))]))
"""


@pytest.mark.parametrize(
    ("how", "says", "outcomes"),
    [
        ("interrupt", "KeyboardInterrupt", ("lost",)),
        ("full", "the command was run", ("exited", "signaled")),
    ],
)
def test_no_run_from_python_without_its_line(
    caller: Caller, program: Installed, place: str, how: str, says: str, outcomes: tuple[str, ...]
) -> None:
    named = profile(caller, place, f"{place}/log")
    out = faults.own_dir(caller, f"{place}/out")
    job = f"300.{os.getpid()}"  # a name of its own
    done = caller.run(program.python, "-c", API, named, out, how, job)
    said, closed = json.loads(faults.ran(done))
    assert says in said
    assert closed, "descriptors are left"
    (found,) = lines(f"{place}/log")
    assert found["outcome"] in outcomes
    assert caller.run("pgrep", "-fx", f"sleep {job}").stdout == ""


def test_a_bind_mount_of_the_jobs_tree_is_the_jobs_tree(
    caller: Caller, program: Installed, place: str
) -> None:
    if caller.uid != 0:
        pytest.skip("only root can make a bind mount that hardbox starts beside")
    for name in ("w", "again"):
        os.mkdir(f"{place}/{name}")
    words = f"{program.hardbox} run --write {place}/w --audit {place}/again/log -- true"
    script = f"mount --bind {place}/w {place}/again && {words}"
    faults.refusal(caller.run("unshare", "-m", "sh", "-c", script), "HB651")
    assert caller.run("sh", "-c", words).returncode == 0, "without the mount it is another directory"
