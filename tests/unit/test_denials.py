"""Rows of the launcher to words: layouts as in C, causes, changes that the model allows.  Run by: pytest."""

from __future__ import annotations

import errno
import re
import shlex
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import plans
from unit.filter_oracle import numbers

from hardbox import denials, filters
from hardbox.denials import calls, causes, changes, lookup, risks, room, rows, seen
from hardbox.denials.denial import Denial
from hardbox.filters import floor
from hardbox.filters import model as models
from hardbox.filters.observed import OBSERVED
from hardbox.filters.quiet import QUIET
from hardbox.plan import steps as s
from hardbox.policy import files_of
from hardbox.refusals.disk import Disk

if TYPE_CHECKING:
    from hardbox.policy import Policy

LAUNCH = Path(__file__).parents[2] / "hardbox" / "launch"
STRICT = denials.Inputs("strict", no_memfd=True)
ARCH = 0xC000_003E
SIZES = {"uint32_t": 4, "uint64_t": 8, "char": 1}


def layout(header: str, name: str) -> tuple[int, list[str]]:
    """Give the size and the fields of a struct of the launcher, without padding."""
    text = re.sub(r"/\*.*?\*/", "", (LAUNCH / header).read_text(), flags=re.DOTALL)
    (body,) = re.findall(rf"struct {name} \{{(.*?)\}};", text, re.DOTALL)
    defines = {
        key: int(value)
        for key, value in re.findall(r"#define (\w+) (\d+)u", (LAUNCH / "notify.h").read_text() + text)
    }
    size, names = 0, []
    for kind, field, count in re.findall(r"(\w+) (\w+)(?:\[(\w+)\])?;", body):
        times = defines[count] if count in defines else int(count or 1)
        size += SIZES[kind] * times
        names.append(field)
    return size, names


def test_rows_are_laid_out_as_in_c() -> None:
    size, names = layout("notify.h", "hb_denial")
    assert size == rows._ROW.size == struct.calcsize("=IIIIQ6Q16s")  # noqa: SLF001 (the layout is the subject)
    assert names == ["number", "architecture", "error", "looked", "count", "arguments", "comm"]
    size, names = layout("observe.h", "hb_seen")
    assert size == seen._ROW.size == struct.calcsize("=8IQ16s256s")  # noqa: SLF001
    assert names == [
        "number",
        "error",
        "bits",
        "flags",
        "mode",
        "uid",
        "gid",
        "port",
        "count",
        "comm",
        "text",
    ]


def test_bits_are_the_same() -> None:
    found = dict(re.findall(r"#define HB_SEEN_(\w+) (\d+)u", (LAUNCH / "observe.h").read_text()))
    for name in ("OUTSIDE", "READ_ONLY", "NOEXEC", "CUT", "UNREADABLE", "NOWHERE", "FULL", "UNLOOKED"):
        assert int(found[name]) == getattr(seen, name)
    found = dict(re.findall(r"#define HB_FULL_(\w+) (\d+)u", (LAUNCH / "scratch.h").read_text()))
    assert {name: int(bit) for name, bit in found.items()} == {
        "BYTES": room.BYTES,
        "FILES": room.FILES,
        "AT_END": room.AT_END,
    }


def test_the_launcher_looks_at_what_the_filter_tells_of() -> None:
    assert set(re.findall(r"\tCALL\((\w+), ", (LAUNCH / "calls.h").read_text())) == OBSERVED
    known = numbers("x86_64")
    assert set(known) >= OBSERVED


def row(
    call: str, *args: int, error: int = errno.EPERM, comm: bytes = b"prog", looked: int = 0x3F, count: int = 1
) -> bytes:
    words = sum((looked >> place & 1) << (4 + 2 * place) for place in range(6))
    six = [*args, *([0] * (6 - len(args)))]
    return struct.pack("<IIIIQ6Q16s", numbers("x86_64")[call], ARCH, error, words, count, *six, comm)


def table(*rows_: bytes, dropped: int = 0) -> bytes:
    return struct.pack("<QI4x", dropped, len(rows_)) + b"".join(rows_)


def explain(*rows_: bytes, inputs: denials.Inputs = STRICT) -> tuple[Denial, ...]:
    return denials.explain(denials.parse(table(*rows_)), inputs)


