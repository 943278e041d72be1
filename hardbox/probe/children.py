"""Try something in a child process, so that nothing of it remains.

Run by: the probes. The child ends with os._exit; its namespaces end with it.
"""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardbox.probe import libc

if TYPE_CHECKING:
    from collections.abc import Callable

    At = Callable[[str], None]
    Attempt = Callable[[At], str]

_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    error: errno of the step that failed, 0 if all went well.
    step:  the step that failed, "" if none.
    text:  what the attempt gave back.
    """

    error: int = 0
    step: str = ""
    text: str = ""

    def __bool__(self) -> bool:
        """Tell whether all went well."""
        return self.error == 0

    def say(self) -> str:
        """Give the failure as a reader wants it: "uid_map: EPERM"."""
        if not self.error:
            return "works"
        own_words = f" ({self.text})" if self.error == errno.EPROTO and self.text else ""
        return f"{self.step}: {errno.errorcode.get(self.error, self.error)}{own_words}"


def in_child(attempt: Attempt) -> Outcome:
    """Run `attempt` in a forked child. It gets a function to call with the name of each step."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run(attempt, writer)
    os.close(writer)
    chunks: list[bytes] = []
    while chunk := os.read(reader, 65536):
        chunks.append(chunk)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Outcome(errno.EINTR, f"the attempt was killed by {name}")
    number, _, rest = b"".join(chunks).decode("utf-8", "replace").partition(":")
    step, _, text = rest.partition(":")
    return Outcome(int(number or errno.EPROTO), step, text)


def _run(attempt: Attempt, writer: int) -> None:
    """Be the child: report and leave, whatever happens."""
    last = ""

    def at(step: str) -> None:
        nonlocal last
        last = step

    answer = f"{errno.EPROTO}::"
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS)
        answer = f"0::{attempt(at)}"
    except OSError as error:
        answer = f"{error.errno or errno.EPROTO}:{last.replace(':', ' ')}:{error.strerror}"
    except BaseException as error:  # noqa: BLE001 (a forked child must never return into its parent's code)
        answer = f"{errno.EPROTO}:{last.replace(':', ' ')}:{error!r}"
    finally:
        os.write(writer, answer.encode("utf-8", "replace"))
        os._exit(0)


def enter_user_namespace(at: At, more: int = 0) -> None:
    """Make a user namespace in which the caller is root, and `more` (CLONE_* flags) inside it."""
    uid, gid = os.geteuid(), os.getegid()
    at("unshare user namespace")
    libc.unshare(libc.CLONE_NEWUSER)
    at("write setgroups")
    write("/proc/self/setgroups", "deny")
    at("write uid_map")
    write("/proc/self/uid_map", f"0 {uid} 1")
    at("write gid_map")
    write("/proc/self/gid_map", f"0 {gid} 1")
    if more:
        at("unshare the other namespaces")
        libc.unshare(more)
    if more & libc.CLONE_NEWNS:
        at("make mounts private")
        libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)


def write(path: str, text: str) -> None:
    """Put text into a kernel file, in one go. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
