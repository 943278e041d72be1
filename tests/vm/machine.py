"""The virtual machine: QEMU without acceleration, three disks, a serial line, no network.

Run by: tests/vm/__main__.py. KVM is not used: the tests have to run where there is none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MEMORY_MIB: Final = 3072
_RESULTS_MIB: Final = 64
# panic=1: a machine that cannot go on ends, and QEMU with it. mitigations=off: they cost a
# third of the time under emulation, and no test looks at them. tsc=reliable: between two emulated
# processors the kernel's own test of it fails, and any other clock is a device for every reading.
_KERNEL_WORDS: Final = (
    "console=ttyS0 root=/dev/vda rw init=/sbin/vm-init quiet panic=1 mitigations=off tsc=reliable"
)
# Plain x86_64 with SSE4: wide vectors and five levels of page tables only take time to emulate.
_CPU: Final = "Nehalem"
_TERMINAL_CODES: Final = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|c)|\r")


def _drive(path: str, more: str) -> tuple[str, str]:
    return ("-drive", f"file={path.replace(',', ',,')},format=raw,if=virtio,cache=unsafe,{more}")


def monitor(results: str) -> str:
    """Give the socket of QEMU's monitor: its words `stop` and `cont` hold the machine and its clocks."""
    return os.path.join(os.path.dirname(results), "monitor")


def command(image: str, given: str, results: str) -> list[str]:
    """Give QEMU's command line.

    image: a directory that tests/vm/image.sh made; what is written to its disk is forgotten.
    """
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-nographic"),
        *("-accel", "tcg,thread=multi", "-cpu", _CPU, "-smp", "2", "-m", str(_MEMORY_MIB)),
        *("-nic", "none", "-serial", "stdio", "-monitor", f"unix:{monitor(results)},server=on,wait=off"),
        *("-kernel", os.path.join(image, "vmlinuz"), "-initrd", os.path.join(image, "initrd.img")),
        *("-append", _KERNEL_WORDS),
        *_drive(os.path.join(image, "root.ext4"), "snapshot=on"),
        *_drive(given, "readonly=on"),
        *_drive(results, "readonly=off"),
    ]


def run(words: list[str], seconds: float, say: Callable[[str], None]) -> bool:
    """Run the machine until it switches itself off; False if it had to be ended after `seconds`.

    say: is given each line of the serial console.
    """
    # The console is read, never written: what QEMU takes from a terminal would reach the guest.
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as qemu:
        late = threading.Event()

        def end() -> None:
            late.set()
            qemu.kill()

        clock = threading.Timer(seconds, end)
        clock.start()
        try:
            assert qemu.stdout is not None
            for line in qemu.stdout:
                text = _TERMINAL_CODES.sub("", line.decode("utf-8", "backslashreplace")).rstrip()
                if text:
                    say(text)
        finally:
            clock.cancel()
            qemu.kill()
    return not late.is_set()


def empty_results(path: str) -> None:
    """Make the third disk, empty."""
    with open(path, "wb") as stream:
        stream.truncate(_RESULTS_MIB << 20)


def read_results(path: str, folder: str) -> bool:
    """Copy the files of the third disk into `folder`; False if the guest left none there."""
    try:
        with tarfile.open(path, "r:") as archive:
            files = [(os.path.basename(one.name), archive.extractfile(one)) for one in archive if one.isreg()]
            for name, source in files:
                if source is not None:
                    with open(os.path.join(folder, name), "wb") as target:
                        shutil.copyfileobj(source, target)
    except tarfile.ReadError:
        return False
    return bool(files)
