"""A4, A16, A23, I7, I9: what is written, how much, and by whom; each with its own launch.

Run by: pytest.
"""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import patience

from attack import batch
from hardbox.verify.check import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

MEBIBYTE = 1 << 20
EPHEMERAL = """\
extends = "strict"
summary = "a root that forgets"
[filesystem]
mode = "ephemeral"
exec = "anywhere"
changes = "16M"
[loosen]
"filesystem.mode" = "what is written is what is tested"
"filesystem.exec" = "what is written is what is tested"
"filesystem.changes" = "what is written is what is tested"
"""
ENOSPC = 28
UNMAPPED = "65534"


def _own(place: str, name: str, caller: Caller, text: str) -> str:
    path = os.path.join(place, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chown(path, caller.uid, caller.gid)
    return path


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("open", "/usr/hardbox-was-here", "wr,creat"), "/usr/hardbox-was-here"),
        (("sys", "@mkdir", "s:/usr/hardbox-folder", "0755"), "/usr/hardbox-folder"),
        (("sys", "@symlink", "s:x", "s:/usr/hardbox-link"), "/usr/hardbox-link"),
    ],
    ids=["create", "mkdir", "symlink"],
)
def test_overlay_forgets(
    words: tuple[str, ...],
    shown: str,
    caller: Caller,
    program: Installed,
    probes: str,
    place: str,
    settle: Settle,
) -> None:
    """A4: a change succeeds inside, and the host's tree does not have it."""
    profile = _own(place, "ephemeral.toml", caller, EPHEMERAL)
    before = os.path.lexists(shown)
    start = (program.hardbox, "run", "--profile", profile, "--read", f"{probes}:/probe", "--")
    real = [batch.word(word) for word in words]
    done = caller.run(*start, "/probe/probe64", "one", *real)
    after = os.path.lexists(shown)
    live = "inside it worked" if done.returncode == 0 else ""
    settle(
        f"A4-{words[0]}-{words[1].strip('@/')[:8]}", "" if before == after else "the host has changed", live
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("where", "size"), [("/tmp", 64), ("/dev/shm", 16), ("/home/box", 64)])
def test_scratch_is_bounded(
    where: str, size: int, caller: Caller, program: Installed, probes: str, settle: Settle
) -> None:
    """A16: a scratch directory ends at its size, and the job is told so."""
    wanted = (size + 32) * MEBIBYTE
    boxed = caller.run(*batch.sandbox(program, probes), "/probe/probe64", "one", "fill", where, str(wanted))
    written = int(boxed.stdout.partition("=")[2] or -1)
    folder = os.path.join(caller.home, "fill")
    os.mkdir(folder)
    os.chown(folder, caller.uid, caller.gid)
    bare = caller.run(f"{probes}/probe64", "one", "fill", folder, str(wanted))
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
    held = boxed.returncode == ENOSPC and 0 <= written <= size * MEBIBYTE
    gave = "" if held else f"exit {boxed.returncode}, {written} bytes: {boxed.stderr}"
    settle(f"A16-fill{where.replace('/', '-')}", gave, "outside: no end" if bare.returncode == 0 else "")


def test_files_are_bounded(
    caller: Caller, program: Installed, probes: str, place: str, settle: Settle
) -> None:
    """A23: the number of files in a scratch directory has an end."""
    boxed = caller.run(*batch.sandbox(program, probes), "/probe/probe64", "one", "files", "/tmp", "40000")
    bare = caller.run(f"{probes}/probe64", "one", "files", place, "40000")
    gave = "" if boxed.returncode == ENOSPC else f"exit {boxed.returncode}: {boxed.stdout}{boxed.stderr}"
    settle("A23-files", gave, "outside: no end" if bare.returncode == 0 else "")


