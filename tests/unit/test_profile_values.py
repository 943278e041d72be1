"""Every key of a profile with bad values. Run by: pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.profile_files import REASON, code, refused, write

from hardbox import profile
from hardbox.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to which nobody else may write, wherever pytest puts it; also the current one."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nosuch = 1", "HB407"),
        ("[nosuch]\na = 1", "HB407"),
        ("[limits]\nmemorx = 1", "HB407"),
        ('limits = "512M"', "HB408"),
        ("[limits]\nmemory = []", "HB410"),
        ("[limits]\nmemory = 1.5", "HB410"),
        ("[limits]\nmemory = true", "HB410"),
        ("[limits]\nmemory = 0", "HB410"),
        ("[limits]\nmemory = -1", "HB410"),
        ("[limits]\nmemory = 9223372036854775807", "HB410"),
        ('[limits]\nmemory = "1K"', "HB410"),
        ("[limits]\ntasks = 0x" + "f" * 5000, "HB410"),
        ("[limits]\nwall = 300", "HB410"),
        ('[limits]\ncpu_time = "500ms"', "HB410"),
        ('[limits]\nwall = "367d"', "HB410"),
        ('[limits]\ncpu = "1.5"', "HB410"),
        ("[limits]\ncpu = 1025", "HB410"),
        ("[identity]\nuser = true", "HB408"),
        ('[identity]\nuser = "1000"', "HB408"),
        ("[identity]\nuser = 65535", "HB303"),
        ("[identity]\nuser = -1", "HB303"),
        *(
            (f'[identity]\nhostname = "{name}"', "HB411")
            for name in ("", "-a", "a-", "a.b", "a b", "é", "x" * 64)
        ),
        ('[identity]\nids = "all"', "HB409"),
        ('[filesystem]\nread = "/a"', "HB408"),
        ("[filesystem]\nread = [1]", "HB408"),
        *(
            (f'[filesystem]\nread = ["{path}"]', "HB412")
            for path in (
                "a",
                "",
                ".",
                "/a/..",
                "/a/./b",
                "/a//b",
                "//a",
                "/a/",
                "/a:b",
                "/a:/b:/c",
                "/a:",
                ":/a",
            )
        ),
        ('[filesystem]\nread = ["/a\\u0000"]', "HB409"),
        (f'[filesystem]\nread = ["/{"x" * 256}"]', "HB412"),
        (f'[filesystem]\nread = ["{"/xxxxxxx" * 600}"]', "HB412"),
        (f'[loosen]\nfilesystem.read = "{REASON}"\n[filesystem]\nread = ["/a:/x", "/b:/x"]', "HB423"),
        (f'[loosen]\nfilesystem.read = "{REASON}"\n[filesystem]\nread = ["/tmp"]', "HB213"),
        (f'[loosen]\nfilesystem.read = "{REASON}"\n[filesystem]\nread = ["/srv:/tmp"]', "HB423"),
        ('[filesystem]\nscratch = { "tmp" = "1M" }', "HB412"),
        ('[filesystem]\nscratch = { "/tmp" = "0" }', "HB410"),
        ('[filesystem]\nscratch = ["/tmp"]', "HB408"),
        ('[filesystem]\nroot = "dir:rel"', "HB412"),
        ('[filesystem]\nroot = "image:x"', "HB409"),
        *(
            (f'[network]\nallow = ["{d}"]', "HB413")
            for d in (
                "a",
                "a:",
                "a:0",
                "a:65536",
                "*.a:1",
                ":1",
                "a b:1",
                "[1]:1",
                "[::1:1",
                "a..b:1",
                "::1:5",
            )
        ),
        ('[capabilities]\nkeep = ["NET_BIND_SERVIC"]', "HB414"),
        ('[seccomp]\nfilter = "strikt"', "HB409"),
        ('[seccomp]\nadd = ["Io Uring"]', "HB409"),
        *((f'[environment]\npass = ["{name}"]', "HB415") for name in ("", "1A", "A-B", "A=B", "é")),
        *(
            (f'[environment]\npass = ["{name}"]', "HB416")
            for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "GCONV_PATH")
        ),
        ('[environment]\nset = { "A=B" = "x" }', "HB415"),
        ("[environment]\nset = { A = 1 }", "HB408"),
        ('[environment]\nset = { A = "\\u0000" }', "HB409"),
        ("[refuse]\nhost-pids = []", "HB424"),
        ("[refuse]\nhost-etc = true", "HB408"),
        ("[refuse]\nhost-etc = [1]", "HB408"),
        ("[refuse]\nhost-etc = false", "HB417"),
        ("[refuse]\nprivileged = false", "HB110"),
        ('[optional]\nseccomp = "no filter on this host"', "HB426"),
        ('[optional]\nlandlock = ""', "HB421"),
        ('[loosen]\n"limits.memory" = "short"', "HB421"),
        ('[loosen]\n"limits.memory" = 3', "HB408"),
        ('[loosen]\n"limits.memry" = "a reason that is long enough"', "HB419"),
        ('[loosen]\n"limits.memory" = "a reason that is long enough"', "HB420"),
        ('[loosen]\nlimits.memory = "a reason that is long enough"', "HB420"),
        ('summary = "a\\nb"', "HB409"),
        ("summary = 1", "HB408"),
    ],
)
def test_bad_values(folder: Path, line: str, expected: str) -> None:
    # Top-level keys come first in TOML.
    assert code(folder, f'extends = "strict"\n{line}\n') == expected


@pytest.mark.parametrize(
    "line",
    [
        'network.mode = "host"',
        'network = "host"',
        "privileged = true",
        'namespaces.pid = "host"',
        "security.no_new_privs = false",
        'seccomp.filter = "unconfined"',
    ],
)
def test_bad_habits_are_refused_by_rule(folder: Path, line: str) -> None:
    error = refused(write(folder, f'extends = "strict"\n{line}'))
    assert isinstance(error, Refused), error.render()
    assert error.rule


def test_the_nearest_name_is_given(folder: Path) -> None:
    error = refused(write(folder, 'extends = "strict"\n[limits]\nmemorx = "1G"'))
    assert error.instead == 'did you mean "limits.memory"?'


def test_a_misspelt_network_is_offered_the_nearest(folder: Path) -> None:
    error = refused(write(folder, 'extends = "strict"\nnetwork.mode = "alow"'))
    assert (error.code, error.instead) == ("HB409", 'did you mean "allow"?')


def test_the_weaker_value_names_both_origins_and_the_line_to_add(folder: Path) -> None:
    error = refused(write(folder, 'extends = "strict"\n[limits]\nmemory = "2G"'))
    assert error.code == "HB417"
    assert error.value == 'limits.memory = "2G"'
    assert error.origin.endswith("ci.toml limits.memory")
    assert '"512M" (strict limits.memory)' in error.why
    assert '"limits.memory" = "' in error.instead
    policy = profile.load(
        write(folder, f'extends = "strict"\n[limits]\nmemory = "2G"\n[loosen]\n"limits.memory" = "{REASON}"')
    )
    assert policy.loosen == {"limits.memory": REASON}


def test_all_problems_are_found_at_once(folder: Path) -> None:
    path = write(folder, 'extends = "strict"\na = 1\n[limits]\ntasks = 0\nmemory = "1T"')
    policy, problems, *_ = profile.inspect(path)
    assert policy is None
    assert sorted(problem.code for problem in problems) == ["HB407", "HB410", "HB417"]


def test_tables_merge_and_lists_replace(folder: Path) -> None:
    policy = profile.load(
        write(
            folder,
            'extends = "strict"\nfilesystem.scratch = { "/tmp" = "1M" }\n'
            '[environment]\npass = []\nset = { A = "1" }',
        )
    )
    assert policy.environment.pass_ == ()
    assert policy.environment.set["HOME"] == "/home/box"
    assert policy.environment.set["A"] == "1"
    assert policy.filesystem.scratch["/tmp"] == 1 << 20
    assert "/home/box" in policy.filesystem.scratch


def test_the_digest_knows_neither_key_order_nor_place(folder: Path) -> None:
    (folder / "other").mkdir(mode=0o755)
    first = write(
        folder, 'extends = "strict"\n[limits]\ntasks = 3\ncpu = 1\n[environment]\nset = { A = "1", B = "2" }'
    )
    second = write(
        folder / "other",
        'environment.set = { B = "2", A = "1" }\nextends = "strict"\n[limits]\ncpu = 1\ntasks = 3',
        "x.toml",
    )
    third = write(folder, 'extends = "strict"\n[limits]\ntasks = 4', "y.toml")
    digests = [profile.load(path).digest for path in (first, second, third)]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 64
