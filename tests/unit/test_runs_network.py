"""runs.py with a network that somebody keeps: whatever goes wrong, its keeper does not outlive the run.

Run by: pytest.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from support import plans
from support.small_keepers import END, GONE, POLICY, READY, Keepers, gone

from hardbox import runs
from hardbox.engines import keeper, namespaces
from hardbox.engines.namespaces import Launch, Streams
from hardbox.errors import HardboxError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_the_keeper_says_is_preferred_to_the_launchers_step(
    start: Keepers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During set-up each of the two sees the other go; the one that went first knows why."""
    launcher = tmp_path / "launcher"
    failed = "import struct, os, sys; os.write(int(sys.argv[4]), struct.pack('<IIIi', 1, 8, 2, 104))"
    launcher.write_text(f"#!{sys.executable} -IS\n{failed}\nsys.exit(125)\n")
    launcher.chmod(0o755)
    monkeypatch.setattr(namespaces, "launcher_path", lambda: str(launcher))
    prepared = runs.Prepared(POLICY, plans.build(POLICY, plans.USER), {})

    def code(script: str) -> str:
        one = start(READY + script)
        one.wait_ready()
        launch = Launch(prepared.plan, dict(os.environ), Streams(), keeper=one)
        assert one.socket == -1, "the launcher has it"
        with pytest.raises(HardboxError) as caught:
            runs.finish(prepared, launch)
        assert gone(one)
        return f"{caught.value.code}: {caught.value.what}"

    assert code("say({'event': 'error', 'message': 'the bridge'})") == (
        "HB661: the job's network cannot be kept: the bridge"
    )
    for script in ("", GONE + f"say({END})"):
        assert not code(script).startswith("HB66"), "the launcher's own step"


def test_an_interrupt_meanwhile_ends_it(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = runs.Prepared(POLICY, plans.build(POLICY, plans.USER), {})
    one = start(READY + GONE)

    def interrupted(*_: object, **__: object) -> Launch:
        raise KeyboardInterrupt

    monkeypatch.setattr(keeper, "Keeper", lambda _policy: one)
    monkeypatch.setattr(runs, "Launch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runs.execute(prepared, Streams())
    assert gone(one)


def test_an_interrupt_before_it_is_ready_ends_it(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = runs.Prepared(POLICY, plans.build(POLICY, plans.USER), {})
    one = start(GONE)

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(one, "wait_ready", interrupted)
    monkeypatch.setattr(keeper, "Keeper", lambda _policy: one)
    with pytest.raises(KeyboardInterrupt):
        runs.start(prepared, Streams())
    assert gone(one)


def test_a_run_that_is_interrupted_leaves_none(
    start: Keepers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = tmp_path / "launcher"
    # Ends when nobody listens any more, as the launcher does.
    hang = "import os, select, sys; p = select.poll(); p.register(int(sys.argv[4]), 0); p.poll()"
    launcher.write_text(f"#!{sys.executable} -IS\n{hang}\n")
    launcher.chmod(0o755)
    monkeypatch.setattr(namespaces, "launcher_path", lambda: str(launcher))
    prepared = runs.Prepared(POLICY, plans.build(POLICY, plans.USER), {})
    one = start(READY + GONE)
    monkeypatch.setattr(keeper, "Keeper", lambda _policy: one)

    def interrupted(_records: object) -> None:
        raise KeyboardInterrupt

    launch = runs.start(prepared, Streams())
    with pytest.raises(KeyboardInterrupt):
        runs.finish(prepared, launch, interrupted)
    assert gone(one)
    with pytest.raises(ChildProcessError):
        os.waitpid(launch.pid, os.WNOHANG)
