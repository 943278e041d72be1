"""Filters: seccomp/*.toml to the program that the kernel runs; compiled here, loaded by the launcher.

Run by: the Python front. The only importer of the libseccomp binding, and only when the
cache has no entry; the usual run reads four small files and one entry.
"""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hardbox import cache, data, files
from hardbox.cache import cache_folder
from hardbox.errors import HostUnfit, ProfileError, SetupFailed
from hardbox.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardbox.filters.bpf import Instruction
    from hardbox.filters.model import Row, Rules
    from hardbox.policy import Seccomp

__all__ = [
    "SILENT",
    "TELLING",
    "WATCHING",
    "CompiledFilter",
    "cache_folder",
    "compile_filter",
    "library_version",
    "read_filter",
    "shipped",
]

MACHINES: Final = ("x86_64", "aarch64")
# What the supervisor hears of a job's calls (SeccompFilter of the plan): nothing; what is refused;
# that, and the calls that name files, networks, processes or ids, before the kernel does them.
SILENT, TELLING, WATCHING = 0, 1, 2
_EPERM: Final = 1
_ENOSYS: Final = 38
# Multi-architecture folders of Debian, then those of others.
_LIBRARIES: Final = ("/usr/lib/{}-linux-gnu", "/usr/lib64", "/usr/lib", "/lib")


@dataclass(frozen=True, slots=True)
class CompiledFilter:
    """A program for SECCOMP_SET_MODE_FILTER (seccomp(2)) and what it was made from.

    bpf:    array of struct sock_filter, 1..4096 instructions of 8 bytes.
    digest: SHA-256 of `bpf`, in hex.
    """

    bpf: bytes
    digest: str
    filter: str
    add: tuple[str, ...]
    refuse: tuple[str, ...]
    keep: tuple[str, ...]
    tells: int = SILENT

    @property
    def rules(self) -> Rules:
        """The model that the program carries out, read anew: for tests; a run does not need it."""
        return _rules(self.filter, self.add, self.refuse, self.keep, read_filter(self.filter), self.tells)


def shipped() -> tuple[str, ...]:
    """Give the names of the filters that ship."""
    return data.names("seccomp")


def read_filter(name_or_path: str) -> bytes:
    """Give the bytes of a filter by shipped name or by path (anything with "/" or ".toml").

    Raises ProfileError HB450 (no such name), what `files.read` raises for a path.
    """
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return files.read(name_or_path, "filter").content
    if name_or_path not in shipped():
        raise ProfileError(
            "HB450",
            f"no filter is called {name_or_path}",
            value=f"seccomp.filter = {name_or_path}",
            instead=f"one of {', '.join(shipped())}, or a path with a slash",
        )
    return _content(data.path("seccomp", name_or_path))


def compile_filter(
    wanted: Seccomp,
    *,
    refuse: Sequence[str] = (),
    keep: Sequence[str] = (),
    machine: str,
    tells: int = SILENT,
) -> CompiledFilter:
    """Give the program for a policy's [seccomp].

    refuse:  groups to enforce beside those of the policy ("memfd").
    keep:    capabilities that the job keeps; groups with `with_capability` come into force.
    machine: as of uname(2): "x86_64" or "aarch64".
    tells:   SILENT, TELLING or WATCHING. The answer to every call is the same.
    Raises ProfileError HB402..HB404 or HB450..HB462, Refused HB230 (a file that others can change),
    HostUnfit HB540 (machine) or HB541 (no libseccomp), SetupFailed HB631 (with `tells`: no sendmsg).
    """
    if machine not in MACHINES:
        raise HostUnfit(
            "HB540",
            f"there are no filters for {machine}",
            value=f"machine = {machine}",
            why="system call numbers differ, and a filter for another machine filters nothing",
            instead=f"a 64-bit kernel and Python on {' or '.join(MACHINES)}",
        )
    refused = tuple(sorted({*wanted.refuse, *refuse}))
    inputs = (wanted.filter, tuple(sorted(wanted.add)), refused, tuple(sorted(keep)))
    # Read once: the key and the program must speak of the same bytes.
    given = read_filter(wanted.filter)
    key = _key((*inputs, tells), given, machine)
    bpf = cache.get(key)
    if not bpf or len(bpf) % 8:
        rules = _rules(*inputs, given, tells)
        if tells and ("sendmsg" not in rules.allow or any(r.call == "sendmsg" for r in rules.refuse_when)):
            raise _no_hand_over(wanted.filter)
        bpf = compile_rules(rules, machine, tells)
        cache.put(key, bpf)
    return CompiledFilter(bpf, hashlib.sha256(bpf).hexdigest(), *inputs, tells)


