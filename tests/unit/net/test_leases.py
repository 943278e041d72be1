"""Leases of addresses: one holder each, gone with the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

import pytest

from hardbox.net.leases import Leases
from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from pathlib import Path


def no_queue() -> None:
    pytest.fail("nobody has had a turn")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    tmp_path.chmod(0o755)
    return str(tmp_path / "net")


def test_each_holder_has_another_address_until_there_is_none(folder: str) -> None:
    holders = [Leases("hbx0", 8, folder) for _ in range(6)]
    assert {holder.take() for holder in holders[:5]} == {2, 3, 4, 5, 6}
    with pytest.raises(Trouble, match="no address left"):
        holders[5].take()
    holders[0].close()
    assert 2 <= holders[5].take() <= 6


def test_a_lease_is_seen_by_others_and_not_by_its_holder(folder: str) -> None:
    one, other = Leases("hbx0", 8, folder), Leases("hbx0", 8, folder)
    offset = one.take()
    assert (one.alive(), one.held(offset)) == (False, False)
    assert (other.alive(), other.held(offset)) == (True, True)
    one.release(offset)
    assert (other.alive(), other.held(offset)) == (False, False)
    assert Leases("hbx1", 8, folder).alive() is False


def test_a_lease_ends_with_the_process_that_is_killed(folder: str) -> None:
    script = f"from hardbox.net.leases import Leases; leases = Leases('hbx0', 8, {folder!r})"
    script += "; print(leases.take(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        offset = int(process.stdout.readline())
        here = Leases("hbx0", 8, folder)
        assert here.held(offset)
        process.kill()
        process.wait()
        assert not here.alive()


def test_being_alone_is_no_lease(folder: str) -> None:
    one, other = Leases("hbx0", 8, folder), Leases("hbx0", 8, folder)
    with one.alone(no_queue):
        assert not other.alive()
        assert 2 <= other.take() <= 6


def test_whoever_holds_the_bridge_and_does_not_go_on_is_not_waited_for_for_ever(folder: str) -> None:
    stopped, other = Leases("hbx0", 8, folder), Leases("hbx0", 8, folder)
    with stopped.alone(no_queue):
        with pytest.raises(Trouble, match="does not let go") as caught, other.alone(no_queue, patience=0.1):
            pytest.fail("two are alone")
        path = f"{folder}/hbx0.leases"
        assert path in caught.value.why
        assert f"fuser -v {path}" in caught.value.instead
    with other.alone(no_queue, patience=0.1):
        pass


def test_the_bridge_is_waited_for_while_somebody_works_on_it(folder: str) -> None:
    script = f"import sys; from hardbox.net.leases import Leases; leases = Leases('hbx0', 8, {folder!r})"
    script += "\nwith leases.alone(print): print('alone', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"alone\n"
        here = Leases("hbx0", 8, folder)
        told: list[str] = []

        def let_go(pipe: IO[bytes]) -> None:
            told.append("let go")
            pipe.close()

        timer = threading.Timer(0.1, let_go, [process.stdin])
        timer.start()
        with here.alone(no_queue):
            assert told
        timer.join()


def test_a_queue_takes_its_time_and_is_told_of(folder: str) -> None:
    other, mine = Leases("hbx0", 8, folder), Leases("hbx0", 8, folder)
    told: list[str] = []
    alone = threading.Event()

    def hold() -> None:
        with other.alone(no_queue):
            alone.set()
            # As if others came between: the file says how many have.
            for number in range(2, 14):
                time.sleep(0.5)
                with open(f"{folder}/hbx0.leases", "r+b", buffering=0) as file:
                    file.write(number.to_bytes(8, sys.byteorder))

    holder = threading.Thread(target=hold)
    holder.start()
    assert alone.wait(10)
    with mine.alone(lambda: told.append("queued"), patience=4):
        assert told
    holder.join()


@pytest.mark.parametrize("kind", ["writable", "link", "file"])
def test_a_folder_that_others_may_change_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "net"
    if kind == "link":
        (tmp_path / "real").mkdir()
        folder.symlink_to("real")
    elif kind == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(Trouble, match="only its owner writes"):
        Leases("hbx0", 8, str(folder))


def test_the_file_is_not_followed_elsewhere(folder: str) -> None:
    Leases("hbx0", 8, folder).close()
    os.unlink(f"{folder}/hbx0.leases")
    os.symlink("/etc/passwd", f"{folder}/hbx0.leases")
    with pytest.raises(OSError, match="symbolic links"):
        Leases("hbx0", 8, folder)
