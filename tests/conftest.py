"""Fixtures for all tests.  Run by: pytest."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import settings
from support import callers, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.callers import Caller
    from support.installed import Installed


# Tests never assert times: not those of one example either.
settings.register_profile("hardbox", deadline=None)
settings.load_profile("hardbox")


def pytest_report_header() -> str | None:
    """Say when only half of the callers are tested."""
    return None if os.geteuid() == 0 else "callers: ordinary user only; run as root to test both"


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """A world-traversable directory for this session."""
    path = tempfile.mkdtemp(prefix="hardbox-tests-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def program(base: str) -> Installed:
    """The installed hardbox, reachable by every caller."""
    return installed.find(base)


@pytest.fixture(scope="session", params=callers.names())
def caller(request: pytest.FixtureRequest, base: str) -> Caller:
    """Who calls: root, then an ordinary user."""
    return callers.make(request.param, base)


@pytest.fixture
def place(caller: Caller) -> Iterator[str]:
    """A fresh directory that the caller owns."""
    path = tempfile.mkdtemp(dir=caller.home)
    os.chmod(path, 0o755)
    os.chown(path, caller.uid, caller.gid)
    yield path
    # A test may have shut a directory to its own owner.
    subprocess.run(["chmod", "-R", "u+rwX", path], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(path)


class Hardbox(Protocol):
    """`hardbox` as one caller: give it the words, get status, stdout and stderr."""

    def __call__(
        self,
        *argv: str,
        stdin: str | bytes | int | None = None,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run `hardbox ARGV...`."""
        ...


@pytest.fixture
def hardbox(caller: Caller, program: Installed) -> Hardbox:
    """The command line, as the caller."""

    def run(
        *argv: str,
        stdin: str | bytes | int | None = None,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        return caller.run(program.hardbox, *argv, stdin=stdin, env=env, cwd=cwd, timeout=timeout)

    return run
