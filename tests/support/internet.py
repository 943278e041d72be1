"""A throw-away internet: namespaces of a host, and behind it servers with public-looking addresses.

Run by: tests/system/conftest.py. Nothing leaves it: there is no other interface. What is run in it sees
the internet where the machine's network was, and everything else as it is. Root makes one as root; an
ordinary user makes one in a user namespace in which that user is the same one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import trustme

from support import internet_map as at
from support import patience

if TYPE_CHECKING:
    from support.callers import Caller

TESTS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
Row = dict[str, Any]


@dataclass
class Internet:
    """One internet.

    folder:  readable for everybody; `ca.pem`, `www/` (served below https://ANY/www/), `seen`.
    process: the servers; whoever enters takes its namespaces.
    far:     of that process, the descriptor of the network namespace where the servers are.
    """

    folder: str
    process: subprocess.Popen[str]
    far: int

    @classmethod
    def start(cls, folder: str) -> Self:
        """Make one in a folder that does not exist yet."""
        os.makedirs(os.path.join(folder, "www"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(os.path.join(folder, "ca.pem"))
        certificate = authority.issue_cert(*at.CERTIFIED, at.ONE, at.INWARDS, at.SIX)
        certificate.private_key_and_cert_chain_pem.write_to_path(os.path.join(folder, "server.pem"))
        own = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
        process = subprocess.Popen(
            [
                *("unshare", *own, "--net", "--mount", "--"),
                *(sys.executable, "-m", "support.internet_servers", folder),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": TESTS},
        )
        assert process.stdout is not None
        ready, _, far = process.stdout.readline().partition(" ")
        assert ready == "ready"
        return cls(folder, process, int(far))

    def end(self) -> None:
        """End the servers; the namespaces go with the last process in them."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(patience.seconds(20))
        shutil.rmtree(self.folder)

    @property
    def authority(self) -> str:
        """The certificate of who signed the servers' ones."""
        return os.path.join(self.folder, "ca.pem")

    def words(self, caller: Caller, cwd: str = "", *, far: bool = False) -> tuple[str, ...]:
        """Give the words before a command that run it in this internet as a caller.

        far: where the servers are.
        """
        enter = (
            "nsenter",
            f"--target={self.process.pid}",
            f"--net=/proc/{self.process.pid}/fd/{self.far}" if far else "--net",
            "--mount",
            f"--wdns={cwd or caller.home}",
        )
        if os.geteuid() == 0:
            return (*enter, "--", *caller.prefix)
        # In the namespace's own eyes this user may do everything; hardbox's callers may not.
        drop = ("setpriv", "--ambient-caps=-all", "--inh-caps=-all", "--")
        return (*enter, "--user", "--preserve-credentials", "--", *drop)

    def run(
        self,
        caller: Caller,
        *argv: str,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
        cwd: str = "",
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it as a caller; never raises for its status."""
        return subprocess.run(
            [*self.words(caller, cwd), *argv],
            input=stdin or "",
            capture_output=True,
            text=True,
            errors="backslashreplace",
            env=caller.environment(**(env or {})),
            timeout=patience.seconds(timeout),
            check=False,
        )

    def spawn(self, caller: Caller, *argv: str, cwd: str = "", far: bool = False) -> subprocess.Popen[bytes]:
        """Start a command in it as a caller; its pid is the command's own (nsenter and setpriv exec)."""
        return subprocess.Popen(
            ["env", "--default-signal", *self.words(caller, cwd, far=far), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=caller.environment(),
        )

    def mark(self) -> int:
        """Give the place in the book of the servers from which on since() reads."""
        return os.path.getsize(os.path.join(self.folder, "seen"))

    def since(self, mark: int, what: str = "") -> list[Row]:
        """Give what the servers have seen from `mark` on; of one kind if it is named."""
        with open(os.path.join(self.folder, "seen"), "rb") as file:
            file.seek(mark)
            rows: list[Row] = [json.loads(line) for line in file]
        return [row for row in rows if what in ("", row["what"])]

    def names_asked(self, mark: int) -> set[str]:
        """Give the names that anybody has asked the name server for from `mark` on."""
        return {row["name"] for row in self.since(mark, "dns")}
