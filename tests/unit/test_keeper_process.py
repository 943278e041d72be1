"""engines/keeper.py: what its process says, does not say, or says wrongly, and its end.

Run by: pytest. A small child that speaks the protocol stands in for `python3 -m hardbox.net`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults
from support.small_keepers import END, GONE, POLICY, READY, Keepers, gone

from hardbox.engines import keeper
from hardbox.engines.keeper import Keeper
from hardbox.errors import SetupFailed

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.network_report import NetworkUse


def refused(one: Keeper) -> SetupFailed:
    with pytest.raises(SetupFailed) as caught:
        one.wait_ready()
    assert gone(one)
    return caught.value


def told(start: Keepers, script: str) -> NetworkUse:
    one = start(READY + script)
    one.wait_ready()
    found = one.told()
    assert gone(one)
    return found


def test_ready_then_end(start: Keepers) -> None:
    found = told(start, GONE + f"say({END})")
    assert (found.mode, found.complete, found.connections, found.contacts) == ("allow", True, 1, ())


def test_it_gets_what_the_profile_says_and_nothing_else(start: Keepers, tmp_path: Path) -> None:
    def settings(**changed: object) -> dict[str, Any]:
        one = start(f"open({str(tmp_path / 's')!r}, 'w').write(json.dumps(settings))\n" + READY, **changed)
        one.wait_ready()
        found: dict[str, Any] = json.loads((tmp_path / "s").read_text())
        return found

    assert settings() == {
        "mode": "allow",
        "profile": "made-up",
        "allow": ["a.example.org:443"],
        "sni": "match",
        "log": "denied",
        "connections": 256,
        "rate": 100,
        "bytes": (1 << 63) - 1,
        "idle": 300_000,
    }
    found = settings(mode="bridge", join="team", dns=("192.0.2.53",), allow=("10.0.0.0/8:443",))
    assert found == {
        "mode": "bridge",
        "profile": "made-up",
        "allow": ["10.0.0.0/8:443"],
        "bridge": "hbx0",
        "subnet": "10.210.0.0/16",
        "dns": ["192.0.2.53"],
        "join": "team",
        "publish": [],
        "uid": os.geteuid(),
        "engine": "veth" if os.geteuid() == 0 else "pasta",
    }


def test_its_end_of_the_sockets_is_the_only_one(start: Keepers) -> None:
    one = start(READY + "sockets.recv(12)\n" + f"say({END})")
    one.wait_ready()
    assert one.socket >= 0
    one.handed_over()
    one.handed_over()
    assert one.socket == -1
    assert one.told().complete


def test_an_error_before_it_is_ready_is_passed_on(start: Keepers) -> None:
    event = {"event": "error", "code": "HB660", "message": "M", "why": "W", "instead": "I"}
    found = refused(start(f"say({event})"))
    assert (found.code, found.why, found.instead) == ("HB660", "W", "I")
    assert "M" in found.what
    assert 'network.mode = "allow"' in found.value


@pytest.mark.parametrize("code", [None, "", "HB999", "x", 7, ["HB661"], {}])
def test_an_error_without_a_code_of_ours_has_one(start: Keepers, code: object) -> None:
    event = {"event": "error", "message": "M"} | ({} if code is None else {"code": code})
    found = refused(start(f"say({event})"))
    assert found.code == "HB661"
    assert found.instead


def test_a_death_before_it_is_ready(start: Keepers) -> None:
    for script in (
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        'raw(b\'{"event": "rea\')',
        "os.close(12); " + GONE,
    ):
        assert refused(start(script)).code == "HB660"


def test_silence_has_an_end(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed: this one would not end when its socket does."""
    monkeypatch.setattr(keeper, "_READY_SECONDS", 0.1)
    monkeypatch.setattr(keeper, "_END_SECONDS", 0.1)
    assert refused(start("time.sleep(600)")).code == "HB660"


NONSENSE: Final = (
    *(b"", b"x", b"[1]", b"null", b'"ready"', b"{", b"\xff\xfe", b"[" * 20_000, b"9" * 5000),
    b'[{"event": "ready"}]',
)


