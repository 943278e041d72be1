"""Plans that are the same on every machine: made-up hosts, policies and paths.

Run by: tests/unit, tests/fuzz.
"""

from __future__ import annotations

import posixpath
import struct
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

from hardbox import plan as planning
from hardbox.cgroups import Place
from hardbox.host import HostFacts, IdRange
from hardbox.policy import UNLIMITED, Bind, Environment, Filesystem, Identity, Limits, Network, Policy
from hardbox.refusals import PathFact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardbox.filters import CompiledFilter
    from hardbox.plan import LaunchPlan

# BPF_RET | BPF_K with SECCOMP_RET_ALLOW: a program that the kernel takes.
ALLOW_ALL: Final = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
FILTER: Final = cast("CompiledFilter", SimpleNamespace(bpf=ALLOW_ALL, digest="", rules=None, tells=1))
_LINKS: Final = MappingProxyType(
    {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/sbin": "usr/sbin"}
)
USER: Final = HostFacts(
    uid=1234,
    gid=1234,
    user_name="someone",
    kernel="6.1.0-made-up",
    landlock_abi=6,
    cpus=(0, 1, 2, 3),
    subuid=(IdRange(100000, 65536),),
    subgid=(IdRange(200000, 65536),),
    newuidmap="/usr/bin/newuidmap",
    newgidmap="/usr/bin/newgidmap",
)
ROOT: Final = HostFacts(
    uid=0,
    gid=0,
    user_name="root",
    kernel="6.1.0-made-up",
    landlock_abi=2,
    cpus=(0, 1, 2, 3),
    cgroup=Place(1, "/sys/fs/cgroup/memory/made/up", cpu="/sys/fs/cgroup/cpu/made/up"),
)
_TOP: Final = "/sys/fs/cgroup"
SECOND: Final = replace(
    ROOT, cgroup=Place(2, _TOP, delegate=True, swap=True, cpu=_TOP, delegate_cpu=True), swap=True
)


def policy(  # noqa: PLR0913 (all by keyword)
    *,
    ids: str = "single",
    mode: str = "read-only",
    network: str = "none",
    root: str = "host",
    write: Sequence[str] = (),
    output: int = UNLIMITED,
    bandwidth: int = UNLIMITED,
    allow: Sequence[str] = (),
) -> Policy:
    """Give a small policy with one value of each kind."""
    return Policy(
        "made-up",
        identity=Identity(ids=ids),
        filesystem=Filesystem(
            root=root,
            mode=mode,
            changes=1 << 20 if mode == "ephemeral" else 0,
            show=("/usr", "/etc/alternatives"),
            write=tuple(Bind(path, path) for path in write),
            scratch=MappingProxyType({"/tmp": 1 << 20, "/home/box": 1 << 20}),
            exec="anywhere" if mode == "ephemeral" else "shown",
        ),
        network=Network(network, tuple(allow)),
        limits=Limits(
            memory=1 << 29,
            tasks=64,
            cpu=1,
            cpu_time=60,
            wall=10000,
            grace=500,
            file_size=1 << 20,
            open_files=256,
            output=output,
            cpu_bandwidth=bandwidth,
        ),
        environment=Environment(("LANG",), MappingProxyType({"PATH": "/usr/bin:/bin", "HOME": "/home/box"})),
    )


def paths(wanted: Policy) -> Mapping[str, PathFact]:
    """Give made-up facts for every path of a policy: directories, and links into /usr."""
    prefix = wanted.filesystem.root.partition(":")[2]
    found = {prefix: PathFact("dir", prefix)} if prefix else {}
    found |= {
        prefix + path: PathFact("file" if "." in posixpath.basename(path) else "dir", prefix + path)
        for path in wanted.filesystem.show
    }
    found |= {prefix + path: PathFact("link", prefix + "/" + to, to) for path, to in _LINKS.items()}
    for bind in (*wanted.filesystem.read, *wanted.filesystem.write):
        found[bind.source] = PathFact("dir", bind.source, "", 1234, 1234)
    return found


def build(wanted: Policy, facts: HostFacts, argv: Sequence[str] = ("id", "-u")) -> LaunchPlan:
    """Make the plan."""
    return planning.build(wanted, facts, paths(wanted), FILTER, planning.Command(tuple(argv)))


def samples() -> dict[str, LaunchPlan]:
    """Give plans that together hold every kind of step."""
    return {
        "user": build(policy(), USER),
        "user-range": build(policy(ids="range"), USER),
        "user-ephemeral": build(policy(mode="ephemeral", network="loopback"), USER),
        "user-network": build(policy(network="allow", allow=("a.example.org:443", "10.0.3.7:22")), USER),
        "root-bridge": build(policy(network="bridge"), ROOT),
        "user-write": build(policy(write=("/made/up",)), USER),
        "user-output": build(policy(output=1 << 20), USER),
        "root": build(policy(), ROOT),
        "root-cgroup-2": build(policy(), SECOND),
        "root-bandwidth": build(policy(bandwidth=1500), ROOT),
        "root-bandwidth-2": build(policy(bandwidth=1500), SECOND),
        "root-range": build(policy(ids="range"), ROOT),
        "root-write": build(policy(write=("/made/up",)), ROOT),
        "root-directory": build(policy(root="dir:/nonexistent/root"), ROOT),
    }
