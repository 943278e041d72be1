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

# Begun before the others of their suite: a long file that is begun last has a processor for itself alone.
LONG: Final = (
    "tests/attack/test_corpus.py",
    "tests/attack/test_roots.py",
    "tests/system/test_network_bypass.py",
    "tests/system/test_network_clients.py",
    "tests/system/test_network_hostile.py",
    "tests/system/test_network_load.py",
    "tests/system/test_explain_flag.py",
    "tests/system/test_terminal.py",
    "tests/system/test_memory.py",
    "tests/system/test_denials.py",
    "tests/system/test_signals.py",
    "tests/system/test_parallel.py",
)

# Under emulation a launch that Python decides takes two to four seconds of a core: what does not
# depend on the kernel is left out.
_DECIDED_BEFORE: Final = "decided in Python before the kernel is asked for anything"
_LAUNCHER_ALONE: Final = "judges the launcher's own code, which is the same program on both kernels"

_NAMES: Final = (
    "58 launches for how names are quoted and carried in a plan, which is the same program on both"
    " kernels; the test of bytes that are no text runs"
)
_CHANGES: Final = "tests/system/test_denials.py::test_a_refusal_and_the_change_that_allows_it"
_NO_GDB: Final = "gdb(1) is not on the disk of the second kernel; strace(1), which makes the same call, is"

# File, or test of a file -> why it is left out on both kernels; printed with the tables.
LEFT_OUT: Final = {
    "tests/system/test_bad_flags.py": _DECIDED_BEFORE,
    "tests/system/test_bad_keys.py": _DECIDED_BEFORE,
    "tests/system/test_cli_words.py": _DECIDED_BEFORE,
    "tests/system/test_plan_cli.py": _DECIDED_BEFORE,
    "tests/attack/test_policy.py": _DECIDED_BEFORE,
    "tests/system/test_bad_faults.py": _LAUNCHER_ALONE + "; strace(1) makes it ten times slower still",
    "tests/system/test_sanitizers.py": _LAUNCHER_ALONE,
    "tests/system/test_launch_keeper.py": _LAUNCHER_ALONE,
    "tests/system/test_host_lists.py": _DECIDED_BEFORE,
    "tests/system/test_network_policy.py::test_bad_rule_runs_nothing": _DECIDED_BEFORE,
    "tests/system/test_network_policy.py::test_an_empty_list_runs_nothing": _DECIDED_BEFORE,
    "tests/system/test_network_policy.py::test_an_unreadable_list_runs_nothing": _DECIDED_BEFORE,
    "tests/system/test_exit_status.py": _LAUNCHER_ALONE,
    "tests/system/test_compile.py": _LAUNCHER_ALONE,
    "tests/system/test_environment.py": _LAUNCHER_ALONE,
    "tests/system/test_api.py": "judges the Python door to the same launches as the command line's",
    "tests/system/test_roots.py::test_any_name_works_as_source_and_destination": _NAMES,
    "tests/system/test_roots.py::test_a_destination_that_hardbox_builds_itself_is_refused": _DECIDED_BEFORE,
    "tests/system/test_roots.py::test_symlinked_sources_are_refused_and_their_ends_named": _DECIDED_BEFORE,
    "tests/system/test_roots.py::test_sources_that_are_no_file_are_refused": _DECIDED_BEFORE,
    "tests/system/test_report.py::test_a_report_that_cannot_be_written_is_a_refusal": _DECIDED_BEFORE,
    "tests/system/test_report.py::test_a_report_in_the_jobs_own_tree_is_refused": _DECIDED_BEFORE,
    "tests/system/test_signals.py::test_what_the_caller_ignores_or_blocks_is_not_handed_on": _LAUNCHER_ALONE,
    "tests/system/test_explain_flag.py::test_a_tree_that_the_job_named_is_not_listed": "what Python looks"
    " at; under strace(1) and emulation it takes longer than the half second that it may",
    f"{_CHANGES}[root-gdb]": _NO_GDB,
    f"{_CHANGES}[user-gdb]": _NO_GDB,
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
    "tests/system/test_recall.py": _DECIDED_BEFORE,
    "tests/system/test_serve_held.py": "as test_serve.py",
    "tests/system/test_serve_alike.py": "as test_serve.py",
    "tests/system/test_serve.py": "judges who is served, which Python and the door decide",
    "tests/system/test_parallel_threads.py": "600 launches; test_parallel.py has as many as fit there",
    "tests/attack/test_pool.py": "the corpus twice more; test_pool_handover.py judges what is of the kernel",
    "tests/attack/test_corpus.py::test_looser_profiles": "the corpus six times more; strict is the one"
    " that is compared",
    "tests/attack/test_verify_cli.py": "the corpus once for every option of the verb, while test_corpus.py"
    " runs it anyway; and the page needs a browser",
}

# Runs, but with less of the same on the emulated machine -> what, and why; printed with the tables.
LESS: Final = {
    "tests/system/test_network_load.py::test_many_at_once": "3 runs at once instead of 10 and 50: each"
    " has to have its broker within a minute",
    "tests/system/test_bridge_life.py::test_many_at_once_have_an_address_each": "10 sandboxes instead of 50",
    "tests/system/test_parallel.py": "45 launches, 12 at once, instead of 200 and 40: they took half an hour,"
    " in which nothing else moved",
    "tests/system/test_signals.py::test_a_signal_during_start_up_ends_it_without_a_traceback": "8 moments"
    " instead of 24, over a stretch as much longer as a start takes longer",
    "tests/system/test_memory.py::test_launches_side_by_side_do_not_take_one_anothers_cgroup": "4 launches"
    " beside one another in each of 4 rows instead of 25",
    "tests/system/test_denials.py::test_a_flood_ends_on_time_and_costs_the_supervisor_little": "a flood lasts"
    " 45 s (refusals) and 30 s (looks) for 10 s: less than the machine is slower, since nothing else moves",
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
        for path in sorted(files, key=lambda path: (path not in LONG, path))
        if path.startswith(f"tests/{suite}/test_") and path not in LEFT_OUT
    }, LEFT_OUT | {f"in part, where it is emulated: {test}": why for test, why in LESS.items()}


def words(path: str) -> list[str]:
    """Give the words for pytest that run a file."""
    return [path, *(f"--deselect={test}" for test in LEFT_OUT if test.startswith(f"{path}::"))]
