"""K, second half: filters that look at arguments, other architectures, own filters, memory.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, FILTERED, ROOT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

_ENDED: Final = frozenset({"SIGSYS"})
_NO_IA32: Final = "kernels without IA32 emulation"
_NO_X32: Final = "kernels without x32"


def _relaxed(text: str, _facts: Facts) -> str:
    """Find no harm in a filter of the job's own as long as the first one still refuses."""
    return "" if text.strip() == "after 1" else text


_IOCTLS: Final = (
    ("K2-tiocsti", "0x5412", "CVE-2017-5226"),
    ("K3-tiocsti-high", "0x12300005412", "CVE-2019-10063"),
    ("K3-tiocsti-sign", "0xffffffff00005412", "CVE-2019-10063"),
    ("K4-tioclinux", "0x541c", "CVE-2023-28100, CVE-2023-1523"),
    ("K4-tioclinux-high", "0x10000541c", "CVE-2023-28100"),
    ("K5-tiocsetd", "0x5423", "evalbox"),
    ("K5-tiocsetd-high", "0x100005423", "evalbox"),
    ("K5-tioccons", "0x541d", "tty_ioctl(4)"),
    ("K5-siocethtool", "0x8946", "sandlock"),
    ("K5-siocethtool-high", "0x100008946", "sandlock"),
    *((f"K5-ns-get-{number}", hex(0xB700 + number), "ioctl_ns(2)") for number in range(1, 10)),
    *((f"K5-pidfd-get-{number}", hex(0xFF00 + number), "PIDFD_GET_*_NAMESPACE") for number in range(1, 11)),
)
_PERSONALITIES: Final = (
    *("0x40000", "0x400000", "0x100000", "0x200000", "0x800000", "0x1000000", "0x2000000", "0x4000000"),
    *("0x8000000", "0x6", "0x1", "0x12345", "0x440000", "0x20009", "0x100040000"),
)
_PRCTLS: Final = (
    ("set-mm", ("35", "99", "0", "0", "1")),
    ("set-mm-high", ("0x100000023", "99", "0", "0", "1")),
    ("set-seccomp-bad", ("22", "2", "bad", "0", "0")),
    ("set-seccomp-strict-arguments", ("22", "99", "0", "0", "0")),
    ("keep-caps", ("8", "0", "0", "0", "0")),
    ("securebits", ("28", "0", "0", "0", "0")),
    ("capbset-drop", ("24", "99", "0", "0", "0")),
    ("ambient-raise", ("47", "2", "99", "0", "0")),
    ("ambient-clear", ("47", "4", "0", "0", "0")),
    ("ambient-raise-high", ("0x10000002f", "2", "99", "0", "0")),
    ("set-ptracer", ("0x59616d61", "1", "0", "0", "0")),
    ("mce-kill", ("33", "99", "0", "0", "0")),
    ("set-tsc", ("26", "1", "0", "0", "0")),
    ("set-endian", ("20", "0", "0", "0", "0")),
    ("set-unalign", ("6", "0", "0", "0", "0")),
    ("set-fpemu", ("10", "0", "0", "0", "0")),
    ("set-timing", ("14", "0", "0", "0", "0")),
    ("set-speculation", ("53", "99", "0", "0", "0")),
    ("io-flusher", ("57", "0", "0", "0", "0")),
    ("syscall-dispatch", ("59", "0", "0", "0", "0")),
    ("core-scheduling", ("62", "0", "0", "0", "bad")),
    ("memory-merge", ("67", "0", "0", "0", "0")),
    ("rseq-slice", ("79", "1", "0", "0", "0")),
)
_FOREIGN: Final = (
    *(
        "getpid",
        "mount",
        "umount2",
        "ptrace",
        "open",
        "execve",
        "socketcall",
        "ipc",
        "clone",
        "unshare",
        "setns",
    ),
    *("keyctl", "add_key", "request_key", "bpf", "io_uring_setup", "init_module", "reboot", "chroot"),
    *("socket", "connect", "sendto"),
    *("pivot_root", "settimeofday", "vm86", "modify_ldt", "clone3", "clock_settime64", "mq_timedsend_time64"),
)
_X32: Final = (
    *(("mount", 165), ("getpid", 39), ("unshare", 272), ("ptrace", 101), ("keyctl", 250), ("bpf", 321)),
    *(("first-compat", 512), ("ioctl", 514), ("execve", 520), ("ptrace-compat", 521), ("execveat", 545)),
    *(("last-compat", 547), ("io-uring", 425), ("setns", 308)),
    *(("socket", 41), ("connect", 42), ("sendto", 44)),
)
_SOCKETS: Final = (
    *(
        ("vsock", "40", "1"),
        ("alg", "38", "5"),
        ("xdp", "44", "3"),
        ("tipc", "30", "1"),
        ("packet", "17", "3"),
    ),
    *(
        ("kcm", "41", "5"),
        ("rds", "21", "5"),
        ("can", "29", "3"),
        ("bluetooth", "31", "3"),
        ("nfc", "39", "3"),
    ),
    *(("key", "15", "3"), ("x25", "9", "5"), ("appletalk", "5", "2"), ("llc", "26", "1"), ("smc", "43", "1")),
    *(("ieee802154", "36", "3"), ("qipcrtr", "42", "2"), ("mctp", "45", "2"), ("rxrpc", "33", "2")),
    *(("ax25", "3", "5"), ("netrom", "6", "5"), ("pppox", "24", "1"), ("infiniband", "27", "1")),
    *(
        ("phonet", "35", "2"),
        ("caif", "37", "1"),
        ("vsock-datagram", "40", "2"),
        ("vsock-seqpacket", "40", "5"),
    ),
    *(("vsock-high", "0x100000028", "1"),),
)
# name, family, type, protocol: what the kernel loads a module for
_PROTOCOLS: Final = (
    *(("sctp", "2", "1", "132"), ("sctp-seqpacket", "2", "5", "132"), ("sctp-6", "10", "1", "132")),
    *(("dccp", "2", "6", "33"), ("udp-lite", "2", "2", "136"), ("udp-lite-6", "10", "2", "136")),
    *(
        ("l2tp", "2", "2", "115"),
        ("smc", "2", "1", "256"),
        ("raw", "2", "3", "255"),
        ("raw-6", "10", "3", "255"),
    ),
)
_NETLINK: Final = (
    *(("usersock", "2"), ("fib-lookup", "10"), ("rdma", "20")),
    *(("sock-diag", "4"), ("xfrm", "6"), ("audit", "9"), ("netfilter", "12"), ("kobject-uevent", "15")),
    *(
        ("generic", "16"),
        ("crypto", "21"),
        ("selinux", "7"),
        ("connector", "11"),
        ("scsi", "18"),
        ("iscsi", "8"),
    ),
)

