"""Which items of which standards a class of checks supports, and what the classes stand for.

Run by: verify/page.py, verify/findings.py; data only. A check supports an item; it does not
certify it: what an item asks for beside the run-time behaviour (approval, patching) is not seen.
"""

from __future__ import annotations

from typing import Final

NAMES: Final = {
    "CIS": "CIS Docker Benchmark, section 5",
    "PSS": "Kubernetes Pod Security Standards",
    "NSA": "NSA/CISA Kubernetes Hardening Guide",
    "800": "NIST SP 800-190, section 4",
}
ITEMS: Final = {
    "fs": ("CIS-5.6", "CIS-5.13", "PSS-hostPathVolumes", "NSA-immutable-file-systems", "800-190-4.5.5"),
    "proc": ("PSS-procMount", "PSS-sysctls", "NSA-secrets", "800-190-4.5.5"),
    "dev": ("CIS-5.18", "800-190-4.5.1"),
    "fd": ("CIS-5.6", "CIS-5.32", "NSA-secrets", "800-190-4.5.5"),
    "process": ("CIS-5.16", "PSS-hostNamespaces", "NSA-host-namespaces"),
    "ipc": ("CIS-5.17", "PSS-hostNamespaces", "NSA-host-namespaces"),
    "uts": ("CIS-5.21", "PSS-hostNamespaces"),
    "net": ("CIS-5.8", "CIS-5.9", "CIS-5.10", "PSS-hostPorts", "NSA-host-network", "800-190-4.4.2"),
    "ids": (
        *("CIS-5.24", "CIS-5.31", "PSS-restricted-runAsNonRoot", "PSS-restricted-runAsUser", "NSA-non-root"),
        *("NSA-root-group", "800-190-4.5.4"),
    ),
    "caps": (
        *("CIS-5.4", "CIS-5.5", "CIS-5.26", "PSS-capabilities", "PSS-restricted-capabilities"),
        *("PSS-restricted-allowPrivilegeEscalation", "NSA-escalation", "NSA-privileged"),
    ),
    "seccomp": ("CIS-5.22", "PSS-seccomp", "PSS-restricted-seccomp", "NSA-seccomp", "800-190-4.5.1"),
    "tty": ("800-190-4.5.4",),
    "mount": ("CIS-5.20", "PSS-hostPathVolumes", "PSS-restricted-volumes", "800-190-4.5.5"),
    "resource": ("CIS-5.11", "CIS-5.12", "CIS-5.19", "CIS-5.25", "CIS-5.29", "NSA-resource-quotas"),
    "exec": ("NSA-secrets", "CIS-5.26", "800-190-4.4.5"),
    "policy": ("800-190-4.4.3", "CIS-5.5", "CIS-5.22", "PSS-privileged"),
    "host": ("800-190-4.5.5", "CIS-5.20"),
    "posture": (
        *("CIS-5.4", "CIS-5.13", "CIS-5.22", "CIS-5.26", "CIS-5.31", "PSS-restricted-capabilities"),
        "800-190-4.4.3",
    ),
}


def supported_by(groups: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Give item -> the classes that support it, sorted by standard and number."""
    found: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for item in ITEMS[group]:
            found[item] = (*found.get(item, ()), group)
    return dict(sorted(found.items(), key=lambda pair: _key(pair[0])))


def _key(item: str) -> tuple[str, tuple[int, ...], str]:
    standard, _, rest = item.partition("-")
    numbers = tuple(int(part) for part in rest.replace("-", ".").split(".") if part.isdigit())
    return standard, numbers, rest
