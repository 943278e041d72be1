"""A19, B10, C5: hostile root directories, and devices that are not what their names say.

Run by: pytest. A root directory whose /dev, /proc, /sys, /etc or /tmp is a symlink to a host
directory must not lead the launcher there: the canary directory stays as it was.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from typing import TYPE_CHECKING

import pytest

from attack import batch

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

PROFILE = """\
extends = "strict"
summary = "a root directory of somebody else's"
[filesystem]
root = "dir:{root}"
show = [{show}]
[loosen]
"filesystem.root" = "the root directory is what is tested"
"""
LOOSEN_SHOW = '"filesystem.show" = "what is shown is what is tested"\n'
RAN = "hello\n"


def _canary(folder: str) -> str:
    path = os.path.join(folder, "canary")
    os.mkdir(path)
    os.chmod(path, 0o777)
    for name in ("null", "self", "passwd", "kernel", "resolv.conf", "secret"):
        with open(os.path.join(path, name), "w", encoding="ascii") as stream:
            stream.write("canary")
        os.chmod(os.path.join(path, name), 0o666)
    return path


def _picture(folder: str) -> list[str]:
    rows = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        found = os.lstat(path)
        content = ""
        if stat.S_ISREG(found.st_mode):
            with open(path, encoding="ascii") as stream:
                content = stream.read()
        rows.append(f"{name} {found.st_mode:o} {found.st_uid}:{found.st_gid} {content}")
    return rows


def _root(folder: str, probes: str) -> str:
    """Make a root directory with nothing in it but the probe, which is static."""
    root = os.path.join(folder, "root")
    os.makedirs(os.path.join(root, "usr", "bin"))
    shutil.copy(os.path.join(probes, "probe64"), os.path.join(root, "usr", "bin"))
    return root


def _own(folder: str, caller: Caller) -> None:
    for path, directories, names in os.walk(folder):
        for name in (*directories, *names):
            os.lchown(os.path.join(path, name), caller.uid, caller.gid)


def _profile(folder: str, root: str, show: str, caller: Caller) -> str:
    path = os.path.join(folder, "root.toml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(PROFILE.format(root=root, show=show) + (LOOSEN_SHOW if "," in show else ""))
    os.chown(path, caller.uid, caller.gid)
    return path


def _run(hardbox: Hardbox, profile: str, *words: str) -> subprocess.CompletedProcess[str]:
    return hardbox("run", "--profile", profile, "--", "/usr/bin/probe64", "one", *(words or ("hello",)))


@pytest.fixture(scope="session")
def honest(caller: Caller, program: Installed, probes: str) -> str:
    """The control of this file: an honest root directory works, and is what the job sees."""
    folder = tempfile.mkdtemp(dir=caller.home)
    os.chmod(folder, 0o755)
    root = _root(folder, probes)
    os.mkdir(os.path.join(root, "etc"))
    os.chown(folder, caller.uid, caller.gid)
    _own(folder, caller)
    for show in ('"/usr"', '"/usr", "/etc"'):
        profile = _profile(folder, root, show, caller)
        words = ("run", "--profile", profile, "--", "/usr/bin/probe64", "one", "list", "/usr")
        done = caller.run(program.hardbox, *words)
        assert done.stdout == "bin\n", done.stderr
    return "an honest root is shown"


LINKS = (
    "dev",
    "proc",
    "sys",
    "etc",
    "tmp",
    "var",
    "home",
    "home/box",
    "dev/shm",
    "dev/pts",
    "etc/resolv.conf",
    "etc/passwd",
    "dev/null",
    "dev/console",
    "bin",
    "lib",
    "lib64",
    "srv",
    "run",
    "var/tmp",
    "usr/lib",
)
TARGETS = ("canary", "proc-self-root", "dotdot")


@pytest.mark.parametrize(("link", "target"), [(link, target) for link in LINKS for target in TARGETS])
def test_symlink_in_root(  # noqa: PLR0913, PLR0917 (fixtures)
    link: str,
    target: str,
    hardbox: Hardbox,
    place: str,
    caller: Caller,
    probes: str,
    honest: str,
    settle: Settle,
) -> None:
    root, canary = _root(place, probes), _canary(place)
    path = os.path.join(root, link)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(
        {
            "canary": canary,
            "proc-self-root": f"/proc/self/root{canary}",
            "dotdot": "../" * 30 + canary.lstrip("/"),
        }[target],
        path,
    )
    _own(place, caller)
    before = _picture(canary)
    top = link.split("/", maxsplit=1)[0]
    unseen = _run(hardbox, _profile(place, root, '"/usr"', caller))
    inside = _run(hardbox, _profile(place, root, f'"/usr", "/{top}"', caller), "read", f"/{link}/secret")
    changed = _picture(canary) != before
    outside = os.path.isdir(path)
    gave = "the canary directory was changed" if changed else ""
    gave = gave or (f"the canary was read: {inside.stdout}" if "canary" in inside.stdout else "")
    if unseen.returncode not in (0, 125) or (unseen.returncode == 0 and unseen.stdout != RAN):
        gave = gave or f"exit {unseen.returncode}: {unseen.stdout}{unseen.stderr}"
    settle(
        f"A19-{link.replace('/', '-')}-{target}",
        gave,
        f"{honest}; outside: the link leads there" if outside else "",
    )


@pytest.mark.parametrize("name", ["usr", "root"])
def test_root_is_a_symlink(
    name: str, hardbox: Hardbox, place: str, caller: Caller, probes: str, honest: str, settle: Settle
) -> None:
    """The root directory itself, or what is shown of it, is a symlink to the canary."""
    root, canary = _root(place, probes), _canary(place)
    if name == "usr":
        os.rename(os.path.join(root, "usr"), os.path.join(root, "hidden"))
        os.symlink(canary, os.path.join(root, "usr"))
    else:
        os.rename(root, f"{root}.hidden")
        os.symlink("/", root)
    _own(place, caller)
    os.makedirs(os.path.join(canary, "bin"))
    shutil.copy(os.path.join(probes, "probe64"), os.path.join(canary, "bin"))
    before = _picture(canary)
    done = _run(hardbox, _profile(place, root, '"/usr"', caller), "read", "/usr/secret")
    gave = f"exit {done.returncode}: {done.stdout}" if "canary" in done.stdout else ""
    gave = gave or ("changed" if _picture(canary) != before else "")
    settle(f"A19-symlinked-{name}", gave, f"{honest}; outside: the link leads there")


FAKE_PROFILE = '"/usr", "/dev"'


@pytest.mark.parametrize("fake", ["symlink-core-pattern", "file", "symlink-canary", "fifo", "directory"])
def test_fake_null(
    fake: str, hardbox: Hardbox, place: str, caller: Caller, probes: str, honest: str, settle: Settle
) -> None:
    """B10, CVE-2025-31133: a root whose /dev/null is not the null device must not be masked with."""
    root, canary = _root(place, probes), _canary(place)
    path = os.path.join(root, "dev", "null")
    os.makedirs(os.path.dirname(path))
    if fake == "symlink-core-pattern":
        os.symlink("/proc/sys/kernel/core_pattern", path)
    elif fake == "symlink-canary":
        os.symlink(os.path.join(canary, "secret"), path)
    elif fake == "fifo":
        os.mkfifo(path)
    elif fake == "directory":
        os.mkdir(path)
    else:
        with open(path, "w", encoding="ascii") as stream:
            stream.write("canary")
    _own(place, caller)
    before = _picture(canary)
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as stream:
        pattern = stream.read()
    gave = ""
    for show in ('"/usr"', FAKE_PROFILE):
        profile = _profile(place, root, show, caller)
        null = _run(hardbox, profile, "stat", "/dev/null")
        mask = _run(hardbox, profile, "read", "/proc/kallsyms")
        if null.returncode == 0 and "rdev=1:3" not in null.stdout:
            gave = f"/dev/null is {null.stdout}"
        if "canary" in mask.stdout or mask.returncode == 0:
            gave = f"the mask shows {mask.stdout[:80]}"
        if null.returncode not in (0, 125):
            gave = f"exit {null.returncode}: {null.stderr}"
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as stream:
        gave = gave or ("core_pattern has changed" if stream.read() != pattern else "")
    gave = gave or ("the canary has changed" if _picture(canary) != before else "")
    settle(f"B10-{fake}", gave, honest if os.path.lexists(path) else "")


def test_null_is_null(caller: Caller, program: Installed, probes: str, settle: Settle) -> None:
    """C5: the devices are the real ones, and the host's keep their owner."""
    wanted = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
    before = [os.stat(f"/dev/{name}") for name in wanted]
    gave = ""
    for name, device in wanted.items():
        done = caller.run(*batch.sandbox(program, probes), "/probe/probe64", "one", "stat", f"/dev/{name}")
        if f"rdev={device}" not in done.stdout or "type=20000" not in done.stdout:
            gave = f"/dev/{name}: {done.stdout}{done.stderr}"
    write = caller.run(*batch.sandbox(program, probes), "/probe/probe64", "one", "write", "/dev/null", "x")
    chmod = caller.run(
        *batch.sandbox(program, probes), "/probe/probe64", "one", "sys", str(_chmod()), "s:/dev/null", "0"
    )
    after = [os.stat(f"/dev/{name}") for name in wanted]
    if [(s.st_mode, s.st_uid, s.st_gid) for s in before] != [(s.st_mode, s.st_uid, s.st_gid) for s in after]:
        gave = "a device of the host has another owner or mode"
    if write.returncode != 0 or chmod.returncode == 0:
        gave = gave or f"write {write.returncode}, chmod {chmod.returncode}"
    own = os.path.join(caller.home, "plain")
    with open(own, "w", encoding="ascii") as stream:
        stream.write("x")
    bare = caller.run(f"{probes}/probe64", "one", "stat", own)
    os.unlink(own)
    settle("C5-null", gave, "a plain file is told from a device" if "rdev=1:3" not in bare.stdout else "")


def _chmod() -> int:
    from attack.numbers import number  # noqa: PLC0415 (this test alone)

    return number("chmod")
