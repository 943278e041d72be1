"""What the launcher's bytes become: an error only where nothing was run.  Run by: pytest."""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING

import pytest
from support import plans

from hardbox import runs
from hardbox.engines import namespaces
from hardbox.engines.namespaces import Launch, Streams
from hardbox.errors import SetupFailed

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.report import Result

PREPARED = runs.Prepared(plans.policy(), plans.samples()["user"], {})


def record(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload


STARTED = record(3, struct.pack("<Q", 1000))
ENDED = record(5, struct.pack("<iIQQQQ", 7 << 8, 0, 1000, 0, 0, 1))


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for hardbox-launch: what the file `said` holds."""
    program = tmp_path / "launcher"
    program.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, sys\n"
        f"said = open({str(tmp_path / 'said')!r}, 'rb').read()\n"
        "os.write(int(sys.argv[4]), said)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(namespaces, "launcher_path", lambda: str(program))
    return tmp_path / "said"


def end(said: Path, content: bytes) -> Result:
    said.write_bytes(content)
    return runs.finish(PREPARED, Launch(PREPARED.plan, dict(os.environ), Streams()))


@pytest.mark.parametrize("kind", [6, 7])
@pytest.mark.parametrize("table", [b"", b"x", b"\xff" * 16, b"\xff" * 400])
def test_a_bad_table_of_refusals_costs_the_refusals(launcher: Path, kind: int, table: bytes) -> None:
    found = end(launcher, STARTED + record(kind, table) + ENDED)
    assert (found.outcome, found.exit_code, found.denials) == ("exited", 7, ())


def test_nonsense_is_a_failed_launch_before_the_start_and_a_loss_behind_it(launcher: Path) -> None:
    for content in (b"nonsense", record(5, b"")):
        with pytest.raises(SetupFailed) as caught:
            end(launcher, content)
        assert caught.value.code == "HB612"
        assert end(launcher, STARTED + content).outcome == "lost"


def test_an_exception_while_waiting_closes_and_reaps(launcher: Path) -> None:
    launcher.write_bytes(STARTED)
    before = os.listdir("/proc/self/fd")
    launch = Launch(PREPARED.plan, dict(os.environ), Streams())

    def watch(_records: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.wait(watch)
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(ChildProcessError):
        os.waitpid(launch.pid, 0)
