"""B: /proc and /sys.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, EMPTY, ROOT, SHUT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

_MOST_OWN_PROCESSES: Final = 8
_ABSENT: Final = "not every kernel has this file, and some are empty"
_NEEDS_ROOT: Final = "the control needs root"


def _foreign_processes(text: str, facts: Facts) -> str:
    pids = [name for name in text.split() if name.isdigit()]
    if facts.places["pid"] in pids or len(pids) > _MOST_OWN_PROCESSES:
        return f"{len(pids)} processes: {pids[:10]}"
    return ""


def _host_paths(text: str, _facts: Facts) -> str:
    """Find a path of the host in the options of an overlay, or a cgroup's path."""
    for line in text.splitlines():
        options = line.rpartition(" - ")[2]
        # A relative path is one of the launcher's own.
        if "upperdir=/" in options or "workdir=/" in options or "lowerdir=/" in options:
            return line
    return ""


def _cgroup_paths(text: str, _facts: Facts) -> str:
    for line in text.splitlines():
        if line.rpartition(":")[2] not in ("/", "/..") and not line.rpartition(":")[2].startswith("/../"):
            return line
    return ""


def _tells(text: str, _facts: Facts) -> str:
    """Find no harm in a lone zero, which is the kernel's way to say nothing."""
    return "" if text.strip() == "0" else text[:80]


def _not_null(text: str, _facts: Facts) -> str:
    """Find no harm in the null device, which is what a mask is."""
    return "" if text.strip() == "rdev=1:3" else text


_SECRETS: Final = (
    *("keys", "timer_list", "interrupts", "kallsyms", "config.gz", "kmsg", "kcore", "kpagecount"),
    *("kpageflags", "kpagecgroup", "iomem", "ioports", "slabinfo", "vmallocinfo", "pagetypeinfo"),
    *("sched_debug", "latency_stats", "timer_stats", "key-users"),
)
_DIRECTORIES: Final = ("acpi", "asound", "scsi")
_SPELLINGS: Final = (
    ("self-root", "/proc/self/root/proc/kallsyms"),
    ("dot", "/proc/./kallsyms"),
    ("slashes", "//proc//kallsyms"),
    ("pid-dotdot", "/proc/1/../kallsyms"),
    ("thread-self", "/proc/thread-self/root/proc/kallsyms"),
    ("thread-self-cwd", "/proc/self/task/../../kallsyms"),
)
_WRITES: Final = (
    *("sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/kernel/hotplug", "sys/kernel/hostname"),
    *("sys/kernel/domainname", "sys/kernel/sysrq", "sys/kernel/panic", "sys/kernel/randomize_va_space"),
    *("sys/kernel/perf_event_paranoid", "sys/kernel/kptr_restrict", "sys/kernel/dmesg_restrict"),
    *("sys/kernel/unprivileged_bpf_disabled", "sys/kernel/ns_last_pid", "sys/kernel/pid_max"),
    *("sys/kernel/threads-max", "sys/kernel/core_uses_pid", "sys/kernel/poweroff_cmd"),
    *("sys/kernel/yama/ptrace_scope", "sys/kernel/usermodehelper/bset", "sys/kernel/cad_pid"),
    *("sys/kernel/shmmax", "sys/kernel/msgmax", "sys/kernel/sem"),
    *("sys/vm/drop_caches", "sys/vm/overcommit_memory", "sys/vm/mmap_min_addr", "sys/vm/panic_on_oom"),
    *("sys/fs/suid_dumpable", "sys/fs/protected_symlinks", "sys/fs/file-max", "sys/fs/pipe-max-size"),
    *("sys/fs/binfmt_misc/register", "sys/fs/binfmt_misc/status", "sys/fs/mqueue/queues_max"),
    *("sys/user/max_user_namespaces", "sys/user/max_mnt_namespaces", "sys/net/ipv4/ip_forward"),
    *(
        "sys/net/ipv4/ping_group_range",
        "sys/net/ipv4/ip_unprivileged_port_start",
        "sys/dev/tty/ldisc_autoload",
    ),
    *("sysrq-trigger", "irq/default_smp_affinity", "mtrr", "scsi/scsi", "bus/pci/00/00.0"),
    *("fs/ext4", "timer_list", "kcore"),
)
_OWN_WRITES: Final = (
    *("mem", "uid_map", "gid_map", "setgroups", "projid_map", "oom_score_adj", "oom_adj", "coredump_filter"),
    *("clear_refs", "comm", "timerslack_ns", "autogroup", "sched", "loginuid", "attr/current", "attr/exec"),
    *("make-it-fail", "fail-nth", "timens_offsets"),
)
_SYS_LISTS: Final = (
    *("/sys", "/sys/firmware", "/sys/devices", "/sys/kernel", "/sys/kernel/debug", "/sys/kernel/security"),
    *(
        "/sys/class/net",
        "/sys/class/powercap",
        "/sys/devices/virtual/powercap",
        "/sys/fs/cgroup",
        "/sys/fs/bpf",
    ),
    *("/sys/block", "/sys/module", "/sys/bus", "/sys/kernel/tracing", "/sys/fs/fuse/connections"),
    *("/sys/devices/system/cpu", "/sys/class/dmi/id", "/sys/hypervisor"),
)
_SYS_WRITES: Final = (
    *("kernel/uevent_helper", "power/state", "kernel/mm/transparent_hugepage/enabled", "kernel/profiling"),
    *("fs/cgroup/cgroup.procs", "fs/cgroup/unified/cgroup.procs", "fs/cgroup/pids/cgroup.procs"),
    *("fs/cgroup/memory/memory.limit_in_bytes", "fs/cgroup/devices/devices.allow"),
    *("fs/cgroup/systemd/release_agent", "devices/system/cpu/cpu1/online", "module/kernel/parameters/panic"),
    *("bus/pci/rescan", "class/net/lo/mtu"),
)
_INIT: Final = (
    *("environ", "maps", "smaps", "numa_maps", "auxv", "io", "stack", "syscall", "pagemap", "mem", "wchan"),
    *("personality", "clear_refs"),
)

