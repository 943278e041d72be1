"""The corpus: attacks as data, one file per section of the catalogue.

Run by: verify/examine.py, tests/attack. Rows that need their own launch stand in tests/attack
(test_descriptors.py, test_processes.py, test_roots.py, test_mounts.py, test_policy.py...).
"""

from __future__ import annotations

from hardbox.verify.corpus import (
    calls,
    descriptors,
    devices,
    files,
    filters,
    identity,
    ipc,
    mounts,
    names,
    neighbours,
    network,
    privileges,
    processes,
    procfs,
    resources,
    surroundings,
    terminal,
)

# The order counts: the last rows of `processes` kill the canary process.
CHECKS = (
    *files.CHECKS,
    *procfs.CHECKS,
    *devices.CHECKS,
    *descriptors.CHECKS,
    *ipc.CHECKS,
    *names.CHECKS,
    *network.CHECKS,
    *identity.CHECKS,
    *privileges.CHECKS,
    *calls.CHECKS,
    *filters.CHECKS,
    *terminal.CHECKS,
    *mounts.CHECKS,
    *resources.CHECKS,
    *surroundings.CHECKS,
    *neighbours.CHECKS,
    *processes.CHECKS,
)
