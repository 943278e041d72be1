"""Network mode "bridge" with the whole of hardbox: root's job on a bridge, an ordinary user's with pasta."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support import faults, patience
from support.bridges import PUBLIC, UPLINK, World, inside

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the test world is made by root")
KEEPER = "-m hardbox.net"
VICTIMS = ("hardbox-launch", KEEPER, "hardbox.cli.main")
MODE = ("--set", "network.mode=bridge", "--loosen", "network.mode=the test is of this mode")


def alive(world: World, *parts: str) -> list[int]:
    """Give the processes on the host that are hardbox's, or a part of it."""
    return [pid for pid, words in world.processes() if any(part in words for part in parts or VICTIMS)]


class Runner:
    """hardbox on the test's host, as one caller."""

    def __init__(self, world: World, caller: Caller, program: Installed, place: str) -> None:
        self._caller = caller
        self._before = [
            *inside(world.host),
            *caller.prefix,
            program.hardbox,
            "run",
            "--profile",
            "net-client",
            *MODE,
        ]
        self._place = place

    def words(self, *words: str, script: str) -> list[str]:
        return [*self._before, *words, "--", "bash", "-c", script]

    def __call__(self, *words: str, script: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        report = os.path.join(self._place, "r.json")
        done = subprocess.run(
            self.words(*words, "--report", report, script=script),
            capture_output=True,
            text=True,
            cwd=self._place,
            env=self._caller.environment(),
            timeout=patience.seconds(120),
            check=False,
        )
        with open(report, encoding="utf-8") as file:
            return done, json.load(file)


@pytest.fixture
def run(world: World, caller: Caller, program: Installed, place: str) -> Runner:
    return Runner(world, caller, program, place)


def test_a_job_reaches_what_is_allowed_and_the_report_says_what_was_not(run: Runner) -> None:
    script = (
        "exec 3<>/dev/tcp/93.184.216.34/443 && cat <&3; echo;"
        " for host in 93.184.216.35 192.0.2.2 10.0.3.7 169.254.169.254;"
        " do (exec 3<>/dev/tcp/$host/443) && echo $host; done"
    )
    done, report = run("--allow", "93.184.216.34:443", script=script)
    assert done.stdout == f"internet {UPLINK}\n"
    assert done.stderr.count("connect: Connection refused") == 4
    rows = json.dumps(report["network"])
    for host in (PUBLIC[1], UPLINK, "10.0.3.7", "169.254.169.254"):
        assert f'"{host}"' in rows
    assert f'"{PUBLIC[0]}"' not in rows


def test_a_job_cannot_change_its_network(run: Runner) -> None:
    script = (
        "ip link set eth0 down; ip addr add 10.210.9.9/32 dev eth0; ip route del default; ip neigh flush all;"
        " /usr/sbin/nft flush ruleset; /usr/sbin/nft list ruleset; exec 3<>/dev/tcp/93.184.216.35/443"
    )
    done, _ = run("--allow", "93.184.216.34:443", script=script)
    assert done.stdout == ""
    assert "Connection refused" in done.stderr
    assert done.returncode == 1


def test_no_rules_mean_that_nothing_is_run(run: Runner, world: World) -> None:
    world.on_host(
        "printf '%s\\n' '#!/bin/sh' 'exit 1' >/run/faulty; chmod 755 /run/faulty;"
        " mount --bind /run/faulty /usr/sbin/nft"
    )
    try:
        done, _ = run("--allow", "93.184.216.34:443", script="echo ran")
    finally:
        world.on_host("umount /usr/sbin/nft")
    assert (done.returncode, done.stdout) == (125, "")
    assert "nft has refused" in done.stderr


@pytest.mark.parametrize("victim", VICTIMS)
def test_whoever_is_killed_nothing_is_left(run: Runner, caller: Caller, world: World, victim: str) -> None:
    before = world.state()
    words = run.words("--allow", "93.184.216.34:443", script="echo runs; exec sleep 20")
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd="/", env=caller.environment(), text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "runs\n"
        os.kill(alive(world, victim)[0], signal.SIGKILL)
        # Without its keeper the job is ended: nobody would see if its rules went.
        job.wait(timeout=patience.seconds(60))
        if victim == KEEPER:  # who was killed tidies nothing; the next one does
            assert run("--allow", "93.184.216.34:443", script="true")[0].returncode == 0
    faults.eventually(lambda: world.state() == before, "the host is as it was")
    faults.eventually(lambda: not alive(world), "all have ended")


def test_ten_jobs_at_once(run: Runner, caller: Caller) -> None:
    words = run.words("--allow", "93.184.216.34:443", script="exec 3<>/dev/tcp/93.184.216.34/443 && cat <&3")
    jobs = [
        subprocess.Popen(words, stdout=subprocess.PIPE, cwd="/", env=caller.environment(), text=True)
        for _ in range(10)
    ]
    assert {job.communicate(timeout=patience.seconds(120))[0] for job in jobs} == {f"internet {UPLINK}"}
    assert {job.returncode for job in jobs} == {0}
