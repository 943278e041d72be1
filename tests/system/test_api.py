"""The Python functions: the same as the command line, with a typed Result.  Run by: pytest.

Each test is a small program that the caller runs with the installation's own interpreter.
"""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from support import faults

if TYPE_CHECKING:
    import subprocess

    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

PREAMBLE = """
import hardbox, json, os, sys
def attempt(*argv, **words):
    try:
        return hardbox.run(*argv, **words).exit_code
    except hardbox.HardboxError as error:
        assert error.code in error.render() and "nothing was run" in error.render()
        return f"{type(error).__name__} {error.code}"
"""


def program_of(caller: Caller, program: Installed, text: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program that imports the installed hardbox."""
    return caller.run(program.python, "-c", PREAMBLE + textwrap.dedent(text), *argv, timeout=100)


def value_of(caller: Caller, program: Installed, text: str, *argv: str) -> Any:  # noqa: ANN401 (JSON)
    """Run a program and give the JSON that it prints."""
    done = program_of(caller, program, text, *argv)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def test_a_result_says_what_happened(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        r = hardbox.run(["sh", "-c", "cat; echo err >&2; exit 3"], input=b"in", capture=True)
        print(json.dumps([r.exit_code, r.outcome, r.stdout.decode(), r.stderr.decode(), r.signal, r.limit,
                          r.profile, list(r.argv), r.enforced.seccomp, r.enforced.no_new_privs]))
        """,
    )
    argv = ["sh", "-c", "cat; echo err >&2; exit 3"]
    assert found == [3, "exited", "in", "err\n", None, None, "strict", argv, True, True]


def test_the_result_is_the_report(caller: Caller, program: Installed, place: str) -> None:
    """Apart from times and usage, which differ from run to run."""
    api: dict[str, Any] = value_of(
        caller,
        program,
        """
        r = hardbox.run(["sh", "-c", "exit 4"], env={"A": "1"}, settings={"limits.wall": "30s"})
        print(json.dumps(r.to_json()))
        """,
    )
    words = ("--report", f"{place}/r.json", "--env", "A=1", "--timeout", "30s", "--", "sh", "-c", "exit 4")
    assert caller.run(program.hardbox, "run", *words).returncode == 4
    cli: dict[str, Any] = faults.read_json(f"{place}/r.json")
    for key in ("seconds", "start_seconds", "user_seconds", "system_seconds", "max_rss_bytes"):
        assert isinstance(api.pop(key), int | float)
        cli.pop(key)
    assert cli.pop("samples") == []  # taken for a report only
    for found in (api, cli):
        for key in ("uid_map", "gid_map"):  # root's ranges differ from run to run
            found["enforced"][key] = [row[0] for row in found["enforced"][key]]
        # How much was used differs, and who looks more often sees more.
        found["limits"] = [(row["key"], row["value"], row["means"]) for row in found["limits"]]
    assert api == cli


def test_every_exception_has_its_type(caller: Caller, program: Installed, place: str) -> None:
    found = value_of(
        caller,
        program,
        """
        print(json.dumps([
            attempt(["true"], settings={"network.mode": "host"}),
            attempt(["true"], read=["/"]),
            attempt(["true"], profile="no-such"),
            attempt(["true"], settings={"limits.memory": "many"}),
            attempt(["true"], settings={"limits.memory": "8G"}),
            attempt(["true"], workdir="/nowhere"),
            attempt(["true"], read=[sys.argv[1] + "/missing"]),
            attempt("ls -l"), attempt([]), attempt(b"ls"),
        ]))
        """,
        place,
    )
    kinds = [word.split()[0] for word in found]
    assert kinds == [
        *("Refused", "Refused", "ProfileError", "ProfileError", "ProfileError", "SetupFailed", "Refused"),
        *("Usage", "Usage", "Usage"),
    ]


MISTAKES = (
    'hardbox.run(["true", 3])',
    'hardbox.run(["true", b"x"])',
    'hardbox.run(["true", None])',
    'hardbox.run(["tr\\0ue"])',
    'hardbox.run(["true"], workdir="tmp")',
    'hardbox.run(["true"], workdir="/t\\0mp")',
    'hardbox.run(["true"], env={"A": 1})',
    'hardbox.run(["true"], env={"A\\0": "1"})',
    'hardbox.run(["true"], env={"A": "1\\0"})',
    'hardbox.run(["true"], env={"": "1"})',
    'hardbox.run(["true"], env={"A=B": "1"})',
    'hardbox.run(["true"], env={3: "1"})',
    'hardbox.run(["true"], read=[""])',
    'hardbox.run(["true"], read=["/x\\0"])',
    'hardbox.run(["true"], read="/usr")',
    'hardbox.run(["true"], read=[3])',
    'hardbox.run(["true"], write=[None])',
    'hardbox.run(["true"], settings={"limits.memory": None})',
    'hardbox.run(["true"], settings={"limits.memory": float("nan")})',
    'hardbox.run(["true"], settings={"no.such": 1})',
    'hardbox.run(["true"], settings={"": 1})',
    'hardbox.run(["true"], settings={3: 1})',
    'hardbox.run(["true"], settings={"limits": {"memory": 1}})',
    'hardbox.run(["true"], loosen={"limits.memory": "a reason for nothing"})',
    'hardbox.run(["true"], loosen={"limits.memory": 3})',
    'hardbox.run(["true"], profile="")',
    'hardbox.run(["true"], profile="stri\\0ct")',
    'hardbox.run(["true"], profile="/no/such.toml")',
    'hardbox.run(["true"], profile=hardbox.load_profile("strict"), read=["/usr"])',
    'hardbox.run(["\\ud800"])',
    'hardbox.run([""] * 20000)',
    'hardbox.load_profile("nothing")',
    "hardbox.make_plan([])",
    'hardbox.make_plan("ls")',
)


