"""What `hardbox run` says beside the exit status.  Run by: pytest."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")
SCRIPT = "#!/bin/sh\necho hi\n"
WRITTEN = "what a job may write cannot be executed under this profile"


@pytest.fixture
def script(caller: Caller, place: str) -> str:
    return faults.own(caller, f"{place}/x.sh", SCRIPT, 0o755)


def test_a_program_of_the_host_that_is_not_shown(hardbox: Hardbox, place: str, script: str) -> None:
    for name, says in (
        (script, "it exists on the host"),
        ("./x.sh", "it exists on the host"),
        ("x.sh", "such a file stands in this directory"),
        ("no-such", "is searched"),
    ):
        done = hardbox("run", "--", name, cwd=place)
        assert done.returncode == 127
        first, hint = done.stderr.splitlines()
        assert first == f"hardbox: not found in the sandbox: {name}"
        assert says in hint, hint
    done = hardbox("run", "--", "/no/such", cwd=place)
    assert done.stderr == "hardbox: not found in the sandbox: /no/such\n"
    faults.ran(hardbox("run", "--read", ".", "--", "./x.sh", cwd=place), "hi\n")


def test_a_program_that_is_shown_elsewhere(hardbox: Hardbox, place: str, script: str) -> None:
    done = hardbox("run", "--read", f"{place}:/work", "--", script)
    assert done.returncode == 127
    assert "it is shown as /work/x.sh" in done.stderr


def test_what_may_be_written_cannot_be_executed(hardbox: Hardbox, place: str, script: str) -> None:
    for command in (("./x.sh",), (script,), ("sh", "-c", "./x.sh")):
        done = hardbox("run", "--write", ".", "--", *command, cwd=place)
        assert done.returncode == 126
        assert WRITTEN in done.stderr, done.stderr
    faults.ran(hardbox("run", "--profile", "build", "--write", ".", "--", "./x.sh", cwd=place), "hi\n")
    done = hardbox("run", "--write", ".", "--", "sh", "-c", "exit 126", "--quiet", cwd=place)
    assert done.returncode == 126
    done = hardbox("run", "--quiet", "--write", ".", "--", "sh", "-c", "./x.sh", cwd=place)
    assert WRITTEN not in done.stderr


def test_a_file_without_its_bit(hardbox: Hardbox, place: str, script: str) -> None:
    os.chmod(script, 0o644)
    done = hardbox("run", "--read", ".", "--", "./x.sh", cwd=place)
    assert done.returncode == 126
    assert "chmod +x" in done.stderr


def test_the_limit_that_a_signal_comes_from(hardbox: Hardbox) -> None:
    done = hardbox("run", "--set", "limits.file_size=1M", "--", "dd", "if=/dev/zero", "of=/tmp/x", "bs=2M")
    assert done.returncode == 153
    assert "hardbox: ended by SIGXFSZ: a file grew beyond limits.file_size\n" in done.stderr
    done = hardbox("run", "--set", "limits.cpu_time=1s", "--", "sh", "-c", "while :; do :; done")
    assert done.returncode in (137, 152)
    assert "limits.cpu_time" in done.stderr
    done = hardbox("run", "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == 137
    assert "limits" not in done.stderr


def test_inside_a_sandbox_no_other_can_be_made(hardbox: Hardbox, program: Installed) -> None:
    inner = (program.hardbox, "run", "--", "true")
    done = hardbox("run", "--quiet", "--read", program.prefix, "--", *inner)
    faults.refusal(done, "HB510", says="already inside a sandbox")


@pytest.mark.parametrize(
    ("allow", "words"),
    [('"exit_group"', ("--set", "seccomp.denials=silent")), ('"exit_group", "sendmsg"', ())],
    ids=("silent", "told"),
)
def test_a_filter_that_starves_init(
    hardbox: Hardbox, caller: Caller, place: str, allow: str, words: tuple[str, ...]
) -> None:
    """Init's own calls are refused, and told of: the supervisor answers them, and nothing hangs."""
    faults.own(
        caller,
        f"{place}/few.toml",
        f'summary = "too few"\n[group.few]\nwhy = "hardly anything is left"\nallow = [{allow}]\n',
    )
    profile = faults.own(
        caller,
        f"{place}/few-profile.toml",
        'extends = "strict"\n[seccomp]\nfilter = "./few.toml"\n[loosen]\n"seccomp.filter" = "a test of it"\n',
    )
    done = hardbox("run", "--profile", profile, *words, "--", "true")
    faults.refusal(done, "HB602", says="a filter of one's own")


def test_the_tour_can_be_typed_again(program: Installed, caller: Caller) -> None:
    tour = os.path.join(os.path.dirname(__file__), "../../tools/tour")
    with open(tour, encoding="utf-8") as file:
        done = subprocess.run(
            ["sh", "-s", program.hardbox], stdin=file, capture_output=True, text=True, check=True
        )
    typed = [line[2:] for line in done.stdout.splitlines() if line.startswith("$ hardbox ")]
    assert len(typed) > 5
    [quoted] = [line for line in typed if "CapEff" in line]
    again = faults.shell(caller, f'set -- {quoted}; printf "%s\\n" "$8"', "x")
    assert again.stdout.startswith("grep -E "), again
    last = done.stdout.splitlines()[-1]
    assert last.endswith(f"export PATH={os.path.dirname(program.hardbox)}:$PATH")