CHECKS: Final = (
    Check(
        "B1-pids",
        "processes of the host in /proc",
        ("list", "/proc"),
        frozenset(),
        "benchexec; crun test_pid_namespace",
        saw=_foreign_processes,
    ),
    Check(
        "B1-canary",
        "the status of a host process",
        ("read", "/proc/{pid}/status"),
        EMPTY,
        "sandbox-runtime host PIDs",
    ),
    Check(
        "B1-canary-environ",
        "the environment of a host process",
        ("read", "/proc/{pid}/environ"),
        EMPTY,
        "deepce",
    ),
    *(
        Check(
            f"B2-read-{name}",
            f"what /proc/{name} tells of the host",
            ("read", f"/proc/{name}"),
            EMPTY | {"EPERM"},
            "moby masked paths, GHSA-6fw5-f8r9-fgfm",
            vacuous=_ABSENT,
        )
        for name in _SECRETS
    ),
    *(
        Check(
            f"B2-list-{name}",
            f"what /proc/{name} tells of the host",
            ("list", f"/proc/{name}"),
            EMPTY,
            "moby masked paths",
            vacuous=_ABSENT,
        )
        for name in _DIRECTORIES
    ),
    *(
        Check(
            f"B9-mask-{name}",
            "a masked file by another spelling",
            ("read", path),
            EMPTY,
            "runtime-tools linux_masked_paths",
        )
        for name, path in _SPELLINGS
    ),
    Check(
        "B9-mask-nested",
        "a file inside a masked directory",
        ("read", "/proc/acpi/wakeup"),
        EMPTY,
        "runc mask.bats",
        vacuous=_ABSENT,
    ),
    *(
        Check(
            f"B5-write-{name.replace('/', '-')}",
            f"open /proc/{name} for writing",
            ("open", f"/proc/{name}", "wr"),
            SHUT | {"EISDIR"},
            "moby TestRunWriteFilteredProc, CVE-2025-31133",
            saw=_not_null,
            control=(ROOT, THROWAWAY),
            vacuous=_ABSENT if name != "sys/kernel/core_pattern" else _NEEDS_ROOT,
        )
        for name in _WRITES
    ),
    *(
        Check(
            f"B6-own-{name.replace('/', '-')}",
            f"open the own /proc/self/{name} for writing",
            ("open", f"/proc/self/{name}", "wr"),
            SHUT,
            "moby ReadonlyPaths",
            vacuous=_ABSENT if name not in ("mem", "uid_map", "oom_score_adj") else "",
        )
        for name in _OWN_WRITES
    ),
    *(
        Check(
            f"B7-list{path.replace('/', '-')}",
            f"list {path}",
            ("list", path),
            EMPTY,
            "moby masked paths",
            vacuous=_ABSENT if path != "/sys" else "",
        )
        for path in _SYS_LISTS
    ),
    *(
        Check(
            f"B7-write-{name.replace('/', '-')}",
            f"open /sys/{name} for writing",
            ("open", f"/sys/{name}", "wr"),
            SHUT,
            "moby TestRunSysNotWritable",
            control=(ROOT,),
            vacuous=_ABSENT,
        )
        for name in _SYS_WRITES
    ),
    Check(
        "B13-overlay",
        "paths of the host in the options of a mount",
        ("read", "/proc/self/mountinfo"),
        frozenset(),
        "CDK overlay perdir",
        saw=_host_paths,
        vacuous="only a host that runs on an overlay shows any",
    ),
    Check(
        "B13-cgroup",
        "the path of a cgroup of the host",
        ("read", "/proc/self/cgroup"),
        frozenset(),
        "runc cgroup namespace",
        saw=_cgroup_paths,
        vacuous="a host whose session is in no cgroup shows none",
    ),
    *(
        Check(
            f"B14-init-{name}",
            f"/proc/1/{name}: the launcher's process in the sandbox",
            ("read", f"/proc/1/{name}"),
            SHUT | {"EIO", "ENODATA"},
            "gVisor ProcFileOwner; non-dumpable init",
            saw=_tells,
            outside=("read", f"/proc/{{pid}}/{name}"),
            vacuous=_ABSENT if name not in ("environ", "maps", "auxv") else "",
        )
        for name in _INIT
    ),
    Check(
        "B14-init-fd",
        "the descriptors of init",
        ("list", "/proc/1/fd"),
        SHUT,
        "sandlock parent pid",
        outside=("list", "/proc/{pid}/fd"),
    ),
    Check(
        "B14-init-root",
        "the root of init",
        ("list", "/proc/1/root"),
        SHUT,
        "sandlock parent pid",
        outside=("list", "/proc/{pid}/root"),
    ),
    Check(
        "B14-init-cwd",
        "the working directory of init",
        ("list", "/proc/1/cwd"),
        SHUT,
        "sandlock parent pid",
        outside=("list", "/proc/{pid}/cwd"),
    ),
    Check(
        "B14-init-exe",
        "the program of init",
        ("read", "/proc/1/exe"),
        SHUT,
        "CVE-2019-5736",
        outside=("read", "/proc/{pid}/exe"),
    ),
    Check(
        "B14-parent-exe-write",
        "overwrite the program of init",
        ("open", "/proc/1/exe", "wr"),
        SHUT,
        "CVE-2019-5736",
        control=(CALLER, THROWAWAY),
        outside=("open", "{victim_tmp}", "wr"),
    ),
    *(
        Check(
            f"B16-droppings{path.replace('/', '-')}",
            f"files that the launcher left in {path}",
            ("list", path),
            EMPTY,
            "crun masked paths in /run/crun",
            control=(CALLER, ROOT),
            vacuous="empty on some hosts",
        )
        for path in ("/run", "/var/run", "/srv", "/.changes", "/oldroot", "/tmp/oldroot", "/put_old")
    ),
)