def test_a_table_is_read_back() -> None:
    found = denials.parse(table(row("socket", 38, 5, looked=1, count=7), dropped=9))
    (one,) = found.rows
    assert found.dropped == 9
    assert (one.count, one.errno, one.comm, one.machine) == (7, 1, "prog", "x86_64")
    assert one.args == (38, None, None, None, None, None)


@pytest.mark.parametrize(
    "data", [b"", b"x" * 15, table(row("bpf"))[:-1], table(row("bpf")) + b"x", b"\xff" * 16]
)
def test_anything_else_is_no_table(data: bytes) -> None:
    with pytest.raises(ValueError, match="no table"):
        denials.parse(data)
    with pytest.raises(ValueError, match="no table"):
        seen.parse(data)


def test_rows_that_read_the_same_are_one() -> None:
    (one,) = explain(row("mount", count=2), row("mount", 1, count=3))
    assert one.count == 5


CAUSES = [
    ("io_uring_setup", (), 0, STRICT, causes.FILTER, "io-uring"),
    ("socket", (38, 3), 1, STRICT, causes.FILTER, "socket-families"),
    ("socket", (2, 1, 132), 7, STRICT, causes.FILTER, "socket-protocols"),
    ("ioctl", (0, 0x5412), 2, STRICT, causes.FILTER, "ioctl"),
    ("memfd_create", (), 0, STRICT, causes.EXEC, "memfd"),
    ("memfd_create", (), 0, denials.Inputs("strict", refuse=("memfd",)), causes.FILTER, "memfd"),
    ("getrandom", (), 0, denials.Inputs("strict", refuse=("random",)), causes.PROFILE, "random"),
    ("seccomp", (1, 8), 2, denials.Inputs("build"), causes.LISTENER, ""),
    ("seccomp", (1, 8), 2, denials.Inputs("build", tells=False), causes.FILTER, "filters"),
    ("acct", (), 0, STRICT, causes.FILTER, "administration"),
    ("vserver", (), 0, STRICT, causes.UNKNOWN, ""),
]


@pytest.mark.parametrize(("call", "args", "looked", "inputs", "kind", "group"), CAUSES)
def test_the_rule_that_refused(
    call: str, args: tuple[int, ...], looked: int, inputs: denials.Inputs, kind: str, group: str
) -> None:
    model = models.load(inputs.filter, filters.read_filter)
    six = [args[place] if place < len(args) and looked >> place & 1 else None for place in range(6)]
    found = causes.find(model, inputs, call, six)
    assert (found.kind, found.group) == (kind, group)
    assert found.where
    assert found.why


@pytest.mark.parametrize("name", ["strict", "baseline", "build", "inspect"])
def test_every_refusal_by_name_has_a_cause_a_change_and_a_risk(name: str) -> None:
    """And each change that is offered makes the model allow the call."""
    model = models.load(name, filters.read_filter)
    inputs = denials.Inputs(name, no_memfd=True)
    rules = models.effective(model)
    for call in sorted({*rules.refuse, *floor.CALLS} - rules.allow):
        cause = causes.find(model, inputs, call, (None,) * 6)
        allow, risk = changes.smallest(model, inputs, cause, call, (0,) * 6)
        assert cause.kind in (causes.FILTER, causes.FLOOR), call
        assert allow, call
        if call in floor.CALLS:
            assert (allow, risk) == (changes.NEVER, "")
        elif "--" in allow or "file" in allow:
            assert risk.split(":")[0] in ("low", "medium", "high"), call


def test_only_calls_that_need_it_lack_a_change() -> None:
    needs = changes._NEED_CAPABILITY  # noqa: SLF001 (the table is the subject)
    assert needs <= set(numbers("x86_64")) | {"stime"}
    (one,) = explain(row("socket", 2, 3, 1))
    assert "capability" in one.allow
    assert one.risk == ""


def test_adding_keeps_what_is_added_already() -> None:
    (one,) = explain(row("ptrace"), inputs=denials.Inputs("strict", add=("watching",)))
    assert one.allow.startswith("""--set 'seccomp.add=["watching","tracing"]'""")


