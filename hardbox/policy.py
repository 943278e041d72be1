"""Policy: what is wanted, as frozen values.

Run by: the Python front; pure. One dataclass field here is one TOML key, one
`--set` path and one row of docs/profiles.md. Reading and merging is `profile/`;
"weaker than" is `profile/orders.py`; what is never done is `refusals/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# No limit stated: a policy with it is refused (missing-limits).
UNLIMITED: Final = 2**63 - 1
MOST_ID: Final = 65534
MOST_CPUS: Final = 1024
ID_MODES: Final = ("single", "range")
ROOT_MODES: Final = ("read-only", "ephemeral")
EXEC_MODES: Final = ("shown", "anywhere")
GRANT_MODES: Final = ("none", "read", "any")
NETWORK_MODES: Final = ("none", "loopback", "allow", "bridge")
# From most to least strict.
SOCKET_MODES: Final = ("refuse", "relay")
FILE_MODES: Final = ("relay", "pass")
# May the command line name destinations (--allow)? From most to least strict.
DESTINATION_GRANTS: Final = ("none", "any")
# From most to least strict.
SNI_MODES: Final = ("match", "off")
NETWORK_LOGS: Final = ("off", "denied", "all")
# How many files a file system in memory of this size may hold: one for each so many bytes, and some more.
_BYTES_A_FILE: Final = 4096
_MORE_FILES: Final = 1024
# From most to least strict; a filter extends the one before it and only adds.
FILTER_ORDER: Final = ("strict", "baseline", "build", "inspect")
# What becomes of refused system calls beside the refusal itself.
DENIAL_MODES: Final = ("explained", "silent")
# Protections whose absence a profile may accept, with a reason ([optional]).
OPTIONAL: Final = ("landlock", "memory-total")
# capabilities(7), by number, without "CAP_".
CAPABILITIES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)


def cpus_text(thousandths: int) -> str:
    """Write a number of CPUs as profiles do: "1.5"."""
    whole, part = divmod(thousandths, 1000)
    return f"{whole}.{part:03}".rstrip("0").rstrip(".")


def files_of(size: int) -> int:
    """Give how many files a file system in memory of `size` bytes may hold."""
    return size // _BYTES_A_FILE + _MORE_FILES


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from, for messages: a file and its key, or a flag.

    source: a profile's path or shipped name ("strict"), or "command line".
    key:    the TOML path ("network.mode"), or the flag ("--network").
    """

    source: str
    key: str

    def __str__(self) -> str:
        """Give "ci.toml network.mode" or "--network"."""
        return self.key if self.source == "command line" else f"{self.source} {self.key}"


@dataclass(frozen=True, slots=True)
class Identity:
    """[identity]: who the job is, inside its user namespace (user_namespaces(7)).

    user, group: ids inside, 0..65534. 0 is refused where the profile says non-root.
    hostname:    RFC 1123 label, 1..63 characters.
    ids:         "single": one uid and one gid mapped; "range": 65536 of each, from
                 subordinate ids. Host uid and gid 0 are never mapped.
    """

    user: int = 1000
    group: int = 1000
    hostname: str = "hardbox"
    ids: str = "single"


@dataclass(frozen=True, slots=True)
class Bind:
    """One host path shown to the job: absolute, normalised source and destination."""

    source: str
    dest: str


@dataclass(frozen=True, slots=True)
class Filesystem:
    """[filesystem]: what the job sees.

    root:    "host" (its system directories) or "dir:/absolute/path" (treated as hostile).
    mode:    "read-only", or "ephemeral": overlays whose changes live in memory and vanish.
    changes: bytes that the overlays may hold together, with mode "ephemeral".
    show:    directories of the root that are shown; "/bin", "/lib"... symlinks are reproduced.
    read:    more host paths, read-only ("/src" or "/src:/dest" in TOML).
    write:   host paths that the job may change.
    scratch: tmpfs directories, path -> bytes; gone after the run.
    exec:    "shown": files in scratch and write trees cannot be executed; "anywhere".
    grants:  which paths the command line may add: "none", "read" (--read), "any" (--write too).
    """

    root: str = "host"
    mode: str = "read-only"
    changes: int = 0
    show: tuple[str, ...] = ()
    read: tuple[Bind, ...] = ()
    write: tuple[Bind, ...] = ()
    scratch: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    exec: str = "shown"
    grants: str = "none"


@dataclass(frozen=True, slots=True)
class Network:
    """[network]: none | loopback | allow | bridge (docs/network.md).

    allow:  destinations (hardbox/destinations.py): for mode "allow" names, names with one wildcard label
            and addresses, each with its port; for mode "bridge" addresses and ranges, each with its port
            or "*". Those of `from_lockfile` and of host lists ("@NAME") are among them.
    from_lockfile: lock files of package managers; the hosts that they name are allowed.
    grants: "any": the command line may add destinations (--allow, --lockfile); "none".
    sni:    "match": the name in a TLS greeting or an HTTP request has to be the one that was allowed; "off".
    log:    which connections the report lists: "off", "denied", "all".
    connections: at most so many at once; 1..16384.
    rate:   new connections in a second, twice as many at once; 1..10000.
    bytes:  both directions of all connections together; UNLIMITED: not counted.
    idle:   ms after which a connection on which nothing moves is closed.
    bridge, subnet, dns, join, publish: for mode "bridge": the name of the bridge; the range that addresses
            are taken from; name servers, which are thereby allowed; the group of sandboxes that reach one
            another ("": none); "ADDRESS:PORT:INNER" of the host that lead to the job.
    """

    mode: str = "none"
    allow: tuple[str, ...] = ()
    from_lockfile: tuple[str, ...] = ()
    grants: str = "none"
    sni: str = "match"
    log: str = "denied"
    connections: int = 256
    rate: int = 100
    bytes: int = UNLIMITED
    idle: int = 300_000
    bridge: str = "hbx0"
    subnet: str = "10.210.0.0/16"
    dns: tuple[str, ...] = ()
    join: str = ""
    publish: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """[capabilities] keep: names as in capabilities(7) without "CAP_", e.g. "NET_BIND_SERVICE"."""

    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seccomp:
    """[seccomp] filter: a shipped name or a file; add/refuse: names of rule groups.

    denials: "explained": the supervisor hears of what is refused, and says so afterwards; "silent".
    """

    filter: str = "strict"
    add: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    denials: str = "explained"


