"""The job's environment: what the profile names and --env adds, nothing else.  Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

STRICT = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "HOME": "/home/box", "TMPDIR": "/tmp"}
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s1",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "LD_LIBRARY_PATH": "/evil",
    "LD_AUDIT": "/evil.so",
    "PYTHONPATH": "/evil",
    "BASH_ENV": "/evil",
    "ENV": "/evil",
    "GCONV_PATH": "/evil",
    "GLIBC_TUNABLES": "glibc.malloc.check=1",
    "MY_TOKEN": "s2",
    "DISPLAY": ":0",
    "XDG_RUNTIME_DIR": "/run/user/0",
    "lang": "lower",
    "LANGUAGE": "not LANG",
}


def environment(hardbox: Hardbox, *words: str, env: dict[str, str] | None = None) -> dict[str, str]:
    """Give the environment as the job has it, from its own env(1)."""
    out = faults.ran(hardbox("run", *words, "--", "env", "-0", env=env))
    pairs = [row.partition("=") for row in out.split("\0") if row]
    found = {name: value for name, _, value in pairs}
    assert len(found) == len(pairs), "a name stands twice"
    return found


def test_only_what_the_profile_names_is_there(hardbox: Hardbox) -> None:
    assert environment(hardbox) == STRICT
    assert environment(hardbox, env={**SECRETS, "TERM": "vt100"}) == {**STRICT, "TERM": "vt100"}


def test_hardbox_itself_is_not_steered_by_the_callers_environment(hardbox: Hardbox, place: str) -> None:
    steering = {
        "PYTHONSTARTUP": f"{place}/evil.py",
        "HARDBOX_PROFILE": "inspect",
        "COLUMNS": "-1",
        "TMPDIR": f"{place}/nowhere",
        "XDG_CACHE_HOME": f"{place}/missing/deep",
        "LC_ALL": "no_SUCH.locale",
        "LANG": "C",
        "TERM": "\x1b[31m",
    }
    found = environment(hardbox, env=steering)
    assert found == {**STRICT, "LANG": "C", "TERM": "\x1b[31m"}
    for broken in ({"HOME": ""}, {"HOME": "relative"}, {"HOME": "/nowhere"}, {"USER": "\n"}):
        assert environment(hardbox, env=broken) == STRICT, broken


def test_env_sets_a_value(hardbox: Hardbox) -> None:
    rows = {
        "A": "1",
        "EMPTY": "",
        "EQUALS": "a=b=c",
        "NEWLINE": "one\ntwo\n",
        "QUOTES": "\"'\\$(id)`id`",
        "SPACES": "  x  ",
        "UNICODE": "naïve ☃",
        "CONTROL": "\x1b[31m\x01",
        "lower_9": "x",
        "_": "underscore",
        "LONG": "x" * 100_000,
    }
    words = [word for name, value in rows.items() for word in ("--env", f"{name}={value}")]
    assert environment(hardbox, *words) == {**STRICT, **rows}


def test_env_passes_the_callers_value(hardbox: Hardbox) -> None:
    found = environment(hardbox, "--env", "TOKEN", "--env", "MISSING", env={"TOKEN": "t\n=1", "OTHER": "o"})
    assert found == {**STRICT, "TOKEN": "t\n=1"}


def test_bytes_that_are_no_text_pass_unchanged(caller: Caller, program: Installed) -> None:
    script = """
