"""A second hardbox.run of a kind uses the first one's decision, and only if it would be made again.

Run by: pytest. Each test is a program of the caller that counts how often something is decided.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import faults, installed
from support.said import said

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

PREAMBLE = """
import hardbox, json, os, subprocess, sys
from hardbox import api
decided = 0
plain_prepare = api.prepare
def counting(*given, **words):
    global decided
    decided += 1
    return plain_prepare(*given, **words)
api.prepare = counting
def run(*argv, **words):
    "Whether it was decided anew, and what it said."
    before = decided
    done = hardbox.run(list(argv), capture=True, **words)
    return [decided - before, done.exit_code, done.stdout.decode()]
"""


def value_of(caller: Caller, python: str, text: str, *argv: str) -> Any:  # noqa: ANN401 (JSON)
    return said(caller, python, PREAMBLE, text, *argv)


@pytest.fixture
def own(caller: Caller, program: Installed, place: str) -> Installed:
    """Give an installation whose files may be changed."""
    copied = installed.copy(program, os.path.join(place, "venv"))
    for folder, _, names in os.walk(copied.prefix):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            os.chown(path, caller.uid, caller.gid, follow_symlinks=False)
    return copied


def test_the_second_run_is_the_first_ones_with_another_command(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program.python,
        """
        ran = [run("echo", "a"), run("echo", "b", "c"), run("sh", "-c", "exit 9"), run("no-such")]
        again = hardbox.run(["true"])
        fresh = plain_prepare(api.load_profile("strict"), ["true"]).plan
        digests = again.plan_sha256, again.profile_sha256
        seen = again.enforced
        same = digests == (fresh.digest(), fresh.policy_digest)
        print(json.dumps([ran, same, list(again.argv), seen.seccomp,
            seen.no_new_privs, not seen.gaps() and not seen.contradictions(0)]))
        """,
    )
    ran = [[1, 0, "a\n"], [0, 0, "b c\n"], [0, 9, ""], [0, 127, ""]]
    assert found == [ran, True, ["true"], True, True, True]


def test_each_request_is_decided_for_itself(caller: Caller, program: Installed, place: str) -> None:
    found = value_of(
        caller,
        program.python,
        """
        os.mkdir(sys.argv[1] + "/w")
        policy, other = hardbox.load_profile("strict"), hardbox.load_profile("strict", ())
        kinds = [{}, {"profile": "baseline"}, {"env": {"A": "1"}}, {"env": {"A": "2"}}, {"env": {"B": "1"}},
            {"settings": {"limits.tasks": 9}}, {"settings": {"limits.tasks": 8}},
            {"settings": {"limits.wall": "9s"}}, {"workdir": "/tmp"}, {"profile": policy}, {"profile": other},
            {"settings": {"limits.open_files": 300}, "loosen": {"limits.open_files": "a first reason of it"}},
            {"settings": {"limits.open_files": 300}, "loosen": {"limits.open_files": "another reason of it"}}]
        said = "echo $A$B; pwd; ulimit -n"
        first, second = ([run("sh", "-c", said, **kind) for kind in kinds] for _ in range(2))
        never = [{"read": [sys.argv[1]]}, {"write": [sys.argv[1] + "/w"]}, {"explain": True}]
        print(json.dumps([[one[0] for one in first], [one[0] for one in second],
            [one[1:] for one in first] == [one[1:] for one in second], len({one[2] for one in first}),
            [run("true", **kind)[0] for kind in never for _ in range(2)]]))
        """,
        place,
    )
    assert found == [[1] * 13, [0] * 13, True, 6, [1] * 6]


@pytest.mark.parametrize(
    ("change", "undone"),
    [
        ("os.chdir('/usr')", False),
        ("os.environ['HARDBOX_NO_CACHE'] = '1'", False),
        ("os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])", False),
        ("os.utime(strict)", False),
        ("open(strict, 'a').write('# more\\n')", False),
        ("os.rename(strict, strict + '.old'); subprocess.run(['cp', '-p', strict + '.old', strict])", False),
        ("os.utime(filter_file)", False),
        ("os.setgroups([12345]) if os.geteuid() == 0 else os.chdir('/usr')", False),
        ("os.setresgid(12345, 12345, 12345) if os.geteuid() == 0 else os.chdir('/usr')", False),
        ("pass", True),
        ("os.environ['SOME'] = 'value'", True),
        ("os.utime(package + '/places.py')", True),
    ],
)
def test_what_has_changed_since_is_noticed(caller: Caller, own: Installed, change: str, undone: bool) -> None:  # noqa: FBT001 (a table)
    found = value_of(
        caller,
        own.python,
        f"""
        package = os.path.dirname(hardbox.__file__)
        strict, filter_file = package + "/profiles/strict.toml", package + "/seccomp/strict.toml"
        before = [run("true")[:2], run("true")[:2]]
        {change}
        print(json.dumps([*before, run("true")[:2]]))
        """,
    )
    assert found == [[1, 0], [0, 0], [0 if undone else 1, 0]]


def test_a_changed_profile_is_what_counts(caller: Caller, own: Installed) -> None:
    found = value_of(
        caller,
        own.python,
        """
        strict = os.path.dirname(hardbox.__file__) + "/profiles/strict.toml"
        said = [run("sh", "-c", "ulimit -n")[2] for _ in range(2)]
        text = open(strict).read()
        open(strict, "w").write(text.replace("open_files = 256", "open_files = 99"))
        said.append(run("sh", "-c", "ulimit -n")[2])
        os.unlink(strict)
        try:
            run("true")
        except hardbox.HardboxError as error:
            said.append(error.code)
        print(json.dumps(said))
        """,
    )
    assert found[:3] == ["256\n", "256\n", "99\n"]
    assert found[3].startswith("HB4")


@pytest.mark.parametrize("how", ["mount -t tmpfs none /mnt", "mount --bind {place} {subuid}"])
def test_a_changed_mount_table_is_noticed(caller: Caller, program: Installed, place: str, how: str) -> None:
    if caller.uid != 0:
        pytest.skip("only root can mount without becoming somebody else")
    subuid = "/etc/subuid"
    source = faults.own(caller, f"{place}/subuid", "hardbox:1000000:6553600\n")
    inside = replace(caller, prefix=(*caller.prefix, "unshare", "-m"))
    found = value_of(
        inside,
        program.python,
        """
        before = [run("true")[0], run("true")[0]]
        subprocess.run(sys.argv[1].split(), check=True)
        print(json.dumps([*before, run("true")[0], run("true")[0]]))
        """,
        how.format(place=source, subuid=subuid),
    )
    assert found == [1, 0, 1, 0]


def test_a_file_that_changes_meanwhile_is_not_kept(caller: Caller, own: Installed) -> None:
    """What was written since the decision began may have been read as it was before."""
    found = value_of(
        caller,
        own.python,
        """
        strict = os.path.dirname(hardbox.__file__) + "/profiles/strict.toml"
        def meanwhile(*given, **words):
            os.utime(strict)
            return counting(*given, **words)
        api.prepare = meanwhile
        print(json.dumps([run("true")[0], run("true")[0]]))
        """,
    )
    assert found == [1, 1]


def test_threads_share_what_was_decided(caller: Caller, program: Installed) -> None:
    found = value_of(
        caller,
        program.python,
        """
        from concurrent.futures import ThreadPoolExecutor
        run("true")
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(lambda n: run("echo", str(n))[1:], range(40)))
        print(json.dumps([said == [[0, f"{n}\\n"] for n in range(40)], decided]))
        """,
    )
    assert found == [True, 1]
