"""Which tests run on the second kernel, and which do not, with the reason.

Run by: tests/vm/__main__.py; pure. The same selection runs on this kernel, so that the two
tables compare the same tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# In this order: the attacks first. Each file runs in a process of its own on the second kernel, and
# its results are on the third disk when it ends: a machine that has to be ended loses one file.
SUITES: Final = ("attack", "system")

# Under emulation a launch that Python decides takes two to four seconds of a core: what does not
# depend on the kernel is left out.
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
    "tests/system/test_compile.py": _LAUNCHER_ALONE,
    "tests/system/test_environment.py": _LAUNCHER_ALONE,
    "tests/system/test_api.py": "judges the Python door to the same launches as the command line's",
    "tests/system/test_terminal.py::test_failed_calls": _LAUNCHER_ALONE
    + "; strace(1) makes it ten times slower still",
    "tests/system/test_sealed.py": "judges the cache of plans, which is the same program on both kernels",
    "tests/system/test_report_page.py": "shows what a report says, in a browser; no kernel is asked",
    "tests/system/test_progress.py": "judges a line on a terminal that Python draws",
    "tests/system/test_audit.py::test_200_concurrent_runs_leave_200_whole_lines": "200 launches at once; the"
    " log is written by Python",
    "tests/system/test_real_project.py": "fetches a Debian source package; the machine has no network",
    "tests/attack/test_selftest.py": "the corpus once for every broken protection: hours under emulation,"
    " and it judges the corpus, not the kernel",
    "tests/attack/test_corpus.py::test_looser_profiles": "the corpus six times more; strict is the one"
    " that is compared",
    "tests/attack/test_verify_cli.py": "the corpus once for every option of the verb, while test_corpus.py"
    " runs it anyway; and the page needs a browser",
}


def runs(
    only: Sequence[str], files: Iterable[str], suites: Sequence[str] = SUITES
) -> tuple[dict[str, list[str]], Mapping[str, str]]:
    """Give the runs of pytest, name -> words, and what they leave out, with the reasons.

    only:  paths or ids of tests to run instead; none: the suites.
    files: all files of the repository.
    suites: of SUITES.
    """
    if only:
        return {"only": list(only)}, {"everything else": "asked for with --only"}
    return {
        path.removeprefix("tests/").removesuffix(".py").replace("/", "-"): words(path)
        for suite in suites
        for path in sorted(files)
        if path.startswith(f"tests/{suite}/test_") and path not in LEFT_OUT
    }, LEFT_OUT


def words(path: str) -> list[str]:
    """Give the words for pytest that run a file."""
    return [path, *(f"--deselect={test}" for test in LEFT_OUT if test.startswith(f"{path}::"))]
