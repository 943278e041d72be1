"""Numbers and names for attempts: one more than the profile grants, and secrets to look for.

Run by: verify/examine.py; pure but for the host's own address.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from hardbox.plan.network import proxies
from hardbox.policy import UNLIMITED
from hardbox.verify.networks import listeners
from hardbox.verify.promise import MOST_TASKS

if TYPE_CHECKING:
    from hardbox.host import HostFacts
    from hardbox.verify.promise import Promise

SECRET_NAMES: Final = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "NPM_TOKEN", "DATABASE_URL"),
    *("SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "KUBECONFIG", "GNUPGHOME", "VAULT_TOKEN"),
    *("XAUTHORITY", "DISPLAY", "WAYLAND_DISPLAY", "http_proxy", "SUDO_USER", "BASH_ENV", "ENV", "PYTHONPATH"),
    *("PYTHONSTARTUP", "PERL5OPT", "NODE_OPTIONS", "LD_LIBRARY_PATH_X", "GCONV_PATH_X", "HARDBOX_SECRET"),
)


def secrets(token: str) -> dict[str, str]:
    """Give variables that no job may see."""
    return dict.fromkeys(SECRET_NAMES, token)


def promised_places(promise: Promise, facts: HostFacts) -> dict[str, str]:
    """Give the profile's limits, and a little more than each."""
    policy = promise.policy
    limits = policy.limits
    scratch = policy.filesystem.scratch
    found = {
        "tasks": str(limits.tasks),
        "tasks_more": str(min(limits.tasks, MOST_TASKS) + 16),
        "memory_more": str(_more(limits.memory + limits.swap)),
        "files_more": str(min(_more(limits.open_files), 1 << 20)),
        "locked_more": str(_more(limits.locked)),
        "size_more": str(_more(limits.file_size)),
        "cpus": str(min(limits.cpu, len(facts.cpus))),
        "ids": "1" if policy.identity.ids == "single" else "65536",
        "scratch_more": str(scratch.get("/tmp", 0) + 4096),  # noqa: S108 (inside)
        "names": " ".join((*policy.environment.set, *policy.environment.pass_, *proxies(policy))),
        "listeners": " ".join(listeners(promise.plan)),
        "shown": " ".join((*policy.filesystem.show, *(bind.dest for bind in policy.filesystem.read))),
        "scratch_trees": " ".join(scratch),
        "mode": policy.filesystem.mode,
        "network": policy.network.mode,
    }
    for name, value in (
        ("cpu", limits.cpu_time),
        ("fsize", limits.file_size),
        ("data", limits.memory + limits.swap),
        ("core", 0),
        ("nproc", limits.tasks + 1),
        ("nofile", limits.open_files),
        ("memlock", limits.locked),
        ("msgqueue", 819200),
    ):
        found[f"limit_{name}"] = str(value)
    return found


def _more(limit: int) -> int:
    """Give a little more than a limit, still a number that the kernel takes."""
    return min(limit + 65536, 1 << 62) if limit < UNLIMITED else 1 << 62


def own_address() -> str:
    """Give an address of this host beside loopback; 127.0.0.2 if it has none."""
    # Connecting a datagram socket sends nothing: it only picks the way out.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        address: str = probe.getsockname()[0]
        return address
