"""J: capabilities and privileges.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, FILTERED, ROOT, SHUT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

_PROCESSES: Final = 7  # four threads, a child, a grandchild, and that after exec
_NOROOT, _NOROOT_LOCKED = 1, 2
_KEEP_CAPS, _KEEP_CAPS_LOCKED = 16, 32
_NO_AMBIENT, _NO_AMBIENT_LOCKED = 64, 128
_NEEDS_ROOT: Final = "the control needs root"


def privileged(text: str, _facts: Facts) -> str:
    """Find a thread or child with a capability, without no_new_privs, or without a filter."""
    processes = text.count("process\n")
    if processes < _PROCESSES:
        return f"only {processes} of {_PROCESSES} processes could be looked at: {text[:200]}"
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if (
            (name.startswith("Cap") and int(value, 16))
            or (name == "NoNewPrivs" and value.strip() != "1")
            or (name == "Seccomp" and value.strip() != "2")
            or (name == "Seccomp_filters" and int(value) < 1)
        ):
            return line
    return ""


def _unlocked(text: str, _facts: Facts) -> str:
    bits = int(text.partition("=")[2], 16)
    wanted = _NOROOT | _NOROOT_LOCKED | _KEEP_CAPS_LOCKED | _NO_AMBIENT | _NO_AMBIENT_LOCKED
    return text.strip() if bits & wanted != wanted or bits & _KEEP_CAPS else ""


# name, words, refused beside what a filter says
_DOINGS: Final[tuple[tuple[str, tuple[str, ...], frozenset[str]], ...]] = (
    ("chown", ("sys", "@fchown", "1", "0", "0"), frozenset({"EINVAL", "EACCES"})),
    ("chown-other", ("sys", "@fchown", "1", "1", "1"), frozenset({"EINVAL", "EACCES"})),
    ("bind-80", ("bind", "80"), frozenset({"EACCES"})),
    ("bind-443", ("bind", "443"), frozenset({"EACCES"})),
    ("raw-icmp", ("sys", "@socket", "2", "3", "1"), frozenset({"EACCES"})),
    ("raw-tcp", ("sys", "@socket", "2", "3", "6"), frozenset({"EACCES"})),
    ("raw-6", ("sys", "@socket", "10", "3", "58"), frozenset({"EACCES"})),
    ("packet", ("sys", "@socket", "17", "3", "0"), frozenset({"EACCES"})),
    ("packet-datagram", ("sys", "@socket", "17", "2", "0"), frozenset({"EACCES"})),
    ("socket-packet", ("sys", "@socket", "2", "10", "3"), frozenset({"EACCES"})),
    ("reboot", ("sys", "@reboot", "0", "0", "0", "0"), frozenset()),
    ("syslog-size", ("sys", "@syslog", "10", "0", "0"), frozenset()),
    ("syslog-read", ("sys", "@syslog", "3", "bad", "0"), frozenset()),
    ("acct", ("sys", "@acct", "bad"), frozenset()),
    ("quotactl", ("sys", "@quotactl", "0", "bad", "0", "0"), frozenset()),
    ("quotactl-fd", ("sys", "@quotactl_fd", "-1", "0", "0", "0"), frozenset()),
    ("swapon", ("sys", "@swapon", "bad", "0"), frozenset()),
    ("swapoff", ("sys", "@swapoff", "bad"), frozenset()),
    ("iopl", ("sys", "@iopl", "0"), frozenset()),
    ("ioperm", ("sys", "@ioperm", "0", "1", "0"), frozenset()),
    ("modify-ldt", ("sys", "@modify_ldt", "0", "buf", "8"), frozenset()),
    ("nice", ("sys", "@setpriority", "0", "0", "-20"), frozenset({"EACCES"})),
    ("nice-less", ("sys", "@setpriority", "0", "0", "-1"), frozenset({"EACCES"})),
)

CHECKS: Final = (
    Check(
        "J1-status",
        "a capability, or no no_new_privs, or no filter, in any thread or child",
        ("status-of-all",),
        frozenset(),
        "runc capabilities.bats; gVisor Threads.Uniform; am-i-isolated",
        saw=privileged,
    ),
    Check(
        "J3-capset",
        "raise a capability with capset",
        ("capset",),
        FILTERED,
        "crun test_no_caps",
        control=(THROWAWAY, ROOT),
    ),
    *(
        Check(
            f"J3-ambient-{name}",
            "raise an ambient capability",
            ("ambient", number),
            FILTERED | {"EINVAL"},
            "runc ambient cases",
            control=(ROOT,),
            vacuous=_NEEDS_ROOT,
        )
        for name, number in (("chown", "0"), ("kill", "5"), ("net-admin", "12"), ("sys-admin", "21"))
    ),
    Check("J3-bounding", "a capability in the bounding set, to number 63", ("bounding",), FILTERED, "crun"),
    Check(
        "J4-securebits",
        "securebits that are not locked",
        ("securebits",),
        frozenset(),
        "gVisor posture",
        saw=_unlocked,
    ),
    Check(
        "J4-set-securebits",
        "set the securebits",
        ("sys", "@prctl", "28", "0", "0", "0", "0"),
        FILTERED,
        "capabilities(7)",
        control=(THROWAWAY, ROOT),
    ),
    Check(
        "J4-keep-caps",
        "keep capabilities over a change of user",
        ("sys", "@prctl", "8", "1", "0", "0", "0"),
        FILTERED,
        "capabilities(7)",
    ),
    *(
        Check(
            f"J6-{name}",
            f"what a capability would allow: {name}",
            words,
            FILTERED | more,
            "moby TestUserNoEffectiveCapabilities*, SeccompDefaultProfileAcct",
            vacuous="CONFIG_X86_IOPL_IOPERM is off" if name in ("iopl", "ioperm") else "",
            control=(CALLER, THROWAWAY, ROOT)
            if name.startswith(("bind", "raw", "packet"))
            else (CALLER, ROOT),
        )
        for name, words, more in _DOINGS
    ),
    Check(
        "J6-vhangup",
        "hang the terminal up",
        ("sys", "@vhangup"),
        FILTERED,
        "moby",
        control=(),
        vacuous="a live control would hang up a terminal",
    ),
    *(
        Check(
            f"J6-raise-{name}",
            f"raise the hard limit {name}",
            ("raise-limit", number),
            FILTERED,
            "runc rlimits.bats",
            control=(CALLER, ROOT),
            vacuous="root without CAP_SYS_RESOURCE, as in a container, cannot either",
        )
        for name, number in (
            *(("cpu", "0"), ("fsize", "1"), ("data", "2"), ("core", "4"), ("nproc", "6"), ("nofile", "7")),
            *(
                ("memlock", "8"),
                ("msgqueue", "12"),
            ),
        )
    ),
    Check(
        "J8-dumpable",
        "make the own process dumpable; init must stay closed",
        ("open", "/proc/1/mem", "rd"),
        SHUT,
        "gVisor ProcFileOwner",
        outside=("open", "/proc/{pid}/mem", "rd"),
    ),
)
