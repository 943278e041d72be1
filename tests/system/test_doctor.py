"""`hardbox doctor` on this host, and where a real blocker stands in its way.  Run by: pytest."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from support.callers import Caller
    from support.installed import Installed

SCHEMA = os.path.join(os.path.dirname(__file__), "../../docs/doctor.schema.json")
OWN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "--")
# Refuses unshare(2) as container engines do: EPERM by an outer filter.
OUTER_FILTER = """
import os, struct, sys
from hardbox.probe import libc
unshare = {"x86_64": 272, "aarch64": 97, "riscv64": 97}[os.uname().machine]
rows = ((0x20, 0, 0, 0), (0x15, 0, 1, unshare), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000))
libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
libc.seccomp_load(b"".join(struct.pack("=HBBI", *row) for row in rows))
os.execv(sys.argv[1], sys.argv[1:])
"""


def read(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Take the JSON, which must fit the published schema and the exit status."""
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    with open(SCHEMA, encoding="utf-8") as file:
        jsonschema.validate(document, json.load(file))
    assert done.returncode == (0 if document["fit"] else 125)
    return document


def check(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (entry for entry in document["checks"] if entry["name"] == name)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def folder() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="hardbox-doctor-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


def test_this_host_is_fit(caller: Caller, program: Installed) -> None:
    document = read(caller.run(program.hardbox, "doctor", "--json"))
    gaps = [entry for entry in document["checks"] if entry["status"] == "no" and entry["required"]]
    assert gaps == []
    assert document["host"]["uid"] == caller.uid
    assert check(document, "sandbox")["found"] == "runs"
    needed = check(document, "idmapped-mounts")["status"]
    assert needed == ("ok" if caller.uid == 0 else "info")


def test_the_text_has_one_line_for_each_check(caller: Caller, program: Installed) -> None:
    names = [entry["name"] for entry in read(caller.run(program.hardbox, "doctor", "--json"))["checks"]]
    done = caller.run(program.hardbox, "doctor")
    assert done.returncode == 0, done.stdout
    lines = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("ok ", "no ", "info "))]
    assert lines == names
    assert done.stdout.splitlines()[-1].startswith("this host is fit: ")


def test_nothing_remains(caller: Caller, program: Installed, place: str) -> None:
    mark = f"HARDBOX_MARK={uuid.uuid4().hex}"
    script = 'cat /proc/self/mountinfo >before; "$0" doctor >out; cat /proc/self/mountinfo >after'
    caller.run("env", mark, *OWN_NAMESPACE, "sh", "-c", script, program.hardbox, cwd=place)
    texts = {}
    for name in ("before", "after", "out"):
        with open(os.path.join(place, name), encoding="utf-8") as file:
            texts[name] = file.read()
    assert "user-namespaces" in texts["out"]
    assert texts["before"] == texts["after"] != ""
    assert [pid for pid in os.listdir("/proc") if pid.isdecimal() and mark in environment(pid)] == []


def environment(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # it has ended, or is not ours
        return ""


def test_user_namespaces_switched_off(caller: Caller, program: Installed) -> None:
    script = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$0" doctor --json'
    document = read(caller.run(*OWN_NAMESPACE, "sh", "-c", script, program.hardbox))
    found = check(document, "user-namespaces")
    assert (found["status"], found["blocker"]) == ("no", "max_user_namespaces")
    assert "sysctl -w user.max_user_namespaces" in found["fix"]
    assert document["fit"] is False


def test_a_container_without_the_ids_of_roots_sandboxes(caller: Caller, program: Installed) -> None:
    document = read(caller.run(*OWN_NAMESPACE, program.hardbox, "doctor", "--json"))
    found = check(document, "id-maps")
    assert (found["status"], found["blocker"]) == ("no", "unmapped-range")


def test_a_masked_proc(caller: Caller, program: Installed) -> None:
    script = 'mount --bind /dev/null /proc/kallsyms && exec "$0" doctor --json'
    document = read(caller.run(*OWN_NAMESPACE, "sh", "-c", script, program.hardbox))
    found = check(document, "proc-mount")
    assert (found["status"], found["blocker"]) == ("no", "masked-proc")
    assert "/proc/kallsyms" in found["found"]


def test_an_outer_containers_filter(caller: Caller, program: Installed) -> None:
    document = read(caller.run(program.python, "-c", OUTER_FILTER, program.hardbox, "doctor", "--json"))
    found = check(document, "user-namespaces")
    assert (found["status"], found["blocker"]) == ("no", "outer-seccomp")


# Directories of the host, one by one, below a directory that is no mount point itself...
PLAIN_CHROOT = """
for entry in /*; do
    if [ -L "$entry" ]; then cp -P "$entry" "$1$entry"
    elif [ -d "$entry" ]; then mkdir "$1$entry" && mount --rbind "$entry" "$1$entry"
    fi
done
"""
# ... and the host's whole root on a directory, which then is one.
MOUNTED_CHROOT = 'mount --rbind / "$1"'


@pytest.mark.parametrize("build", [PLAIN_CHROOT, MOUNTED_CHROOT], ids=["plain", "mounted"])
def test_inside_a_chroot(caller: Caller, program: Installed, folder: str, build: str) -> None:
    mounts = OWN_NAMESPACE if caller.uid else ("unshare", "--mount", "--propagation", "private", "--")
    script = f'{build}\nexec chroot "$1" "$0" doctor --json'
    root = os.path.join(folder, "root")
    os.mkdir(root)
    os.chown(root, caller.uid, caller.gid)
    document = read(caller.run(*mounts, "sh", "-c", script, program.hardbox, root))
    found = check(document, "user-namespaces")
    assert (found["status"], found["blocker"]) == ("no", "chroot")


def test_no_proc_at_all(caller: Caller, program: Installed, folder: str) -> None:
    script = f'{PLAIN_CHROOT}\numount -l "$1/proc"; exec chroot "$1" "$0" doctor --json'
    mounts = OWN_NAMESPACE if caller.uid else ("unshare", "--mount", "--propagation", "private", "--")
    root = os.path.join(folder, "root")
    os.mkdir(root)
    os.chown(root, caller.uid, caller.gid)
    document = read(caller.run(*mounts, "sh", "-c", script, program.hardbox, root))
    assert document["host"] is None
    assert "HB502" in check(document, "facts")["found"]