def compile_rules(rules: Rules, machine: str, tells: int = SILENT) -> bytes:
    """Compile rules; no cache. Raises ProfileError HB451, HB459 or HostUnfit HB541."""
    # A run whose filter is cached needs none of these.
    from hardbox.filters import bpf  # noqa: PLC0415
    from hardbox.filters.observed import OBSERVED  # noqa: PLC0415
    from hardbox.filters.quiet import QUIET  # noqa: PLC0415
    from hardbox.filters.shorten import shorten  # noqa: PLC0415

    loud = bpf.LOUD if tells else 0

    def refused(call: str, number: int) -> int:
        return _errno(number | (0 if call in QUIET else loud))

    def allowed(call: str) -> int:
        return bpf.SEEN if tells == WATCHING and call in OBSERVED else bpf.RET_ALLOW

    binding = _binding()
    numbers = {call: _number(binding, call, machine) for call in sorted(rules.calls())}
    go_on = bpf.GO_ON
    by_name = {row.call: _EPERM for row in rules.allow_when} | dict(rules.refuse)
    # Most calls are decided by their number alone; the others go on to where arguments count.
    argued = {row.call for row in (*rules.refuse_when, *rules.allow_when)}
    actions = {numbers[call]: refused(call, number) for call, number in by_name.items()}
    actions |= {numbers[call]: allowed(call) for call in rules.allow}
    actions |= {numbers[call]: go_on for call in argued}
    actions = {number: action for number, action in actions.items() if number >= 0}
    refuse_when = [(refused(row.call, _EPERM), row) for row in rules.refuse_when]
    plain = _plain([call for call in rules.allow if call in argued])
    allow = [(allowed(row.call), row) for row in (*plain, *rules.allow_when)]
    rest = [call for call in by_name if call in argued and by_name[call] != _ENOSYS]
    refuse = [(refused(row.call, by_name[row.call]), row) for row in _plain(rest)]
    unknown = _errno(_ENOSYS | loud)
    programs = [bpf.entry(machine), bpf.by_number(actions, unknown)]
    try:
        for default, wanted in ((go_on, refuse_when), (go_on, allow), (unknown, refuse)):
            program = _compile(binding, default, wanted, numbers)
            programs.append(bpf.retarget(program, int(binding.system_arch()), machine))
        return bpf.pack(bpf.tell(shorten(bpf.join(programs))))
    except (ValueError, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and _filtered():
            raise _inside(error) from error
        raise ProfileError(
            "HB459",
            f"the filter does not become a program: {error}",
            instead="fewer groups or rows",
        ) from error


def _no_hand_over(name: str) -> SetupFailed:
    """Make the error for a filter under which init could not hand the listener over (launch/filter.c)."""
    return SetupFailed(
        "HB631",
        "the filter does not allow sendmsg, so that nobody could hear what it refuses",
        value=f"seccomp.filter = {name}",
        why="init hands the supervisor its listener by this call, when the filter stands already",
        instead="allow sendmsg, whatever its arguments are, or --set seccomp.denials=silent",
    )


def _filtered() -> bool:
    """Say whether a system call filter stands around this process (proc_pid_status(5))."""
    return b"\nSeccomp:\t2\n" in _content("/proc/self/status")


def _inside(error: OSError) -> HostUnfit:
    return HostUnfit(
        "HB510",
        "already inside a sandbox: no further one can be made here",
        value=f"libseccomp: {error.strerror}",
        why="a system call filter around this process refuses what a sandbox is made of",
        instead="run hardbox outside of it; hardbox doctor says what is refused",
    )


def number(call: str, machine: str) -> int:
    """Give a system call's number on `machine`, negative if it has none.

    Raises HostUnfit HB541 without libseccomp, ProfileError HB452 for a name that nobody knows.
    """
    return _number(_binding(), call, machine)


def call_name(number: int, machine: str) -> str:
    """Give the name of a system call by its number on `machine`, or "call N" where it is not known."""
    from hardbox.filters.syscall_names import NEWER  # noqa: PLC0415 (see compile_rules)

    for name, known in NEWER.items():
        if number == known:
            return name
    try:
        binding = _binding()
        arch = {"x86_64": binding.Arch.X86_64, "aarch64": binding.Arch.AARCH64}[machine]
        found = binding.resolve_syscall(arch, number)
    except (HostUnfit, KeyError, ValueError):
        return f"call {number}"
    return found.decode() if isinstance(found, bytes) else str(found)


def library_version() -> tuple[int, int, int]:
    """Give libseccomp's version. Raises HostUnfit HB541 if there is none."""
    import ctypes  # noqa: PLC0415 (for a report only)
    import ctypes.util  # noqa: PLC0415 (for a report only)

    class Version(ctypes.Structure):
        _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))

    name = ctypes.util.find_library("seccomp")
    if name is None:
        raise _no_library(why="not found")
    ask = ctypes.CDLL(name).seccomp_version
    ask.restype = ctypes.POINTER(Version)
    found = ask().contents
    return (int(found.major), int(found.minor), int(found.micro))


def _rules(
    name: str,
    add: tuple[str, ...],
    refuse: tuple[str, ...],
    keep: tuple[str, ...],
    given: bytes,
    tells: int,
) -> Rules:
    from hardbox.filters import floor  # noqa: PLC0415 (as the model)
    from hardbox.filters import model as models  # noqa: PLC0415 (imports tomllib; not needed when cached)

    model = models.load(name, lambda wanted: given if wanted == name else read_filter(wanted))
    if all(group.name != "memfd" for group in model.groups):
        # A request of the policy, not of a group: the floor knows it under any filter file.
        asked = tuple(group for group in refuse if group != "memfd")
    else:
        asked = refuse
    rules = models.effective(model, add=add, refuse=asked, keep=keep)
    return floor.put_under(rules, name, memfd="memfd" in refuse, tells=tells != SILENT)


