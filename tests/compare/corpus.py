"""The only door to the corpus: what `make compare` takes from `hardbox verify`.

Run by: tests/compare/main.py. If the corpus moves, this file alone changes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox.verify import examine, runner, world
from hardbox.verify.check import CLASSES, HELD, VACUOUS, Facts, Outcome, judge, live_control
from hardbox.verify.corpus import CHECKS
from hardbox.verify.grants import own_address, promised_places, secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hardbox.verify.check import Check

INSIDE: Final = runner.INSIDE_PROBES
PROBE: Final = runner.PROBE
OPEN, SILENT = "open", "silent"
_MISUSE: Final = 255
# Rows that ask for hardbox's own arrangement rather than for isolation: the exact names in the
# root and in /dev. Rows about the numbers of a profile are found by what they ask for.
OWN_WAYS: Final = ("A11-names", "C1-names")

# What `strict` says it allows to a caller (hardbox/verify/promise.py).
ALLOWED: Final = {"user": ("L5-chmod",), "root": ()}
Canaries = world.Canaries

__all__ = ("CHECKS", "CLASSES", "HELD", "INSIDE", "OPEN", "PROBE", "SILENT", "VACUOUS", "Canaries", "secrets")


class Asked(dict[str, str]):
    """Places that remember which of them were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Hold the values."""
        super().__init__(values)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Give a value, and note its name."""
        self.names.add(name)
        return super().__getitem__(name)


@dataclass
class World:
    """The whole corpus without a sandbox, by this caller: the controls, and the ground to compare."""

    base: str
    controls: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    promised: dict[str, str] = field(default_factory=dict)

    @property
    def probes(self) -> str:
        """The directory of the probes."""
        return os.path.join(self.base, "probes")


def ids_left_out(checks: Iterable[Check], promised: Iterable[str]) -> set[str]:
    """Name the rows that only hardbox can be asked: its own ways, and numbers out of its profile."""
    names = {f"{{{name}}}" for name in promised}
    return {
        check.id
        for check in checks
        if check.id in OWN_WAYS or any(name in word for word in check.attempt for name in names)
    }


def make_world(base: str) -> World:
    """Run the controls."""
    arena = examine.prepare("strict", (), {}, base)
    made = World(base)
    made.promised = promised_places(arena.promise, arena.facts)
    checks = [check for check in CHECKS if not runner.fits(check, arena.facts.machine, made.probes)]
    made.controls, made.facts, _ = examine.run_controls(arena, checks, lambda _stage, _done, _all: None)
    return made


def canaries(made: World, name: str) -> world.Canaries:
    """Set out a set of canaries below the base and where everybody may write."""
    folder = os.path.join(made.base, name)
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    trees = {"tmp": folder, "home": os.path.expanduser("~"), "var": "/var/tmp", "shm": "/dev/shm"}
    watched = world.canaries(trees)
    world.populate(watched, made.probes)
    return watched


def _facts(made: World, watched: world.Canaries, probe: str, scratch: str) -> Facts:
    places = {
        **made.promised,
        **watched.places(),
        "token": watched.token,
        "uid": str(os.geteuid()),
        "gid": str(os.getegid()),
        "base": made.base,
        "own_address": own_address(),
        "probe": probe,
        "scratch": scratch,
    }
    return Facts(places, world.namespaces(), os.uname().nodename, os.geteuid(), os.getegid())


def script(made: World, watched: world.Canaries) -> tuple[str, Facts]:
    """Give the probe's script for a sandbox, and the facts by which its answers are judged."""
    facts = _facts(made, watched, INSIDE, "/tmp")
    return runner.script(wanted(made), facts.places, os.uname().machine), facts


def wanted(made: World) -> list[Check]:
    """Give the rows that can be tried in any sandbox."""
    machine = os.uname().machine
    left = ids_left_out(CHECKS, made.promised)
    return [c for c in CHECKS if c.id not in left and not runner.fits(c, machine, made.probes)]


def answers(said: str) -> dict[str, Outcome]:
    """Read the probe's answers, as far as there are any."""
    found: dict[str, Outcome] = {}
    for line in said.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a word of the peer's own
        if row["errno"] != _MISUSE:
            found[row["id"]] = Outcome.of(row["errno"], row["signal"], row["text"])
    return found


def verdicts(made: World, facts: Facts, seen: Mapping[str, Outcome]) -> dict[str, tuple[str, str, str]]:
    """Judge: id -> (class, held | open | vacuous | silent, reason); a profile's own numbers are left out."""
    found: dict[str, tuple[str, str, str]] = {}
    for check in wanted(made):
        asked = Asked(facts.places)
        controls = {where: done[check.id] for where, done in made.controls.items() if check.id in done}
        if check.id not in seen:
            word = SILENT if controls else VACUOUS
            found[check.id] = (check.group, word, "no answer" if controls else "no control as this caller")
            continue
        own = Facts(asked, facts.namespaces, facts.host_name, facts.uid, facts.gid)
        given = judge(check, controls, seen[check.id], made.facts, own)
        if asked.names & set(made.promised):
            continue
        word = given.word if given.word in (HELD, VACUOUS) else OPEN
        found[check.id] = (check.group, word, given.reason)
    return found


def observe(watched: world.Canaries) -> dict[str, str]:
    """Describe what must not change outside."""
    return dict(world.observe(watched))


def without_sandbox(made: World) -> dict[str, Outcome]:
    """Give the outcomes without any sandbox: the first live control of each row, else any."""
    found: dict[str, Outcome] = {}
    for check in wanted(made):
        controls = {where: done[check.id] for where, done in made.controls.items() if check.id in done}
        live = live_control(check, controls, made.facts)
        if controls:
            found[check.id] = controls[live or next(iter(controls))]
    return found
