"""The second `hardbox run` of the same request does without Python, and only then."""

from __future__ import annotations

import os
import re
import shutil
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import faults, installed

if TYPE_CHECKING:
    from support.kept import Kept

PLAIN = ("run", "--profile", "strict", "--timeout", "1s", "--")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("sh", "-c", "echo out; echo err >&2; exit 7"), 7),
        (("no-such-command",), 127),
        (("./no-such-command",), 127),
        (("./here.sh",), 127),
        (("here.sh",), 127),
        (("dd", "if=/dev/zero", "of=/tmp/big", "bs=1M", "count=100", "status=none"), 153),
        (("no-such\x1b[31m\n\udcff\u00e9\u0085",), 127),
        (("/etc",), 126),
        (("sh", "-c", "kill -9 $$"), 137),
        (("sleep", "60"), 124),
    ],
)
def test_both_ways_say_the_same(kept: Kept, command: tuple[str, ...], status: int) -> None:
    faults.own(kept.caller, f"{kept.caller.home}/here.sh", "#!/bin/sh\n", 0o755)
    first = kept(*PLAIN, *command)
    assert len(kept.seals()) == 1
    second = kept(*PLAIN, *command)
    assert (first.returncode, second.returncode) == (status, status)
    assert first.stdout == second.stdout
    assert re.sub(r"after [\d.]+ s", "after S s", first.stderr) == re.sub(
        r"after [\d.]+ s", "after S s", second.stderr
    )
    assert not kept.python_was_needed(*PLAIN, *command)


@pytest.mark.parametrize("limit", ["64M", "65537K"])
def test_both_ways_name_the_memory_limit(kept: Kept, limit: str) -> None:
    # No Python inside, so that it is seen whether there is one outside. Each `tail` keeps 48 MiB.
    hold = "(head -c 50331648 /dev/zero; sleep 5) | tail -n 1 >/dev/null &"
    words = ("run", "--memory", limit, "--", "sh", "-c", f"{hold} {hold} {hold} wait")
    said = [kept(*words) for _ in range(2)]
    assert not kept.python_was_needed(*words)
    assert [done.returncode for done in said] == [137, 137]
    assert re.fullmatch(rf"hardbox: ended by its memory limit of {limit} \(.*\)\n", said[0].stderr)
    # Which one was the largest when somebody looked is another matter each time.
    plain = [re.sub(r"; most: [a-z]+", "", done.stderr) for done in said]
    assert plain[0] == plain[1]
    assert len(kept.seals()) == 1


def test_a_decision_for_another_cgroup_is_not_used(kept: Kept) -> None:
    """The plan names the folder of the sandbox's cgroup."""
    if kept.caller.uid != 0 or not os.path.isdir("/sys/fs/cgroup/memory"):
        pytest.skip("only root, with cgroup v1, can be in another one here")
    words = ("run", "--", "true")
    kept(*words)
    assert not kept.python_was_needed(*words)
    folder = f"/sys/fs/cgroup/memory/test-{os.getpid()}"
    os.mkdir(folder)
    try:
        script = f'echo $$ > {folder}/cgroup.procs; exec "$@"'
        moved = replace(kept.caller, prefix=("sh", "-c", script, "sh", *kept.caller.prefix))
        kept.caller, before = moved, kept.caller
        assert kept.python_was_needed(*words)
        assert kept(*words).returncode == 0
        kept.caller = before
    finally:
        faults.eventually(
            lambda: not os.path.isdir(folder) or faults.removed(folder), "the folder is removed"
        )


