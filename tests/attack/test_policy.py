"""P, and what other sections refuse before anything starts: exit 125, a code, nothing run.

Run by: pytest. The control is the same command without the request: it runs and says so.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import pytest

from attack import flags
from hardbox.verify.corpus import profiles

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

    Settle = Callable[[str, str, str], None]

COMMAND = ("--", "/bin/sh", "-c", "echo the command ran")
RAN = "the command ran"
STRANGER = 65534


def what_it_gave(done: subprocess.CompletedProcess[str], code: str = "HB") -> str:
    """Say what is wrong with a refusal; "" if nothing is."""
    said = f"exit {done.returncode}, stdout {done.stdout[:80]!r}, stderr {done.stderr[:400]!r}"
    if RAN in done.stdout:
        return f"the command ran: {said}"
    if done.returncode != 125 or "Traceback" in done.stderr or done.stdout:
        return f"not refused in form: {said}"
    found = re.search(r"\[(HB\d+)\]", done.stderr)
    if not found or "nothing was run" not in done.stderr:
        return f"no code, or no word that nothing was run: {said}"
    return "" if found[1].startswith(code) else f"refused for another reason than {code}: {said}"


@pytest.fixture
def furnished(place: str, caller: Caller) -> str:
    """A directory of the caller's with things in it that must not be shown."""
    for name, target in (
        ("link-etc", "/etc"),
        ("link-root", "/"),
        ("link-proc-root", "/proc/self/root"),
        ("link-dev", "/dev"),
        ("link-loop", "link-loop"),
        ("link-fd", "/proc/self/fd/0"),
    ):
        os.symlink(target, os.path.join(place, name))
    os.mkfifo(os.path.join(place, "fifo"), 0o666)
    os.mkdir(os.path.join(place, "with-socket"))
    for path in ("socket", "with-socket/s"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(place, path))
    for name in os.listdir(place):
        os.lchown(os.path.join(place, name), caller.uid, caller.gid)
    return place


@pytest.fixture(scope="session")
def live(caller: Caller, program: Installed, probes: str) -> str:
    """The control: without the request, the command runs."""
    done = caller.run(program.hardbox, "run", "--read", f"{probes}:/shown", *COMMAND)
    assert (done.returncode, done.stdout) == (0, f"{RAN}\n"), done.stderr
    return f"without it: {RAN}"


@pytest.mark.parametrize("request_", flags.REQUESTS, ids=[row.id for row in flags.REQUESTS])
def test_flag(request_: flags.Request, hardbox: Hardbox, furnished: str, live: str, settle: Settle) -> None:
    words = [word.replace("{place}", furnished) for word in request_.words]
    done = hardbox("run", *words, *COMMAND, timeout=20)
    gave = what_it_gave(done, request_.code)
    settle(request_.id, gave and f"{' '.join(words)}: {gave}", live)


def _profile(folder: str, text: str, caller: Caller, mode: int = 0o644) -> str:
    path = os.path.join(folder, "own.toml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.replace("{own}", path))
    os.chown(path, caller.uid, caller.gid)
    os.chmod(path, mode)
    return path


@pytest.fixture(scope="session")
def live_profile(caller: Caller, program: Installed) -> str:
    """The control: a benign profile file loads, and the command runs."""
    path = _profile(caller.home, profiles.BENIGN, caller)
    done = caller.run(program.hardbox, "run", "--profile", path, *COMMAND)
    assert (done.returncode, done.stdout) == (0, f"{RAN}\n"), done.stderr
    return f"with a benign profile: {RAN}"


@pytest.mark.parametrize("name", profiles.TEXTS)
def test_profile(
    name: str, hardbox: Hardbox, place: str, caller: Caller, live_profile: str, settle: Settle
) -> None:
    path = _profile(place, profiles.TEXTS[name], caller)
    settle(name, what_it_gave(hardbox("run", "--profile", path, *COMMAND, timeout=60)), live_profile)


@pytest.mark.parametrize("name", profiles.FILTERS)
def test_filter(
    name: str, hardbox: Hardbox, place: str, caller: Caller, live_profile: str, settle: Settle
) -> None:
    own = os.path.join(place, "filter.toml")
    with open(own, "w", encoding="utf-8") as stream:
        stream.write(profiles.FILTERS[name])
    os.chown(own, caller.uid, caller.gid)
    text = f'{profiles.BENIGN}[seccomp]\nfilter = "{own}"\n[loosen]\n"seccomp.filter" = "needed by a test"\n'
    path = _profile(place, text, caller)
    settle(name, what_it_gave(hardbox("run", "--profile", path, *COMMAND, timeout=60)), live_profile)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646, 0o777, 0o602])