def _key(inputs: tuple[object, ...], given: bytes, machine: str) -> str:
    """Digest of everything that decides the program: files by content, the compiler by its files' stamps."""
    digest = hashlib.sha256(repr((inputs, machine, hashlib.sha256(given).digest())).encode())
    for name in shipped():
        content = _content(data.path("seccomp", name))
        digest.update(repr(name).encode() + hashlib.sha256(content).digest())
    here = os.path.dirname(__file__)
    ours = [
        f"{here}/{name}"
        for name in (
            "__init__.py",
            "model.py",
            "floor.py",
            "bpf.py",
            "shorten.py",
            "syscall_names.py",
            "quiet.py",
            "observed.py",
        )
    ]
    for path in (*ours, *library_files()):
        found = os.stat(path)
        digest.update(repr((path, found.st_size, found.st_mtime_ns)).encode())
    return digest.hexdigest()


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def library_files() -> Iterator[str]:
    """Give the file of the libseccomp that is used."""
    for folder in _LIBRARIES:
        path = os.path.realpath(f"{folder.format(os.uname().machine)}/libseccomp.so.2")
        if os.path.exists(path):
            yield path
            return


@functools.cache
def _binding() -> Any:  # noqa: ANN401 (neither binding has types)
    """Give pyseccomp, or Debian's binding of the same shape."""
    import importlib  # noqa: PLC0415 (only to compile)

    failed = []
    for name in ("pyseccomp", "seccomp"):
        try:
            module = importlib.import_module(name)
        except (ImportError, RuntimeError, OSError) as error:
            failed.append(f"{name}: {error}")
            continue
        # In a checkout the folder seccomp/ imports as an empty namespace package.
        if hasattr(module, "SyscallFilter"):
            return module
        failed.append(f"{name}: no SyscallFilter")
    raise _no_library("; ".join(failed))


def _no_library(why: str) -> HostUnfit:
    return HostUnfit(
        "HB541",
        "the filter cannot be compiled: no libseccomp",
        why=why,
        instead="apt-get install libseccomp2, and pip install pyseccomp",
    )


def _compile(
    binding: Any,  # noqa: ANN401 (neither binding has types)
    default: int,
    wanted: Sequence[tuple[int, Row]],
    numbers: dict[str, int],
) -> list[Instruction]:
    from hardbox.filters import bpf  # noqa: PLC0415 (see compile_rules)

    program = binding.SyscallFilter(default)
    program.set_attr(binding.Attr.ACT_BADARCH, bpf.RET_KILL_PROCESS)
    if len(wanted) > 1:
        # A binary tree over the numbers instead of a list. Needs libseccomp 2.5.
        program.set_attr(binding.Attr.CTL_OPTIMIZE, 2)
    for action, row in wanted:
        number = numbers[row.call]
        if number < 0:
            continue  # not a call of this machine
        tests = [binding.Arg(test.arg, binding.MASKED_EQ, test.mask, test.value) for test in row.tests]
        program.add_rule_exactly(action, number, *tests)
    file = os.memfd_create("hardbox-filter", os.MFD_CLOEXEC)
    with os.fdopen(file, "w+b") as target:
        program.export_bpf(target)
        target.seek(0)
        return bpf.unpack(target.read())


def _plain(calls: Sequence[str] | frozenset[str] | dict[str, int]) -> list[Row]:
    from hardbox.filters.model import Row  # noqa: PLC0415 (see compile_rules)

    return [Row(call) for call in sorted(calls)]


def _errno(number: int) -> int:
    from hardbox.filters.bpf import RET_ERRNO  # noqa: PLC0415 (see compile_rules)

    return RET_ERRNO | number


def _number(binding: Any, call: str, machine: str) -> int:  # noqa: ANN401 (neither binding has types)
    """Give a call's number on `machine`, negative if that machine has no such call."""
    from hardbox.filters.syscall_names import NEWER  # noqa: PLC0415 (see compile_rules)

    if call in NEWER:
        return NEWER[call]
    arch = {"x86_64": binding.Arch.X86_64, "aarch64": binding.Arch.AARCH64}[machine]
    number = int(binding.resolve_syscall(arch, call))
    if number != -1:  # __NR_SCMP_ERROR: no architecture has it; less: others have it
        return number
    known: list[str] = list(NEWER)
    for candidate in range(500):
        try:
            found = binding.resolve_syscall(arch, candidate)
        except ValueError:
            continue
        known.append(found.decode() if isinstance(found, bytes) else str(found))
    raise ProfileError(
        "HB452",
        f"no system call is called {call}",
        value=call,
        instead=did_you_mean(call, known) or "correct the name; see syscalls(2)",
    )