def test_a_refused_stream_is_told_in_the_same_words(kept: Kept, place: str) -> None:
    kept(*PLAIN, "true")
    said = []
    for words in ((), ("env", "HARDBOX_NO_CACHE=1")):
        with socket.socket(socket.AF_UNIX) as named:
            path = os.path.join(place, f"socket-{len(words)}")
            named.bind(path)
            named.listen()
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(path)
                done = kept.caller.run(
                    *(*words, kept.program.hardbox, *PLAIN, "true"),
                    stdin=end.fileno(),
                    env={"XDG_CACHE_HOME": kept.home},
                )
        said.append((done.returncode, done.stderr))
    assert said[0] == said[1]
    assert said[0][0] == 125
    assert "[HB210]" in said[0][1]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--report", "{place}/r.json", "--", "true"),
        ("run", "--read", "{place}", "--", "true"),
        ("run", "--write", "{place}/w", "--", "true"),
        ("run", "--quiet", "--", "true"),
        (
            *("run", "--set", 'filesystem.read=["{place}:/in"]'),
            *("--loosen", "filesystem.read=this one reads it", "--", "true"),
        ),
        ("run", "--set", "audit.file={place}/audit.jsonl", "--", "true"),
        ("run", "--env", "A=b", "--read", "{place}", "--", "true"),
        ("run", "--env", "A=b", "--quiet", "--", "true"),
        ("run", "--memory", "1G", "--loosen", "limits.memory=this one needs more", "--", "true"),
        ("run", "--profile", "{place}/own.toml", "--", "true"),
    ],
)
def test_what_is_not_plain_is_never_sealed(kept: Kept, place: str, words: tuple[str, ...]) -> None:
    faults.own_dir(kept.caller, f"{place}/w")
    faults.own(kept.caller, f"{place}/own.toml", 'extends = "strict"\n')
    done = kept(*(word.format(place=place) for word in words))
    assert done.returncode == 0, done.stderr
    assert kept.seals() == []


def test_what_words_alone_decide_is_sealed(kept: Kept) -> None:
    """Each with a value of its own, and a variable that is passed on with that of the moment."""
    said = "echo $A$B:$(pwd):$(ulimit -n)"
    requests = (
        (("--env", "A=/x/y"), "/x/y:/home/box:256"),
        (("--env", "A=z", "--env=B"), "znow:/home/box:256"),
        (("--env", "B"), "now:/home/box:256"),
        (("--set", "limits.open_files=65"), ":/home/box:65"),
        (("--set=limits.open_files=66", "--workdir", "/tmp"), ":/tmp:66"),
        (("--workdir=/usr/bin",), ":/usr/bin:256"),
    )
    for number, (flags, expected) in enumerate(requests, 1):
        words = ("run", *flags, "--", "sh", "-c", said)
        first = kept(*words, A="then", B="now")
        assert (first.returncode, first.stdout, first.stderr) == (0, f"{expected}\n", "")
        assert len(kept.seals()) == number
        assert not kept.python_was_needed(*words, A="then", B="now")
        again = kept(*words, A="other", B="now")
        assert (again.returncode, again.stdout) == (0, first.stdout)
        assert kept(*words, B="later").stdout == first.stdout.replace("now", "later")
    # As long a list of words, cut elsewhere.
    assert kept("run", "--env", "A=b", "--set", "limits.tasks=9", "--", "true").returncode == 0
    assert kept.python_was_needed("run", "--env", "A=b--set", "limits.tasks=9", "--", "true")


def test_a_setting_counts_where_it_was_made(kept: Kept, place: str) -> None:
    """Some keys hold paths, which may begin at the working directory; a variable does not."""
    script = 'cd "$1" && shift && exec "$@"'
    here = kept.caller
    there = replace(here, prefix=(*here.prefix, "sh", "-c", script, "sh", place))
    for flags, needed in ((("--set", "limits.tasks=9"), True), (("--env", "A=b"), False)):
        words = ("run", *flags, "--", "true")
        kept.caller = here
        kept(*words)
        assert not kept.python_was_needed(*words)
        kept.caller = there
        assert kept.python_was_needed(*words) == needed
        assert not kept.python_was_needed(*words)


@pytest.mark.parametrize("flags", [("--set", "limits.open_files=65"), ("--env", "A=b"), ("--workdir", "/")])
def test_what_words_decide_rests_on_the_same_files(kept: Kept, flags: tuple[str, ...]) -> None:
    words = ("run", *flags, "--", "true")
    kept(*words)
    assert not kept.python_was_needed(*words)
    [strict] = [
        os.path.join(folder, "strict.toml")
        for folder, _, names in os.walk(kept.program.prefix)
        if folder.endswith("profiles") and "strict.toml" in names
    ]
    os.utime(strict)
    assert kept.python_was_needed(*words)


