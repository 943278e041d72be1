"""Runs hardbox in the tests' internet, with tests/support/ask.py inside or any other command.

Run by: the network tests. Words, status, report and answers of one run are one `Told`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from support import patience

if TYPE_CHECKING:
    import subprocess

    from support.callers import Caller
    from support.installed import Installed
    from support.internet import Internet

HERE: Final = os.path.dirname(os.path.abspath(__file__))
# Where the sandbox sees what tests bring.
INSIDE: Final = "/ask"
CA: Final = f"{INSIDE}/ca.pem"
Question = tuple[Any, ...]
Answer = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What came of one run.

    answers: of the questions, in their order; empty for another command.
    report:  as --report wrote it.
    seen:    what the internet's servers saw meanwhile.
    """

    done: subprocess.CompletedProcess[str]
    report: dict[str, Any]
    seen: list[dict[str, Any]] = field(repr=False)
    answers: list[Answer] = field(default_factory=list)

    def rows(self, **wanted: object) -> list[dict[str, Any]]:
        """Give the report's rows about the network that have these values."""
        rows: list[dict[str, Any]] = (self.report.get("network") or {}).get("contacts") or []
        return [row for row in rows if wanted.items() <= row.items()]

    def saw(self, what: str) -> list[dict[str, Any]]:
        """Give what servers saw of one kind."""
        return [row for row in self.seen if row["what"] == what]

    @property
    def names_asked(self) -> set[str]:
        """The names that the internet's name server was asked for."""
        return {row["name"] for row in self.saw("dns")}


@dataclass(frozen=True)
class Asker:
    """A caller in an internet, with its installation."""

    caller: Caller
    internet: Internet
    program: Installed
    place: str

    def words(self, *more: str, rules: tuple[str, ...], profile: str = "net-client") -> list[str]:
        """Give `hardbox run ...` for these rules."""
        allow = [word for rule in rules for word in ("--allow", rule)]
        shown = os.path.join(self.place, "ask")
        if not os.path.exists(shown):
            os.mkdir(shown)
            shutil.copy(os.path.join(HERE, "ask.py"), shown)
            shutil.copy(self.internet.authority, os.path.join(shown, "ca.pem"))
        read = ("--read", f"{shown}:{INSIDE}")
        return [self.program.hardbox, "run", "--profile", profile, *allow, *read, *more]

    def run(
        self,
        *command: str,
        rules: tuple[str, ...] = (),
        words: tuple[str, ...] = (),
        stdin: str = "",
        profile: str = "net-client",
    ) -> Told:
        """Run a command with these rules."""
        handle, report = tempfile.mkstemp(dir=self.place, suffix=".json")
        os.close(handle)
        os.unlink(report)
        mark = self.internet.mark()
        argv = self.words("--report", report, *words, rules=rules, profile=profile)
        done = self.internet.run(self.caller, *argv, "--", *command, stdin=stdin, cwd=self.caller.home)
        found: dict[str, Any] = {}
        if os.path.exists(report):
            with open(report, encoding="utf-8") as file:
                found = json.load(file)
        return Told(done, found, self.internet.since(mark))

    def ask(
        self,
        *questions: Question,
        rules: tuple[str, ...] = (),
        words: tuple[str, ...] = (),
        profile: str = "net-client",
    ) -> Told:
        """Ask questions in one sandbox."""
        env = ("--env", f"ASK_CA={CA}", "--env", f"ASK_SECONDS={patience.seconds(5)}")
        told = self.run(
            *("python3", "-I", f"{INSIDE}/ask.py"),
            rules=rules,
            words=(*env, *words),
            stdin=json.dumps(questions),
            profile=profile,
        )
        assert told.done.returncode == 0, told.done.stderr
        return Told(told.done, told.report, told.seen, json.loads(told.done.stdout))

    def ask_outside(self, *questions: Question) -> list[Answer]:
        """Ask the same in the internet, without a sandbox: the control."""
        done = self.internet.run(
            self.caller,
            *("python3", "-I", os.path.join(HERE, "ask.py")),
            stdin=json.dumps(questions),
            env={"ASK_CA": self.internet.authority, "ASK_SECONDS": str(patience.seconds(5))},
        )
        assert done.returncode == 0, done.stderr
        answers: list[Answer] = json.loads(done.stdout)
        return answers