def test_mistakes_are_errors_of_hardbox_or_type_errors(caller: Caller, program: Installed) -> None:
    """Never a result, never an AttributeError from deep within."""
    text = f"""
    found = []
    for source in {MISTAKES!r}:
        try:
            done = eval(source)
            found.append([source, "ran", repr(done)[:80]])
        except hardbox.HardboxError as error:
            assert "nothing was run" in error.render()
        except TypeError as error:
            assert str(error), source
        except BaseException as error:
            found.append([source, type(error).__name__, str(error)])
    print(json.dumps(found))
    """
    assert value_of(caller, program, text) == []


def test_input_and_capture_of_any_size(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        data = os.urandom(3 << 20)
        r = hardbox.run(["cat"], input=data, capture=True)
        assert r.stdout == data and r.stderr == b""
        r = hardbox.run(["sh", "-c", "echo out; echo err >&2"], capture=True)
        assert (r.stdout, r.stderr) == (b"out\\n", b"err\\n")
        r = hardbox.run(["cat"], input=b"", capture=True)
        assert r.stdout == b""
        r = hardbox.run(["true"], input=b"never read" * 100000)
        assert r.stdout is None and r.exit_code == 0
        print(json.dumps(len(os.listdir("/proc/self/fd"))))
        """,
    )
    assert found <= 5  # no descriptor is left behind: 0, 1, 2 and the listing's own


def test_captured_output_is_bounded(caller: Caller, program: Installed) -> None:
    """It is kept in memory: a job that writes for ever must not take the host's."""
    found = value_of(
        caller,
        program,
        """
        r = hardbox.run(["sh", "-c", "yes | head -c 200000000"], capture=True)
        print(json.dumps([len(r.stdout), r.outcome]))
        """,
    )
    assert found[0] <= 64 << 20  # limits.file_size of strict


def test_threads_can_run_at_the_same_time(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        import threading
        wrong = []
        def work(number):
            for turn in range(5):
                data = f"{number}.{turn}".encode()
                r = hardbox.run(["sh", "-c", f"cat; exit {number}"], input=data, capture=True)
                if (r.exit_code, r.stdout) != (number, data):
                    wrong.append([number, turn, r.exit_code])
        threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(json.dumps([wrong, len(os.listdir("/proc/self/fd")) <= 5]))
        """,
    )
    assert found == [[], True]


def test_failures_leave_no_descriptor_and_no_child(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            attempt(["true"], workdir="/nowhere", capture=True)
            attempt(["true"], settings={"network.mode": "host"}, input=b"x")
            attempt(["no-such-command"], capture=True)
        try:
            os.waitpid(-1, os.WNOHANG)
            child = True
        except ChildProcessError:
            child = False
        print(json.dumps([len(os.listdir("/proc/self/fd")) - before, child]))
        """,
    )
    assert found == [0, False]


def test_the_host_programs_signals_are_its_own(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        import signal
        before = [signal.getsignal(n) for n in range(1, 32) if n not in (9, 19)]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        hardbox.run(["true"])
        after = [signal.getsignal(n) for n in range(1, 32) if n not in (9, 19)]
        print(json.dumps([before == after, mask == signal.pthread_sigmask(signal.SIG_BLOCK, [])]))
        """,
    )
    assert found == [True, True]


def test_a_caller_that_ignores_sigchld_still_gets_its_result(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        import signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print(json.dumps(attempt(["sh", "-c", "exit 5"])))
        """,
    )
    assert found == 5


def test_a_fork_in_the_host_program_is_no_obstacle(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        assert attempt(["true"]) == 0
        pid = os.fork()
        if pid == 0:
            os._exit(attempt(["sh", "-c", "exit 6"]))
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), attempt(["true"])]))
        """,
    )
    assert found == [6, 0]


def test_a_plan_starts_nothing_and_is_stable(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program,
        """
        a, b = hardbox.make_plan(["true"]), hardbox.make_plan(["true"])
        same = [a == b, a.digest() == b.digest(), a.encode() == b.encode()]
        print(json.dumps([*same, len(a.lines()) == len(a.steps)]))
        """,
    )
    assert found == [True, True, True, True]


def test_what_was_denied_is_told_if_asked(caller: Caller, program: Installed, place: str) -> None:
    """The same command, without and with `explain`, and with the change that it names."""
    path = faults.own(caller, f"{place}/notes.txt", "hello\n")
    found = value_of(
        caller,
        program,
        """
        path = sys.argv[1]
        plain = hardbox.run(["cat", path], capture=True)
        told = hardbox.run(["cat", path], capture=True, explain=True)
        (one,) = [denial for denial in told.denials if path in denial.what]
        given = hardbox.run(["cat", path], capture=True, explain=True, read=[one.allow.split()[1]])
        print(json.dumps([
            [plain.exit_code, told.exit_code, given.exit_code],
            len(plain.denials), plain.stderr == told.stderr, one.kind, one.sure, one.allow,
            hardbox.make_plan(["cat"]).digest() != hardbox.make_plan(["cat"], explain=True).digest(),
        ]))
        """,
        path,
    )
    assert found == [[1, 1, 0], 0, True, "file", "likely", f"--read {path}", True]


@pytest.mark.parametrize("name", ["read", "write", "allow"])
def test_one_string_is_no_list_of_its_letters(caller: Caller, program: Installed, name: str) -> None:
    text = (
        f"import hardbox\ntry: hardbox.run(['id'], {name}='/usr')\nexcept hardbox.Usage as e: print(e.what)\n"
    )
    done = caller.run(program.python, "-c", text)
    assert (done.stdout, done.stderr) == (f"{name} is one string, not a list\n", "")