B=$(printf "\\377\\376x"); export B
"$1" run --env B --env "C=$B" -- sh -c 'printf "$B$C"' | od -An -tx1
"""
    done = faults.shell(caller, script, program.hardbox)
    assert done.stdout.split() == ["ff", "fe", "78", "ff", "fe", "78"], done


def test_the_last_of_two_settings_counts(hardbox: Hardbox) -> None:
    assert environment(hardbox, "--env", "A=1", "--env", "A=2")["A"] == "2"
    assert environment(hardbox, "--env", "A", "--env", "A=2", env={"A": "0"})["A"] == "2"
    assert environment(hardbox, "--env", "A", "--env", "A", env={"A": "0"})["A"] == "0"


def test_a_variable_of_the_profile_can_be_set_but_never_passed_silently_wrong(hardbox: Hardbox) -> None:
    assert environment(hardbox, "--env", "HOME=/tmp")["HOME"] == "/tmp"
    # Asked to pass the caller's HOME: either that one, or a refusal; not the profile's without a word.
    done = hardbox("run", "--env", "HOME", "--", "sh", "-c", "echo $HOME", env={"HOME": "/callers"})
    if done.returncode == 125:
        faults.refusal(done)
    else:
        faults.ran(done, "/callers\n")


def test_an_explicitly_set_loader_variable_is_the_jobs_own_affair(hardbox: Hardbox) -> None:
    """It cannot leave the sandbox: the launcher is static, and the filter stands before the exec."""
    found = environment(hardbox, "--env", "LD_LIBRARY_PATH=/tmp")
    assert found["LD_LIBRARY_PATH"] == "/tmp"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "=",
        "=x",
        "1A=x",
        "A-B=x",
        "A B=x",
        "A\nB=x",
        "Ä=x",
        "A.B",
        "LD_PRELOAD",
        "GCONV_PATH",
        "LD_X",
        "BIG=" + "x" * 131067,
    ],
    ids=lambda value: value[:12].replace("\n", "\\n") or "empty",
)
def test_bad_variables_are_refused(hardbox: Hardbox, value: str) -> None:
    faults.refusal(hardbox("run", "--env", value, "--", "true"))


def test_the_command_is_searched_in_the_profiles_path_in_order(
    hardbox: Hardbox, caller: Caller, place: str
) -> None:
    one, two = faults.own_dir(caller, f"{place}/one"), faults.own_dir(caller, f"{place}/two")
    faults.own(caller, f"{one}/tool", "#!/bin/sh\necho one\n", 0o755)
    faults.own(caller, f"{two}/tool", "#!/bin/sh\necho two\n", 0o755)
    faults.own(caller, f"{one}/second", "#!/bin/sh\necho not executable\n", 0o644)
    faults.own(caller, f"{two}/second", "#!/bin/sh\necho second\n", 0o755)
    faults.own(caller, f"{one}/shut", "#!/bin/sh\n", 0o644)
    shown = ("--read", f"{one}:/one", "--read", f"{two}:/two")

    def run(path: str, *command: str) -> str:
        return faults.ran(hardbox("run", *shown, "--env", f"PATH={path}", "--", *command))

    assert run("/one:/two", "tool") == "one\n"
    assert run("/two:/one", "tool") == "two\n"
    assert run("/missing:/etc/passwd:/two", "tool") == "two\n"
    assert run("/one:/two", "second") == "second\n"
    assert hardbox("run", *shown, "--env", "PATH=/one", "--", "shut").returncode == 126
    assert hardbox("run", *shown, "--env", "PATH=/usr/bin", "--", "tool").returncode == 127
    # The caller's own PATH does not count, nor does the directory that the job starts in.
    assert hardbox("run", *shown, "--", "tool", env={"PATH": f"{one}:/usr/bin:/bin"}).returncode == 127
    for path in ("", ":", ".", "one"):
        done = hardbox("run", *shown, "--workdir", "/one", "--env", f"PATH={path}", "--", "tool")
        assert done.returncode == 127, path


def test_home_exists_and_is_writable(hardbox: Hardbox) -> None:
    faults.ran(hardbox("run", "--", "sh", "-c", "cd && pwd && echo x >file && cat file"), "/home/box\nx\n")


def test_the_argument_vector_passes_unchanged(hardbox: Hardbox) -> None:
    words = [
        "",
        " ",
        "--",
        "-x",
        "--read",
        "a b",
        "'\"\\",
        "$HOME",
        "*",
        "one\ntwo",
        "☃",
        "\x1b[31m",
        "x" * 60000,
    ]
    done = hardbox("run", "--", "printf", "%s\\0", *words)
    assert faults.ran(done).split("\0")[:-1] == words
    # Options end at the first word that is none.
    faults.ran(hardbox("run", "echo", "--network", "host", "--", "x"), "--network host -- x\n")


def test_too_long_an_argument_is_an_error_not_a_crash(hardbox: Hardbox) -> None:
    done = hardbox("run", "--env", "A=" + "x" * 100_000, "--", "echo", "x" * 131_000)
    assert done.returncode in (0, 126), done.stderr[:500]
    many = hardbox("run", "--", "printf", "%.0s", *["x"] * 20_000)
    if many.returncode == 0:
        assert many.stdout == ""
    else:
        faults.refusal(many)
