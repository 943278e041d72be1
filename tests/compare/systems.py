"""The systems that are compared: how each one is started, as its own manual shows it.

Run by: tests/compare/main.py. Each gets the same static probe at /probe, its stdin, and an
environment full of secrets. No option is added that hardens a peer, and none that weakens it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from compare import corpus

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT_DIRECTORIES: Final = (
    *("bin", "dev", "etc", "home/box", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr/bin"),
    *("usr/lib", "var/tmp", "probe"),
)
_USR_LINKS: Final = ("bin", "lib", "lib64", "sbin")
PATIENCE_SECONDS: Final = 400


@dataclass(frozen=True)
class System:
    """One column of the table.

    caller:  "user" or "root": who starts it, as its manual supposes.
    program: whose version is asked; "" for no sandbox.
    version: words that print the version.
    words:   gives the command before the probe's own words; takes the base directory and the probes.
    shown:   the same command in short, for the page.
    """

    name: str
    caller: str
    program: str
    version: tuple[str, ...]
    words: Callable[[str, str], list[str]]
    shown: str


def _probe(place: str = corpus.INSIDE) -> list[str]:
    return [f"{place}/{corpus.PROBE}", "batch"]


def _bwrap(_base: str, probes: str) -> list[str]:
    links = [word for name in _USR_LINKS for word in ("--symlink", f"usr/{name}", f"/{name}")]
    shown = ["--ro-bind", "/usr", "/usr", *links, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    start = ["bwrap", "--unshare-all", "--die-with-parent", *shown, "--ro-bind", probes, corpus.INSIDE]
    return [*start, "--chdir", "/", *_probe()]


def _firejail(_base: str, probes: str) -> list[str]:
    # Its view is the host's own, less what is blacklisted: the probe is where it is outside.
    return ["firejail", "--quiet", *_probe(probes)]


def make_root(base: str, probes: str) -> str:
    """Make a root directory with nothing in it but the probe; gives its path."""
    root = os.path.join(base, "root")
    if not os.path.isdir(root):
        for name in _ROOT_DIRECTORIES:
            os.makedirs(os.path.join(root, name))
        for name in os.listdir(probes):
            # Set-user-ID bits and file capabilities too: they are attempts.
            subprocess.run(["cp", "-a", os.path.join(probes, name), os.path.join(root, "probe")], check=True)
        with open(os.path.join(root, "etc", "os-release"), "w", encoding="ascii") as file:
            file.write("ID=probe\n")
    return root


def _bundle(base: str, probes: str) -> str:
    """Make an OCI bundle: `runc spec`, with the command, without a terminal, and nothing else."""
    bundle = os.path.join(base, "bundle")
    if not os.path.isdir(bundle):
        os.mkdir(bundle)
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        path = os.path.join(bundle, "config.json")
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        spec["root"]["path"] = make_root(base, probes)
        spec["process"]["terminal"] = False
        spec["process"]["args"] = _probe()
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
    return bundle


def _container() -> str:
    return f"compare-{os.getpid()}"


def remove(system: System, base: str) -> None:
    """Remove what an engine that was ended in the middle has left of its container."""
    state = {"runc": (), "runsc": ("--root", os.path.join(base, "runsc"))}.get(system.program)
    if state is not None:
        words = [system.program, *state, "delete", "--force", _container()]
        subprocess.run(words, capture_output=True, check=False)  # "does not exist" is the usual answer


def _runc(base: str, probes: str) -> list[str]:
    return ["runc", "run", "--bundle", _bundle(base, probes), _container()]


def _runsc(base: str, probes: str) -> list[str]:
    # Its own network stack needs an interface set up by an engine, which there is none of.
    state = os.path.join(base, "runsc")
    words = ["runsc", "--root", state, "--network=none", "run", "--bundle", _bundle(base, probes)]
    return [*words, _container()]


def _nspawn(base: str, probes: str) -> list[str]:
    # Not registered: there need be no systemd on the host.
    start = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe"]
    return [*start, "--directory", make_root(base, probes), *_probe()]


def _hardbox(profile: str) -> Callable[[str, str], list[str]]:
    def words(_base: str, probes: str) -> list[str]:
        program = os.path.join(os.path.dirname(sys.executable), "hardbox")
        start = [program, "run", "--profile", profile, "--read", f"{probes}:{corpus.INSIDE}"]
        return [*start, "--workdir", "/", "--", *_probe()]

    return words


def _none(_base: str, _probes: str) -> list[str]:
    return []


_OWN: Final = os.path.join(os.path.dirname(sys.executable), "hardbox")
SYSTEMS: Final = (
    System("none", "user", "", (), _none, "PROBE, as an ordinary user"),
    System(
        "bwrap",
        "user",
        "bwrap",
        ("bwrap", "--version"),
        _bwrap,
        "bwrap --unshare-all --die-with-parent --ro-bind /usr /usr --symlink usr/bin /bin ... "
        "--proc /proc --dev /dev --tmpfs /tmp PROBE",
    ),
    System("firejail", "user", "firejail", ("firejail", "--version"), _firejail, "firejail --quiet PROBE"),
    System(
        "hardbox strict",
        "user",
        "hardbox",
        (_OWN, "--version"),
        _hardbox("strict"),
        "hardbox run --profile strict -- PROBE",
    ),
    System(
        "hardbox build",
        "user",
        "hardbox",
        (_OWN, "--version"),
        _hardbox("build"),
        "hardbox run --profile build -- PROBE",
    ),
    System("none", "root", "", (), _none, "PROBE, as root"),
    System(
        "runc",
        "root",
        "runc",
        ("runc", "--version"),
        _runc,
        "runc spec, with args, root.path and terminal changed; runc run",
    ),
    System(
        "nspawn",
        "root",
        "systemd-nspawn",
        ("systemd-nspawn", "--version"),
        _nspawn,
        "systemd-nspawn --register=no --keep-unit --pipe --directory ROOT PROBE",
    ),
    System(
        "runsc",
        "root",
        "runsc",
        ("runsc", "--version"),
        _runsc,
        "runsc --network=none run, with the same config.json as runc",
    ),
    System(
        "hardbox strict",
        "root",
        "hardbox",
        (_OWN, "--version"),
        _hardbox("strict"),
        "hardbox run --profile strict -- PROBE",
    ),
    System(
        "hardbox build",
        "root",
        "hardbox",
        (_OWN, "--version"),
        _hardbox("build"),
        "hardbox run --profile build -- PROBE",
    ),
)


def version(system: System) -> str:
    """Give the first line that tells the version, or say that it is not there."""
    if not system.program:
        return ""
    if shutil.which(system.version[0]) is None:
        return "not installed"
    done = subprocess.run(system.version, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().partition("\n")[0]