def test_writable_profile(
    mode: int, hardbox: Hardbox, place: str, caller: Caller, live_profile: str, settle: Settle
) -> None:
    path = _profile(place, profiles.BENIGN, caller, mode)
    settle(f"P5-mode-{mode:o}", what_it_gave(hardbox("run", "--profile", path, *COMMAND)), live_profile)


def _symlink_of_another(place: str, path: str) -> str:
    link = os.path.join(place, "link.toml")
    os.symlink(path, link)
    os.lchown(link, STRANGER, STRANGER)
    return link


def _folder_of_another(place: str, path: str) -> str:
    os.chown(place, STRANGER, STRANGER)
    return path


def _dangling(place: str, _path: str) -> str:
    link = os.path.join(place, "dangling.toml")
    os.symlink("/nonexistent", link)
    return link


def _writable_folder(place: str, path: str) -> str:
    os.chmod(place, 0o777)
    return path


def _fifo(place: str, _path: str) -> str:
    fifo = os.path.join(place, "fifo.toml")
    os.mkfifo(fifo, 0o644)
    return fifo


def _not_utf8(_place: str, path: str) -> str:
    with open(path, "ab") as stream:
        stream.write(b'x = "\xff\xfe"\n')
    return path


def _with_nul(_place: str, path: str) -> str:
    with open(path, "ab") as stream:
        stream.write(b"\0")
    return path


def _huge(_place: str, path: str) -> str:
    os.truncate(path, 1 << 30)
    return path


PLACES: dict[str, Callable[[str, str], str]] = {
    "dangling": _dangling,
    "writable-folder": _writable_folder,
    "fifo": _fifo,
    "not-utf8": _not_utf8,
    "nul": _with_nul,
    "huge": _huge,
}
if os.geteuid() == 0:  # only root can make what belongs to another
    PLACES |= {"symlink-of-another": _symlink_of_another, "folder-of-another": _folder_of_another}


@pytest.mark.parametrize("name", PLACES)
def test_profile_place(
    name: str, hardbox: Hardbox, place: str, caller: Caller, live_profile: str, settle: Settle
) -> None:
    path = PLACES[name](place, _profile(place, profiles.BENIGN, caller))
    settle(f"P5-{name}", what_it_gave(hardbox("run", "--profile", path, *COMMAND, timeout=20)), live_profile)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to another")
def test_profile_of_another(
    hardbox: Hardbox, place: str, caller: Caller, live_profile: str, settle: Settle
) -> None:
    """A profile that another user owns can change at any time."""
    path = _profile(place, profiles.BENIGN, caller)
    os.chown(path, STRANGER, STRANGER)
    settle("P5-owner", what_it_gave(hardbox("run", "--profile", path, *COMMAND)), live_profile)


@pytest.mark.parametrize(
    "name",
    [
        "HARDBOX_PROFILE",
        "HARDBOX_NETWORK",
        "HARDBOX_OPTS",
        "HARDBOX_SECCOMP",
        "HARDBOX_PRIVILEGED",
        "HARDBOX_DEBUG",
    ],
)
def test_environment_changes_nothing(name: str, hardbox: Hardbox, live: str, settle: Settle) -> None:
    """A variable of the caller must not weaken anything: the plan stays what it was."""
    values = ("inspect", "host", "--network loopback", "unconfined", "1")
    plain = hardbox("plan", *COMMAND)
    assert plain.returncode == 0, plain.stderr
    differing = [v for v in values if hardbox("plan", *COMMAND, env={name: v}).stdout != plain.stdout]
    settle(f"P3-variable-{name.lower()}", f"changed by {differing}" if differing else "", live)


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONUSERBASE", "LD_PRELOAD"]
)
def test_python_variables_change_nothing(
    name: str, hardbox: Hardbox, place: str, live: str, settle: Settle
) -> None:
    """A hostile sitecustomize or hardbox package on the caller's path would decide instead of us.

    The caller owns the environment, so this is a fence against accidents: the job never sees it.
    """
    with open(os.path.join(place, "sitecustomize.py"), "w", encoding="utf-8") as stream:
        stream.write("import sys\nsys.stdout.write('hostile\\n')\n")
    done = hardbox("run", "--", "/usr/bin/env", env={name: place})
    seen = [line for line in done.stdout.splitlines() if line.startswith((name, "hostile"))]
    settle(f"P3-variable-{name.lower()}", f"{seen}" if seen else "", live)
