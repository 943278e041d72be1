"""Attempts in children: what they report, and that nothing remains.  Run by: pytest."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

from hardbox.probe import libc
from hardbox.probe.children import Outcome, in_child

if TYPE_CHECKING:
    from hardbox.probe.children import At


def test_what_an_attempt_gives_back() -> None:
    assert in_child(lambda _: "a:b") == Outcome(text="a:b")


def test_the_failed_step_is_named() -> None:
    def attempt(at: At) -> str:
        at("one")
        at("two: x")
        os.stat("/nonexistent")
        return ""

    outcome = in_child(attempt)
    assert not outcome
    assert (outcome.error, outcome.step) == (errno.ENOENT, "two  x")


def test_a_killed_child_is_a_failure() -> None:
    def attempt(_: At) -> str:
        os.kill(os.getpid(), signal.SIGSYS)
        return ""

    outcome = in_child(attempt)
    assert "SIGSYS" in outcome.step
    assert not outcome


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(0), KeyboardInterrupt()])
def test_no_exception_returns_into_the_parents_code(error: BaseException) -> None:
    def attempt(_: At) -> str:
        raise error

    outcome = in_child(attempt)
    assert outcome.error == errno.EPROTO
    assert type(error).__name__ in outcome.say()


def test_no_child_and_no_descriptor_remains() -> None:
    before = os.listdir("/proc/self/fd")
    in_child(lambda _: "")
    assert os.listdir("/proc/self/fd") == before


def test_errno_of_a_system_call_arrives() -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        libc.fsconfig_create(1 << 20)
    assert caught.value.errno == errno.EBADF


def test_a_library_that_is_missing_has_no_version() -> None:
    assert libc.library_version("libhardbox-none.so.0") is None
    assert libc.library_version("libc.so.6") is None
