"""C: devices.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import FILTERED, HIDDEN, ROOT, SHUT, Check
from hardbox.verify.corpus.terminal import of_the_caller

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

_EXPECTED: Final = frozenset(
    {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "pts",
        "shm",
        "fd",
        "stdin",
        "stdout",
        "stderr",
    }
)
_ABSENT: Final = "not every machine has this device"


def _strange_devices(text: str, _facts: Facts) -> str:
    strange = set(text.split()) - _EXPECTED
    return f"also in /dev: {sorted(strange)[:10]}" if strange else ""


def _weak_mounts(text: str, _facts: Facts) -> str:
    """Find a mount without nosuid, or one without nodev that is not a single harmless device."""
    for line in text.splitlines():
        words = line.split()
        root, point, options = words[3], words[4], words[5].split(",")
        single = point == f"/dev{root}" or (root == "/null" and point.startswith("/proc/"))
        if "nosuid" not in options or ("nodev" not in options and not single and point != "/dev/pts"):
            return line
    return ""


def _foreign_terminals(text: str, _facts: Facts) -> str:
    # The job's own is number 0. The host has another at least, which verify holds (world.open_terminal).
    numbers = {name for name in text.split() if name.isdigit()} - {"0"}
    return f"terminals {sorted(numbers)}" if numbers else ""


# Not here: watchdogs and serial lines, whose opening is already an act.
_DEVICES: Final = (
    *(
        "mem",
        "kmem",
        "port",
        "kmsg",
        "vda",
        "sda",
        "nvme0n1",
        "zram0",
        "loop0",
        "loop-control",
        "kvm",
        "fuse",
    ),
    *("net/tun", "vsock", "userfaultfd", "uinput", "uhid", "vhost-net", "vhost-vsock", "dri/card0"),
    *(
        "dri/renderD128",
        "mapper/control",
        "btrfs-control",
        "cpu_dma_latency",
        "hwrng",
        "autofs",
        "tty0",
        "tty1",
    ),
    *("vcs", "vcsa", "cpu/0/msr", "cpu/0/cpuid", "hpet", "rtc0", "rfkill", "cuse", "ppp", "input/event0"),
    *("snd/timer", "bus/usb/001/001", "vga_arbiter", "mcelog", "nvram", "console", "bsg/0:0:0:0", "sg0"),
    *("dma_heap/system", "udmabuf", "tpm0", "sgx_enclave", "sev", "nvidia0", "iommu", "vfio/vfio", "binder"),
)

CHECKS: Final = (
    Check(
        "C1-names",
        "devices beyond the minimal set",
        ("list", "/dev"),
        frozenset(),
        "bubblewrap; runtime-tools validateDefaultDevices",
        saw=_strange_devices,
    ),
    *(
        Check(
            f"C2-open-{name.replace('/', '-')}",
            f"open /dev/{name}",
            ("open", f"/dev/{name}", "rd"),
            HIDDEN | {"EPERM"},
            "firejail whitelist-dev; CIS-5.18",
            vacuous=_ABSENT,
        )
        for name in _DEVICES
    ),
    *(
        Check(
            f"C3-mknod-{name}",
            "make a device node and open it",
            ("mknod", f"{place}/{name}", *node),
            FILTERED | {"EACCES", "EROFS"},
            "crun test_mknod_device; CDK mount-disk",
            control=(ROOT,),
            outside=("mknod", f"{{scratch}}/{name}", *node),
            vacuous="the control needs root",
        )
        for name, place, node in (
            ("null", "{scratch}", ("c", "1", "3")),
            ("disk", "{scratch}", ("b", "8", "0")),
            ("mem", "{scratch}", ("c", "1", "1")),
            ("kmsg-in-dev", "/dev", ("c", "1", "11")),
            ("null-in-shm", "/dev/shm", ("c", "1", "3")),
            ("null-in-home", "/home/box", ("c", "1", "3")),
        )
    ),
    Check(
        "C4-flags",
        "a mount without nosuid, or without nodev",
        ("read", "/proc/self/mountinfo"),
        frozenset(),
        "crun test_mount_nodev, test_mount_nosuid",
        saw=_weak_mounts,
    ),
    Check(
        "C7-list",
        "terminals of the host in /dev/pts",
        ("list", "/dev/pts"),
        frozenset({"ENOENT", "EACCES"}),
        "crun test_devpts_mount",
        saw=_foreign_terminals,
    ),
    Check(
        "C7-open",
        "open a terminal of the host by its number",
        ("tty-name", "{pts}"),
        HIDDEN,
        "crun test_devpts_mount",
        saw=of_the_caller,
        control=(ROOT,),
        vacuous="the control needs root",
    ),
    Check(
        "C8-cgroup-devices",
        "allow all devices through cgroup v1",
        ("open", "/sys/fs/cgroup/devices/devices.allow", "wr"),
        SHUT,
        "CDK rewrite-cgroup-devices",
        control=(ROOT,),
        vacuous="only cgroup v1 has it",
    ),
)
