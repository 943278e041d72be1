"""The posture of a running job, per shipped profile and caller, against golden files.

Run by: pytest. HARDBOX_GOLDEN=write makes the files anew; a difference is shown as a diff. `verify`
itself compares with the plan; these files show a change of what plans promise to a reviewer.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from attack.conftest import run_verify
from hardbox.host import landlock_abi
from hardbox.plan import steps
from hardbox.verify import posture
from hardbox.verify.promised import AS_CALLER, flag_words, meets

if TYPE_CHECKING:
    from support.callers import Caller
    from support.installed import Installed

FOLDER: Final = Path(__file__).parent / "posture"
# net-client and agent with the destination that verify puts in the place of the caller's.
PROFILES: Final = {
    "strict": (),
    "baseline": (),
    "build": (),
    "inspect": (),
    "agent": (),
    "net-client": (),
}

# The golden files are of kernels whose Landlock has rules for TCP ports (ABI 4, Linux 6.7). Below it
# the second wall covers files only, as docs/limits.md says: a job may then bind a port of its own
# network namespace. The first wall, that namespace without a way out, is the same (ns-net, interfaces).
TCP_ABI: Final = 4
WITHOUT_TCP_RULES: Final = {"second-wall,-TCP: EACCES": "second-wall,-TCP: worked"}


def _facts(document: dict[str, Any], caller: Caller) -> list[str]:
    """Give the facts as lines; what differs from machine to machine is put into words."""
    lines = []
    for row in document["checks"]:
        name, value = row["id"].removeprefix("X-"), row["outcome"]
        if name.startswith("mount--proc-"):
            continue  # which of them there are is the kernel's matter; the plan is compared with them
        if value.endswith(f" ({AS_CALLER})"):
            as_caller = row["expects"] == f"exactly: {AS_CALLER}"
            value = AS_CALLER if as_caller else value.removesuffix(f" ({AS_CALLER})")
        if name in ("uid_map", "gid_map") and caller.uid != 0:
            inside, _, outside = value.partition(" is ")
            own = str(caller.uid if name == "uid_map" else caller.gid)
            value = f"{inside} is {outside.replace(own, 'caller', 1)}"
        if name in ("CPUs", "cgroup"):
            value = "as the plan says"
        lines.append(f"{name}: {value}")
    return sorted(lines)


def _of_this_kernel(lines: list[str]) -> list[str]:
    """Give a golden file's lines as this kernel has to keep them."""
    if landlock_abi() >= TCP_ABI:
        return lines
    return [WITHOUT_TCP_RULES.get(line, line) for line in lines]


@pytest.mark.parametrize("profile", PROFILES)
def test_golden(profile: str, caller: Caller, program: Installed) -> None:
    document = run_verify(caller, program, "--class", "posture", "--profile", profile, *PROFILES[profile])
    assert [row["reason"] for row in document["checks"] if row["verdict"] != "held"] == []
    found = _facts(document, caller)
    golden = FOLDER / f"{profile}-{'root' if caller.uid == 0 else 'user'}.txt"
    if os.environ.get("HARDBOX_GOLDEN") == "write":
        assert landlock_abi() >= TCP_ABI, "this kernel's second wall is not the whole one"
        golden.write_text("\n".join(found) + "\n", encoding="utf-8")
    wanted = _of_this_kernel(golden.read_text(encoding="utf-8").splitlines())
    assert "\n".join(difflib.unified_diff(wanted, found, golden.name, "this host", lineterm="")) == ""


def test_a_difference_is_a_diff() -> None:
    promised = {"status NoNewPrivs": "1", "limit Max open files": "256 256", "cgroup": AS_CALLER}
    assert posture.difference(promised, promised) == ""
    found = {**promised, "status NoNewPrivs": "0", "interfaces": "eth0"}
    diff = posture.difference(promised, found).splitlines()
    assert "-status NoNewPrivs: 1" in diff
    assert "+status NoNewPrivs: 0" in diff
    assert "+interfaces: eth0" in diff


@pytest.mark.parametrize(
    ("promised", "found", "same"),
    [
        ("9", "9", True),
        ("9", f"9 ({AS_CALLER})", True),
        (AS_CALLER, f"9 ({AS_CALLER})", True),
        (AS_CALLER, AS_CALLER, True),
        (AS_CALLER, "9", False),
        ("9", "8", False),
        ("9", None, False),
        (None, "9", False),
    ],
)
def test_meets(promised: str | None, found: str | None, same: bool) -> None:  # noqa: FBT001 (a table)
    assert meets(promised, found) is same


def test_flag_words() -> None:
    assert flag_words(steps.RDONLY | steps.NOSUID) == "ro,nosuid"
    assert flag_words(steps.NOSUID | steps.NOEXEC) == "rw,nosuid,noexec"
