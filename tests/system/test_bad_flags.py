"""Bad words on the command line: one form of error, nothing run, nothing left.  Run by: pytest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller

pytestmark = pytest.mark.usefixtures("nothing_left")

HUGE = "9" * 5000
LONG = "x" * 100_000
NUMBERS = (
    "",
    "-1",
    "0",
    "1.5",
    "1e9",
    HUGE,
    "0x10",
    "NaN",
    "inf",
    "many",
    " 64",
    "64 ",
    "٣",
    "1_000",
    "+5",
    "--",
    "\x1b",
)
DURATIONS = (
    "",
    "0",
    "0s",
    "5",
    "-5s",
    "5x",
    "s",
    "1s1h",
    "1.5s",
    HUGE + "s",
    "5 s",
    "1s1s",
    "∞",
    "5S",
    "400d",
    "\n5s",
)
SIZES = ("", "0", "-1", "1X", "M", "1.5G", "1MB", "1mb", "1 M", HUGE, HUGE + "T", "9999999T", "1", "0M", "M1")
HOSTNAMES = ("", "-a", "a-", "a.b", "a b", "a_b", "x" * 64, "ä", "a/b", "..", "a\nb", "\x1b[31m", "a'")
PATHS = (
    "",
    ":",
    ":/w",
    "x:",
    "/missing",
    "relative/missing",
    "/etc/shadow",
    "/",
    "/proc",
    "/sys",
    "/dev",
    "/x" * 3000,
    "/" + "x" * 300,
    "/a:/b:/c",
    "/usr:relative",
    "/usr:",
    "~",
    "/usr/../..",
    "\n",
    "/\x1b[31m",
)
# (words before the command; words that the message must contain)
ROWS: tuple[tuple[tuple[str, ...], str], ...] = (
    *((("--tasks", value), "") for value in NUMBERS),
    *((("--set", f"limits.open_files={value}"), "") for value in (*NUMBERS, "15", "true", "[]", "{}", '"x"')),
    *((("--timeout", value), "") for value in DURATIONS),
    *((("--memory", value), "") for value in SIZES),
    *((("--hostname", value), "") for value in HOSTNAMES),
    *((("--read", value), "") for value in PATHS),
    *((("--write", value), "") for value in PATHS),
    *(
        (("--network", value), "")
        for value in ("", "NONE", "yes", "bridge", "allow", "host", "0", "none,host", LONG)
    ),
    *(
        (("--profile", value), "")
        for value in (
            "",
            "nope",
            "Strict",
            "strict ",
            "../strict",
            "/",
            ".",
            "/dev/null",
            "/dev/zero",
            "x" * 300,
            LONG,
            "\x1b[31m",
            "~/x",
            "strict.toml",
            "/proc/self/mem",
        )
    ),
    *(
        (("--set", value), "")
        for value in (
            "",
            "x",
            "=",
            "=x",
            "limits",
            "limits=1",
            "limits.=1",
            ".x=1",
            "no.such=1",
            "limits.memory.x=1",
            "limits.memory",
            "extends=strict",
            "loosen.x=1",
            "limits.memory=[1]",
            "limits.memory={a=1}",
            "limits.memory=[",
            'limits.memory="',
            "summary=\n",
            "filesystem.show=/usr",
            'filesystem.show=["relative"]',
            "filesystem.scratch=[]",
            'filesystem.scratch={"/tmp"="1"}',
            "filesystem.exec=maybe",
            "filesystem.mode=rw",
            "filesystem.root=dir:",
            "filesystem.root=dir:relative",
            "filesystem.root=/",
            "seccomp.filter=none",
            "seccomp.filter=/missing.toml",
            'seccomp.add=["NO"]',
            'seccomp.add=["no-such-group"]',
            'capabilities.keep=["SYS_ADMIN"]',
            'capabilities.keep=["NOPE"]',
            "capabilities.keep=all",
            "identity.user=0",
            "identity.user=-1",
            "identity.user=65535",
            "identity.user=4294967295",
            "identity.user=x",
            "identity.ids=all",
            "environment.set={}x",
            'environment.set={"1"="x"}',
            "environment.set={A=1}",
            'environment.pass=["LD_PRELOAD"]',
            "refuse.host-network=false",
            "refuse.no-such=false",
            "optional.seccomp=because I say so",
            "refuse=[]",
            "[" * 5000,
            "limits.memory=" + "[" * 5000,
            "limits.memory=" + HUGE,
            LONG + "=1",
            "limits.memory=" + LONG,
        )
    ),
    *(
        (("--loosen", value), "")
        for value in (
            "",
            "x",
            "=",
            "limits.memory=",
            "limits.memory=short",
            "no.such=a reason that is long",
            "limits.memory=a reason without its value",
            "limits.memory=" + "x" * 1000,
            "limits.memory=new\nline here",
            "=reason enough",
        )
    ),
    *((("--env", value), "") for value in ("", "=", "1=x", "A-B", "LD_PRELOAD", "A B=1", "\x1b=1")),
    *((("--workdir", value), "") for value in ("", "x", ".", "/missing", "/etc/passwd", "/" + "x" * 5000)),
    *(
        ((flag,), flag.partition("=")[0])
        for flag in (
            "--no-such",
            "-x",
            "--Read",
            "--quie",
            "--readonly",
            "---",
            "-",
            "--=",
            "-qq",
            "--\x1b[31m",
            "--" + "x" * 5000,
            "-v",
            "-it",
            "--rm",
            "--json",
            "--output=x",
        )
        if flag != "-"
    ),
    *(((flag,), "") for flag in ("--quiet=1", "--quiet=", "-q=1", "--debug=yes", "--help=1")),
    *(
        (words, "")
        for words in (
            ("--tasks", "8", "--tasks", "9"),
            ("--profile", "strict", "--profile", "strict"),
            ("--quiet", "--quiet"),
            ("-q", "--quiet"),
            ("--timeout", "5s", "--timeout=6s"),
            ("--report", "a", "--report", "b"),
        )
    ),
    *(
        (words, "")
        for words in (
            ("--privileged",),
            ("--privileged=true",),
            ("--pid=host",),
            ("--pid", "host"),
            ("--ipc=host",),
            ("--net=host",),
            ("--net", "host"),
            ("--network=host",),
            ("--uts=host",),
            ("--userns=host",),
            ("--cgroupns=host",),
            ("--cap-add", "SYS_ADMIN"),
            ("--cap-add=ALL",),
            ("--device", "/dev/sda"),
            ("--device=/dev/kvm",),
            ("--security-opt", "seccomp=unconfined"),
            ("--security-opt=apparmor=unconfined",),
            ("-v", "/var/run/docker.sock:/s"),
            ("-v", "/:/host"),
            ("--pid=container:x",),
            ("--network", "container:x"),
            ("--network", "/proc/1/ns/net"),
            ("--mount", "type=bind,src=/,dst=/h"),
            ("--volumes-from", "x"),
            ("-p", "80:80"),
            ("--user", "root"),
            ("--user=0",),
        )
    ),
)
NO_COMMAND = (
    (),
    ("--",),
    ("--quiet",),
    ("--quiet", "--"),
    ("--tasks",),
    ("--read",),
    ("--report",),
    ("--profile",),
    ("--env",),
)


@pytest.mark.parametrize("number", range(len(ROWS)), ids=lambda number: faults.words(ROWS[number][0]))
def test_a_bad_word_is_refused(hardbox: Hardbox, caller: Caller, place: str, number: int) -> None:
    words, says = ROWS[number]
    if os.geteuid() == 0 and number % 2 != (caller.uid == 0):
        return  # the parser does not look at who calls: each row once, the callers in turn
    tree = faults.own_dir(caller, f"{place}/w")
    done = hardbox("run", "--write", f"{tree}:/w", *words, "--", "touch", "/w/ran", cwd=place)
    faults.refusal(done, says=says if says.isprintable() and len(says) < 100 else "")
    assert len(done.stderr) < 4000, "a message is read by people"
    assert faults.listing(place) == {"w"}


@pytest.mark.parametrize("words", NO_COMMAND, ids=faults.words)
def test_a_missing_command_or_value_is_refused(hardbox: Hardbox, words: tuple[str, ...]) -> None:
    for verb in ("run", "plan", "compile"):
        if verb == "run" or not {"--quiet", "--report"} & set(words):
            faults.refusal(hardbox(verb, *words), "HB002", "HB003")
