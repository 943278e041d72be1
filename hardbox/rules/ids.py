"""HB3nn: rules about ids, limits and kernel parameters.

Run by: the Python front; data only.
"""

from __future__ import annotations

from typing import Final

from hardbox.rules.rule import NO_MEANS, PROMISE, Rule

IDS: Final = (
    Rule(
        "root-inside",
        "HB301",
        ("CIS-5.24", "PSS-restricted-runAsNonRoot", "PSS-restricted-runAsUser", "NSA-non-root"),
        "user 0 inside is asked for",
        "many kernel bugs need no more than root inside a user namespace",
        "identity.user = 1000; most programs only want a home and a name, which they have",
    ),
    Rule(
        "root-group",
        "HB302",
        ("NSA-root-group", "PSS-restricted-runAsNonRoot"),
        "group 0 inside is asked for",
        "files open to group root would be open to the job, as far as that group is mapped",
        "identity.group = 1000",
    ),
    Rule(
        "id-out-of-range",
        "HB303",
        ("800-190-4.5.4",),
        "a user or group id that cannot be mapped is asked for",
        'ids inside go from 0 to 65534; 65535 and 4294967295 mean "none" to many programs',
        "identity.user = 1000 and identity.group = 1000",
        "the launcher maps 65536 ids at most",
    ),
    Rule(
        "host-root-mapped",
        "HB304",
        ("CIS-5.31", "PSS-restricted-runAsNonRoot", "NSA-root-group", "800-190-4.5.4"),
        "the host's user or group 0 would be mapped into the sandbox",
        "files of the host's root would belong to the job",
        "start hardbox with a group other than root's; take id 0 out of /etc/subuid and /etc/subgid",
        PROMISE,
    ),
    Rule(
        "missing-limits",
        "HB305",
        ("CIS-5.11", "CIS-5.12", "CIS-5.19", "CIS-5.29", "NSA-resource-quotas"),
        "a job without a limit is asked for",
        "one job could take all memory, processes, time or disk of the host",
        'give a number, a large one if need be: limits.memory = "8G"',
        "no value of hardbox means that there is no limit",
    ),
    Rule(
        "limit-out-of-range",
        "HB306",
        ("CIS-5.11", "CIS-5.29", "NSA-resource-quotas"),
        "a limit that no job can live with is asked for",
        'zero means "no limit" to some systems and "nothing at all" to others; here it is neither',
        "give a number above zero: limits.tasks = 64",
        "the launcher would fail or do the opposite of what was meant",
    ),
    Rule(
        "sysctls",
        "HB307",
        ("PSS-sysctls", "800-190-4.4.3"),
        "setting a kernel parameter is asked for",
        "/proc/sys is read-only inside; most parameters there belong to the whole host",
        "set it on the host before the job, if the host is to have it",
        NO_MEANS,
    ),
)
