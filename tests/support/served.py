"""What the servers of the tests' internet serve: a git repository, a package index, a remote shell.

Run by: tests/system/test_network_clients.py.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from typing import TYPE_CHECKING, Final

from support import internet_map as at
from support import patience

if TYPE_CHECKING:
    from support.callers import Caller
    from support.internet import Internet

PACKAGE: Final = "hardbox-demo"
WHEEL: Final = "hardbox_demo-1.0-py3-none-any.whl"
MODULE: Final = "print('from the index')\n"


def git_repository(internet: Internet) -> None:
    """Put a repository at /www/demo.git, for git's protocol of plain files."""
    work, bare = (os.path.join(internet.folder, name) for name in ("work", "www/demo.git"))
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    for words in (
        (*git, "init", work),
        ("sh", "-c", 'echo "from the repository" >"$0/hello"', work),
        (*git, "-C", work, "add", "hello"),
        (*git, "-C", work, "commit", "-m", "one"),
        (*git, "clone", "--bare", work, bare),
        (*git, "-C", bare, "update-server-info"),
    ):
        subprocess.run(words, check=True, capture_output=True)


def package_index(internet: Internet) -> None:
    """Put an index (PEP 503) at /www/simple/, whose one file is below another host name."""
    www = os.path.join(internet.folder, "www")
    folder = os.path.join(www, "simple", PACKAGE)
    os.makedirs(folder)
    info = "hardbox_demo-1.0.dist-info"
    path = os.path.join(www, WHEEL)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("hardbox_demo.py", MODULE)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: hardbox-demo\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open(os.path.join(folder, "index.html"), "w", encoding="ascii") as file:
        file.write(f'<a href="https://a.files.example.org/www/{WHEEL}#sha256={digest}">{WHEEL}</a>\n')


def shell_server(internet: Internet, owner: Caller) -> subprocess.Popen[bytes]:
    """Start sshd at port SSH as an ordinary user, who alone can log in; the key is `key` in the folder."""
    folder = os.path.join(internet.folder, "ssh")
    os.mkdir(folder)
    os.chown(folder, owner.uid, owner.gid)
    for name in ("host", "key"):
        path = os.path.join(folder, name)
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        subprocess.run([*owner.prefix, *words], check=True)
    config = os.path.join(folder, "config")
    with open(config, "w", encoding="ascii") as file:
        file.write(
            f"Port {at.SSH}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\nStrictModes no\n"
            "UsePAM no\nPidFile none\nPasswordAuthentication no\nPrintMotd no\n"
        )
    server = internet.spawn(owner, "/usr/sbin/sshd", "-D", "-e", "-f", config, far=True)
    assert server.stderr is not None
    for line in server.stderr:
        if b"Server listening" in line:
            return server
    server.wait(patience.seconds(20))
    message = "sshd does not listen"
    raise RuntimeError(message)
