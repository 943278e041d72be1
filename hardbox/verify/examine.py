"""Attacks a profile: controls outside, then the same attempts inside, then the judge.

Run by: cli/verify.py and tests/attack. Leaves nothing behind, whatever happens.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hardbox import api, filters, host
from hardbox.errors import HardboxError, SetupFailed
from hardbox.filters.of_policy import compile_for
from hardbox.profile import Setting
from hardbox.verify import engine, policy_rows, posture, runner, world
from hardbox.verify.check import ESCAPED, HELD, VACUOUS, Facts, Outcome, judge, live_control
from hardbox.verify.corpus import CHECKS
from hardbox.verify.findings import Findings, Row
from hardbox.verify.grants import own_address, promised_places, secrets
from hardbox.verify.promise import Promise
from hardbox.verify.runner import Around

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hardbox.host import HostFacts
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.runs import Prepared
    from hardbox.verify.check import Check
    from hardbox.verify.world import Canaries

_REASON: Final = "hardbox verify shows the job the probes that attack it, read-only"

# A profile that leaves it to its caller which destinations there are is attacked with one that
# does not exist (RFC 6761).
_SOMEWHERE: Final = Setting("network.allow", ["verify.invalid:443"], "verify", append=True)


@dataclass
class Arena:
    """One examination: where it takes place and what it is of."""

    base: str
    prepared: Prepared
    promise: Promise
    facts: HostFacts
    digest: str

    @property
    def probes(self) -> str:
        """The directory of the probes."""
        return os.path.join(self.base, "probes")


def prepare(name: str, settings: Sequence[Setting], reasons: Mapping[str, str], base: str) -> Arena:
    """Lay the probes out and make the plan. Raises what load_profile and prepare raise."""
    probes = os.path.join(base, "probes")
    os.mkdir(probes)
    runner.lay_out(probes)
    shown = Setting("filesystem.read", [f"{probes}:{runner.INSIDE_PROBES}"], "verify", append=True)
    own = api.load_profile(name, settings, reasons)
    if own.network.mode == "bridge":
        raise SetupFailed(
            "HB614",
            "verify does not know what is near a bridge",
            value='network.mode = "bridge"',
            origin=own.origin("network.mode"),
            why="which address the job gets, and who answers there, is known when it is launched only",
            instead="--network none looks at everything else of the profile",
        )
    some = [_SOMEWHERE] if own.network.mode == "allow" and not own.network.allow else []
    policy = _load(name, [*settings, *some, shown], reasons)
    command = [f"{runner.INSIDE_PROBES}/{runner.PROBE}", "batch"]
    prepared = api.prepare(policy, command, workdir="/")
    facts = host.read_facts()
    rules = compile_for(policy, facts.machine).rules
    # Of the profile as its user has it, without the probes.
    return Arena(base, prepared, Promise(policy, prepared.plan, rules), facts, own.digest)


def _load(name: str, settings: Sequence[Setting], reasons: Mapping[str, str]) -> Policy:
    try:
        return api.load_profile(name, settings, reasons)
    except HardboxError as error:
        try:  # a profile that grants no paths; showing the probes is then weaker than it
            return api.load_profile(name, settings, {"filesystem.read": _REASON, **reasons})
        except HardboxError:
            raise error from None


def examine(
    name: str,
    *,
    settings: Sequence[Setting] = (),
    reasons: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _all: None,
    alter: Callable[[LaunchPlan], LaunchPlan] = lambda plan: plan,
    controlled: bool = True,
) -> Findings:
    """Attack a profile on this host as this caller.

    classes:  which to run; () for all.
    progress: called with a stage, and how many of how many attempts are done.
    alter:    a change of the plan before it is launched: the tests break one protection at a
              time with it, and expect to be told.
    controlled: run the controls; without them nothing is held, but what escapes is still seen.
    Raises HardboxError if it could not run.
    """
    began = time.monotonic()
    base = tempfile.mkdtemp(prefix=f"hardbox-verify-{os.getpid()}-")
    os.chmod(base, 0o755)  # noqa: S103 (a job with other ids goes through it)
    try:
        arena = prepare(name, settings, reasons or {}, base)
        return _examine(arena, classes, progress, alter, began, controlled=controlled)
    finally:
        shutil.rmtree(base)


def _examine(
    arena: Arena,
    classes: Sequence[str],
    progress: Callable[[str, int, int], None],
    alter: Callable[[LaunchPlan], LaunchPlan],
    began: float,
    *,
    controlled: bool,
) -> Findings:
    wanted = [check for check in CHECKS if not classes or check.group in classes or "host" in classes]
    unfit = {check.id: runner.fits(check, arena.facts.machine, arena.probes) for check in wanted}
    checks = [check for check in wanted if not unfit[check.id]]
    plan = alter(arena.prepared.plan)
    # Before the controls: what they would do to the host must not be seen as the sandbox's.
    inside, facts, before, after = _inside(arena, checks, plan, progress) if checks else ({}, Facts(), {}, {})
    controls, control_facts, changed = (
        run_controls(arena, checks, progress) if checks and controlled else ({}, Facts(), ())
    )
    rows = [
        _row(check, _of(check, controls), inside[check.id], control_facts, facts, arena.promise)
        for check in checks
        if not classes or check.group in classes
    ]
    rows += [_unfit(check, unfit[check.id]) for check in wanted if unfit[check.id]]
    if not classes or "host" in classes:
        rows += _host_rows(before, after, changed)
    if not classes or "posture" in classes:
        progress("posture", 0, 1)
        rows += _posture(arena, plan)
    if not classes or "policy" in classes:
        progress("policy", 0, 1)
        rows += policy_rows.rows(arena.base)
    return Findings(
        tuple(rows),
        _profile(arena, plan),
        _host(arena.facts),
        time.monotonic() - began,
        tuple(sorted(changed)),
    )


def _trees(arena: Arena, stage: str) -> dict[str, str]:
    """Give where canaries are set out; the caller's home where it can be written."""
    home = os.path.expanduser("~")
    parent = tempfile.mkdtemp(prefix=stage, dir=arena.base)
    os.chmod(parent, 0o755)  # noqa: S103 (see examine)
    found = {"tmp": parent, "home": home, "var": "/var/tmp", "shm": "/dev/shm"}  # noqa: S108 (trees of the host)
    return {
        tree: path if os.path.isdir(path) and os.access(path, os.W_OK) else parent
        for tree, path in found.items()
    }