def test_a_number_that_nobody_knows() -> None:
    data = struct.pack("<IIIIQ6Q16s", 9999, ARCH, errno.ENOSYS, 0, 1, *(0,) * 6, b"x")
    (one,) = denials.explain(denials.parse(table(data)), STRICT)
    assert one.what == "call 9999 (ENOSYS)"
    assert "--" not in one.allow


def test_a_filter_that_is_gone_is_explained_as_likely() -> None:
    (one,) = denials.explain(denials.parse(table(row("keyctl"))), denials.Inputs("/no/such.toml"))
    assert one.sure == "likely"


def test_risks_are_of_groups_that_exist() -> None:
    groups = {group.name for group in models.load("inspect", filters.read_filter).groups}
    assert set(risks.RISKS) <= groups
    assert all(text.split(":")[0] in ("low", "medium", "high") for text in risks.RISKS.values())


def test_quiet_calls_are_refused_with_a_reason() -> None:
    rules = models.effective(models.load("strict", filters.read_filter))
    assert set(QUIET) <= set(rules.refuse)
    assert all(QUIET.values())


WORDS = [
    ("socket", (2, 3, 1), "socket(AF_INET, SOCK_RAW, protocol 1)"),
    ("socket", (16, 3, 4), "socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)"),
    ("clone", (0x10020000,), "clone(CLONE_NEWNS|CLONE_NEWUSER)"),
    ("ioctl", (0, 0x5412), "ioctl(TIOCSTI)"),
    ("ioctl", (0, 0x9999), "ioctl(request 0x9999)"),
    ("prctl", (999,), "prctl(option 999)"),
    ("fcntl", (0, 1024), "fcntl(F_SETLEASE)"),
    ("openat", (0, 0, 0x40, 0o4755), "openat(mode 4755)"),
    ("keyctl", (1,), "keyctl"),
]


@pytest.mark.parametrize(("call", "args", "text"), WORDS)
def test_arguments_in_words(call: str, args: tuple[int, ...], text: str) -> None:
    assert calls.words(call, (*args, *(None,) * (6 - len(args)))) == text


def test_a_block_is_short_and_says_what_is_left_out() -> None:
    found = explain(*(row(call) for call in sorted(floor.CALLS) if call in numbers("x86_64")))
    block = denials.lines(found, 5, "strict")
    assert len(found) > 10
    assert block[0] == f"{len(found)} things were denied by profile strict"
    assert len(block) == 1 + 2 * 10 + 2
    assert block[-2] == f"  ... and {len(found) - 10} more: hardbox explain last"
    assert "5 more calls" in block[-1]


def test_json_and_back() -> None:
    (one,) = explain(row("keyctl", comm=b"\xff\x1b[31m"))
    again = one.to_json()
    assert Denial.from_json(again) == Denial.from_json(Denial.from_json(again).to_json())
    assert Denial.from_json({}).count == 1


def observation(
    call: str, error: int, text: str = "", *, bits: int = 0, first: int = 0, second: int = 0, mode: int = 0
) -> bytes:
    number = numbers("x86_64")[call]
    return struct.pack(
        "<8IQ16s256s", number, error, bits, first, mode, 0, 0, second, 1, b"prog", text.encode()
    )


def granting() -> Policy:
    """Give a policy to which --read may be added."""
    policy = plans.policy()
    return replace(policy, filesystem=replace(policy.filesystem, grants="read"))


def judged(*data: bytes) -> tuple[Denial, ...]:
    names = {number: name for name, number in numbers("x86_64").items()}
    found, _ = seen.parse(table(*data))
    return seen.judge(
        found, granting(), names.__getitem__, lambda path: "it is a key" if "key" in path else ""
    )


def test_what_the_caller_does_not_see_is_not_told(tmp_path: Path) -> None:
    there = tmp_path / "file"
    there.write_text("")
    missing = tmp_path / "missing"
    rows_ = [observation("openat", errno.ENOENT, str(path), bits=seen.OUTSIDE) for path in (there, missing)]
    (one,) = judged(*rows_)
    assert str(there) in one.what


