"""Bad profiles: every key with every wrong type and value, and files that are no profile.

Run by: pytest. The loader itself takes the whole table; the command line a part of it.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from support import faults

from hardbox.errors import HardboxError
from hardbox.profile import load
from hardbox.profile.schema import READERS

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

HUGE: Final = "9" * 4000
# TOML values that are of no use to most keys.
VALUES: Final = (
    *("true", "false", "1.5", "nan", "inf", "-1", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", HUGE),
    *(
        '""',
        '" "',
        '"\\u0000"',
        '"a\\u0000b"',
        '"\\n"',
        '"\\u001b[31m"',
        '"☃"',
        '"' + "x" * 70000 + '"',
        '"-"',
    ),
    *("[]", "[[]]", "[1]", "[true]", '["", ""]', '["a", 1]', "[[[[[[[[]]]]]]]]", "[" + '"x",' * 2000 + "]"),
    *("{}", "{a = 1}", "{a = {b = {c = 1}}}", '{"" = ""}', '{"/" = "1M"}', '{A = "1"}', '{"a\\u0000" = "1"}'),
    *("[{}]", "0", "1", "65535", "4294967296", "9223372036854775807", "-9223372036854775808", "0x10", "1e3"),
)
# What a file may hold instead of a profile -> what the message has to name.
DOCUMENTS: Final = {
    "nothing": (b"", "HB305"),
    "no TOML": (b"this is no TOML", "HB406"),
    "half a table": (b"[limits", "HB406"),
    "a duplicate key": (b'extends = "strict"\nextends = "strict"\n', "HB406"),
    "a duplicate table": (b'extends = "strict"\n[limits]\ntasks = 1\n[limits]\ntasks = 2\n', "HB406"),
    "a table twice, once dotted": (b'extends = "strict"\nlimits.tasks = 1\n[limits]\ntasks = 2\n', "HB406"),
    "a NUL": (b'extends = "str\0ict"\n', "HB406"),
    "Latin-1": (b'extends = "strict"\nsummary = "na\xefve"\n', "HB405"),
    "UTF-16": ('extends = "strict"\n'.encode("utf-16"), "HB405"),
    "a byte order mark": (b'\xef\xbb\xbfextends = "strict"\n', "HB406"),
    "deep brackets": (b"x = " + b"[" * 50_000, "HB406"),
    "deep tables": (b'extends = "strict"\nx = ' + b"{a=" * 5_000 + b"1" + b"}" * 5_000, "HB4"),
    "deep keys": (b'extends = "strict"\n' + b"a." * 20_000 + b"b = 1\n", "HB4"),
    "too long": (b'extends = "strict"\n' + b"#" * (1 << 20), "HB404"),
    "a huge number": (b'extends = "strict"\n[limits]\ntasks = ' + b"9" * 10_000, "HB4"),
    "an unknown key": (b'extends = "strict"\nextend = 1\n', "HB407"),
    "an unknown table": (b'extends = "strict"\n[limit]\ntasks = 1\n', "HB407"),
    "an unknown key in a table": (b'extends = "strict"\n[limits]\ntask = 1\n', "HB407"),
    "a near key": (b'extends = "strict"\n[limits]\nmemroy = "1M"\n', "limits.memory"),
    "a table that is a value": (b'extends = "strict"\nlimits = 3\n', "HB408"),
    "a value that is a table": (b'extends = "strict"\n[limits.memory]\nx = 1\n', "HB4"),
    "an array of tables": (b'extends = "strict"\n[[limits]]\ntasks = 1\n', "HB408"),
    "an unknown parent": (b'extends = "stict"\n', "strict"),
    "itself as parent": (b'extends = "./p.toml"\n', "HB422"),
    "two parents": (b'extends = ["strict", "build"]\n', "HB408"),
    "an empty parent": (b'extends = ""\n', "HB4"),
    "a missing parent": (b'extends = "./missing.toml"\n', "HB402"),
    "a weaker value": (b'extends = "strict"\n[limits]\nmemory = "8G"\n', "HB417"),
    "a reason for nothing": (
        b'extends = "strict"\n[loosen]\n"limits.memory" = "a long enough reason"\n',
        "HB420",
    ),
    "an unknown reason": (b'extends = "strict"\n[loosen]\n"no.such" = "a long enough reason"\n', "HB4"),
    "a short reason": (
        b'extends = "strict"\n[limits]\nmemory="8G"\n[loosen]\n"limits.memory" = "x"\n',
        "HB4",
    ),
    "a lifted floor": (b'extends = "strict"\n[refuse]\nhost-network = false\n', "HB103"),
    "an unknown rule": (b'extends = "strict"\n[refuse]\nhost-netwrok = false\n', "host-network"),
    "an unknown option": (b'extends = "strict"\n[optional]\nseccomp = "a long enough reason"\n', "HB4"),
    "an unknown filter": (b'extends = "strict"\n[seccomp]\nfilter = "strickt"\n', "strict"),
    "a missing filter": (b'extends = "strict"\n[seccomp]\nfilter = "./missing.toml"\n', "HB4"),
    "a root user": (b'extends = "strict"\n[identity]\nuser = 0\n', "HB"),
    "a key of docker": (b'extends = "strict"\nprivileged = true\n', "HB110"),
    "a key of kubernetes": (b'extends = "strict"\nhostNetwork = true\n', "HB"),
}


@pytest.mark.parametrize("key", [key for key in READERS if key != "summary"])
def test_a_wrong_value_never_loads_silently(key: str, base: str) -> None:
    """Each value either is an error of hardbox, or is what the file says (read back as itself)."""
    path = f"{base}/keys.toml"
    table, _, name = key.partition(".")
    refused = 0
    for value in VALUES:
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'extends = "strict"\n[{table}]\n{name} = {value}\n')
        try:
            load(path)
        except HardboxError as error:
            text = error.render()
        else:
            continue
        assert faults.FORM.fullmatch(text), text
        assert not faults.CONTROL.search(text)
        refused += 1
    assert refused > len(VALUES) * 2 // 3, "most of these values are of no use to any key"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_bad_document_is_refused(hardbox: Hardbox, caller: Caller, place: str, name: str) -> None:
    content, says = DOCUMENTS[name]
    path = faults.own(caller, f"{place}/p.toml", content)
    tree = faults.own_dir(caller, f"{place}/w")
    done = hardbox("run", "--profile", path, "--write", f"{tree}:/w", "--", "touch", "/w/ran")
    faults.refusal(done, says=says)
    assert faults.listing(place) == {"p.toml", "w"}


@pytest.mark.parametrize("value", ["true", "1.5", '"\\u0000"', "[]", "{a = 1}", HUGE, '"\\u001b[31m"'])
@pytest.mark.parametrize("key", ["limits.memory", "identity.user", "filesystem.read", "environment.set"])
def test_the_command_line_says_it_too(
    hardbox: Hardbox, caller: Caller, place: str, key: str, value: str
) -> None:
    if (key, value) == ("filesystem.read", "[]"):
        return  # an empty list is a good one
    table, _, name = key.partition(".")
    path = faults.own(caller, f"{place}/p.toml", f'extends = "strict"\n[{table}]\n{name} = {value}\n')
    faults.refusal(hardbox("run", "--profile", path, "--", "true"), says=table)


def test_files_that_are_no_profile_are_refused(hardbox: Hardbox, caller: Caller, place: str) -> None:
    good = 'extends = "strict"\n'
    os.mkfifo(f"{place}/fifo.toml", 0o600)
    os.chown(f"{place}/fifo.toml", caller.uid, caller.gid)
    faults.own_dir(caller, f"{place}/dir.toml")
    os.symlink("circle.toml", f"{place}/circle.toml")
    os.symlink("/dev/zero", f"{place}/zero.toml")
    faults.own(caller, f"{place}/open.toml", good, 0o666)
    faults.own(caller, f"{place}/group.toml", good, 0o664)
    loose = faults.own_dir(caller, f"{place}/loose", 0o777)
    faults.own(caller, f"{loose}/p.toml", good)
    names = ("fifo", "dir", "circle", "zero", "open", "group", "loose/p", "missing", "dir.toml/x")
    rows = [f"{place}/{name}.toml" for name in names]
    rows += [
        place,
        "/dev/null",
        "/dev/zero",
        "/proc/self/mem",
        "/proc/self/environ",
        "/etc/passwd",
        "/bin/sh",
    ]
    if caller.uid != 0:
        faults.own(caller, f"{place}/shut.toml", good, 0o000)
        rows += [f"{place}/shut.toml"]
    if caller.uid != 0 and os.geteuid() == 0:
        os.chown(faults.own(caller, f"{place}/foreign.toml", good), 12345, 12345)
        rows += [f"{place}/foreign.toml"]
    for path in rows:
        faults.refusal(hardbox("run", "--profile", path, "--", "true"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_profile_of_another_user_is_refused(hardbox: Hardbox, place: str) -> None:
    path = f"{place}/p.toml"
    with open(path, "w", encoding="utf-8") as file:
        file.write('extends = "strict"\n')
    os.chown(path, 54321, 54321)
    faults.refusal(hardbox("run", "--profile", path, "--", "true"), "HB230")


def test_a_long_chain_of_parents_is_refused(hardbox: Hardbox, caller: Caller, place: str) -> None:
    faults.own(caller, f"{place}/0.toml", 'extends = "strict"\n')
    for number in range(1, 20):
        faults.own(caller, f"{place}/{number}.toml", f'extends = "./{number - 1}.toml"\n')
    faults.ran(hardbox("run", "--profile", f"{place}/3.toml", "--", "true"))
    faults.refusal(hardbox("run", "--profile", f"{place}/19.toml", "--", "true"), "HB422")


def test_a_profile_cannot_be_fed_through_a_pipe(caller: Caller, program: Installed) -> None:
    script = 'echo \'extends = "strict"\' | "$1" run --profile /dev/stdin -- true'
    faults.refusal(faults.shell(caller, script, program.hardbox))


def test_bad_filters_are_refused(hardbox: Hardbox, caller: Caller, place: str) -> None:
    text = 'extends = "strict"\n[seccomp]\nfilter = "./f.toml"\n'
    text += '[loosen]\n"seccomp.filter" = "a test of the project"\n'
    profile = faults.own(caller, f"{place}/p.toml", text)
    for content in (
        b"",
        b"nonsense",
        b"\xff\xfe",
        b'extends = "nope"\n',
        b'extends = "strict"\nno_such = 1\n',
        b"x = " + b"[" * 50_000,
        b"#" * (2 << 20),
        b'default = "allow"\n',
    ):
        faults.own(caller, f"{place}/f.toml", content)
        faults.refusal(hardbox("run", "--profile", profile, "--", "true"))
    os.unlink(f"{place}/f.toml")
    os.mkfifo(f"{place}/f.toml")
    os.chown(f"{place}/f.toml", caller.uid, caller.gid)
    faults.refusal(hardbox("run", "--profile", profile, "--", "true"))


def test_reading_a_profile_has_no_side_effect(caller: Caller, program: Installed, place: str) -> None:
    """Traced: the file is opened once, for reading; nothing is written or started."""
    path = faults.own(caller, f"{place}/p.toml", 'extends = "strict"\n')
    log = f"{place}/trace"
    calls = "trace=openat,open,creat,unlink,rename,mkdir,chmod,socket,connect,execve,clone,clone3,vfork"
    done = subprocess.run(
        [
            *caller.prefix,
            "strace",
            "-f",
            "-qq",
            "-o",
            log,
            "-e",
            calls,
            program.hardbox,
            "profile",
            "show",
            path,
        ],
        capture_output=True,
        env=caller.environment(PYTHONDONTWRITEBYTECODE="1"),
        cwd=caller.home,
        check=True,
    )
    assert done.stdout
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    assert sum(f'"{path}"' in line and "open" in line for line in lines) == 1
    for line in lines:
        writes = any(flag in line for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))
        assert not writes or "/dev/" in line or "cache" in line, line
        assert not any(call in line for call in ("socket(", "connect(", "clone(", "clone3(", "vfork(")), line