def _facts(arena: Arena, watched: Canaries, more: Mapping[str, str]) -> Facts:
    places = {
        **promised_places(arena.promise, arena.facts),
        **watched.places(),
        "token": watched.token,
        "uid": str(arena.facts.uid),
        "gid": str(arena.facts.gid),
        "base": arena.base,
        "own_address": own_address(),
        **more,
    }
    return Facts(places, world.namespaces(), os.uname().nodename, arena.facts.uid, arena.facts.gid)


def _inside(
    arena: Arena, checks: Sequence[Check], plan: LaunchPlan, progress: Callable[[str, int, int], None]
) -> tuple[dict[str, Outcome], Facts, dict[str, str], dict[str, str]]:
    watched = world.canaries(_trees(arena, "inside"))
    try:
        world.populate(watched, arena.probes)
        facts = _facts(arena, watched, {"probe": runner.INSIDE_PROBES, "scratch": "/tmp"})  # noqa: S108 (inside)
        around = _around(arena, watched, facts.places, arena.base)
        before = world.observe(watched)
        count = iter(range(1, len(checks) + 1))
        outcomes = engine.run_inside(
            plan,
            arena.promise.policy,
            checks,
            around,
            lambda: progress("inside", next(count, 0), len(checks)),
        )
        return outcomes, facts, before, world.observe(watched)
    finally:
        watched.remove()


def run_controls(
    arena: Arena, checks: Sequence[Check], progress: Callable[[str, int, int], None]
) -> tuple[dict[str, dict[str, Outcome]], Facts, tuple[str, ...]]:
    """Run the controls in every place; give outcomes by place, the facts, and what they harmed."""
    trees = _trees(arena, "outside")
    watched = world.canaries(trees)
    found: dict[str, dict[str, Outcome]] = {}
    try:
        world.populate(watched, arena.probes)
        facts = _facts(arena, watched, {"probe": arena.probes, "scratch": trees["tmp"]})
        before = world.observe(watched)
        for where in runner.places_of_control():
            scratch = tempfile.mkdtemp(prefix=f"scratch-{where}-", dir=arena.base)
            places = {**facts.places, "scratch": scratch}
            chosen = sum(where in check.control for check in checks)
            count = iter(range(1, chosen + 1))
            found[where] = runner.run_outside(
                where,
                checks,
                _around(arena, watched, places, scratch),
                lambda where=where, chosen=chosen, count=count: progress(  # type: ignore[misc]
                    f"control as {where}", next(count, 0), chosen
                ),
            )
        after = world.observe(watched)
        return found, facts, tuple(name for name in before if before[name] != after[name])
    finally:
        watched.remove()