def test_file_size_is_bounded(caller: Caller, program: Installed, place: str, settle: Settle) -> None:
    """A23: one file in a writable tree ends at the profile's size."""
    tree = os.path.join(place, "tree")
    os.mkdir(tree)
    os.chown(tree, caller.uid, caller.gid)
    script = "head -c 80000000 /dev/zero > {}/big"
    boxed = caller.run(
        program.hardbox, "run", "--write", f"{tree}:/w", "--", "/bin/sh", "-c", script.format("/w")
    )
    size = os.stat(os.path.join(tree, "big")).st_size
    bare = caller.run("/bin/sh", "-c", script.format(place))
    outside = os.stat(os.path.join(place, "big")).st_size
    gave = "" if boxed.returncode != 0 and size <= 64 * MEBIBYTE else f"exit {boxed.returncode}, {size} bytes"
    settle("A23-size", gave, f"outside: {outside} bytes" if bare.returncode == 0 else "")


@pytest.mark.parametrize("how", ["chmod", "fchmod", "open", "mknod", "fchmodat2"])
def test_no_privileged_file_reaches_the_host(
    how: str,
    caller: Caller,
    program: Installed,
    probes: str,
    place: str,
    settle: Settle,
    enter: Callable[[str, Verdict], Verdict],
) -> None:
    """A13, I7: in a writable tree no set-user-ID file appears, and what appears is the caller's."""
    tree = os.path.join(place, "tree")
    os.mkdir(tree)
    os.chown(tree, caller.uid, caller.gid)
    start = (program.hardbox, "run", "--read", f"{probes}:/probe", "--write", f"{tree}:/w", "--")
    caller.run(*start, "/probe/probe64", "one", "set-id", "/w/set", how)
    made = caller.run(*start, "/probe/probe64", "one", "open", "/w/plain", "wr,creat")
    bare = caller.run(f"{probes}/probe64", "one", "set-id", f"{place}/set", how)
    gave = ""
    for name in os.listdir(tree):
        found = os.stat(os.path.join(tree, name))
        if found.st_mode & 0o6000 or (found.st_uid, found.st_gid) != (caller.uid, caller.gid):
            gave = f"{name}: mode {found.st_mode:o}, owner {found.st_uid}:{found.st_gid}"
    assert made.returncode == 0, made.stderr
    control = os.stat(f"{place}/set").st_mode
    if bare.returncode == errno.ENOSYS and not gave:
        enter(f"I7-set-id-{how}", Verdict("vacuous", f"this kernel has no such call as {how}"))
        return
    settle(f"I7-set-id-{how}", gave, f"outside: mode {control:o}" if control & 0o4000 else "")


def test_groups_are_dropped(
    caller: Caller, program: Installed, probes: str, settle: Settle, enter: Callable[[str, Verdict], Verdict]
) -> None:
    """I9: groups of the caller beside its own give no access inside.

    Root's are dropped. The kernel lets no ordinary user drop groups: setgroups(2) is denied in
    a user namespace whose gid map an unprivileged process wrote (user_namespaces(7)), because a
    group may also take access away. They stay, unmapped: that is a limit, not a wall.
    """
    if os.geteuid() != 0:
        held = ",".join(str(group) for group in os.getgroups())
        prefix: tuple[str, ...] = ()
    else:
        held = "4,6,42"
        prefix = ("setpriv", f"--reuid={caller.uid}", f"--regid={caller.gid}", f"--groups={held}", "--")

    def groups(*words: str) -> str:
        done = subprocess.run(
            [*prefix, *words, "one", "ids"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=caller.home,
            env=caller.environment(),
            timeout=patience.seconds(60),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return next(line for line in done.stdout.splitlines() if line.startswith("Groups:"))

    outside = groups(f"{probes}/probe64")
    inside = groups(*batch.sandbox(program, probes), "/probe/probe64").split()[1:]
    # The own group may stand among them, mapped. Vacuous only where groups stayed, or there were
    # none to drop.
    stayed = UNMAPPED in inside or not outside.split()[1:]
    if caller.uid != 0 and stayed and set(inside) <= {UNMAPPED, "1000"}:
        enter("I9-groups", Verdict("vacuous", "the kernel lets no ordinary user drop groups"))
        return
    mapped = {"1000"}
    gave = "" if set(inside) <= mapped else f"groups inside: {inside}"
    settle("I9-groups", gave, f"outside: {outside}" if outside.split()[1:] else "")
