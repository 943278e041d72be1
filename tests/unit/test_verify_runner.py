"""How attempts become a script and answers become outcomes.

Run by: pytest.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hardbox.errors import SetupFailed
from hardbox.verify import runner, world
from hardbox.verify.check import FILTERED, Check
from hardbox.verify.corpus import CHECKS
from hardbox.verify.grants import SECRET_NAMES, own_address, secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECK = Check("K1-x", "x", ("sys", "@mount", "s:{place}"), FILTERED, "x", outside=("sys", "39"))


def nothing() -> None:
    return None


def read(lines: Iterable[str], *checks: Check) -> dict[str, object]:
    return dict(runner.outcomes(lines, checks, lambda: "gone", nothing))


def test_script() -> None:
    assert runner.script([CHECK], {"place": "/a b"}, "x86_64") == "K1-x\tsys\t165\ts:/a b\n"
    assert runner.script([CHECK], {"place": "/a"}, "x86_64", outside=True) == "K1-x\tsys\t39\n"
    assert runner.word("@32:mount") == "21"


def test_outcomes() -> None:
    found = runner.outcomes(
        ['{"id": "K1-x", "errno": 1, "signal": 0, "text": ""}'], [CHECK], lambda: "gone", nothing
    )
    assert found["K1-x"].word == "EPERM"


@pytest.mark.parametrize("lines", [[], ['{"id": "K1-x", "errno": 255, "signal": 0, "text": ""}']])
def test_missing_or_misused(lines: list[str]) -> None:
    with pytest.raises(SetupFailed, match="verify could not finish") as caught:
        read(lines, CHECK)
    assert "K1-x" in caught.value.value


def test_unfit_attempts_say_why(tmp_path: Path) -> None:
    by_id = {check.id: check for check in CHECKS}
    assert runner.fits(by_id["K16-int80-mount"], "aarch64", str(tmp_path))
    assert runner.fits(by_id["K17-x32-mount"], "aarch64", str(tmp_path))
    assert runner.fits(by_id["K14-iopl"], "aarch64", str(tmp_path)) == "aarch64 has no such call"
    assert "i386 probe" in runner.fits(by_id["K16-program"], "x86_64", str(tmp_path))
    assert "only root" in runner.fits(by_id["A12-set-uid"], "x86_64", str(tmp_path))
    assert runner.fits(by_id["A1-read-tmp"], "x86_64", str(tmp_path)) == ""


def test_probes_are_installed_and_static(tmp_path: Path) -> None:
    runner.lay_out(str(tmp_path))
    probe = tmp_path / runner.PROBE
    assert stat.S_IMODE(probe.stat().st_mode) == 0o755
    assert b"/ld-linux" not in probe.read_bytes()
    done = subprocess.run([probe, "one", "hello"], capture_output=True, text=True, check=True)
    assert done.stdout == "hello\n"


def test_missing_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HERE", str(tmp_path / "nowhere"))
    with pytest.raises(SetupFailed, match="no probe"):
        runner.lay_out(str(tmp_path))


def test_every_attempt_is_known_to_the_probe() -> None:
    """The probe answers 255 to words it does not know; a name alone starts nothing."""
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parents[2] / "hardbox" / "verify" / "probes").glob("*.c")
    )
    for check in CHECKS:
        for words in (check.attempt, check.outside):
            assert not words or f'{{ "{words[0]}", ' in source, check.id


def test_secrets_are_beside_every_profile() -> None:
    assert set(secrets("t").values()) == {"t"}
    assert set(secrets("t")) == set(SECRET_NAMES)


def test_own_address_needs_no_network() -> None:
    assert own_address().count(".") == 3


def test_the_terminal_that_is_watched_is_not_number_0() -> None:
    """As the job's own is. Where nobody has a terminal, the first one would be."""
    ends = world.open_terminal()
    try:
        assert os.path.basename(os.ttyname(ends[1])) != "0"
    finally:
        for end in ends:
            os.close(end)
