"""Bad words behind and instead of the verbs.  Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

VERBS = (
    "",
    "ruN",
    "rn",
    "exec",
    "--run",
    "-x",
    "--privileged",
    "\x1b[31m",
    "no such",
    "x" * 5000,
    "profiel",
    "..",
    "/bin/sh",
)


@pytest.mark.parametrize(
    "verb", VERBS, ids=lambda verb: verb.encode("unicode_escape").decode()[:20] or "empty"
)
def test_an_unknown_verb_is_refused(hardbox: Hardbox, verb: str) -> None:
    faults.refusal(hardbox(verb, "--", "true"))


def test_lint_tells_problems_by_its_status(hardbox: Hardbox) -> None:
    for path in ("/missing.toml", "/", "/etc/passwd"):
        done = hardbox("profile", "lint", path)
        assert done.returncode == 1, done
        assert "[HB" in done.stdout, done
        assert "Traceback" not in done.stderr


def test_half_a_verb_prints_its_help_and_fails(hardbox: Hardbox) -> None:
    for verb in ("profile", "seccomp", "explain"):
        done = hardbox(verb)
        assert done.returncode == 125
        assert "usage" in done.stdout + done.stderr


def test_no_verb_prints_the_help_and_fails(hardbox: Hardbox) -> None:
    done = hardbox()
    assert done.returncode == 125
    assert "usage: hardbox" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("profile", "no-such"),
        ("profile", "show"),
        ("profile", "show", "nope"),
        ("profile", "show", "strict", "extra"),
        ("profile", "show", "--no-such", "strict"),
        ("profile", "lint"),
        ("profile", "diff", "strict"),
        ("profile", "diff", "strict", "nope"),
        ("profile", "list", "extra"),
        ("explain", "HB9999"),
        ("explain", "/missing.json"),
        ("explain", "/"),
        ("explain", "/etc/passwd"),
        ("explain", "/dev/zero"),
        ("explain", "a", "b"),
        ("seccomp", "no-such"),
        ("seccomp", "show"),
        ("seccomp", "show", "nope"),
        ("seccomp", "convert"),
        ("seccomp", "convert", "/missing.json"),
        ("seccomp", "convert", "/"),
        ("seccomp", "convert", "/etc/passwd"),
        ("doctor", "extra"),
        ("doctor", "--no-such"),
    ],
    ids=faults.words,
)
def test_bad_words_behind_other_verbs_are_refused(hardbox: Hardbox, words: tuple[str, ...]) -> None:
    faults.refusal(hardbox(*words))


def test_help_and_version_work_everywhere(hardbox: Hardbox) -> None:
    for words in (
        ("--help",),
        ("-h",),
        ("help",),
        ("--version",),
        ("run", "--help"),
        ("plan", "-h"),
        ("compile", "--help"),
        ("doctor", "--help"),
        ("profile", "--help"),
        ("seccomp", "--help"),
        ("explain", "--help"),
        ("run", "--help", "--", "x"),
        ("help", "run"),
        ("help", "explain"),
    ):
        done = hardbox(*words)
        assert faults.ran(done), words
        assert not done.stderr


def test_output_that_nobody_reads_is_no_traceback(caller: Caller, program: Installed) -> None:
    for words in ("plan -- true", "--help", "profile show strict", "profile list", "plan --json -- true"):
        for sink in ("| true", ">/dev/full", ">&-"):
            done = faults.shell(caller, f'"$1" {words} {sink}', program.hardbox)
            assert "Traceback" not in done.stderr, (words, sink, done.stderr)
            assert "Exception ignored" not in done.stderr, (words, sink, done.stderr)
            assert "[HB000]" not in done.stderr, (words, sink, done.stderr)


def test_words_that_are_no_text_are_refused(caller: Caller, program: Installed) -> None:
    for words in (
        '--profile "$b"',
        '--read "$b"',
        '--set "$b=1"',
        '--set "limits.memory=$b"',
        '--env "$b=1"',
        '--env "$b"',
        '--hostname "$b"',
        '--timeout "$b"',
        '--loosen "$b=a long reason"',
        '--loosen "limits.memory=a long reason $b"',
        '"--$b"',
        '--workdir "$b"',
        '--workdir "/$b"',
    ):
        script = f'b=$(printf "\\377\\376"); "$1" run {words} -- true'
        faults.refusal(faults.shell(caller, script, program.hardbox))