def test_others_that_have_their_turn_are_waited_for(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_READY_SECONDS", 4.0)
    queue = "for _ in range(12):\n    time.sleep(0.5)\n    say({'event': 'queued'})\n"
    one = start(queue + READY + GONE + f"say({END})", mode="bridge")
    one.wait_ready()
    assert one.told().complete
    monkeypatch.setattr(keeper, "_QUEUE_SECONDS", 1.0)
    found = refused(start(queue + READY, mode="bridge"))
    assert (found.code, "had their turn" in found.why) == ("HB660", True)


def test_where_there_are_no_others_nobody_has_a_turn(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_READY_SECONDS", 1.0)
    found = refused(start("while True:\n    time.sleep(0.3)\n    say({'event': 'queued'})\n"))
    assert (found.code, "had their turn" in found.why) == ("HB660", False)


def test_last_words_without_end_have_an_end(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_END_SECONDS", 1.0)
    one = start(READY + f"while True:\n    time.sleep(0.3)\n    say({END})\n")
    one.wait_ready()
    began = time.monotonic()
    assert one.told().connections == 1
    # Killed when it does not end by itself either; far less than it would go on for.
    assert time.monotonic() - began < 60
    assert gone(one)


@pytest.mark.parametrize("line", NONSENSE, ids=lambda line: repr(line[:20]))
def test_nonsense_is_no_word_and_nothing_behind_it_is_heard(start: Keepers, line: bytes) -> None:
    assert refused(start(f"raw({line + bytes((10,))!r})\n" + READY)).code == "HB660"


@pytest.mark.parametrize(
    "line", [b"{}", b'{"event": []}', b'{"event": "new"}', b'{"event": "end"}'], ids=repr
)
def test_events_of_other_kinds_are_passed_over(start: Keepers, line: bytes) -> None:
    one = start(f"raw({line + bytes((10,))!r})\n" + READY)
    one.wait_ready()


def test_an_event_in_pieces_and_several_at_once(start: Keepers) -> None:
    script = "for piece in (b'{\"event\"', b': \"rea', b'dy\"}\\n'):\n    raw(piece); time.sleep(0.05)\n"
    one = start(script + f"raw(b'{{}}\\n' + json.dumps({END}).encode() + b'\\n' + b'x')")
    one.wait_ready()
    assert one.told().connections == 1


@pytest.mark.parametrize("piece", [b"\n", b"x" * 1000, b"{}\n"], ids=["lines", "one line", "events"])
def test_too_much_is_heard_no_more(start: Keepers, monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """A keeper that never ends a sentence would otherwise hold up the end of the run for ever."""
    monkeypatch.setattr(keeper, "_END_SECONDS", 600.0)
    found = told(start, f"block = {piece!r} * 5000\nwhile True:\n    raw(block)")
    assert not found.complete


def test_no_last_word(start: Keepers) -> None:
    for script in ("", "os.kill(os.getpid(), 9)", "say({'event': 'error', 'message': 'M'})"):
        found = told(start, script)
        assert (found.complete, found.connections) == (False, 0)


@pytest.mark.parametrize(
    "changed", [{"rows": None}, {"rows": [1]}, {"sent": -1}, {"most": "1"}, {"dropped": None}], ids=str
)
def test_a_last_word_that_is_none(start: Keepers, changed: dict[str, object]) -> None:
    found = told(start, f"say({END | changed})")
    assert (found.complete, found.connections, found.contacts) == (False, 0, ())


def test_a_last_word_that_does_not_come(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_END_SECONDS", 0.1)
    assert not told(start, "time.sleep(600)").complete


def test_closing_twice_is_closing_once(start: Keepers) -> None:
    one = start(READY + GONE)
    one.wait_ready()
    one.close()
    assert gone(one)
    one.close()
    assert not one.told().complete
    assert one.failed() is None


@pytest.mark.parametrize("script", ["", GONE, "time.sleep(600)"], ids=["dead", "alive", "stuck"])
def test_a_caller_that_ignores_its_children(
    start: Keepers, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """The kernel has taken a dead one's number back: nobody else is killed or waited for in its place."""
    monkeypatch.setattr(keeper, "_END_SECONDS", 0.2)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        one = start(READY + script)
        one.wait_ready()
        if not script:
            faults.eventually(lambda: not os.path.exists(f"/proc/{one.pid}"), "it has ended")
        assert not one.told().complete
        assert not os.path.exists(f"/proc/{one.pid}")
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_number_that_is_somebody_elses_by_now(start: Keepers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is not our child is let alone, however long it lives."""
    monkeypatch.setattr(keeper, "_END_SECONDS", 0.1)
    one = start(READY + GONE)
    one.wait_ready()
    own, one.pid = one.pid, os.getppid()
    killed: list[int] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: killed.append(1))
    one.close()
    assert killed == []
    os.waitpid(own, 0)


def test_more_descriptors_than_select_takes(start: Keepers) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("this caller may not have so many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            stack.callback(os.close, os.dup(2))
        assert told(start, GONE + f"say({END})").complete


def test_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.listdir("/proc/self/fd")

    def nothing(*_: int) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(keeper, "_start", nothing)
    with pytest.raises(SetupFailed) as caught:
        Keeper(POLICY)
    assert caught.value.code == "HB660"
    assert os.listdir("/proc/self/fd") == before


def test_what_it_starts_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors 0 and 1 lead nowhere, three more are ours; the environment is nearly empty."""
    program = tmp_path / "python3"
    look = f'ls -l /proc/self/fd >{tmp_path}/fds; env >{tmp_path}/env; echo "$@" >{tmp_path}/words'
    program.write_text(f"#!/bin/sh\n{look}; touch {tmp_path}/done\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("LD_PRELOAD", "")
    one = Keeper(POLICY)
    assert refused(one).code == "HB660"
    assert (tmp_path / "done").exists()
    rows = re.findall(r" (\d+) -> (\S+)", (tmp_path / "fds").read_text())
    found = {int(number): target for number, target in rows}
    words = (tmp_path / "words").read_text().split()
    numbers = {words[at]: int(words[at + 1]) for at in range(3, 9, 2)}
    assert words[:3] == ["-EP", "-m", "hardbox.net"]
    assert set(numbers) == {"--settings-fd", "--sockets-fd", "--events-fd"}
    assert found[0] == "/dev/null"
    assert found[numbers["--settings-fd"]].startswith("/memfd:")
    assert found[numbers["--sockets-fd"]].startswith("socket:")
    assert found[numbers["--events-fd"]].startswith("pipe:")
    memory = [number for number, target in found.items() if target.startswith("/memfd:")]
    assert memory == [numbers["--settings-fd"]]
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "PYTHONPATH" not in names
    assert "LD_PRELOAD" not in names
