"""Who calls hardbox in a test: root, and an ordinary user that the tests make themselves.

Run by: tests/conftest.py. As an ordinary user the tests run as that user alone, and say so.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import Final

from support import patience

TEST_USER: Final = "hardbox-test"


@dataclass(frozen=True)
class Caller:
    """One caller: how to become it, and a home of its own that others may look into.

    prefix: words before a command that run it as this caller.
    home:   a directory that the caller owns, below world-traversable directories.
    """

    name: str
    uid: int
    gid: int
    prefix: tuple[str, ...]
    home: str

    def environment(self, **more: str) -> dict[str, str]:
        """Give a plain environment, as after login."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": self.home,
            "LANG": "C.UTF-8",
            "USER": self.name,
            **more,
        }

    def run(
        self,
        *argv: str,
        stdin: str | bytes | int | None = None,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this caller and collect what it says; never raises for its status.

        stdin: text, bytes, or a descriptor; None: nothing.
        """
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*self.prefix, *argv],
            stdin=given if isinstance(given, int) else None,
            input=(b"" if given is None else given) if not isinstance(given, int) else None,
            capture_output=True,
            env=self.environment(**(env or {})),
            cwd=cwd or self.home,
            timeout=patience.seconds(timeout),
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode("utf-8", "backslashreplace"),
            done.stderr.decode("utf-8", "backslashreplace"),
        )


def names() -> tuple[str, ...]:
    """Give the callers that this run of the tests can be."""
    return ("root", "user") if os.geteuid() == 0 else ("user",)


def make(name: str, base: str) -> Caller:
    """Make caller `name` ("root" or "user") with a home below `base`."""
    home = os.path.join(base, name)
    if name == "root":
        os.makedirs(home, 0o755, exist_ok=True)
        return Caller("root", 0, 0, (), home)
    if os.geteuid() != 0:
        uid, gid = os.geteuid(), os.getegid()
        os.makedirs(home, 0o755, exist_ok=True)
        return Caller(f"uid-{uid}", uid, gid, (), home)
    user = _ordinary_user()
    os.makedirs(home, 0o755, exist_ok=True)
    os.chown(home, user.pw_uid, user.pw_gid)
    prefix = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--")
    return Caller(TEST_USER, user.pw_uid, user.pw_gid, prefix, home)


def _ordinary_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(TEST_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--user-group", "--no-create-home", "--shell", "/bin/sh", TEST_USER], check=True
        )
        return pwd.getpwnam(TEST_USER)