@dataclass(frozen=True, slots=True)
class Limits:
    """[limits]: every number is finite in a profile that loads; units as noted.

    memory:     bytes of memory: of the job as a whole, files in scratch and what the kernel keeps for
                it included as far as the means can tell (plan/bounds.py), and of private writable
                memory per process (RLIMIT_DATA, setrlimit(2)), there together with swap.
    swap:       bytes of swap space beside memory; only a cgroup can give it. May be 0.
    tasks:      processes and threads of the sandbox together (RLIMIT_NPROC in its own
                user namespace).
    cpu:        how many CPUs the job may use at once (sched_setaffinity(2), then locked); 1..1024.
    cpu_bandwidth: CPU time that the job as a whole may use in each period of 100 ms, in thousandths of a
                CPU; only a cgroup can hold it. UNLIMITED: as much as its CPUs give.
    cpu_time:   seconds of CPU per process (RLIMIT_CPU).
    wall:       milliseconds until SIGTERM, then SIGKILL after `grace` milliseconds.
    file_size:  bytes per file (RLIMIT_FSIZE).
    open_files: descriptors per process (RLIMIT_NOFILE).
    locked:     bytes of locked memory per process (RLIMIT_MEMLOCK); may be 0.
    scratch_files: files, directories and links in each scratch directory; UNLIMITED: as many as its size
                gives (plan/root.py), which is the most in any case.
    output:     bytes of stdout and stderr together; UNLIMITED: not counted, and not relayed for it.
    """

    memory: int = UNLIMITED
    swap: int = 0
    tasks: int = UNLIMITED
    cpu: int = UNLIMITED
    cpu_bandwidth: int = UNLIMITED
    cpu_time: int = UNLIMITED
    wall: int = UNLIMITED
    grace: int = 2000
    file_size: int = UNLIMITED
    open_files: int = UNLIMITED
    locked: int = 65536
    scratch_files: int = UNLIMITED
    output: int = UNLIMITED


@dataclass(frozen=True, slots=True)
class StreamRules:
    """[streams]: what is done with what stands on descriptors 0-2. Terminals are always replaced.

    sockets: "relay": an unnamed pair of the caller's is copied to and from a pipe; "refuse".
    files:   "pass": the job has the caller's own pipes and files; "relay": copies of them.
    """

    sockets: str = "relay"
    files: str = "pass"


@dataclass(frozen=True, slots=True)
class Environment:
    """[environment] pass: names taken from the caller (key `pass`); set: fixed values."""

    pass_: tuple[str, ...] = ()
    set: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Audit:
    """[audit]: the log that each run adds one line to (docs/audit.md).

    file: absolute path, "" for none.
    argv: the line holds all arguments, not only their digest; arguments hold secrets.
    """

    file: str = ""
    argv: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """One resolved profile: parent, child, flags merged and checked.

    refuse:   rule name -> the standards' ids that ask for it; a lifted rule is absent.
    loosen:   dotted key -> reason, for every value weaker than the parent's.
    optional: protection ("landlock", "memory-total") -> reason why its absence is acceptable.
    origins:  dotted key ("network.mode") -> Origin, for every key that has a value.
    sources:  the profile's chain, child first: "path or shipped name" each.
    digest:   SHA-256 (hex) over the canonical form of the values, rules and reasons above.
    files:    every absolute path that decided the policy: the profiles of the chain that do not ship,
              its filter if that is a file, and the symlinks on the way to them. A job that could
              change one would choose how the next is held.
    locked:   destinations that are allowed because lock files name them.
    """

    name: str
    summary: str = ""
    identity: Identity = field(default_factory=Identity)
    filesystem: Filesystem = field(default_factory=Filesystem)
    network: Network = field(default_factory=Network)
    capabilities: Capabilities = field(default_factory=Capabilities)
    seccomp: Seccomp = field(default_factory=Seccomp)
    limits: Limits = field(default_factory=Limits)
    streams: StreamRules = field(default_factory=StreamRules)
    environment: Environment = field(default_factory=Environment)
    audit: Audit = field(default_factory=Audit)
    refuse: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    loosen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    optional: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    origins: Mapping[str, Origin] = field(default_factory=lambda: MappingProxyType({}))
    sources: tuple[str, ...] = ()
    digest: str = ""
    files: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()

    def origin(self, key: str) -> str:
        """Say where `key` got its value, for a message; "" if it has none."""
        found = self.origins.get(key)
        return str(found) if found else ""
