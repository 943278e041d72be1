"""Which tests run on the second kernel, and which do not, with the reason.

Run by: tests/vm/__main__.py; pure. The same selection runs on this kernel, so that the two
tables compare the same tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Each runs in one process of its own on the second kernel: what a suite sets up (the compiled
# probes) takes a minute there, and would be set up once more by every worker of pytest-xdist.
SUITES: Final = ("system", "attack")

# Under emulation a launch takes a second or two: what does not depend on the kernel is left out,
# so that both suites end in about a quarter of an hour on two idle cores.
_DECIDED_BEFORE: Final = "decided in Python before the kernel is asked for anything"
_LAUNCHER_ALONE: Final = "judges the launcher's own code, which is the same program on both kernels"

# File, or test of a file -> why it is left out on both kernels; printed with the tables.
LEFT_OUT: Final = {
    "tests/system/test_bad_flags.py": _DECIDED_BEFORE,
    "tests/system/test_bad_keys.py": _DECIDED_BEFORE,
    "tests/system/test_cli_words.py": _DECIDED_BEFORE,
    "tests/system/test_plan_cli.py": _DECIDED_BEFORE,
    "tests/attack/test_policy.py": _DECIDED_BEFORE,
    "tests/system/test_bad_faults.py": _LAUNCHER_ALONE + "; strace(1) makes it ten times slower still",
    "tests/system/test_sanitizers.py": _LAUNCHER_ALONE,
    "tests/system/test_exit_status.py": _LAUNCHER_ALONE,
    "tests/system/test_terminal.py::test_failed_calls": _LAUNCHER_ALONE
    + "; strace(1) makes it ten times slower still",
    "tests/system/test_sealed.py": "judges the cache of plans, which is the same program on both kernels",
    "tests/system/test_real_project.py": "fetches a Debian source package; the machine has no network",
    "tests/attack/test_selftest.py": "the corpus once for every broken protection: hours under emulation,"
    " and it judges the corpus, not the kernel",
    "tests/attack/test_corpus.py::test_looser_profiles": "the corpus six times more; strict is the one"
    " that is compared",
    "tests/attack/test_verify_cli.py": "the corpus once for every option of the verb, while test_corpus.py"
    " runs it anyway; and the page needs a browser",
}


def runs(only: Sequence[str]) -> tuple[dict[str, list[str]], Mapping[str, str]]:
    """Give the runs of pytest, name -> words, and what they leave out, with the reasons.

    only: paths or ids of tests to run instead; none: the suites.
    """
    if only:
        return {"only": list(only)}, {"everything else": "asked for with --only"}
    return {suite: words(suite) for suite in SUITES}, LEFT_OUT


def words(suite: str) -> list[str]:
    """Give the words for pytest."""
    kept_out = [path for path in LEFT_OUT if path.startswith(f"tests/{suite}/")]
    return [
        f"tests/{suite}",
        *(f"--deselect={path}" if "::" in path else f"--ignore={path}" for path in kept_out),
    ]
