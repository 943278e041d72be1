"""O: environment, exec, and what a job inherits. The caller sets everything unusually.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, HIDDEN, SHUT, Check
from hardbox.verify.grants import SECRET_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardbox.verify.check import Facts

# Set by the kernel's shell-less exec and the probe itself: nothing of the caller.
_OWN_NAMES: Final = frozenset({"PWD", "SHLVL", "_"})


def _strange_names(text: str, facts: Facts) -> str:
    strange = set(text.split()) - set(facts.places["names"].split()) - _OWN_NAMES
    return f"variables {sorted(strange)[:8]}" if strange else ""


def _token(text: str, facts: Facts) -> str:
    return "the canary's token" if facts.places["token"] in text else ""


def _other_than(*usual: str) -> Callable[[str, Facts], str]:
    def judge(text: str, _facts: Facts) -> str:
        return "" if text.strip() in usual else text.strip()

    return judge


def _favoured(text: str, _facts: Facts) -> str:
    """Find a higher priority than usual; a lower one stays."""
    return text.strip() if int(text) < 0 else ""


def _host_place(text: str, facts: Facts) -> str:
    place = text.strip()
    return place if place.startswith("(") or facts.places["base"] in place else ""


def _launcher_words(text: str, facts: Facts) -> str:
    return text[:80] if facts.places["base"] in text or "--plan-fd" in text else ""


_INHERITED: Final = (
    ("umask", _other_than("0022")),
    ("nice", _favoured),
    ("personality", _other_than("0")),
    ("slack", _other_than("50000")),
    ("blocked", _other_than("0000000000000000")),
    ("ignored", _other_than("0000000000000000")),
    ("cwd", _host_place),
)

CHECKS: Final = (
    *(
        Check(
            f"O1-{name}",
            f"the caller's {name}",
            ("environ", name),
            frozenset({"ENOENT"}),
            "bubblewrap --clearenv; CDK ak-leakage; NSA-secrets",
            saw=_token,
            control=(CALLER,),
        )
        for name in SECRET_NAMES
    ),
    Check(
        "O1-names",
        "a variable that the profile does not name",
        ("environ-names",),
        frozenset(),
        "nsjail keep_env:false; isolate env rules",
        saw=_strange_names,
        control=(CALLER,),
    ),
    *(
        Check(
            f"O1-proc-{who}",
            f"a secret in the environment of process {who}",
            ("read", f"/proc/{who}/environ"),
            SHUT | {"EIO", "ENODATA"},
            "deepce; CVE-2019-5736 class",
            saw=_token,
            control=(CALLER,),
            outside=("read", "/proc/self/environ"),
        )
        for who in ("self", "1", "thread-self")
    ),
    *(
        Check(
            f"O10-words-{who}",
            f"paths of the host in the command line of process {who}",
            ("read", f"/proc/{who}/cmdline"),
            SHUT | {"EIO", "ENODATA"},
            "secrets in argv",
            saw=_launcher_words,
            control=(CALLER,),
            outside=("read", "/proc/self/cmdline"),
        )
        for who in ("1", "self")
    ),
    *(
        Check(
            f"O7-{name}",
            f"what is inherited from the caller: {name}",
            ("inherited", name),
            frozenset({"ENOENT"}),
            "gVisor posture Attrs; runc umask.bats",
            saw=judge,
            control=(CALLER,),
            vacuous="only a privileged caller has a higher priority" if name == "nice" else "",
        )
        for name, judge in _INHERITED
    ),
    *(
        Check(
            f"O3-{name}",
            f"overwrite the program that runs, through {path}",
            ("open", path, "wr"),
            SHUT | {"ETXTBSY"},
            "CVE-2019-5736",
            control=(CALLER,),
            outside=("open", "{victim_tmp}", "wr"),
        )
        for name, path in (
            ("self", "/proc/self/exe"),
            ("self-truncate", "/proc/thread-self/exe"),
            ("path", "{probe}/probe64"),
            ("task", "/proc/self/task/../exe"),
            ("root", "/proc/self/root{probe}/probe64"),
        )
    ),
    *(
        Check(
            f"O5-{name}",
            f"the host's directory that the caller stands in: {name}",
            words,
            HIDDEN | {"ENODATA"},
            "CVE-2024-21626; crun test_cwd",
            control=(CALLER,),
            outside=("list", "/proc/self/cwd/.."),
            saw=lambda text, _facts: "the caller's directory" if "probes" in text.split() else "",
        )
        for name, words in (
            ("parent", ("list", "/proc/self/cwd/..")),
            ("far-parent", ("list", "../../../../..{base}")),
            ("base", ("list", "{base}")),
        )
    ),
)
