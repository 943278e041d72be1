"""Which tests run on the second kernel, and which do not, with the reason.

Run by: tests/vm/__main__.py; pure. The same selection runs on this kernel, so that the two
tables compare the same tests.
"""

from __future__ import annotations

from typing import Final

# Each runs in one process of its own on the second kernel: what a suite sets up (the compiled
# probes) takes a minute there, and would be set up once more by every worker of pytest-xdist.
SUITES: Final = ("system", "attack")

# File, or test of a file -> why it is left out on both kernels; printed with the tables.
LEFT_OUT: Final = {
    "tests/system/test_real_project.py": "fetches a Debian source package; the machine has no network",
    "tests/attack/test_selftest.py": "the corpus once for every broken protection: hours under emulation,"
    " and it judges the corpus, not the kernel",
    "tests/attack/test_verify_cli.py": "the corpus once for every option of the verb: the corpus itself runs"
    " in test_corpus.py; and the page needs a browser",
}


def words(suite: str) -> list[str]:
    """Give the words for pytest."""
    kept_out = [path for path in LEFT_OUT if path.startswith(f"tests/{suite}/")]
    return [
        f"tests/{suite}",
        *(f"--deselect={path}" if "::" in path else f"--ignore={path}" for path in kept_out),
    ]