def test_habits_come_last_and_are_possible_only() -> None:
    habit = observation("openat", errno.EROFS, "/etc/passwd", bits=seen.READ_ONLY, first=1)
    other = observation("openat", errno.EROFS, "/etc/x", bits=seen.READ_ONLY, first=1)
    assert [denial.sure for denial in judged(habit, other)] == ["likely", "possible"]


def test_ids_that_change_nothing_are_not_told() -> None:
    own = plans.policy().identity.user
    assert judged(observation("setuid", errno.EPERM, first=own)) == ()
    assert judged(observation("setresuid", errno.EPERM, first=own, second=2**32 - 1)) == ()
    (one,) = judged(observation("setuid", errno.EPERM, first=0))
    assert one.kind == "capability"


def test_memory_that_could_not_be_read_says_nothing() -> None:
    assert judged(observation("openat", 0, bits=seen.UNREADABLE)) == ()


def test_files_are_counted_as_in_the_plan() -> None:
    policy = plans.policy()
    size = policy.filesystem.scratch["/tmp"]
    found = [
        step for step in plans.samples()["user"].steps if isinstance(step, s.Tmpfs) and step.dest == "/tmp"
    ]
    assert [(step.size, step.inodes) for step in found] == [(size, size // 4096 + 1024)]
    assert files_of(size) == size // 4096 + 1024


def test_a_place_that_was_full_is_told_first() -> None:
    full = observation("read", errno.ENOSPC, "/tmp", bits=seen.FULL, first=room.FILES, mode=room.AT_END)
    other = observation("openat", errno.EROFS, "/etc/x", bits=seen.READ_ONLY, first=1)
    unknown = observation("read", errno.ENOSPC, "/nowhere", bits=seen.FULL, first=room.BYTES)
    first, _ = judged(other, unknown, full)
    assert first.what.startswith("all files that scratch /tmp may hold")
    assert first.kind == "limit"


def test_a_number_of_files_that_the_profile_states_is_its_own_key() -> None:
    policy = plans.policy()
    limits = replace(policy.limits, scratch_files=100)
    data = observation("read", errno.ENOSPC, "/tmp", bits=seen.FULL, first=room.FILES)
    found, _ = seen.parse(table(data))
    (one,) = seen.judge(found, replace(policy, limits=limits), str, lambda _: "")
    assert one.allow == "--set limits.scratch_files=200 --loosen 'limits.scratch_files=REASON'"
    (one,) = seen.judge(found, policy, str, lambda _: "")
    assert one.allow.startswith("--set 'filesystem.scratch=")


def test_scratch_that_memory_would_not_hold_needs_more_memory() -> None:
    policy = plans.policy()
    files = replace(policy.filesystem, scratch={"/tmp": policy.limits.memory // 2})
    full = observation("read", errno.ENOSPC, "/tmp", bits=seen.FULL, first=room.BYTES)
    found, _ = seen.parse(table(full))
    (one,) = seen.judge(found, replace(policy, filesystem=files), str, lambda _: "")
    assert " --memory " in one.allow


@pytest.mark.parametrize(
    ("call", "comm", "path"),
    [
        ("execve", b"hardbox-init", "/bin/x"),  # the command itself, which hardbox tells of
        ("access", b"cc", "/usr/bin/ld.bfd"),  # no shell: it can do without
        ("openat", b"prog", "/lib/libnss_sss.so.2"),
        ("openat", b"prog", "/lib/hidden.so.1"),  # it is told as not shown
    ],
)
def test_what_is_missed_by_habit_is_not_told(call: str, comm: bytes, path: str) -> None:
    row_ = struct.pack(
        "<8IQ16s256s", numbers("x86_64")[call], 2, seen.NOWHERE, 0, 0, 0, 0, 0, 1, comm, path.encode()
    )
    hidden = observation("openat", errno.ENOENT, "/no/such/hidden.so.1", bits=seen.OUTSIDE)
    assert judged(row_, hidden) == ()


def test_what_a_shell_and_a_loader_missed_is_told() -> None:
    for call, path, what in (
        ("execve", "/bin/x", "execution of x"),
        ("openat", "/lib/x.so.1", "reading of x.so.1"),
    ):
        (one,) = judged(observation(call, errno.ENOENT, path, bits=seen.NOWHERE))
        assert one.what == f"{what} (ENOENT)"
        assert one.sure == "possible"


def seen_missing(path: Path | str, bits: int = seen.OUTSIDE) -> bytes:
    return observation("openat", errno.ENOENT, str(path), bits=bits)


def test_what_a_job_named_cannot_be_pasted_as_a_command(tmp_path: Path) -> None:
    odd = tmp_path / "a b;$(reboot)`x`'&"
    odd.write_text("")
    (one,) = judged(seen_missing(odd))
    assert shlex.split(one.allow) == ["--read", str(odd)]
    for name in ("a:b", "a\nb", "a\x1b[2K", "a\u202eb"):
        path = tmp_path / name
        path.write_text("")
        (one,) = judged(seen_missing(path))
        assert str(tmp_path) not in one.allow
        assert one.allow.startswith("--read of a directory above it")
    (one,) = judged(observation("openat", errno.ENOENT, "/lib/$(reboot).so.1", bits=seen.NOWHERE))
    assert "has '$(reboot).so.1'," in one.allow


def test_each_path_is_judged_once_however_it_is_spelt_and_few_are(tmp_path: Path) -> None:
    asked: list[str] = []
    names = {number: name for name, number in numbers("x86_64").items()}

    def may_show(path: str) -> str:
        asked.append(path)
        return ""

    def run(*paths: str) -> tuple[Denial, ...]:
        rows_, _ = seen.parse(table(*(seen_missing(path) for path in paths)))
        return seen.judge(rows_, granting(), names.__getitem__, may_show)

    folder = f"/{str(tmp_path).lstrip('/')}"
    (one,) = run(folder, f"/{folder}", f"/.{folder}", f"{folder}/", f"{folder}/.", f"{folder}//")
    assert asked == [folder]
    assert one.allow == f"--read {folder}, if it holds no socket, pipe or key"
    asked.clear()
    for number in range(100):
        (tmp_path / f"{number}").write_text("")
    found = run(*(f"{folder}/{number}" for number in range(100)))
    assert len(asked) <= 32
    assert len(found) == 100
    assert "too many to judge" in found[-1].allow


def test_only_local_file_systems_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "net" / "server").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "net")
    mounts = (("/", "ext4"), (f"{tmp_path}/net", "autofs"), (f"{tmp_path}/net", "ext4"))
    for path in ("net", "net/server/x", "link/server", "link/../net/x", "./net//x"):
        found = lookup.Lookup(mounts).look(f"{tmp_path}/{path}")
        assert (found.state, found.why) == (lookup.UNLOOKED, "it lies on a file system of type autofs"), path
    there = lookup.Lookup(mounts)
    assert there.look(f"{tmp_path}/link").state == lookup.THERE
    assert there.look(f"{tmp_path}/link", follow=True).state == lookup.UNLOOKED
    assert there.look(f"{tmp_path}/none/../net").state == lookup.ABSENT
    assert there.look("/proc/self").state in (lookup.ABSENT, lookup.THERE)
    assert lookup.Lookup((*mounts, ("/proc", "proc"))).look("/proc/self").state == lookup.ABSENT


def test_what_was_not_looked_at_is_told_as_possible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Disk, "mounts", lambda _: (("/", "ext4"), (str(tmp_path), "nfs4")))
    asked: list[str] = []

    def may_show(path: str) -> str:
        asked.append(path)
        return ""

    rows_, _ = seen.parse(table(seen_missing(tmp_path / "x", seen.UNLOOKED), seen_missing("/no/such", 128)))
    (one,) = seen.judge(rows_, granting(), lambda _: "openat", may_show)
    assert "was not looked at: it lies on a file system of type nfs4" in one.why
    assert one.sure == "possible"
    assert asked == []


def test_trees_that_are_not_local_are_found() -> None:
    mounts = (("/", "ext4"), ("/srv/net", "nfs4"), ("/auto", "autofs"))
    look = lookup.Lookup(mounts)
    assert lookup.first_foreign(["/usr", "/srv/net/a"], look) == ("/srv/net/a", "nfs4")
    assert lookup.first_foreign(["/srv"], look) == ("/srv", "nfs4")
    assert lookup.first_foreign(["/usr", "/srv/network"], look) == ("", "")
