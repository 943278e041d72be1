"""From a failed step to an error that helps.  Run by: pytest."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import plans

from hardbox.engines import failures
from hardbox.errors import HardboxError, HostUnfit, Refused, SetupFailed
from hardbox.plan import steps as s
from hardbox.report import Failure

SAMPLES = plans.samples()
PLAN = SAMPLES["user-network"]


def number_of(kind: type[s.Step]) -> int:
    return 1 + next(at for at, step in enumerate(PLAN.steps) if isinstance(step, kind))


def fail(kind: type[s.Step], error: int) -> HardboxError:
    return failures.set_up_failed(PLAN, Failure(number_of(kind), error))


@given(st.integers(-5, 200), st.integers(-(2**31), 2**31 - 1), st.sampled_from(sorted(SAMPLES)))
def test_every_failure_becomes_an_error_of_the_usual_form(step: int, error: int, name: str) -> None:
    found = failures.set_up_failed(SAMPLES[name], Failure(step, error))

    text = found.render()
    assert text.startswith(f"hardbox: {found.verdict} [{found.code}]: ")
    assert text.endswith("  nothing was run\n")
    assert found.code in ("HB210", "HB510", "HB601", "HB602", "HB603")


def test_the_step_is_named_as_the_plan_prints_it() -> None:
    number = number_of(s.Tmpfs)

    found = fail(s.Tmpfs, errno.ENOMEM)

    assert isinstance(found, SetupFailed)
    assert found.what.startswith(f"step {number} of {len(PLAN.steps)}, tmpfs: ")
    assert found.what.endswith("(ENOMEM)")
    assert found.value == PLAN.steps[number - 1].describe()
    assert found.instead == "hardbox doctor"


def test_closed_user_namespaces_are_the_hosts_fault() -> None:
    found = fail(s.Namespaces, errno.EPERM)

    assert isinstance(found, HostUnfit)
    assert found.code == "HB510"
    assert "AppArmor" in found.why
    assert "doctor" in found.instead


@pytest.mark.parametrize(
    ("kind", "error", "why"),
    [
        (s.Proc, errno.EPERM, "/proc"),
        (s.Chdir, errno.ENOENT, "does not exist inside"),
        (s.Chdir, errno.EACCES, "cannot be entered"),
        (s.BindMount, errno.ELOOP, "symlink"),
        (s.Host, errno.EXDEV, "another user or another kernel"),
        (s.SeccompFilter, errno.EINVAL, "did not take the filter"),
        (s.SeccompFilter, errno.EBUSY, "one such listener"),
        (s.SeccompFilter, errno.ENOTSUP, "sendmsg"),
        (s.Device, errno.ENODEV, "not what its name says"),
        (s.Terminal, errno.ENOSPC, "pseudo-terminals"),
        (s.Stdio, errno.EPROTONOSUPPORT, "streams.sockets"),
        (s.Listen, errno.ECONNRESET, "ended before the job began"),
        (s.Listen, errno.EPIPE, "ended before the job began"),
        (s.Listen, errno.EPROTO, "not the one of this installation"),
    ],
)
def test_a_known_cause_is_told(kind: type[s.Step], error: int, why: str) -> None:
    found = fail(kind, error)

    assert why in found.why
    assert found.instead


@pytest.mark.parametrize(("error", "word"), [(errno.EISDIR, "directory"), (errno.ENOTSUP, "leads out")])
def test_a_descriptor_that_leads_out_is_a_refusal(error: int, word: str) -> None:
    found = fail(s.Stdio, error)

    assert isinstance(found, Refused)
    assert word in found.what


def test_a_signal_before_the_start_is_an_interruption() -> None:
    assert failures.set_up_failed(PLAN, Failure(0, errno.EINTR)).code == "HB603"


def test_an_init_that_fell_silent_is_told_with_its_likely_cause() -> None:
    found = failures.set_up_failed(PLAN, Failure(0, errno.ECHILD))

    assert found.code == "HB602"
    assert "filter" in found.why
    assert "extends" in found.instead


def test_every_cause_is_for_a_kind_that_exists() -> None:
    kinds = {kind.kind for kind in s.KINDS.values()}

    assert {kind for kind, _ in failures._CAUSES} <= kinds  # noqa: SLF001 (the table is the subject)
