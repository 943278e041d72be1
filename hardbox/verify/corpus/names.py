"""G: host name and time.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, FILTERED, ROOT, SHUT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts


def _host_name(text: str, facts: Facts) -> str:
    return text.strip() if f"host={facts.host_name}\n" in text else ""


_TIME: Final = (
    ("clock-settime", ("@clock_settime", "0", "bad")),
    ("clock-settime-monotonic", ("@clock_settime", "1", "bad")),
    ("settimeofday", ("@settimeofday", "bad", "0")),
    ("settimeofday-zone", ("@settimeofday", "0", "bad")),
    ("adjtimex", ("@adjtimex", "bad")),
    ("adjtimex-read", ("@adjtimex", "buf")),
    ("clock-adjtime", ("@clock_adjtime", "0", "bad")),
)

CHECKS: Final = (
    Check(
        "G1-sethostname",
        "set the host name, bad pointer",
        ("sys", "@sethostname", "bad", "4"),
        FILTERED,
        "runtime-tools hostname",
        control=(THROWAWAY, ROOT),
    ),
    Check(
        "G1-setdomainname",
        "set the domain name, bad pointer",
        ("sys", "@setdomainname", "bad", "4"),
        FILTERED,
        "runtime-tools hostname",
        control=(THROWAWAY, ROOT),
    ),
    *(
        Check(
            f"G1-write-{name}",
            f"set {name} through /proc",
            ("open", f"/proc/sys/kernel/{name}", "wr"),
            SHUT,
            "moby",
            control=(THROWAWAY, ROOT),
        )
        for name in ("hostname", "domainname")
    ),
    Check(
        "G1-name",
        "the name of the host",
        ("uts",),
        frozenset(),
        "crun test_hostname",
        saw=_host_name,
    ),
    *(
        Check(
            f"G3-{name}",
            "set the clock, which no namespace holds",
            ("sys", *words),
            FILTERED,
            "moby CAP_SYS_TIME",
            control=(CALLER, ROOT),
        )
        for name, words in _TIME
    ),
    Check(
        "G3-stime",
        "stime, by the i386 door",
        ("int80", "@32:stime", "bad"),
        frozenset({"SIGSYS"}),
        "moby CAP_SYS_TIME",
        vacuous="kernels without IA32 emulation end the process",
    ),
    Check(
        "G3-rtc",
        "open the hardware clock",
        ("open", "/dev/rtc0", "rd"),
        SHUT,
        "firejail",
        vacuous="not every machine has one",
    ),
    Check(
        "G4-unshare-time",
        "a time namespace of the own making",
        ("sys", "@unshare", "0x80"),
        FILTERED,
        "runc timens.bats",
        control=(THROWAWAY, ROOT),
    ),
    Check(
        "G4-offsets",
        "the offsets of a time namespace",
        ("open", "/proc/self/timens_offsets", "wr"),
        SHUT,
        "runc timens.bats",
        vacuous="kernels without CONFIG_TIME_NS",
    ),
)