CHECKS: Final = (
    *(
        Check(
            name,
            f"ioctl {command} on a descriptor that does not exist",
            ("sys", "@ioctl", "-1", command, "0"),
            FILTERED,
            source,
        )
        for name, command, source in _IOCTLS
    ),
    Check("K6-clone3", "clone3, any arguments", ("clone3", "0"), frozenset({"ENOSYS"}), "CVE-2021-41133"),
    *(
        Check(
            f"K13-personality-{persona}",
            "a personality that weakens address randomisation or makes memory executable",
            ("sys", "@personality", persona),
            FILTERED,
            "moby arguments; sandlock",
        )
        for persona in _PERSONALITIES
    ),
    *(
        Check(
            f"K28-prctl-{name}",
            f"prctl: {name}",
            ("sys", "@prctl", *arguments),
            FILTERED,
            "nsjail; prctl(2)",
            control=(CALLER, THROWAWAY, ROOT),
            vacuous=""
            if name.startswith(("set-mm", "ambient", "keep", "set-tsc"))
            else "not in every kernel",
        )
        for name, arguments in _PRCTLS
    ),
    *(
        Check(
            f"K16-int80-{call.replace('_', '-')}",
            f"{call} by the i386 door of a 64-bit program",
            ("int80", f"@32:{call}", "-1", "-1", "-1", "-1", "-1"),
            _ENDED,
            "libseccomp 28-sim-arch_x86",
            vacuous=_NO_IA32,
        )
        for call in _FOREIGN
    ),
    Check(
        "K16-program",
        "execute an i386 program",
        ("exec", "{probe}/probe32"),
        _ENDED,
        "firejail namespaces-32.exp",
        vacuous=_NO_IA32,
    ),
    *(
        Check(
            f"K17-x32-{name}",
            f"x32 system call {number}",
            ("sys", hex(0x40000000 + number), "-1", "-1", "-1"),
            _ENDED,
            "libseccomp 28-sim-arch_x86",
            vacuous=_NO_X32,
        )
        for name, number in _X32
    ),
    *(
        Check(
            f"K20-relax-{name}",
            "a filter of the job's own that allows everything, then a refused call",
            ("relax", *words),
            FILTERED,
            "bubblewrap stacked filters",
            saw=_relaxed,
            control=(CALLER, THROWAWAY, ROOT),
        )
        for name, words in (
            ("seccomp", ("seccomp", "0")),
            ("prctl", ("prctl",)),
            ("thread-sync", ("seccomp", "1")),
            ("speculation", ("seccomp", "4")),
            ("log", ("seccomp", "2")),
        )
    ),
    Check(
        "K20-listener",
        "a filter whose listener would see the calls of others",
        ("relax", "seccomp", "8"),
        FILTERED,
        "runc seccomp flags test",
    ),
    *(
        Check(
            f"K28-map-{name}",
            "memory at address 0, where the kernel's own mistakes lead",
            ("map", address, "3", "fixed"),
            FILTERED | {"EACCES"},
            "mmap_min_addr",
            control=(ROOT,),
            vacuous="the control needs root",
        )
        for name, address in (("zero", "0"),)
    ),
    *(
        Check(
            f"K5-socket-{name}",
            f"a socket of a rare family: {name}",
            ("sys", "@socket", family, kind, "0"),
            FILTERED | {"EACCES"},
            "moby TestExecSocketDenied; sandlock niche families",
            control=(CALLER, THROWAWAY),
            vacuous="not built into every kernel, which then answers EAFNOSUPPORT",
        )
        for name, family, kind in _SOCKETS
    ),
    *(
        Check(
            f"K5-protocol-{name}",
            f"a socket of a rare protocol: {name}",
            ("sys", "@socket", *words),
            FILTERED | {"EACCES"},
            "CVE-2017-6074; CVE-2021-23133; moby",
            control=(CALLER, THROWAWAY),
            vacuous="not built into every kernel, which then answers EPROTONOSUPPORT",
        )
        for name, *words in _PROTOCOLS
    ),
    *(
        Check(
            f"K5-netlink-{name}",
            f"netlink: {name}",
            ("sys", "@socket", "16", "3", protocol),
            FILTERED | {"EACCES"},
            "CVE-2024-1086; sandlock non-route netlink",
            control=(CALLER, THROWAWAY),
            vacuous="not built into every kernel",
        )
        for name, protocol in _NETLINK
    ),
)