def _around(arena: Arena, watched: Canaries, places: Mapping[str, str], cwd: str) -> Around:
    environment = {**os.environ, **secrets(watched.token)}
    return Around(arena.probes, places, environment, cwd, arena.facts.machine, watched.terminal)


def _posture(arena: Arena, plan: LaunchPlan) -> list[Row]:
    terminal = os.openpty()
    try:
        around = Around(arena.probes, {}, dict(os.environ), arena.base, arena.facts.machine, terminal)
        return posture.rows(arena.prepared.plan, plan, arena.promise.policy, around)
    finally:
        for end in terminal:
            os.close(end)


def _of(check: Check, controls: Mapping[str, Mapping[str, Outcome]]) -> dict[str, Outcome]:
    return {where: done[check.id] for where, done in controls.items() if check.id in done}


def _row(
    check: Check,
    controls: Mapping[str, Outcome],
    inside: Outcome,
    control_facts: Facts,
    facts: Facts,
    promise: Promise,
) -> Row:
    verdict = judge(check, controls, inside, control_facts, facts, promise)
    live = live_control(check, controls, control_facts)
    return Row(
        check.id,
        check.group,
        check.what,
        check.source,
        check.expects,
        check.observed,
        f"{live}: {_short(controls[live])}" if live else "",
        _short(inside),
        verdict.word,
        verdict.reason,
    )


def _short(outcome: Outcome) -> str:
    text = " ".join(outcome.text.split())[:120]
    return f"{outcome.word}: {text}" if text else outcome.word


def _unfit(check: Check, why: str) -> Row:
    fields = (check.id, check.group, check.what, check.source, check.expects, check.observed)
    return Row(*fields, "", "not tried", VACUOUS, why)


def _host_rows(before: Mapping[str, str], after: Mapping[str, str], changed: Sequence[str]) -> list[Row]:
    """Compare what was watched: one row for each thing; live if the controls have changed it."""
    template = Row(
        "",
        "host",
        "",
        "gVisor sandboxposture; crun test_mount_no_leak_to_host; FC; runc TestFdLeaks",
        "as it was before the attack",
        "before and after, outside",
        "",
        "",
        "",
        "",
    )
    rows = []
    for number, (name, state) in enumerate(before.items(), 1):
        same = state == after[name]
        what = f"{name} of the host, before and after all attempts"
        # Others may mount meanwhile; what concerns us would name one of our directories.
        ours = name != "mount table" or "hardbox" in after[name].replace(state, "")
        word = ESCAPED if not same and ours else HELD if name in changed else VACUOUS
        reason = {
            ESCAPED: f"it changed: {state[:200]!r} is now {after[name][:200]!r}",
            HELD: "unchanged (the controls changed theirs)",
            VACUOUS: "unchanged, but no control does lasting harm to it",
        }[word]
        control = "changed by the controls" if name in changed else ""
        outcome = "unchanged" if same else "changed"
        rows.append(
            replace(
                template,
                id=f"W{number}-{name.replace(' ', '-').replace('/', '-')}",
                what=what,
                control=control,
                outcome=outcome,
                word=word,
                reason=reason,
            )
        )
    return rows


def _profile(arena: Arena, plan: LaunchPlan) -> dict[str, str]:
    policy = arena.promise.policy
    return {
        "name": policy.name,
        "summary": policy.summary,
        "policy sha256": arena.digest,
        "plan sha256": plan.digest(),
        "filter": policy.seccomp.filter,
        "network": policy.network.mode,
        "loosened": "; ".join(f"{key}: {why}" for key, why in policy.loosen.items()),
    }


def _host(facts: HostFacts) -> dict[str, str]:
    from hardbox import __version__  # noqa: PLC0415 (only for the report)

    try:
        library = ".".join(str(part) for part in filters.library_version())
    except OSError as error:
        library = f"unknown: {error}"
    return {
        "host name": os.uname().nodename,
        "kernel": f"{facts.kernel} {facts.machine}",
        "kernel build": os.uname().version,
        "caller": f"{facts.user_name or 'no name'} (uid {facts.uid}, gid {facts.gid})",
        "hardbox": __version__,
        "libseccomp": library,
        "Landlock ABI": str(facts.landlock_abi),
        "last capability": str(facts.last_cap),
        "cgroup namespaces": "yes" if facts.cgroup_namespaces else "no",
        "CPUs": str(len(facts.cpus)),
        "time (UTC)": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    }
