"""Small programs that a caller runs with an installation's own interpreter, and that answer in JSON."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from support.callers import Caller

# For programs that use a pool.
POOL: Final = """
import asyncio, hardbox, json, os, signal, subprocess, sys, threading, time
from hardbox import Pool
def sh(text, pool, **words):
    return pool.run(["sh", "-c", text], capture=True, **words)
def code(do):
    try:
        return do().exit_code
    except hardbox.HardboxError as error:
        assert "nothing was run" in error.render()
        return error.code
def eventually(true):
    for _ in range(600):
        if true():
            return True
        time.sleep(0.05)
    return False
def members(pool):
    return [member.pid for _, member in pool._last._waiting]
def say(*values):
    print(json.dumps(values))
"""


def said(caller: Caller, python: str, preamble: str, text: str, *argv: str) -> Any:  # noqa: ANN401 (JSON)
    """Run a program, which warns of nothing, and give what it said on stdout."""
    program = preamble + textwrap.dedent(text)
    done = caller.run(python, "-c", program, *argv, timeout=110)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def of_pool(caller: Caller, python: str, text: str, *argv: str) -> Any:  # noqa: ANN401 (JSON)
    """Give what a program says that uses a pool."""
    return said(caller, python, POOL, text, *argv)
