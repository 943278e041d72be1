"""The page: one table, classes by systems, and what each system says of itself.

Run by: tests/compare/main.py; pure but for the kernel's name and the date.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from compare import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Result = Mapping[str, Any]

TITLES: Final = dict(corpus.CLASSES.values())
# What each system says of itself, and what a row that is open under it means.
INTENT: Final = {
    "bwrap": (
        "Its SECURITY.md: a toolkit for constructing sandbox environments, not a complete, ready-made "
        "sandbox with a specific security policy; the protection is entirely determined by the arguments. "
        "It loads no system call filter unless given one (`--seccomp`), keeps the environment unless told "
        "otherwise (`--clearenv`), passes open descriptors on, and leaves the making of further user "
        "namespaces to `--disable-userns`. Open rows of the classes seccomp, ids, process and exec are "
        "therefore what was asked of it here, not defects; Flatpak and others add these walls."
    ),
    "firejail": (
        "Its manual: a SUID sandbox program that reduces the risk of security breaches by restricting the "
        "running environment of untrusted applications; the profile of the application decides. An unknown"
        " program gets default.profile, which keeps the home directory, /tmp and the network, because "
        "desktop programs need them (`--private`, `--private-tmp` and `--net=none` change that). Open rows"
        " of the classes fs, net, ipc and exec are within that intent."
    ),
    "runc": (
        "Its README: a low level tool not designed with an end user in mind, to be used by higher-level "
        "software. The container is what config.json says, and `runc spec` writes an example: it has no "
        "system call filter, no user namespace, and three capabilities for its root. Docker and podman "
        "give it a filter and limits; that is not what is measured here."
    ),
    "nspawn": (
        "Its manual: to run a command or OS in a light-weight namespace container; and of our use: "
        "untrusted code must always be run in a user namespace (`--private-users`), which is not its "
        "default on the command line, and the network is the host's without `--private-network`. It keeps "
        "many capabilities, as an operating system inside needs them. Open rows of the classes caps, ids, "
        "mount and net are within that intent."
    ),
    "runsc": (
        "Its SECURITY.md: gVisor's purpose is to prevent escapes, leaks of host data, exfiltration, "
        "lateral movement and denial of service towards host and peers; what remains confined to one "
        "sandbox is in general no issue. A system call is answered by gVisor's own kernel, so most rows "
        "that are open under it show a call that gVisor implements, not one that reached the host: the "
        "rows are written for the one shared kernel. Against defects of the host's kernel, it is the "
        "stronger wall."
    ),
    "hardbox strict": ("What it promises is docs/verify.md and SECURITY.md."),
    "hardbox build": (
        "The profile for compilers and test suites: it allows files made by the job to be executed, memory"
        " files and a loopback of its own. These are its open rows; `hardbox verify --profile build` calls"
        " them allowed, as it knows the profile."
    ),
}


HOW_TO_READ: Final = (
    "**held / open / vacuous**: *held*: it works outside, and not inside. *open*: it works inside too, or "
    "the call reaches a kernel. *vacuous*: it does not work outside either, so that nothing is shown. "
    "*N?*: N attempts were not answered."
)
LIMITS: Final = (
    "The attempts were written for what `hardbox`'s profile `strict` promises. **What another system does "
    "not promise is no failure of it**: an open row says only that somebody who needs that wall has to ask "
    "for it, with an option, a filter or a profile. No option that hardens was added, and none that "
    "weakens. Nearly all rows of the class seccomp show that a call reaches a kernel, which is a wide door "
    "rather than an escape. None of the columns says how a system fares against a defect of the kernel "
    "itself, where gVisor and virtual machines are stronger by design, hardbox included."
)
LEFT_OUT: Final = (
    "Left out, because only hardbox can be asked: the numbers of a profile (limits, sizes, variables), the "
    "exact names in / and /dev, the posture of a job against its plan, the refusals of profiles and flags."
)
WATCHED: Final = (
    "What was watched on the host and had changed afterwards: canary files that everybody may write, a "
    "canary process, sockets, a terminal, sysctls."
)


def _counts(result: Result, group: str) -> str:
    words = [word for cls, word, _ in result["rows"].values() if cls == group]
    held, wide, vacuous, silent = (
        words.count(w) for w in (corpus.HELD, corpus.OPEN, corpus.VACUOUS, corpus.SILENT)
    )
    return f"{held} / {wide} / {vacuous}" + (f" / {silent}?" if silent else "")


def _table(results: Sequence[Result]) -> Iterator[str]:
    yield "| class | " + " | ".join(f"{r['name']} ({r['caller']})" for r in results) + " |"
    yield "|---|" + "---|" * len(results)
    present = {cls for r in results for cls, _, _ in r["rows"].values()}
    for group, title in corpus.CLASSES.values():
        if group in present:
            cells = ((r["error"] and "did not run") or _counts(r, group) for r in results)
            yield f"| {group}: {title} | " + " | ".join(cells) + " |"
    totals = []
    for r in results:
        words = [word for _, word, _ in r["rows"].values()]
        silent = words.count(corpus.SILENT)
        totals.append(
            f"**{words.count(corpus.HELD)} / {words.count(corpus.OPEN)} / {words.count(corpus.VACUOUS)}**"
            + (f" / {silent}?" if silent else "")
        )
    yield "| **all** | " + " | ".join(totals) + " |"


def _changed(results: Sequence[Result]) -> Iterator[str]:
    for r in results:
        if r["program"] and r["changed"]:
            yield f"- {r['name']} ({r['caller']}): {', '.join(r['changed'])}"
        if r["program"] and r["error"]:
            yield f"- {r['name']} ({r['caller']}) did not run here: `{' '.join(r['error'].split())}`"


def render(results: Sequence[Result]) -> str:
    """Give the page as Markdown."""
    rows = max(len(r["rows"]) for r in results)
    kernel = f"Linux {os.uname().release} {os.uname().machine}"
    measured = (
        f"Measured {time.strftime('%Y-%m-%d', time.gmtime())} on {kernel}, Debian's packages: {rows} "
        "attempts of the corpus of `hardbox verify`, each one made first without a sandbox."
    )
    lines = [
        "# The same attacks under other launchers",
        "",
        "<!-- Written by `make compare` (tests/compare); do not edit by hand. -->",
        "",
        measured,
        "",
        HOW_TO_READ,
        "",
        *_table(results),
        "",
        "## What the numbers do not say",
        "",
        LIMITS,
        "",
        LEFT_OUT,
        "",
        "## The systems",
        "",
        "| system | started by | version | command |",
        "|---|---|---|---|",
        *(f"| {r['name']} | {r['caller']} | {r['version'] or '-'} | `{r['shown']}` |" for r in results),
        "",
        *(f"- **{name}.** {text}" for name, text in INTENT.items()),
        "",
        "## Seen from outside",
        "",
        WATCHED,
        "",
        *(list(_changed(results)) or ["- nothing, under any system"]),
        "",
    ]
    return "\n".join(lines)
