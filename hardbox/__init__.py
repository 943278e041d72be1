"""hardbox: run an untrusted command so that it cannot reach the host.

>>> import hardbox
>>> hardbox.run(["id", "-u"], profile="strict").exit_code  # doctest: +SKIP
0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.errors import HardboxError, HostUnfit, ProfileError, Refused, SetupFailed, Usage

if TYPE_CHECKING:
    from hardbox.api import load_profile, make_plan, run
    from hardbox.enforced import Enforced
    from hardbox.plan import LaunchPlan
    from hardbox.policy import Policy
    from hardbox.pool import Pool
    from hardbox.report import Result

__version__ = "0.1.0"

__all__ = [
    "Enforced",
    "HardboxError",
    "HostUnfit",
    "LaunchPlan",
    "Policy",
    "Pool",
    "ProfileError",
    "Refused",
    "Result",
    "SetupFailed",
    "Usage",
    "__version__",
    "load_profile",
    "make_plan",
    "run",
]

_LATE = {
    "Enforced": "hardbox.enforced",
    "LaunchPlan": "hardbox.plan",
    "Policy": "hardbox.policy",
    "Pool": "hardbox.pool",
    "Result": "hardbox.report",
    "load_profile": "hardbox.api",
    "make_plan": "hardbox.api",
    "run": "hardbox.api",
}


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: start-up time is a feature."""
    if name in _LATE:
        import importlib  # noqa: PLC0415 (see above)

        value: object = getattr(importlib.import_module(_LATE[name]), name)
        globals()[name] = value
        return value
    message = f"module 'hardbox' has no attribute {name!r}"
    raise AttributeError(message)
