"""Ephemeral roots, and roots of one's own.  Run by: pytest."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller

pytestmark = pytest.mark.usefixtures("nothing_left")


EPHEMERAL = """
extends = "strict"
[filesystem]
mode = "ephemeral"
exec = "anywhere"
changes = "16M"
[loosen]
"filesystem.mode" = "a test of the project itself"
"filesystem.exec" = "a test of the project itself"
"filesystem.changes" = "a test of the project itself"
"""


@pytest.fixture
def ephemeral(caller: Caller, place: str) -> str:
    return faults.own(caller, f"{place}/ephemeral.toml", EPHEMERAL)


def test_changes_to_an_ephemeral_root_vanish(hardbox: Hardbox, ephemeral: str) -> None:
    mark = f"hardbox-test-{os.getpid()}"
    script = f"""
set -e
echo '#!/bin/sh
echo changed' >/usr/{mark}; chmod 755 /usr/{mark}; /usr/{mark}
mkdir -p /usr/{mark}-dir/deep; echo x >/usr/{mark}-dir/deep/f; cat /usr/{mark}-dir/deep/f
mv /usr/{mark} /usr/{mark}-moved; test -x /usr/{mark}-moved
echo x >/{mark}; rm /{mark}
"""
    faults.ran(hardbox("run", "--profile", ephemeral, "--", "sh", "-c", script), "changed\nx\n")
    assert not [name for name in (*os.listdir("/usr"), *os.listdir("/")) if mark in name]
    again = faults.ran(hardbox("run", "--profile", ephemeral, "--", "ls", "/usr", "/"))
    assert mark not in again


def test_an_ephemeral_root_is_bounded(hardbox: Hardbox, ephemeral: str) -> None:
    script = "dd if=/dev/zero of=/usr/big bs=1M count=64 2>/dev/null; stat -c %s /usr/big"
    out = faults.ran(hardbox("run", "--profile", ephemeral, "--", "sh", "-c", script))
    assert 0 < int(out) <= 16 << 20


def test_ephemeral_and_noexec_contradict_each_other(hardbox: Hardbox, caller: Caller, place: str) -> None:
    text = EPHEMERAL.replace('exec = "anywhere"', 'exec = "shown"')
    profile = faults.own(caller, f"{place}/c.toml", text)
    faults.refusal(hardbox("run", "--profile", profile, "--", "true"))


SMALL = r"""
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	DIR *root = opendir("/");
	FILE *passwd = fopen("/etc/passwd", "r");
	char line[200];
	for (struct dirent *e; root && (e = readdir(root)) != NULL;)
		printf("%s ", e->d_name);
	printf("\nuid %d pid %d\n", (int)getuid(), (int)getpid());
	while (passwd && fgets(line, sizeof(line), passwd))
		fputs(line, stdout);
	return 0;
}
"""


@pytest.fixture(scope="session")
def small(base: str) -> str:
    """A root of one static program, with hostile links where systems have directories."""
    root = f"{base}/small"
    os.makedirs(f"{root}/usr/bin")
    with open(f"{base}/small.c", "w", encoding="utf-8") as file:
        file.write(SMALL)
    subprocess.run(["gcc", "-static", "-O1", "-o", f"{root}/usr/bin/look", f"{base}/small.c"], check=True)
    with open(f"{root}/usr/marker", "w", encoding="utf-8") as file:
        file.write("marker")
    return root


def own_root(caller: Caller, place: str, root: str, show: str = "") -> str:
    """Write a profile whose root is a directory; `show` names what strict does not."""
    more = f'show = ["/usr", {show}]' if show else 'show = ["/usr"]'
    reason = '"filesystem.show" = "a test of the project itself"' if show else ""
    text = f"""
extends = "strict"
[filesystem]
root = "dir:{root}"
{more}
[loosen]
"filesystem.root" = "a test of the project itself"
{reason}
"""
    return faults.own(caller, f"{place}/root.toml", text)


def test_a_root_of_ones_own_serves(hardbox: Hardbox, caller: Caller, place: str, small: str) -> None:
    profile = own_root(caller, place, small)
    out = faults.ran(hardbox("run", "--profile", profile, "--", "/usr/bin/look"))
    names = set(out.splitlines()[0].split()) - {".", ".."}
    assert {"usr", "proc", "dev", "etc", "tmp"} <= names
    assert not names & {"root", "sys", "boot", "mnt"}
    assert "uid 1000" in out
    assert "box:x:1000" in out
    # Nothing of the host's own system is there.
    assert hardbox("run", "--profile", profile, "--", "sh", "-c", "true").returncode == 127


def test_missing_directories_of_a_root_are_no_obstacle(
    hardbox: Hardbox, caller: Caller, place: str, small: str
) -> None:
    profile = own_root(caller, place, small, '"/opt", "/etc/ssl", "/nowhere/deep"')
    faults.ran(hardbox("run", "--profile", profile, "--", "/usr/bin/look"))


def test_a_hostile_root_leads_nowhere(hardbox: Hardbox, caller: Caller, place: str, small: str) -> None:
    """Links in the root, named like what hardbox builds, must not be followed on the host."""
    hostile = faults.own_dir(caller, f"{place}/hostile")
    subprocess.run(["cp", "-r", f"{small}/usr", f"{hostile}/usr"], check=True)
    faults.own_dir(caller, f"{place}/target")
    for name in ("proc", "dev", "etc", "tmp", "home", "bin", "lib", "opt", "run", "var", "srv"):
        os.symlink(f"{place}/target", f"{hostile}/{name}")
    profile = own_root(caller, place, hostile, '"/opt"')
    done = hardbox("run", "--profile", profile, "--", "/usr/bin/look")
    if done.returncode == 125:
        faults.refusal(done)
    else:
        assert "uid 1000" in faults.ran(done)
    assert faults.listing(f"{place}/target") == set()
    os.unlink(f"{hostile}/opt")
    os.rename(f"{hostile}/usr", f"{hostile}/real")
    os.symlink("/usr", f"{hostile}/usr")
    done = hardbox("run", "--profile", profile, "--", "/usr/bin/id")
    assert done.returncode in (125, 126, 127), done  # never the host's own /usr
    assert "uid=" not in done.stdout


@pytest.mark.parametrize("root", ["/nowhere", "/etc/passwd", "/", "relative", "", "/proc", "/dev"])
def test_a_root_that_cannot_serve_is_refused(hardbox: Hardbox, caller: Caller, place: str, root: str) -> None:
    profile = own_root(caller, place, root)
    done = hardbox("run", "--profile", profile, "--", "true")
    assert done.returncode in (125, 127), done
    if done.returncode == 125:
        faults.refusal(done)
