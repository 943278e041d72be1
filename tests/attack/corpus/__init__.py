"""The corpus: attacks as data, one file per section of the catalogue.

Run by: tests/attack/test_corpus.py. Rows that need their own launch stand in the tests
beside it (test_descriptors.py, test_processes.py, test_roots.py, test_mounts.py, test_policy.py...).
"""

from __future__ import annotations

from attack.corpus import (
    calls,
    descriptors,
    devices,
    files,
    filters,
    identity,
    mounts,
    names,
    privileges,
    processes,
    procfs,
)

# The order counts: the last rows of `processes` kill the canary process.
CHECKS = (
    *files.CHECKS,
    *procfs.CHECKS,
    *devices.CHECKS,
    *descriptors.CHECKS,
    *names.CHECKS,
    *identity.CHECKS,
    *privileges.CHECKS,
    *calls.CHECKS,
    *filters.CHECKS,
    *mounts.CHECKS,
    *processes.CHECKS,
)