def test_a_refusal_is_never_sealed(kept: Kept) -> None:
    for _ in range(2):
        assert kept("run", "--network", "host", "--", "true").returncode == 125
    assert kept.seals() == []


def test_each_request_has_its_own(kept: Kept) -> None:
    requests = (
        ("run", "--"),
        ("run", "--profile", "build", "--"),
        ("run", "--profile=build", "--tasks", "9", "--"),
    )
    for words in requests:
        kept(*words, "true")
    assert len(kept.seals()) == len(requests)
    assert (
        kept("run", "--profile", "build", "--", "sh", "-c", "ulimit -u").stdout
        == kept("run", "--profile", "build", "--", "sh", "-c", "ulimit -u", HARDBOX_NO_CACHE="1").stdout
    )


def test_a_changed_profile_counts_at_once(kept: Kept) -> None:
    asks = ("run", "--", "sh", "-c", "ulimit -n")
    before = kept(*asks).stdout
    assert not kept.python_was_needed(*asks)
    for folder, _, names in os.walk(kept.program.prefix):
        if "strict.toml" in names and folder.endswith("profiles"):
            path = os.path.join(folder, "strict.toml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed = text.replace("open_files = 256", "open_files = 99")
    assert changed != text
    with open(path, "w", encoding="utf-8") as file:
        file.write(changed)
    assert (before, kept(*asks).stdout) == ("256\n", "99\n")


@pytest.mark.parametrize("how", ["edited", "same size and time", "replaced", "shadowed", "gone"])
def test_changed_code_decides_anew(kept: Kept, how: str) -> None:
    """Also where only the change time of a file, or what a directory holds, tells."""
    kept("run", "--", "true")
    assert not kept.python_was_needed("run", "--", "true")
    [package] = [
        folder for folder, _, names in os.walk(kept.program.prefix) if {"seals.py", "places.py"} <= set(names)
    ]
    path = os.path.join(package, "places.py")
    with open(path, "rb") as file:
        content = file.read()
    before = os.stat(path)
    if how == "edited":
        with open(path, "ab") as file:
            file.write(b"# more\n")
    elif how == "same size and time":
        with open(path, "r+b") as file:
            file.write(content[:3] + b"!" + content[4:])
            file.seek(0)
            file.write(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "replaced":
        with open(f"{path}.new", "wb") as file:
            file.write(content)
        os.utime(f"{path}.new", ns=(before.st_atime_ns, before.st_mtime_ns))
        os.rename(f"{path}.new", path)
    elif how == "shadowed":
        os.mkdir(os.path.join(package, "places"))
        shutil.copy(path, os.path.join(package, "places", "__init__.py"))
    else:
        os.rename(path, os.path.join(package, "moved.py"))
    assert kept.python_was_needed("run", "--", "true")


def test_code_that_has_decided_nothing_may_change(kept: Kept) -> None:
    kept("run", "--", "true")
    for folder, _, names in os.walk(kept.program.prefix):
        if folder.endswith("hardbox/net") and "broker.py" in names:
            os.utime(os.path.join(folder, "broker.py"))
    assert not kept.python_was_needed("run", "--", "true")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a mount over /proc/sys/kernel")
@pytest.mark.parametrize("word", ["0", "1", None])
def test_where_programs_are_judged_by_name_the_launcher_is_one(
    kept: Kept, place: str, word: str | None
) -> None:
    """Ubuntu's restriction lets named programs make user namespaces, so the door must not do it itself."""
    folder = faults.own_dir(kept.caller, f"{place}/kernel")
    faults.own_dir(kept.caller, f"{folder}/random")
    for name in ("cap_last_cap", "overflowuid", "overflowgid", "ngroups_max", "random/boot_id"):
        with open(f"/proc/sys/kernel/{name}", encoding="ascii") as file:
            faults.own(kept.caller, f"{folder}/{name}", file.read())
    if word is not None:
        faults.own(kept.caller, f"{folder}/apparmor_restrict_unprivileged_userns", f"{word}\n")
    script = (
        f"mount --bind {folder} /proc/sys/kernel && "
        'for i in first second; do echo $i; strace -f -e trace=execve "$@" 2>&1; done'
    )
    before = kept.caller
    mount = ("unshare", "-m", "sh", "-c", script, "sh")
    # Root's caller enters a namespace of its own; what an ordinary user is, cannot mount.
    words = (*before.prefix, *mount) if before.uid == 0 else (*mount, *before.prefix)
    kept.caller = replace(before, prefix=words)
    said = kept.caller.run(kept.program.hardbox, "run", "--", "true", env={"XDG_CACHE_HOME": kept.home})
    kept.caller = before
    first, _, second = said.stdout.partition("second\n")
    assert "/python3" in first, said
    # An ordinary user's job has no /proc here, which is hidden in part; who would have launched it is seen.
    assert "/python3" not in second, said
    assert ('/hardbox-launch"' in second) == (word == "1" and before.uid != 0), said


@pytest.mark.parametrize("name", ["hardbox-launch", "hardbox"])
def test_another_build_decides_anew(kept: Kept, name: str) -> None:
    kept("run", "--", "true")
    assert not kept.python_was_needed("run", "--", "true")
    os.utime(os.path.join(kept.program.prefix, "bin", name))
    assert kept.python_was_needed("run", "--", "true")


def test_another_mount_table_decides_anew(kept: Kept) -> None:
    kept("run", "--", "true")
    how = ("unshare", "-m") if kept.caller.uid == 0 else ("unshare", "-Urm")
    script = 'mount -t tmpfs none /mnt && exec strace -f -e trace=execve "$@"'
    done = kept.caller.run(
        *(*how, "sh", "-c", script, "sh", kept.program.hardbox, "run", "--", "true"),
        env={"XDG_CACHE_HOME": kept.home},
    )
    assert "/python3" in done.stderr


def test_no_cache_means_none(kept: Kept) -> None:
    kept("run", "--", "true")
    assert kept.python_was_needed("run", "--", "true", HARDBOX_NO_CACHE="1")


@pytest.mark.parametrize("harm", ["cut", "byte", "count", "link", "writable", "plan", "plan-gone", "folder"])
def test_a_seal_that_is_not_in_order_is_not_used(kept: Kept, harm: str) -> None:
    kept("run", "--", "true")
    [seal] = kept.seals()
    plan = seal.removesuffix(".seal") + ".plan"
    with open(seal, "rb") as file:
        content = bytearray(file.read())
    if harm == "cut":
        os.truncate(seal, len(content) // 2)
    elif harm in ("byte", "count"):
        content[20 if harm == "byte" else 8] ^= 1
        with open(seal, "r+b") as file:
            file.write(content)
    elif harm == "link":
        os.rename(seal, f"{seal}.moved")
        os.symlink(f"{seal}.moved", seal)
    elif harm == "writable":
        os.chmod(seal, 0o666)
    elif harm == "plan":
        with open(plan, "r+b") as file:
            file.write(b"HBX")
    elif harm == "plan-gone":
        os.unlink(plan)
    else:
        os.chmod(kept.folder, 0o777)
    try:
        assert kept.python_was_needed("run", "--", "true")
        assert kept("run", "--", "true").returncode == 0
    finally:
        os.chmod(kept.folder, 0o700)


def test_the_cache_can_be_looked_at_and_emptied(kept: Kept) -> None:
    kept("run", "--", "true")
    assert "1 sealed decisions" in kept("cache").stdout
    assert kept("cache", "clear").returncode == 0
    assert kept.seals() == []
    assert kept("cache", "nonsense").returncode == 125


def test_another_installation_has_seals_of_its_own(kept: Kept, place: str) -> None:
    kept("run", "--", "true")
    other = installed.copy(kept.program, os.path.join(place, "other"))
    kept.program = other
    assert kept.python_was_needed("run", "--", "true")
    assert len(kept.seals()) == 2
